"""The published figures that a study's head names stand beside its cells."""

import re

import pandas as pd
import pytest

from ablation.analysis.published import published_table
from ablation.study.plan import load_plan
from ablation.study.schema import Config

from .test_costs import head

EXPECTED = {  # study: model or augmentation and figure in percent, and how the head writes it
    "cutmix": {
        ("none", 72.67): ".7267",
        ("augmentation", 69.97): ".6997",
        ("cutmix", 70.77): ".7077",
        ("augmentation+cutmix", 65.82): ".6582",
    },
    "he2015": {
        ("resnet20", 91.25): "8.75",
        ("resnet32", 92.49): "7.51",
        ("resnet44", 92.83): "7.17",
        ("resnet56", 93.03): "6.97",
        ("resnet110", 93.57): "6.43",
        ("resnet110", 93.39): "6.61",
    },
    "mixing": {
        ("none", 76.42): "76.42",
        ("mixup", 78.52): "78.52",
        ("cutmix", 79.45): "79.45",
        ("none", 78.55): "78.55",
        ("mixup", 79.24): "79.24",
        ("cutmix", 78.29): "78.29",
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_published_figures_stand_beside_the_study(name):
    plan = load_plan(Config(study=name))
    cells = pd.DataFrame(
        {
            "experiment": experiment.name,
            **dict(zip(("dataset", "model", "augmentation"), cell, strict=True)),
            "finished": len(experiment.block.seeds),
            "test_accuracy": 0.5,
        }
        for experiment in plan.experiments
        for cell in dict.fromkeys(run.cell for run in experiment.runs)
    )
    found = published_table(plan, cells)
    varied = "model" if name == "he2015" else "augmentation"
    beside = {
        (label, round(100 * figure, 2))
        for label, figure in zip(found[varied], found["published"], strict=True)
    }
    assert beside == set(EXPECTED[name])
    for written in EXPECTED[name].values():
        assert re.search(rf"(?<![\d.]){re.escape(written)}(?!\d)", head(name)), written


def test_the_settings_of_notebook_2_differ_in_nothing_that_the_workflow_expresses():
    plan = load_plan(Config(study="cutmix"))
    cells = pd.DataFrame(
        {
            "experiment": "cutmix",
            **dict(zip(("dataset", "model", "augmentation"), cell, strict=True)),
            "finished": 1,
            "test_accuracy": 0.5,
        }
        for cell in dict.fromkeys(run.cell for run in plan.experiments[0].runs)
    )
    (difference,) = set(published_table(plan, cells)["differences_in_setting"])
    assert difference.startswith("in the publication batches were shuffled in a window")
    assert ";" not in difference
