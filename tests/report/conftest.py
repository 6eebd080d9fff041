"""A folder of results as the analysis, the model table and the gallery leave it, but made up."""

import json
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ablation.report.render import render

STUDY = "sample"
TITLE = 'Do <script>alert("1")</script> & $x_1$ | *shortcuts* pay?'
QUESTION = "Does `depth` hurt? [No](http://example.org) # <b>really</b>"
CLASSES = ["<script>", "$7$", "a|b", "*five*", 'say "it"', "_0_", "`q`", "[x](y)"]
MODELS = ["resnet20", "plain20", "resnet56", "plain56"]
LABELS = {
    "none": "",
    "geometric": "crop(2)",
    "colour": "brightness(0.2) | contrast(0.7, 1.3)",
    "cutmix": "cutmix",
    "mixup": "mixup",
    "geometric+cutmix": "crop(2) | cutmix",
}
EPOCHS = 5
MEASURES = {
    "test_accuracy": 0.97,
    "val_accuracy_last": 0.965,
    "val_accuracy_best": 0.968,
    "train_accuracy_clean": 0.99,
    "test_loss": 0.1,
}


def spread(values):
    values = [value for value in values if np.isfinite(value)]
    if not values:
        return None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {
        "mean": float(np.mean(values)),
        "sd": sd,
        "low": min(values),
        "high": max(values),
        "n": len(values),
    }


def _experiment(name, question, validation, cells, baseline, runs, curves, seeds=(0, 1)):
    """An experiment's block; adds its runs and curves to the lists."""
    models = list(dict.fromkeys(model for model, _ in cells))
    labels = list(dict.fromkeys(label for _, label in cells))
    blocks = []
    for model, label in cells:
        random = np.random.default_rng(zlib.crc32(f"{name}/{model}/{label}".encode()))
        diverged = (model, label) == ("plain56", "none")
        early = (model, label) == ("plain20", "colour")
        of_cell = []
        for seed in seeds:
            epochs = 3 if early and seed == 1 else EPOCHS
            run = {
                "experiment": name,
                "dataset": "mnist5k",
                "model": model,
                "augmentation": label,
                "seed": seed,
                "id": f"{zlib.crc32(f'{model}/{label}/{seed}'.encode()):08x}",
                "status": "diverged"
                if diverged
                else "stopped_early"
                if epochs == 3
                else "completed",
                **{
                    key: float("nan") if diverged else mean - float(random.uniform(0, 0.05))
                    for key, mean in MEASURES.items()
                },
                "epochs": epochs,
                "seconds": 18.4 + seed,
                "images_per_second": 1000.0,
                "validation": validation,
            }
            of_cell.append(run)
            rate = random.uniform(0.5, 0.8)
            for epoch in range(1, epochs + 1):
                lost = diverged and epoch > 2
                loss = float("nan") if lost else 2.3 * rate**epoch + random.uniform(0, 0.05)
                curves.append(
                    {key: run[key] for key in list(run)[:6]}
                    | {
                        "epoch": epoch,
                        "loss": loss,
                        "accuracy": float("nan") if lost else 1 - rate**epoch,
                        "val_loss": loss * 1.1,
                        "val_accuracy": float("nan") if lost else 0.97 - 0.8 * rate**epoch,
                        "learning_rate": 0.1 * (1 - epoch / EPOCHS),
                    }
                )
        runs.extend(of_cell)
        keys = (*MEASURES, "epochs", "seconds", "images_per_second")
        is_baseline = all(
            {"model": model, "augmentation": label}[k] == v for k, v in baseline.items()
        )
        reference = {"model": model, "augmentation": label} | baseline
        blocks.append(
            {
                "dataset": "mnist5k",
                "model": model,
                "augmentation": label,
                "is_baseline": is_baseline,
                "runs": len(seeds),
                "diverged": len(seeds) * diverged,
                "stopped_early": sum(run["status"] == "stopped_early" for run in of_cell),
                "measures": {key: spread([run[key] for run in of_cell]) for key in keys},
                "difference": None
                if is_baseline or diverged
                else {
                    "reference": f"{reference['model']} · {reference['augmentation']}",
                    "mean": -0.0123,
                    "low": -0.0214,
                    "high": -0.0032,
                    "seeds": len(seeds),
                    "verdict": "worse",
                    "basis": "images",
                },
            }
        )
    return {
        "name": name,
        "question": question,
        "validation": validation,
        "seeds": list(seeds),
        "datasets": ["mnist5k"],
        "models": models,
        "augmentations": [
            {"label": x, "pipeline": LABELS[x], "mixes_labels": "mix" in x} for x in labels
        ],
        "baseline": baseline,
        "training": {
            "epochs": EPOCHS,
            "batch_size": 64,
            "learning_rate": 0.1,
            "schedule": "cosine",
            "step_at": [0.5, 0.75],
            "nesterov": False,
            "clip_norm": None,
            "early_stopping": {"monitor": "val_loss", "patience": 2},
        },
        "overrides": ["model plain56: learning_rate 0.05"],
        "cells": blocks,
        "findings": [
            {"part": "open", "text": f"Whether {name} holds at 100 epochs stays open."},
            {"part": "evidence", "text": "plain20 reaches 94.10 % | resnet20 97.00 %."},
            {"part": "answer", "text": f"In {name}, shortcuts *help* by 1.23 points."},
            {"part": "problem", "text": "plain56 · none diverged: its loss was not finite."},
        ],
    }


