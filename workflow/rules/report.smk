# From the files of the runs to the report.
from ablation.analysis.tables import TABLES
from ablation.study.code import analysis_code, gallery_code, models_code, report_code
from ablation.study.plan_file import part_digests

# The authors' own texts, which only the report reads.
NARRATIVES = [local(one.narrative) for one in PLAN.experiments if one.narrative is not None]
PARTS = part_digests(PLAN)


# The resolved plan, which jobs read instead of the study. It is in several files, each of which is
# written again only if the part that its readers use has changed.
rule resolve:
    output:
        f"results/{STUDY}/{{part}}.json",
    log:
        f"results/logs/{STUDY}/resolve-{{part}}.log",
    wildcard_constraints:
        part="|".join(PARTS),
    priority: 100  # first, because the study may be edited while its runs train
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        options=lambda wildcards: config_options(),
        digest=lambda wildcards: PARTS[wildcards.part],
    message:
        f"Resolve {STUDY}: {{wildcards.part}}"
    shell:
        "python -m ablation resolve {params.options:q} --part {wildcards.part}"
        " --digest {params.digest} {output:q} 2>&1 | tee {log:q}"


rule describe_models:
    input:
        DESCRIPTIONS,
        plan=f"results/{STUDY}/plan-models.json",
    output:
        f"results/{STUDY}/models.json",
    log:
        f"results/logs/{STUDY}/models.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=growing(lambda wildcards: models_memory(RUNS.values())),
        runtime=growing(60),
    params:
        code=lambda wildcards: models_code(PLAN),
    message:
        f"Describe the networks of {STUDY}"
    shell:
        "python -m ablation describe-models {input.plan:q} 2>&1 | tee {log:q}"


rule gallery:
    input:
        DESCRIPTIONS,
        plan=f"results/{STUDY}/plan-gallery.json",
    output:
        f"results/{STUDY}/gallery.npz",
    log:
        f"results/logs/{STUDY}/gallery.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=growing(lambda wildcards: gallery_memory(DATA.values())),
        runtime=growing(60),
    params:
        code=lambda wildcards: gallery_code(PLAN),
    message:
        f"Show the augmentations of {STUDY} on its images"
    shell:
        "python -m ablation gallery {input.plan:q} 2>&1 | tee {log:q}"


rule analyse:
    input:
        files_of_runs(),
        DESCRIPTIONS,
        plan=f"results/{STUDY}/plan.json",
    output:
        [in_report(f"results/{STUDY}/{name}.csv", "Tables", table=name) for name in TABLES],
        analysis=f"results/{STUDY}/analysis.json",
        mistakes=f"results/{STUDY}/mistakes.npz",
    log:
        f"results/logs/{STUDY}/analyse.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=growing(lambda wildcards: analysis_memory(RUNS.values())),
        runtime=growing(60),
    params:
        code=lambda wildcards: analysis_code(),
    message:
        f"Analyse the runs of {STUDY}"
    shell:
        "python -m ablation analyse {input.plan:q} 2>&1 | tee {log:q}"


rule report:
    input:
        rules.analyse.output,
        rules.describe_models.output,
        rules.gallery.output,
        DESCRIPTIONS,
        NARRATIVES,
        plan=f"results/{STUDY}/plan.json",
    output:
        html=in_report(f"reports/{STUDY}.html", "Report", format="page"),
        markdown=f"reports/{STUDY}.md",
        figures=in_report(
            directory(f"reports/{STUDY}"), "Figures", patterns=["{figure}.svg"], figure="{figure}"
        ),
        findings=f"results/{STUDY}/findings.csv",
        rubric=f"results/{STUDY}/rubric.csv",
    log:
        f"results/logs/{STUDY}/report.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=growing(700),
        runtime=growing(60),
    params:
        narratives=lambda wildcards: [file_sha256(Path(file)) for file in NARRATIVES],
        code=lambda wildcards: report_code(),
    message:
        f"Write the report of {STUDY}"
    shell:
        "python -m ablation report {input.plan:q} 2>&1 | tee {log:q}"
