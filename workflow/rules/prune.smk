# Housekeeping, run by name: `snakemake prune`.
localrules:
    prune,


rule prune:
    log:
        "results/logs/prune.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        # A function, because Snakemake takes braces in a text for wildcards.
        config=lambda wildcards: canonical_json(CONFIG.model_dump()),
    message:
        "Look for results that no study asks for"
    shell:
        "python -m ablation prune --config {params.config:q} 2>&1 | tee {log:q}"