def write_results(folder: Path) -> None:
    folder.mkdir(parents=True)
    runs, curves = [], []
    experiments = [
        _experiment(
            "residual", QUESTION, "held-out", [(m, "none") for m in MODELS],
            {"model": "resnet20"}, runs, curves,
        ),
        _experiment(
            "augmentation", "Which augmentation helps?", "test",
            [(m, a) for m in MODELS[:2] for a in LABELS], {"augmentation": "none"}, runs, curves,
        ),
    ]  # fmt: skip
    analysis = {
        "format": 1,
        "study": STUDY,
        "title": TITLE,
        "description": "A first paragraph.\n\nA second with 1 < 2 & $y$.",
        "summary": [
            {"part": "evidence", "text": "Measured on 28 runs."},
            {"part": "answer", "text": "Shortcuts pay; augmentation does not after 5 epochs."},
        ],
        "experiments": experiments,
        "provenance": {
            "command": "snakemake --cores 8 --resources gpu=1",
            "git_commits": ["0123abc-dirty"],
            "python": ["3.11.9"],
            "packages": {"tensorflow": ["2.21.0"], "keras": ["3.15.0", "3.15.1"]},
            "processors": ["A <processor>"],
            "gpus": [],
            "systems": ["Linux 6.1"],
            "threads": [2],
            "runs": 28,
            "train_seconds": 512.3,
            "first_started": "2026-01-01T10:00:00Z",
            "last_started": "2026-01-01T11:00:00Z",
            "data": [
                {
                    "dataset": "mnist5k",
                    "source": "mnist5k/1.0.0",
                    "hash": "ab" * 32,
                    "shape": [28, 28, 1],
                    "train": 3600,
                    "validation": 400,
                    "test": 1000,
                    "classes": 10,
                    "splits": {"train": "90 % of train", "validation": "10 %", "test": "own"},
                    "citation": "@article{x,\n  url = {http://yann.lecun.com/exdb/mnist/}\n}",
                }
            ],
            "warnings": ["Some runs were made with changes that are in no commit."],
        },
        "method": ["Every number is of the last epoch.", "Differences are paired by seed."],
    }
    (folder / "analysis.json").write_text(json.dumps(analysis))
    pd.DataFrame(runs).to_csv(folder / "runs.csv", index=False)
    pd.DataFrame(curves).to_csv(folder / "curves.csv", index=False, na_rep="nan")
    rule = "┏" + "━" * 118 + "┓\n"
    models = [
        {
            "model": model,
            "dataset": "mnist5k",
            "architecture": {"kind": "residual", "depth": 20, "bias": False, "weights": None},
            "input_shape": [28, 28, 1],
            "classes": 10,
            "parameters": 17_000 + i,
            "trainable_parameters": 16_500 + i,
            "multiply_adds": 2_034_567,
            "stages": [
                {"stage": "stem", "output_shape": [28, 28, 8], "blocks": 0},
                {"stage": "stage1", "output_shape": [28, 28, 8], "blocks": 3},
                {"stage": "head", "output_shape": [10], "blocks": 0},
            ],
            "summary": f'Model: "{model}" <i>\n' + rule * (60 if "20" in model else 180),
        }
        for i, model in enumerate(MODELS)
    ]
    (folder / "models.json").write_text(json.dumps(models))
    write_gallery(folder / "gallery.npz")


def write_gallery(file: Path) -> None:
    random = np.random.default_rng(1)
    y, x = np.mgrid[:28, :28]
    ring = np.abs(np.hypot(y - 14, x - 14) - 8) < 2.5
    index, arrays = [], {}
    for i, label in enumerate([None, *LABELS]):
        captions = CLASSES if i == 0 else [*CLASSES[:7], "7 62 % + 3 38 %"]
        entry = {"key": f"images_{i}", "dataset": "mnist5k", "captions": captions}
        if label is None:
            entry["kind"] = "samples"
        else:
            entry |= {"kind": "augmented", "augmentation": label, "pipeline": LABELS[label]}
        index.append(entry)
        arrays[entry["key"]] = (
            ring[None, ..., None] * random.uniform(0.6, 1, (8, 28, 28, 1)) * 255
        ).astype(np.uint8)
    np.savez_compressed(file, index=np.array(json.dumps(index)), **arrays)


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work") / STUDY
    write_results(folder)
    return folder


@pytest.fixture(scope="session")
def plan():
    return SimpleNamespace(name=STUDY)


@pytest.fixture(scope="session")
def reports(results, plan, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    render(plan, results, folder)
    return folder


@pytest.fixture(scope="session")
def analysis(results) -> dict:
    return json.loads((results / "analysis.json").read_text())


@pytest.fixture(scope="session")
def page(reports) -> str:
    return (reports / f"{STUDY}.html").read_text()


@pytest.fixture(scope="session")
def markdown(reports) -> str:
    return (reports / f"{STUDY}.md").read_text()
