"""What the jobs of the workflow request."""

import json

import pytest

pytestmark = pytest.mark.workflow

LOCAL = ("data", "plan", "resolve", "status", "partial", "prune")  # they run where Snakemake runs
TRAINING = {"train", "train_keeping_weights", "recheck"}
PRINT = """\
include: "Snakefile"

import json

dataset, form = next(iter(DATA)).split("/")
names = {"dataset": dataset, "form": form, "run": next(iter(RUNS)), "part": "plan"}
requested = {
    one.name: [dict(one.expand_resources(names, [], attempt).items()) for attempt in (1, 2)]
    for one in workflow.rules
    if not one.norun
}
for needed in (600, 1200, 2000):
    limited = growing(needed, most=1440)
    requested[f"limited {needed}"] = [limited(None, attempt) for attempt in (1, 2)]
print(json.dumps(requested, default=str))
"""


def requested(project, *words):
    """The resources of the first two attempts of each rule that can be submitted."""
    (project.folder / "print.smk").write_text(PRINT)
    done = project.snakemake("--snakefile", "print.smk", "--list-rules", *words)
    (line,) = (line for line in done.output.splitlines() if line.startswith("{"))
    rules = json.loads(line)
    return {name: attempts for name, attempts in rules.items() if name not in LOCAL}


def test_every_rule_requests_memory_and_time_and_more_when_it_is_tried_again(project):
    rules = requested(project)
    assert rules.pop("limited 600") == [600, 900]
    assert rules.pop("limited 1200") == [1200, 1440]
    assert rules.pop("limited 2000") == [2000, 2000]
    assert {"prepare", "fetch_weights", "analyse", "report"} | TRAINING <= set(rules)
    assert rules["recheck"][0]["mem_mb"] >= rules["train"][0]["mem_mb"]
    for name, (first, second) in rules.items():
        assert second["mem_mb"] == pytest.approx(1.5 * first["mem_mb"], abs=1), name
        # Without finished runs, training gets a day, and not more.
        growth = 1 if name in TRAINING else 1.5
        assert second["runtime"] == pytest.approx(growth * first["runtime"], abs=1), name
        assert first["mem_mb"] > 300, name
        assert first.get("gpu") == (1 if name in TRAINING else None), name


def test_a_limit_of_time_is_taken_as_it_is_and_trains_nothing_again(project):
    rules = requested(project, "--config", "runtime=30")
    assert [attempt["runtime"] for attempt in rules["train"]] == [30, 30]
    assert project.plan("--config", "runtime=30") == {}
