# Analysis and report of the runs.
from ablation.analysis.tables import TABLES
from ablation.study.code import analysis_code, gallery_code, models_code, report_code

# Tables that Snakemake's own report does not show.
OTHER_TABLES = [name for name in TABLES if name not in ("runs", "comparisons")]
# Texts by the authors of the study.
NARRATIVES = [one.narrative for one in PLAN.experiments if one.narrative is not None]


# The resolved plan, which the jobs below read instead of the study. It is an `ancient` input,
# because the part that a job depends on is in its params.
rule resolve:
    output:
        plan=f"results/{STUDY}/plan.json",
    log:
        f"results/logs/{STUDY}/resolve.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=CONFIG_JSON,
        digest=plan_digest(PLAN),
    message:
        f"Resolve {STUDY}"
    shell:
        "python -m ablation resolve --config {params.config:q} --digest {params.digest}"
        " {output.plan:q} 2>&1 | tee {log:q}"


rule describe_models:
    input:
        [f"{folder}/description.json" for folder in DATA],
        plan=ancient(rules.resolve.output.plan),
    output:
        f"results/{STUDY}/models.json",
    log:
        f"results/logs/{STUDY}/models.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        request=digest(models_request(PLAN)),
        code=models_code(PLAN),
    message:
        f"Describe the networks of {STUDY}"
    shell:
        "python -m ablation describe-models {input.plan:q} 2>&1 | tee {log:q}"


rule gallery:
    input:
        [f"{folder}/description.json" for folder in DATA],
        plan=ancient(rules.resolve.output.plan),
    output:
        f"results/{STUDY}/gallery.npz",
    log:
        f"results/logs/{STUDY}/gallery.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        request=digest(gallery_request(PLAN)),
        code=gallery_code(PLAN),
    message:
        f"Show the augmentations of {STUDY} on its images"
    shell:
        "python -m ablation gallery {input.plan:q} 2>&1 | tee {log:q}"


rule analyse:
    input:
        of_all_runs(rules.train.output),
        [f"{folder}/description.json" for folder in DATA],
        plan=ancient(rules.resolve.output.plan),
    output:
        [f"results/{STUDY}/{name}.csv" for name in OTHER_TABLES],
        runs=report(f"results/{STUDY}/runs.csv", caption="../report/runs.rst", category="Tables"),
        comparisons=report(
            f"results/{STUDY}/comparisons.csv",
            caption="../report/comparisons.rst",
            category="Tables",
        ),
        analysis=f"results/{STUDY}/analysis.json",
        mistakes=f"results/{STUDY}/mistakes.npz",
    log:
        f"results/logs/{STUDY}/analyse.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        plan=plan_digest(PLAN),
        code=analysis_code(),
    message:
        f"Analyse the runs of {STUDY}"
    shell:
        "python -m ablation analyse {input.plan:q} 2>&1 | tee {log:q}"


rule report:
    input:
        rules.analyse.output,
        rules.describe_models.output,
        rules.gallery.output,
        [f"{folder}/description.json" for folder in DATA],
        NARRATIVES,
        plan=ancient(rules.resolve.output.plan),
    output:
        html=report(f"reports/{STUDY}.html", caption="../report/report.rst", category="Report"),
        markdown=f"reports/{STUDY}.md",
        figures=directory(f"reports/{STUDY}"),
        findings=f"results/{STUDY}/findings.csv",
        rubric=f"results/{STUDY}/rubric.csv",
    log:
        f"results/logs/{STUDY}/report.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        plan=plan_digest(PLAN),
        narratives=lambda wildcards: [file_sha256(Path(file)) for file in NARRATIVES],
        code=report_code(),
    message:
        f"Write the report of {STUDY}"
    shell:
        "python -m ablation report {input.plan:q} 2>&1 | tee {log:q}"
