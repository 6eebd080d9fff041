# From the files of the runs to the report.
# What the analysis tabulates, besides runs and comparisons.
TABLES = [
    "calibration",
    "cells",
    "claims",
    "class_effects",
    "classes",
    "confusion",
    "curves",
    "diagnostics",
    "findings",
    "published",
    "rubric_checks",
    "rules",
]


rule describe_models:
    input:
        [f"{folder}/description.json" for folder in DATA],
    output:
        f"results/{STUDY}/models.json",
    log:
        f"results/logs/{STUDY}/models.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
        digest=request_digest(models_request(PLAN)),
        code=MODEL_CODE,
    message:
        f"Describe the networks of {STUDY}"
    shell:
        "python -m ablation describe-models --config {params.config:q}"
        " --digest {params.digest} 2>&1 | tee {log:q}"


rule gallery:
    input:
        [f"{folder}/description.json" for folder in DATA],
    output:
        f"results/{STUDY}/gallery.npz",
    log:
        f"results/logs/{STUDY}/gallery.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
        digest=request_digest(gallery_request(PLAN)),
        code=AUGMENTATION_CODE,
    message:
        f"Show the augmentations of {STUDY} on its images"
    shell:
        "python -m ablation gallery --config {params.config:q}"
        " --digest {params.digest} 2>&1 | tee {log:q}"


rule analyse:
    input:
        of_all_runs(rules.train.output),
        [f"{folder}/description.json" for folder in DATA],
    output:
        [f"results/{STUDY}/{name}.csv" for name in TABLES],
        runs=report(f"results/{STUDY}/runs.csv", caption="../report/runs.rst", category="Tables"),
        comparisons=report(
            f"results/{STUDY}/comparisons.csv",
            caption="../report/comparisons.rst",
            category="Tables",
        ),
        analysis=f"results/{STUDY}/analysis.json",
    log:
        f"results/logs/{STUDY}/analyse.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
        digest=plan_digest(PLAN),
        code=ANALYSIS_CODE,
    message:
        f"Analyse the runs of {STUDY}"
    shell:
        "python -m ablation analyse --config {params.config:q}"
        " --digest {params.digest} 2>&1 | tee {log:q}"


rule report:
    input:
        rules.analyse.output,
        rules.describe_models.output,
        rules.gallery.output,
        [f"{folder}/description.json" for folder in DATA],
    output:
        html=report(f"reports/{STUDY}.html", caption="../report/report.rst", category="Report"),
        markdown=f"reports/{STUDY}.md",
        figures=directory(f"reports/{STUDY}"),
    log:
        f"results/logs/{STUDY}/report.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
        digest=plan_digest(PLAN),
        code=REPORT_CODE,
    message:
        f"Write the report of {STUDY}"
    shell:
        "python -m ablation report --config {params.config:q}"
        " --digest {params.digest} 2>&1 | tee {log:q}"
