"""Reading what the analysis, the model table and the gallery have left for the report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.measures import MEASURES
from ablation.errors import InputError

FORMAT = 2

_CELL = ["experiment", "dataset", "model", "augmentation"]

# For each table the columns of text and those of numbers; an empty number is not-a-number.
TABLES: dict[str, tuple[list[str], list[str]]] = {
    "runs": (
        [*_CELL, "id", "status", "validation", "reason", "log"],
        ["seed", *MEASURES],
    ),
    "curves": (
        [*_CELL, "id"],
        ["seed", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"],
    ),
    "cells": (
        [*_CELL, "is_baseline"],
        [
            "runs",
            "finished",
            "diverged",
            "failed",
            "missing",
            "stopped_early",
            *(f"{name}{suffix}" for name in MEASURES for suffix in ("", "_sd")),
            "test_accuracy_low",
            "test_accuracy_high",
        ],
    ),
    "comparisons": (
        [
            "experiment",
            "kind",
            "dataset",
            "arm",
            "reference",
            "verdict",
            "basis",
            "measure",
            "arm_model",
            "arm_augmentation",
            "reference_model",
            "reference_augmentation",
        ],
        [
            "seeds",
            "difference",
            "low",
            "high",
            "p",
            "p_holm",
            "detectable",
            "agree",
            "superiority",
            "image_low",
            "image_high",
            "arm_accuracy",
            "reference_accuracy",
            "epoch",
        ],
    ),
    "claims": (
        [
            "experiment",
            "claim",
            "text",
            "source",
            "stated_in",
            "dataset",
            "arm",
            "reference",
            "measure",
            "says",
            "verdict",
            "basis",
            "part_status",
            "status",
            "status_basis",
            "status_there",
            "basis_there",
            "conclusion",
        ],
        ["part", "epoch", "difference", "low", "high", "seeds"],
    ),
    "classes": ([*_CELL, "class"], ["images", "accuracy", "accuracy_sd"]),
    "class_effects": (
        ["experiment", "kind", "dataset", "arm", "reference", "class", "verdict"],
        ["images", "seeds", "difference", "low", "high", "p", "p_holm"],
    ),
    "confusion": ([*_CELL, "true", "predicted"], ["count", "share"]),
    "calibration": (
        [*_CELL, "scaled"],
        ["bin", "low", "high", "count", "confidence", "accuracy"],
    ),
    "criteria": (["criterion", "question", "verdict", "evidence"], []),
    "published": (
        [*_CELL, "source", "setting", "differences_in_setting"],
        ["published", "own", "difference"],
    ),
    "rules": (["rule", "value", "unit", "meaning"], []),
}
_TRUTHS = {"True": True, "False": False}


@dataclass(frozen=True)
class Inputs:
    """What a report is made from.

    Attributes:
        analysis: the content of ``analysis.json``.
        tables: the tables of `TABLES` by name. Text is text whatever it looks like, numbers are
            floats, ``is_baseline`` and ``scaled`` are booleans.
        models: the content of ``models.json``.
        gallery: entries of the gallery's index, each with its ``images``, uint8 [n, height,
            width, channels].
    """

    analysis: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    models: list[dict[str, Any]]
    gallery: list[dict[str, Any]]

    def rows(self, table: str, experiment: str, dataset: str | None = None) -> pd.DataFrame:
        """Return the rows of a table that are of an experiment, and of a data set if one is given.

        The index counts from 0.
        """
        found = self.tables[table]
        chosen = found["experiment"] == experiment
        if dataset is not None:
            chosen &= found["dataset"] == dataset
        return found[chosen].reset_index(drop=True)


def read_inputs(results: Path) -> Inputs:
    """Read the inputs of a report from the study's folder of results.

    Raises:
        InputError: a file is missing, cannot be read, lacks a column, or is of another format.
    """
    file = results
    try:
        file = results / "analysis.json"
        analysis = json.loads(file.read_text(encoding="utf-8"))
        if analysis["format"] != FORMAT:
            raise ValueError(f"format {analysis['format']}, not {FORMAT}")
        tables = {}
        for name, (texts, numbers) in TABLES.items():
            file = results / f"{name}.csv"
            tables[name] = _read_table(file, texts, numbers)
        file = results / "models.json"
        models = json.loads(file.read_text(encoding="utf-8"))
        file = results / "gallery.npz"
        with np.load(file, allow_pickle=False) as arrays:
            gallery = [
                {**entry, "images": arrays[entry["key"]]}
                for entry in json.loads(str(arrays["index"]))
            ]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{file}: cannot be read ({error}); delete it and run snakemake again"
        ) from None
    return Inputs(analysis, tables, models, gallery)


def _read_table(file: Path, texts: list[str], numbers: list[str]) -> pd.DataFrame:
    """Read a table whose labels stay text, be they ``None``, ``007`` or ``12345e67``.

    Columns that the report does not know stay as they are, for who loads the rows from it. A
    table without rows may lack columns.
    """
    read = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    for name in (*texts, *numbers):
        if name not in read.columns:
            if len(read):
                raise ValueError(f"it has no column {name}")
            read[name] = ""
    for name in numbers:
        # Python reads back every float as it was written, pandas only nearly.
        read[name] = [float(value) if value else np.nan for value in read[name]]
    for name in ("is_baseline", "scaled"):
        if name in texts:
            read[name] = [_TRUTHS[value] for value in read[name]]
    return read
