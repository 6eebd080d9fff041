"""Reports of made-up runs: studies whose right answers are known, analysed and rendered."""

import json
import re
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.analyse import analyse
from ablation.report.inputs import Inputs, read_inputs
from ablation.report.render import Report, render
from ablation.study.plan import Plan
from ablation.study.requests import models_request

from ..factory import simulated_study

SPREAD = (0.0, 0.001, -0.001, 0.002, -0.002)
CROSSED = """\
title: Do shortcuts pay?
description: Two questions.
experiments:
  residual:
    question: Does depth hurt a plain network?
    datasets: [mnist5k]
    models: [resnet8, plain8, resnet14, plain14]
    augmentations: {none: ""}
    seeds: [0, 1, 2]
    final_seeds: 3
    comparisons: [{kind: factor, factors: [depth, shortcut]}]
    training: {epochs: 4}
  augmentation:
    question: Which augmentation helps?
    datasets: [mnist5k]
    models: [resnet8]
    augmentations: {none: "", crop: crop(2), bright: brightness(0.2), mix: cutmix}
    seeds: [0, 1, 2]
    final_seeds: 3
    baseline: {augmentation: none}
    training: {epochs: 4}
"""
ACCURACY = {
    "resnet8": 0.90, "plain8": 0.88, "resnet14": 0.91, "plain14": 0.80,
    "crop": 0.95, "bright": 0.90, "mix": 0.85,
}  # fmt: skip


def arms(*labels: str, **settings: Any) -> str:
    """Return a study of one model with an augmentation of each label, the first the baseline."""
    pipelines = {
        label: f"brightness({place / 100})" if place else "" for place, label in enumerate(labels)
    }
    usual = {
        "question": "Which?", "datasets": ["mnist5k"], "models": ["resnet8"],
        "augmentations": pipelines, "seeds": [0, 1, 2], "final_seeds": 3,
        "baseline": {"augmentation": labels[0]}, "training": {"epochs": 4},
    }  # fmt: skip
    usual |= settings
    usual["final_seeds"] = len(usual["seeds"])
    known = {key: value for key, value in usual.items() if value is not None}
    return json.dumps({"title": "Arms", "experiments": {"arms": known}})  # which is YAML as well


def accuracy_of(cell: tuple[str, str, str], seed: int) -> float:
    """Return the accuracy of a run of `CROSSED`."""
    return ACCURACY.get(cell[2], ACCURACY[cell[1]]) + SPREAD[seed]


@dataclass(frozen=True)
class Made:
    """A study of made-up runs, analysed.

    Attributes:
        folder: its project folder.
        plan: its plan.
    """

    folder: Path
    plan: Plan

    @property
    def results(self) -> Path:
        """Its results."""
        return self.folder / "results" / self.plan.name

    def report(self, *, figures: bool = True) -> Report:
        """Return its report, of which nothing is rendered yet."""
        report = Report(self.plan.name, self.inputs)
        if not figures:
            report._figure = lambda *_, **__: ""  # type: ignore[method-assign]
        return report

    @cached_property
    def inputs(self) -> Inputs:
        """The inputs of its report."""
        return read_inputs(self.results)

    @property
    def analysis(self) -> dict[str, Any]:
        """Content of ``analysis.json``."""
        return self.inputs.analysis

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name."""
        return self.inputs.tables

    @cached_property
    def findings(self) -> pd.DataFrame:
        """The sentences of its report with their numbers, made without figures."""
        report = self.report(figures=False)
        with chdir(self.folder):
            report.markdown()
        return report.citations.table()

    def sentences(self, part: str, scope: str | None = None) -> str:
        """Return the sentences of a part of the report, of one experiment or of all."""
        found = self.findings[self.findings["part"] == part]
        if scope is not None:
            found = found[found["scope"] == scope]
        return "\n".join(dict.fromkeys(found["text"]))

    def render(self, reports: Path | None = None, name: str | None = None) -> "Rendered":
        """Render its report into a folder, by default ``reports`` of the project."""
        reports = reports or self.folder / "reports"
        reports.mkdir(exist_ok=True)
        name = name or self.plan.name
        with chdir(self.folder):
            render(name, self.results, reports)
        return Rendered(reports, name)


@dataclass(frozen=True)
class Rendered:
    """The files of a report."""

    folder: Path
    name: str

    @cached_property
    def page(self) -> str:
        """The page."""
        return (self.folder / f"{self.name}.html").read_text(encoding="utf-8")

    @cached_property
    def markdown(self) -> str:
        """The report as Markdown."""
        return (self.folder / f"{self.name}.md").read_text(encoding="utf-8")

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Figures and tables."""
        return {file.name: file.read_bytes() for file in (self.folder / self.name).iterdir()}

    @cached_property
    def every_byte(self) -> dict[str, bytes]:
        """Every file by its path."""
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}


