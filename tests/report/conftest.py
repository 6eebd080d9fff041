"""A folder of results as the analysis, the model table and the gallery leave it, but made up."""

import json
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablation.report.inputs import FORMAT
from ablation.report.render import render
from ablation.storage import file_sha256, sealed

STUDY = "sample"
TITLE = 'Do <script>alert("1")</script> & $x_1$ | *shortcuts* pay?'
QUESTION = "Does `depth` hurt? [No](http://example.org) # <b>really</b>"
CLASSES = ["<script>", "$7$", "a|b", "*five*", 'say "it"', "_0_", "`q`", "[x](y)", "8 & 9", "50%"]
MODELS = ["resnet20", "plain20", "resnet56", "plain56"]
HOSTILE = "a_b & 50% $x$ | <i>#^~\\{}"
LABELS = {
    "none": "",
    "geometric": "crop(2)",
    "colour": "brightness(0.2) | contrast(0.7, 1.3)",
    "cutmix": "cutmix",
    HOSTILE: "mixup",
    "geometric+cutmix": "crop(2) | cutmix",
}
EPOCHS = 5
IMAGES = 100  # test images of each class
DATA = "mnist5k"
CELL = ["experiment", "dataset", "model", "augmentation"]
MEASURES = [
    "test_accuracy", "val_accuracy_last", "val_accuracy_best", "epochs", "seconds",
    "balanced_accuracy", "val_accuracy_median5", "best_epoch_gain", "top5_accuracy", "nll",
    "brier", "ece", "ece_scaled", "temperature", "train_accuracy_clean", "gap", "images_per_second",
]  # fmt: skip
RESUMED = ("residual", "resnet20", "none", 1)
ABSENT = {  # runs of the partial study that are not there
    ("residual", "resnet56", "none", 1): ("failed", "failed: <OOM> at epoch 3\nno memory"),
    ("residual", "resnet56", "none", 2): ("missing", "not run yet"),
    ("augmentation", "plain20", "cutmix", 0): ("failed", "failed: the disk is full"),
    ("augmentation", "plain20", "cutmix", 1): ("running", "no end yet"),
}


def random_of(*words):
    return np.random.default_rng(zlib.crc32("/".join(map(str, words)).encode()))


def make_runs(name, validation, cells, seeds, absent):
    """Rows of runs.csv and of curves.csv of an experiment."""
    runs, curves = [], []
    for model, label in cells:
        diverges = (model, label) == ("plain56", "none")
        for seed in seeds:
            random = random_of(model, label, seed)
            early = (model, label, seed) == ("plain20", "colour", 1)
            run = dict(zip(CELL, (name, DATA, model, label), strict=True)) | {
                "seed": seed,
                "id": f"{zlib.crc32(f'{model}/{label}/{seed}'.encode()):08x}",
                "status": "diverged" if diverges else "stopped_early" if early else "completed",
                "validation": validation,
                "reason": "",
                "log": "",
            }
            place = (name, model, label, seed)
            if place in absent:
                run["status"], run["reason"] = absent[place]
                run["log"] = f"results/logs/train/{run['id']}.log"
                runs.append(run)
                continue
            epochs = 3 if early else EPOCHS
            run["attempts"] = 3 if place == RESUMED else 1
            run |= {"epochs": epochs, "seconds": 118.4 + seed, "images_per_second": 1000.0 + seed}
            if not diverges:
                accuracy = 0.97 - float(random.uniform(0, 0.05))
                accuracy -= 0.0095 * ((model, label) == ("plain20", "none"))  # as its twin
                clean = accuracy + float(random.uniform(0, 0.03))
                run |= {
                    "test_accuracy": accuracy,
                    "balanced_accuracy": accuracy,
                    "val_accuracy_last": accuracy - 0.004,
                    "val_accuracy_best": accuracy - 0.001,
                    "val_accuracy_median5": accuracy - 0.005,
                    "best_epoch_gain": 0.003,
                    "top5_accuracy": 0.999,
                    "nll": float(random.uniform(0.1, 0.3)),
                    "brier": float(random.uniform(0.05, 0.1)),
                    "ece": float(random.uniform(0.01, 0.05)),
                    "ece_scaled": float(random.uniform(0.005, 0.01)),
                    "temperature": float(random.uniform(0.9, 1.4)),
                    "train_accuracy_clean": clean,
                    "gap": clean - accuracy,
                }
            runs.append(run)
            rate = random.uniform(0.5, 0.8)
            for epoch in range(1, epochs + 1):
                lost = diverges and epoch > 2
                loss = float("nan") if lost else 2.3 * rate**epoch + random.uniform(0, 0.05)
                curves.append(
                    {key: run[key] for key in (*CELL, "seed", "id")}
                    | {
                        "epoch": epoch,
                        "loss": loss,
                        "accuracy": float("nan") if lost else 1 - rate**epoch,
                        "val_loss": loss * 1.1,
                        "val_accuracy": float("nan") if lost else 0.97 - 0.8 * rate**epoch,
                        "learning_rate": 0.1 * (1 - epoch / EPOCHS),
                    }
                )
    columns = [
        *CELL, "seed", "id", "status", *MEASURES, "validation", "reason", "log", "attempts",
    ]  # fmt: skip
    return pd.DataFrame(runs).reindex(columns=columns), pd.DataFrame(curves)


