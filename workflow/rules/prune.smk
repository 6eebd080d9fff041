# Housekeeping, run by name: `snakemake prune`.
localrules:
    prune,


rule prune:
    params:
        config=canonical_json(CONFIG.model_dump()),
    log:
        "results/logs/prune.log",
    conda:
        "../../envs/cpu.yaml"
    message:
        "Look for results that no study asks for"
    shell:
        "python -m ablation prune --config {params.config:q} 2>&1 | tee {log:q}"