def made(
    folder: Path,
    study: str,
    accuracy: Any,
    *,
    partial: bool = False,
    costs: Mapping[str, int | None] | None = None,
    shape: tuple[int, ...] = (28, 28, 1),
    **options: Any,
) -> Made:
    """Write a study with its runs as `simulated_study` does, analyse it, add what a report needs.

    Args:
        folder: an empty folder.
        study: text of the study file.
        accuracy: as for `simulated_study`.
        partial: whether it is analysed though runs are missing.
        costs: multiply-adds by model; by default they grow from model to model.
        shape: of an image.
        options: as for `simulated_study`.
    """
    folder.mkdir(exist_ok=True)
    plan = simulated_study(folder, study, accuracy, **options)
    results = folder / "results" / plan.name
    with chdir(folder):
        analyse(plan, Path("results", plan.name), partial=partial)
    networks = {}
    for place, block in enumerate(models_request(plan)):
        network = networks.setdefault(block["model"], described(block))
        cost = (costs or {}).get(block["model"], 10**6 * (place + 1))
        network["costs"].append(cost_of(block["dataset"], cost, shape))
    (results / "models.json").write_text(json.dumps(list(networks.values())))
    write_pictures(results / "gallery.npz", gallery_entries(plan), shape)
    write_pictures(results / "mistakes.npz", [], shape)
    return Made(folder, plan)


def described(block: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a network in ``models.json``, without its costs."""
    stage = {
        "stage": "stage1", "blocks": 1, "output_shape": [28, 28, 8], "parameters": 1000,
        "multiply_adds": 10**6,
    }  # fmt: skip
    names = {"model": block["model"], "architecture": block["architecture"].model_dump()}
    return {**names, "stages": [stage], "summary": "Layers", "costs": []}


def cost_of(dataset: str, cost: int | None, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the costs of a network for a data set."""
    return {
        "dataset": dataset, "input_shape": list(shape), "classes": 10, "parameters": 1234,
        "trainable_parameters": 1200, "shortcut_parameters": 0, "multiply_adds": cost,
    }  # fmt: skip


def gallery_entries(plan: Plan) -> list[dict[str, Any]]:
    """Return rows of the gallery for every augmentation of a study."""
    shown = {
        (dataset, label): {
            "kind": "augmented", "dataset": dataset, "augmentation": label, "pipeline": label,
            "captions": ["one", "two"],
        }
        for experiment in plan.experiments
        for dataset, _, label in (run.cell for run in experiment.runs)
    }  # fmt: skip
    return list(shown.values())


def write_pictures(file: Path, entries: list[dict[str, Any]], shape: tuple[int, ...]) -> None:
    """Write the images of a gallery, two of each entry."""
    index = [{"key": f"images_{place}", **entry} for place, entry in enumerate(entries)]
    images = {entry["key"]: np.full((2, *shape), 128, np.uint8) for entry in index}
    np.savez(file, index=np.array(json.dumps(index)), **images)


def numbers(text: str) -> list[str]:
    """Return the numbers in a text, except those in names such as resnet8."""
    return re.findall(r"(?<![\w.·-])[-−+]?\d[\d,]*(?:\.\d+)?(?![\w])", text)