def make_cells(runs, baseline):
    rows = []
    for cell, of_cell in runs.groupby(CELL, sort=False):
        named = dict(zip(CELL, cell, strict=True))
        status = of_cell["status"]
        sound = of_cell[status.isin(["completed", "stopped_early"])]
        rows.append(
            named
            | {
                "is_baseline": all(named[key] == value for key, value in baseline.items()),
                "runs": len(of_cell),
                "finished": int(status.isin(["completed", "stopped_early", "diverged"]).sum()),
                "diverged": int((status == "diverged").sum()),
                "failed": int((status == "failed").sum()),
                "missing": int(status.isin(["running", "missing"]).sum()),
                "stopped_early": int((status == "stopped_early").sum()),
            }
            | {name: sound[name].mean() for name in MEASURES}
            | {f"{name}_sd": sound[name].std() for name in MEASURES}
            | {
                "test_accuracy_low": sound["test_accuracy"].min(),
                "test_accuracy_high": sound["test_accuracy"].max(),
            }
        )
    return pd.DataFrame(rows)


def compare(runs, kind, arm, reference):
    """A row of comparisons.csv for two cells (model, augmentation)."""

    def scores(cell):
        chosen = runs[(runs["model"] == cell[0]) & (runs["augmentation"] == cell[1])]
        return chosen.set_index("seed")["test_accuracy"].dropna()

    a, b = scores(arm), scores(reference)
    paired = (a - b).dropna()
    row = {
        "experiment": runs["experiment"].iloc[0], "kind": kind, "dataset": DATA,
        "arm": " · ".join(arm), "reference": " · ".join(reference), "seeds": len(paired),
        "arm_model": arm[0], "arm_augmentation": arm[1], "reference_model": reference[0],
        "reference_augmentation": reference[1], "measure": "test_accuracy", "verdict": "none",
    }  # fmt: skip
    if paired.empty:
        return row
    mean = paired.mean()
    row |= {
        "difference": mean, "low": mean - 0.012, "high": mean + 0.012, "verdict": "open",
        "basis": "images", "agree": float((np.sign(paired) == np.sign(mean)).mean()),
        "superiority": 0.75, "image_low": mean - 0.012, "image_high": mean + 0.012,
        "arm_accuracy": a.mean(), "reference_accuracy": b.mean(),
        "by_seed": " ".join(f"{value:.6g}" for value in paired),
    }  # fmt: skip
    if len(paired) < 3:
        return row
    row |= {"basis": "seeds", "detectable": 0.0123, "detectable_low": 0.0087,
            "detectable_high": 0.0291, "p": 0.0421, "p_holm": 0.21}  # fmt: skip
    if abs(mean) < 0.002:
        same = {"low": mean - 0.002, "high": mean + 0.003, "verdict": "same"}
        return row | same | {"failure_rate": 0.6316}
    if abs(mean) < 0.01:
        return row | {"low": mean - 0.013, "high": mean + 0.014}
    return row | {
        "low": mean - 0.009, "high": mean + 0.008, "p": 0.0001, "p_holm": 0.0004,
        "verdict": "worse" if mean < 0 else "better",
    }  # fmt: skip


