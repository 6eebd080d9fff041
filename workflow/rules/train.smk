# One job per run. `train_keeping_weights` has one more output; the id of a run decides which of
# the two rules is used.
rule train:
    input:
        inputs_of_run,
    output:
        [f"{RUN_FOLDER}/{name}" for name in OUTPUTS],
    log:
        RUN_LOG,
    wildcard_constraints:
        run=f"{BEFORE_ID}(?!{ids_of(KEPT_WEIGHTS)})[0-9a-f]{{8}}",
    conda:
        f"../../envs/{CONFIG.environment}.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
        mem_mb=growing(memory_of_run),
        # Partitions often allow a day.
        runtime=CONFIG.runtime or growing(minutes_of_run, most=DAY),
    params:
        # One function, because each takes time for every run.
        arguments=arguments_of_run,
    message:
        "Train {wildcards.run}"
    shell:
        "python -m ablation train {params.arguments:q} --log {log:q} -- {output:q} > {log:q} 2>&1"


use rule train as train_keeping_weights with:
    output:
        rules.train.output,
        f"{RUN_FOLDER}/{WEIGHTS}",
    wildcard_constraints:
        run=f"{BEFORE_ID}(?:{ids_of(KEPT_WEIGHTS)})",
