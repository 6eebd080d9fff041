# Data sets from TensorFlow Datasets or from files, prepared once for all the runs that read them.
localrules:
    data,


rule prepare:
    input:
        mark_of_outdated_data,
    # `update`, so that a preparation that fails leaves the last one in place. For the same reason
    # images.npy and examples.csv are not declared: Snakemake would copy gigabytes for it. They
    # count only with their description, which holds their hashes.
    output:
        update("results/data/{dataset}/{form}/description.json"),
    log:
        "results/logs/prepare/{dataset}/{form}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        settings=lambda wildcards: canonical_json(data_of(wildcards).settings),
        code=lambda wildcards: data_code(data_of(wildcards).settings),
        files=lambda wildcards: LOCAL_IMAGES[data_of(wildcards).folder],
    message:
        "Prepare {wildcards.dataset} ({wildcards.form})"
    # The messages of short jobs go to the console as well: a disk may be too full for a log.
    shell:
        "python -m ablation prepare --settings {params.settings:q}"
        " --folder results/data/{wildcards.dataset:q}/{wildcards.form:q} --code {params.code}"
        " --files-digest={params.files} 2>&1 | tee {log:q}"


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
        "python -m ablation fetch-weights {output:q} 2>&1 | tee {log:q}"


# Run by name: `snakemake data` fetches and prepares what a study needs, and trains nothing.
rule data:
    input:
        descriptions=[f"{folder}/description.json" for folder in DATA],
        weights=(
            [IMAGENET_WEIGHTS]
            if IMAGENET_WEIGHTS in {run.weights_file for run in list(RUNS.values())}
            else []
        ),
    log:
        f"results/logs/{STUDY}/data.log",
    conda:
        "../../envs/cpu.yaml"
    message:
        f"What was found in the data sets of {STUDY}"
    shell:
        "python -m ablation findings {input.descriptions:q} 2>&1 | tee {log:q}"
