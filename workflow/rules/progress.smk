# Targets that are called by name, also while the study runs: they have no inputs and outputs, so
# Snakemake does not lock them. Only `recheck` trains.
localrules:
    plan,
    status,
    partial,


onstart:
    keep_locks_of_others(workflow.persistence)
    # Empty where jobs run on other machines.
    warm = CONFIG.warm_start and workflow.local_exec
    os.environ[warm_start.VARIABLE] = str(os.getpid()) if warm else ""
    try:
        for folder in ("results", "reports"):
            require_writable(Path(folder))
            date_back(Path(folder))
        for weights in {run.weights_file for run in RUNS.values()} - {None}:
            date_back(Path(weights))
        # Not for targets that resolve the study themselves, as one may be edited while it runs.
        targets = set(workflow.dag_settings.targets)
        if not targets or targets - {"data", "plan", "status", "partial", "recheck", "prune"}:
            write_plan(PLAN, Path(PLAN_FILE))
    except InputError as error:
        workflow.persistence.unlock()
        sys.exit(f"error: {error}")


rule plan:
    log:
        f"results/logs/{STUDY}/plan.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
        at_once=lambda wildcards: runs_at_once(),
    message:
        f"Show the plan of {STUDY}"
    shell:
        "python -m ablation plan --config {params.config:q}"
        " --at-once {params.at_once} --log {log:q}"


rule status:
    log:
        f"results/logs/{STUDY}/status.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
        at_once=lambda wildcards: runs_at_once(),
    message:
        f"Show the progress of {STUDY}"
    shell:
        "python -m ablation status --config {params.config:q}"
        " --at-once {params.at_once} --log {log:q}"


rule recheck:
    log:
        f"results/logs/{STUDY}/recheck.log",
    conda:
        f"../../envs/{CONFIG.environment}.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=growing(lambda wildcards: recheck_memory(RUNS.values(), CONFIG.environment)),
        runtime=CONFIG.runtime or growing(DAY),
    params:
        config=canonical_json(CONFIG.model_dump(include={"study", "threads", "recheck"})),
    message:
        f"Repeat a finished run of {STUDY}"
    shell:
        ": > {log:q}; python -m ablation recheck --config {params.config:q}"
        " 2>> {log:q} | tee -a {log:q}"


rule partial:
    log:
        f"results/logs/{STUDY}/partial.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
    message:
        f"Report on the finished runs of {STUDY}"
    shell:
        "python -m ablation partial --config {params.config:q} 2>&1 | tee {log:q}"
