"""A small invented study, as tidy tables."""

import numpy as np
import pandas as pd
import pytest

from ablation.report.plots.style import Styles, rows_of

MODELS, LABELS = ["resnet8", "plain8"], ["none", "crop", "cutmix"]


class Study:
    """Tables of one experiment with models × augmentations, one of them the reference."""

    def __init__(self, models=MODELS, labels=LABELS, classes=("cat", "dog"), seeds=3):
        self.models, self.labels, self.classes = list(models), list(labels), list(classes)
        self.arms = [(model, label) for model in models for label in labels]
        steps = [
            {"label": x, "steps": [] if i == 0 else [{"name": x}]} for i, x in enumerate(labels)
        ]
        self.styles = Styles([{"models": self.models, "augmentations": steps}])
        accuracy = {arm: 0.9 - 0.01 * i for i, arm in enumerate(self.arms)}
        self.runs = self.table(
            lambda arm: [
                {"seed": s, "test_accuracy": accuracy[arm] + 0.001 * (s - 1)} for s in range(seeds)
            ]
        )
        self.cells = self.table(
            lambda arm: [
                {
                    "dataset": "d", "runs": seeds, "finished": seeds, "diverged": 0, "missing": 0,
                    "test_accuracy": rows["test_accuracy"].mean(), "train_accuracy_clean": 0.95,
                    "seconds": 30.0,
                }
                for rows in [rows_of(self.runs, arm)]
            ]
        )  # fmt: skip
        self.curves = self.table(
            lambda arm: [
                {"seed": s, "epoch": e, "loss": 1 / e + s, "val_accuracy": accuracy[arm] - 0.1 / e}
                for s in range(seeds)
                for e in (1, 2, 3)
            ]
        )
        self.classwise = self.table(
            lambda arm: [
                {"class": name, "accuracy": accuracy[arm] + 0.001 * i}
                for i, name in enumerate(classes)
            ]
        )
        self.confusion = self.table(
            lambda arm: [
                {"true": a, "predicted": b, "share": accuracy[arm] if a == b else 0.02 + i / 1000}
                for i, a in enumerate(classes)
                for b in (a, classes[(i + 1) % len(classes)])
            ]
        )
        self.calibration = self.table(
            lambda arm: [
                {"scaled": s, "count": n, "confidence": 0.1 * b, "accuracy": 0.1 * b - 0.02}
                for s in (False, True)
                for b, n in ((2, 1), (5, 500), (9, 499))
            ]
        )
        self.costs = [
            {"model": model, "costs": [{"dataset": "d", "multiply_adds": 10**6 * 2**i}]}
            for i, model in enumerate(models)
        ]
        self.factorial = {
            "factors": ["model", "augmentation"], "levels": [self.models, self.labels],
            "cells": {"|".join(arm): [list(arm)] for arm in self.arms},
        }  # fmt: skip

    def table(self, make):
        return pd.DataFrame(
            [{"model": m, "augmentation": a} | row for m, a in self.arms for row in make((m, a))]
        )

    def comparisons(self, models=None, **others):
        """Each arm against the first label of its model."""
        return pd.DataFrame(
            [
                {
                    "arm": f"{model} · {label}", "reference": f"{model} · {self.labels[0]}",
                    "arm_model": model, "arm_augmentation": label, "reference_model": model,
                    "reference_augmentation": self.labels[0], "difference": 0.01 * i - 0.02,
                    "ci_low": 0.01 * i - 0.03, "ci_high": 0.01 * i - 0.01, "verdict": "worse",
                    "basis": "seeds", "by_seed": f"{0.01 * i - 0.021} {0.01 * i - 0.019}",
                }
                | others
                for model in models or self.models[:1]
                for i, label in enumerate(self.labels[1:])
            ]
        )  # fmt: skip

    def without_results(self):
        """The same study with every run diverged."""
        self.cells = self.cells.assign(
            test_accuracy=np.nan,
            train_accuracy_clean=np.nan,
            finished=0,
            diverged=self.cells["runs"],
        )
        self.runs["test_accuracy"] = np.nan
        self.curves[["loss", "val_accuracy"]] = np.nan
        for name in ("classwise", "confusion", "calibration"):
            setattr(self, name, getattr(self, name).iloc[:0])
        self.none = dict.fromkeys(["difference", "ci_low", "ci_high"], np.nan)
        self.none |= {"verdict": "", "basis": "", "by_seed": ""}
        return self


@pytest.fixture
def study():
    return Study()


@pytest.fixture(scope="session")
def make_study():
    return Study
