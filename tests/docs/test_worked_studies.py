"""The pages on writing a study and on reruns, followed."""

import re

import pytest

pytestmark = pytest.mark.workflow


def test_the_study_of_writing_a_study_plans(example):
    example.follow("writing-a-study.md")
    assert "Study mine: 12 runs" in example.output
    assert "3.8 sd" in example.output
    assert example.output.count("train") > 0


@pytest.mark.long
def test_what_the_page_on_reruns_says_runs_again(example):
    output = example.follow("reruns.md").output
    assert output.count("Nothing to be done") == 2
    first, last = (dict(re.findall(r"^(\w+) +(\d+)$", part, re.M)) for part in _stats(output))
    assert first["train"] == "2"
    assert last["train"] == last["gallery"] == last["analyse"] == last["report"] == "1"
    assert "prepare" not in last


def _stats(output):
    """The tables of jobs, the first as it ran and the last as it would run."""
    tables = re.findall(r"Job stats:\n(.*?)\n\n", output, re.S)
    return tables[0], tables[-1]
