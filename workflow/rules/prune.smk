# `snakemake prune`, called by name.
localrules:
    prune,


rule prune:
    log:
        "results/logs/prune.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        # A function, because Snakemake treats braces in text as wildcards.
        config=lambda wildcards: canonical_json(CONFIG.model_dump()),
    message:
        "List results that no study uses"
    shell:
        "python -m ablation prune --config {params.config:q} 2>&1 | tee {log:q}"
