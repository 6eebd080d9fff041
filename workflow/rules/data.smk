# Data sets from TensorFlow Datasets, prepared once for all the runs that read them.
rule prepare:
    output:
        images="results/data/{dataset}/{form}/images.npy",
        examples="results/data/{dataset}/{form}/examples.csv",
        description="results/data/{dataset}/{form}/description.json",
    log:
        "results/logs/prepare/{dataset}/{form}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        settings=lambda wildcards: canonical_json(data_of(wildcards).settings),
        code=DATA_CODE,
    message:
        "Prepare {wildcards.dataset} ({wildcards.form})"
    shell:
        "python -m ablation prepare --settings {params.settings:q}"
        " --folder results/data/{wildcards.dataset:q}/{wildcards.form:q} > {log:q} 2>&1"


rule fetch_weights:
    output:
        IMAGENET_WEIGHTS,
    log:
        "results/logs/weights.log",
    conda:
        "../../envs/cpu.yaml"
    message:
        "Fetch the ImageNet weights of ResNet-50"
    shell:
        "python -m ablation fetch-weights {output:q} > {log:q} 2>&1"