def make_comparisons(runs, cells, baseline):
    arms = list(zip(cells["model"], cells["augmentation"], strict=True))
    rows = []
    for model, label in arms:
        reference = (baseline.get("model", model), baseline.get("augmentation", label))
        if reference != (model, label):
            rows.append(compare(runs, "baseline", (model, label), reference))
        twin = (model.replace("plain", "resnet"), label)
        if twin != (model, label):
            rows.append(compare(runs, "twin", (model, label), twin))
    factor = compare(runs, "factor", arms[0], arms[2])
    empty = dict.fromkeys(key for key in factor if key.endswith(("_model", "_augmentation")))
    rows.append(
        factor | empty | {"dataset": "all", "arm": "resnet <all>", "reference": "plain | all"}
    )
    budget = compare(runs, "budget", arms[0], arms[1])
    if budget.get("basis") == "seeds":
        budget |= {"verdict": "open", "low": -0.02, "high": 0.03, "failure_rate": None}
    rows.append(budget | {"measure": "val_accuracy", "epoch": 2})
    columns = [
        "experiment", "kind", "dataset", "arm", "reference", "seeds", "difference", "low", "high",
        "p", "p_holm", "detectable", "verdict", "basis", "agree", "superiority", "image_low",
        "image_high", "arm_accuracy", "reference_accuracy", "measure", "epoch", "arm_model",
        "arm_augmentation", "reference_model", "reference_augmentation", "by_seed",
        "detectable_low", "detectable_high", "failure_rate",
    ]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=columns)


def make_classes(cells):
    """Rows of classes.csv, confusion.csv and calibration.csv."""
    classes, confusion, calibration = [], [], []
    for cell in cells.to_dict("records"):
        sound = int(cell["finished"] - cell["diverged"])
        if not sound:
            continue
        named = {key: cell[key] for key in CELL}
        random = random_of(cell["model"], cell["augmentation"])
        wrong = random.integers(0, 9, len(CLASSES))
        for place, name in enumerate(CLASSES):
            other = CLASSES[(place + 3) % len(CLASSES)]
            right = IMAGES * sound - wrong[place]
            classes.append(
                named
                | {"class": name, "images": IMAGES, "accuracy": right / (IMAGES * sound),
                   "accuracy_sd": 0.01 if sound > 1 else np.nan}
            )  # fmt: skip
            confusion += [
                named | {"true": name, "predicted": predicted, "count": count,
                         "share": count / (IMAGES * sound)}
                for predicted, count in ((name, right), (other, wrong[place])) if count
            ]  # fmt: skip
        calibration += [
            named
            | {"scaled": scaled, "bin": number, "low": (number - 1) / 15, "high": number / 15,
               "count": 10 * number, "confidence": (number - 0.5) / 15,
               "accuracy": (number - 0.5) / 15 - (0.01 if scaled else 0.04)}
            for scaled in (False, True) for number in range(3, 16)
        ]  # fmt: skip
    return pd.DataFrame(classes), pd.DataFrame(confusion), pd.DataFrame(calibration)


