# The workflow itself is workflow/Snakefile, where the workflow catalog expects it. An included
# file has no default target, so this one names it.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
    message:
        f"The study {STUDY} is complete: reports/{STUDY}.html"
