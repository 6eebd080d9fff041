# One job per run. `train_keeping_weights` has one more output; the id of a run decides which of
# the two rules is used.
rule train:
    input:
        # One function, because each costs a call per run.
        unpack(inputs_of_run),
    output:
        history=f"{RUN_FOLDER}/history.csv",
        timing=f"{RUN_FOLDER}/timing.csv",
        predictions=f"{RUN_FOLDER}/predictions.npz",
        record=f"{RUN_FOLDER}/run.json",
    log:
        RUN_LOG,
    wildcard_constraints:
        id=f"(?!(?:{any_of(KEPT_WEIGHTS)})/)[0-9a-f]{{8}}",
    conda:
        f"../../envs/{CONFIG.environment}.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: run_of(wildcards).settings.json_text,
        code=lambda wildcards: code_of(run_code(run_of(wildcards).settings)),
        # Not {input.data}, which a finished run may not have.
        data=lambda wildcards: f"{run_of(wildcards).data.folder}/description.json",
        # Not an output, because Snakemake removes outputs before a job and after a failure.
        checkpoints=RUN_CHECKPOINTS,
    message:
        "Train {wildcards.model} on {wildcards.dataset}, {wildcards.augmentation},"
        " seed {wildcards.seed} ({wildcards.id})"
    shell:
        "python -m ablation train --settings {params.settings:q}"
        " --data {params.data:q} --weights {input.weights:q} --code {params.code}"
        " --checkpoints {params.checkpoints:q} --log {log:q} -- {output:q} > {log:q} 2>&1"


use rule train as train_keeping_weights with:
    output:
        *rules.train.output,
        weights=f"{RUN_FOLDER}/model.weights.h5",
    wildcard_constraints:
        id=any_of(KEPT_WEIGHTS),
