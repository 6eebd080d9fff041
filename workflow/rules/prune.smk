# `snakemake prune`, called by name.
rule prune:
    log:
        "results/logs/prune.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        options=lambda wildcards: config_options("prune"),
    message:
        "List results that no study uses"
    shell:
        "python -m ablation prune {params.options:q} 2>&1 | tee {log:q}"