def make_class_effects(comparisons):
    rows = []
    for row in comparisons.to_dict("records"):
        if row["kind"] != "baseline" or row["verdict"] == "none":
            continue
        for name in CLASSES:
            mean = float(random_of(row["arm"], name).uniform(-0.05, 0.05))
            judged = {"p": np.nan, "p_holm": np.nan, "verdict": "unclear"}
            if row["seeds"] >= 3:
                verdict = "helped" if mean > 0.03 else "harmed" if mean < -0.03 else "unclear"
                judged = {"p": 0.01, "p_holm": 0.3, "verdict": verdict}
            rows.append(
                {key: row[key] for key in ("experiment", "kind", "dataset", "arm", "reference")}
                | {"class": name, "images": IMAGES, "seeds": row["seeds"], "difference": mean,
                   "low": mean - 0.02, "high": mean + 0.02}
                | judged
            )  # fmt: skip
    return pd.DataFrame(rows)


def source(table, column, shown, **where):
    return {"table": table, "where": where, "column": column, "shown": shown}


def make_findings(name):
    return [
        {"part": "open", "kind": "budget", "text": f"Whether {name} holds at 100 epochs is open.",
         "sources": [source("rules", "value", "100", rule="longer budget")]},
        {"part": "evidence", "kind": "comparison",
         "text": "plain20 reaches 94.10 % | resnet20 97.00 %.",
         "sources": [
             source("cells", "test_accuracy", "94.10", experiment=name, dataset=DATA),
             source("comparisons", "difference", "97.00", experiment=name, dataset=DATA),
             source("rules", "value", "97.00", rule="interval"),
         ]},
        {"part": "answer", "kind": "answer", "text": f"In {name}, shortcuts *help* by 1.23 points.",
         "sources": [source("comparisons", "difference", "1.23", experiment=name, dataset="all")]},
        {"part": "problem", "kind": "diverged",
         "text": "plain56 · none diverged: its loss was not finite.", "sources": []},
        {"part": "problem", "kind": "overfitting", "text": "The gap is 2.22 points.",
         "sources": [source("diagnostics", "value", "2.22", experiment=name, dataset=DATA,
                            diagnosis="overfitting")]},
        {"part": "evidence", "kind": "looks", "text": "Looked at 4 times.",
         "sources": [source("diagnostics", "count", "4", experiment=name, diagnosis="looks"),
                     source("rules", "value", "5", rule="level")]},
        {"part": "evidence", "kind": "spread", "text": "The median spread is 0.60 points.",
         "sources": [source("diagnostics", "value", "0.60", experiment=name,
                            diagnosis="seed range, median")]},
    ]  # fmt: skip


def make_experiment(name, question, validation, cells, baseline, seeds, looks, absent):
    """An experiment's block and its tables."""
    models = list(dict.fromkeys(model for model, _ in cells))
    labels = list(dict.fromkeys(label for _, label in cells))
    runs, curves = make_runs(name, validation, cells, seeds, absent)
    table = make_cells(runs, baseline)
    comparisons = make_comparisons(runs, table, baseline)
    classes, confusion, calibration = make_classes(table)
    means = table.set_index(["model", "augmentation"])["test_accuracy"]
    grids = []
    if len(models) > 1 and len(labels) > 1:
        values = [[means[model, label] for label in labels] for model in models]
        grids = [
            {"title": "model × augmentation", "dataset": DATA, "row_factor": "model",
             "column_factor": "augmentation", "rows": models, "columns": labels,
             "values": [[None if np.isnan(x) else x for x in row] for row in values]}
        ]  # fmt: skip
    block = {
        "name": name,
        "question": question,
        "validation": validation,
        "seeds": list(seeds),
        "datasets": [DATA],
        "models": models,
        "augmentations": [
            {"label": x, "pipeline": LABELS[x], "mixes_labels": "mix" in LABELS[x]} for x in labels
        ],
        "baseline": baseline,
        "runs": len(runs),
        "epochs": [EPOCHS],
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
        "overrides": ["model plain56: learning_rate 0.05"] if "plain56" in models else [],
        "margin": 0.005,
        "level": 0.025,
        "comparisons": 17,
        "looks": looks,
        "findings": make_findings(name),
        "grids": grids,
    }
    return block, {
        "runs": runs,
        "curves": curves,
        "cells": table,
        "comparisons": comparisons,
        "classes": classes,
        "class_effects": make_class_effects(comparisons),
        "confusion": confusion,
        "calibration": calibration,
    }


