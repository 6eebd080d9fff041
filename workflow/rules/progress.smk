# Run by name, before, after and while the study runs: `snakemake plan`, `status`, `partial`.
# None of them trains, and they have neither inputs nor outputs, so no lock keeps them out.
localrules:
    plan,
    status,
    partial,


onstart:
    # When Snakemake ends it removes the whole folder of locks, also those of a study that still
    # runs. An invocation without files has locked nothing, so it has nothing to unlock.
    persistence = workflow.persistence
    if not [*persistence.all_inputfiles(), *persistence.all_outputfiles()]:
        persistence.unlock = persistence.noop


rule plan:
    log:
        f"results/logs/{STUDY}/plan.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
        code=RUN_CODE,
        at_once=lambda wildcards: runs_at_once(),
    message:
        f"What {STUDY} will take"
    shell:
        "python -m ablation plan --config {params.config:q} --code {params.code}"
        " --at-once {params.at_once} 2>&1 | tee {log:q}"


rule status:
    log:
        f"results/logs/{STUDY}/status.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
        code=RUN_CODE,
        at_once=lambda wildcards: runs_at_once(),
    message:
        f"How far {STUDY} is"
    shell:
        "python -m ablation status --config {params.config:q} --code {params.code}"
        " --at-once {params.at_once} 2>&1 | tee {log:q}"


rule partial:
    log:
        f"results/logs/{STUDY}/partial.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
        report=f"reports/{STUDY}-partial.html",
    message:
        f"Report on what there is of {STUDY}"
    shell:
        "for command in describe-models gallery analyse report; do"
        " python -m ablation $command --partial --config {params.config:q} || exit 1;"
        " done > {log:q} 2>&1; echo {params.report:q}"
