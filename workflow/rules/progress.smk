# Targets that are called by name, also while the study runs: they have no inputs and outputs, so
# Snakemake does not lock them. Only `recheck` trains.
rule plan:
    log:
        f"results/logs/{STUDY}/plan.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        options=lambda wildcards: config_options(),
        at_once=lambda wildcards: runs_at_once(),
    message:
        f"Show the plan of {STUDY}"
    shell:
        "python -m ablation plan {params.options:q}" " --at-once {params.at_once} --log {log:q}"


rule status:
    log:
        f"results/logs/{STUDY}/status.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        options=lambda wildcards: config_options(),
        at_once=lambda wildcards: runs_at_once(),
    message:
        f"Show the progress of {STUDY}"
    shell:
        "python -m ablation status {params.options:q}" " --at-once {params.at_once} --log {log:q}"


rule recheck:
    log:
        f"results/logs/{STUDY}/recheck.log",
    retries: 0  # the files of a run that differs stay
    conda:
        f"../../envs/{CONFIG.environment}.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=growing(memory_of_recheck),
        runtime=CONFIG.runtime or DAY,
    params:
        options=lambda wildcards: config_options("recheck"),
    message:
        f"Repeat a finished run of {STUDY}"
    shell:
        ": > {log:q}; python -m ablation recheck {params.options:q}" " 2>> {log:q} | tee -a {log:q}"


rule partial:
    log:
        f"results/logs/{STUDY}/partial.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        options=lambda wildcards: config_options(),
    message:
        f"Report on the finished runs of {STUDY}"
    shell:
        "python -m ablation partial {params.options:q} 2>&1 | tee {log:q}"