def write_results(folder: Path, absent=()) -> None:
    """Write a whole folder of results; runs in ``absent`` are not there, with their status."""
    folder.mkdir(parents=True)
    absent = dict(absent)
    experiments = [
        make_experiment(
            "residual", QUESTION, "held-out", [(m, "none") for m in MODELS],
            {"model": "resnet20"}, (0, 1, 2), 4, absent,
        ),
        make_experiment(
            "augmentation", "Which augmentation helps?", "test",
            [(m, a) for m in MODELS[:2] for a in LABELS], {"augmentation": "none"}, (0, 1), 1,
            absent,
        ),
    ]  # fmt: skip
    for name in experiments[0][1]:
        table = pd.concat([tables[name] for _, tables in experiments], ignore_index=True)
        table.to_csv(folder / f"{name}.csv", index=False)
    write_small_tables(folder)
    (folder / "claims.csv").write_text("experiment,claim,part\n")  # a study without any
    partial = {
        "text": f"A partial report: {len(absent)} of 36 runs are missing (2 failed, 1 running, "
        "1 not run yet).",
        "planned": 36,
        "missing": len(absent),
    }
    analysis = {
        "format": FORMAT,
        "study": STUDY,
        "title": TITLE,
        "description": "A first paragraph.\n\nA second with 1 < 2 & $y$.",
        "partial": partial if absent else None,
        "summary": [
            {"part": "evidence", "kind": "runs", "text": "Measured on 36 runs.",
             "sources": [source("runs", "id", "36")]},
            {"part": "answer", "kind": "answer",
             "text": "Shortcuts pay; augmentation does not after 5 epochs.", "sources": []},
        ],
        "experiments": [block for block, _ in experiments],
        "provenance": {
            "command": "snakemake --cores 8 --resources gpu=1",
            "git_commits": ["0123abc-dirty"],
            "python": ["3.11.9"],
            "packages": {"tensorflow": ["2.21.0"], "keras": ["3.15.0", "3.15.1"]},
            "processors": ["A <processor>"],
            "gpus": [],
            "systems": ["Linux 6.1"],
            "threads": [2],
            "runs": 36,
            "resumed": 0 if absent else 1,
            "train_seconds": 512.3,
            "first_started": "2026-01-01T10:00:00Z",
            "last_started": "2026-01-01T11:00:00Z",
            "data": [
                {
                    "dataset": DATA,
                    "source": "mnist5k/1.0.0",
                    "hash": "ab" * 32,
                    "shape": [28, 28, 1],
                    "train": 3600,
                    "validation": 400,
                    "test": 1000,
                    "classes": 10,
                    "splits": {"train": "90 % of train", "validation": "10 %", "test": "own"},
                    "citation": "@article{x,\n  url = {http://yann.lecun.com/exdb/mnist/}\n}",
                    "folder": f"results/data/{DATA}/native-stretch-01234567",
                    "image_size": None,
                    "stored_size": None,
                    "resize": "stretch",
                    "channels": None,
                    "balance": {
                        split: {
                            "images": images,
                            "classes": 10,
                            "largest": {"class": CLASSES[0], "images": images // 10},
                            "smallest": {"class": CLASSES[0], "images": images // 10},
                        }
                        for split, images in (("train", 3600), ("validation", 400), ("test", 1000))
                    },
                    "checked": True,
                    "checks": [],
                    "conversions": {},
                }
            ],
            "warnings": ["Some runs were made with changes that are in no commit."],
        },
        "method": [
            {"title": "Scores", "text": "Every number is of the last epoch."},
            {"title": "Verdicts", "text": "Differences are paired by seed, 95 % of the time."},
        ],
    }  # fmt: skip
    write_analysis(folder, analysis)
    (folder / "models.json").write_text(json.dumps(make_models()))
    write_gallery(folder / "gallery.npz")


def write_analysis(folder: Path, analysis: dict) -> None:
    """Write ``analysis.json`` for the tables that lie there."""
    tables = {file.name: file_sha256(file) for file in sorted(folder.glob("*.csv"))}
    analysis = sealed({**analysis, "tables": tables})
    (folder / "analysis.json").write_text(json.dumps(analysis))


def write_small_tables(folder: Path) -> None:
    pd.DataFrame(
        [
            {"experiment": "residual", "dataset": DATA, "model": "resnet20", "augmentation": "none",
             "published": 0.9125, "own": 0.9512, "difference": 0.0387, "source": "He et al. 2016",
             "setting": "164 epochs | <full>", "differences_in_setting": "fewer epochs"}
        ]
    ).to_csv(folder / "published.csv", index=False)  # fmt: skip
    pd.DataFrame(
        [
            ("interval", 95.0, "%", "level of every interval"),
            ("longer budget", 2.0, "times", "budget proposed <where> runs still improve"),
            ("margin", 0.5, "points", "differences within it count as the same"),
        ],
        columns=["rule", "value", "unit", "meaning"],
    ).to_csv(folder / "rules.csv", index=False)


def make_models():
    rule = "┏" + "━" * 118 + "┓\n"
    return [
        {
            "model": model,
            "dataset": DATA,
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


def write_gallery(file: Path) -> None:
    random = np.random.default_rng(1)
    y, x = np.mgrid[:28, :28]
    ring = np.abs(np.hypot(y - 14, x - 14) - 8) < 2.5
    index, arrays = [], {}
    for i, label in enumerate([None, *LABELS]):
        captions = CLASSES[:8] if i == 0 else [*CLASSES[:7], "7 62 % + 3 38 %"]
        entry = {"key": f"images_{i}", "dataset": DATA, "captions": captions}
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
def renew():
    """Makes what was changed in a folder of results what the analysis has written."""

    def renew(folder: Path, **changes) -> None:
        analysis = json.loads((folder / "analysis.json").read_text())
        write_analysis(folder, analysis | changes)

    return renew


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """A study that is complete, with an arm that diverged."""
    folder = tmp_path_factory.mktemp("work") / STUDY
    write_results(folder)
    return folder


@pytest.fixture(scope="session")
def partial_results(tmp_path_factory) -> Path:
    """The same study with runs that failed or are not there."""
    folder = tmp_path_factory.mktemp("partial") / STUDY
    write_results(folder, ABSENT)
    return folder


@pytest.fixture(scope="session")
def reports(results, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    render(STUDY, results, folder)
    return folder


@pytest.fixture(scope="session")
def partial_reports(partial_results, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("partial-reports")
    render(STUDY, partial_results, folder)
    return folder


@pytest.fixture(scope="session")
def analysis(results) -> dict:
    return json.loads((results / "analysis.json").read_text())


@pytest.fixture(scope="session")
def page(reports) -> str:
    return (reports / f"{STUDY}.html").read_text()


@pytest.fixture(scope="session")
def partial_page(partial_reports) -> str:
    return (partial_reports / f"{STUDY}.html").read_text()


@pytest.fixture(scope="session")
def markdown(reports) -> str:
    return (reports / f"{STUDY}.md").read_text()


@pytest.fixture(scope="session")
def partial_markdown(partial_reports) -> str:
    return (partial_reports / f"{STUDY}.md").read_text()
