# Data sets, each prepared once for all runs that use it.
rule prepare:
    input:
        mark_of_outdated_data,
    # With `update`, a failed preparation does not remove the old data. images.npy and examples.csv
    # are not declared, because Snakemake would copy gigabytes. The description holds their hashes.
    output:
        update("results/data/{dataset}/{form}/description.json"),
    log:
        "results/logs/prepare/{dataset}/{form}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=growing(lambda wildcards: preparation_memory(data_of(wildcards))),
        runtime=growing(180),
    params:
        settings=lambda wildcards: canonical_json(data_of(wildcards).settings),
        code=code_of_data,
        files=lambda wildcards: LOCAL_IMAGES[data_of(wildcards).folder],
        folder=subpath(output[0], parent=True),
    message:
        "Prepare {wildcards.dataset} ({wildcards.form})"
    # Messages of short jobs also go to the console, because the disk may be too full for a log.
    shell:
        "python -m ablation prepare --settings {params.settings:q}"
        " --folder {params.folder:q} --code {params.code}"
        " --files-digest={params.files} 2>&1 | tee {log:q}"


rule fetch_weights:
    output:
        f"results/{IMAGENET_WEIGHTS}",
    log:
        "results/logs/weights.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=growing(500),
        runtime=growing(60),
    message:
        "Download the ImageNet weights of ResNet-50"
    shell:
        "python -m ablation fetch-weights {output:q} 2>&1 | tee {log:q}"


# `snakemake data` downloads and prepares the data of a study.
rule data:
    input:
        descriptions=DESCRIPTIONS,
        weights=sorted({weights_of(run) for run in RUNS.values() if run.weights_file}),
    log:
        f"results/logs/{STUDY}/data.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    message:
        f"Summarise the data sets of {STUDY}"
    shell:
        "python -m ablation findings {input.descriptions:q} 2>&1 | tee {log:q}"
