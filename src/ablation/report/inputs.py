"""Reading what the analysis, the model table and the gallery have left for the report."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ablation.analysis.measures import MEASURES
from ablation.errors import InputError
from ablation.storage import UNREADABLE, file_sha256, is_sealed

FORMAT = 5

_CELL = ["experiment", "dataset", "model", "augmentation"]

# For each table the columns of text and those of numbers; an empty number is not-a-number.
TABLES: dict[str, tuple[list[str], list[str]]] = {
    "runs": (
        [*_CELL, "id", "status", "validation", "reason", "log"],
        ["seed", *MEASURES, "attempts"],
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
            "by_seed",
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
            "detectable_low",
            "detectable_high",
            "failure_rate",
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
            "part_status",
            "status",
            "status_there",
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


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Stage(_Part):
    stage: str
    output_shape: list[int]
    blocks: int
    parameters: int | None = None
    multiply_adds: int | None = None


class _Network(_Part):
    """An entry of ``models.json``, as far as the report needs it."""

    model: str
    dataset: str
    architecture: dict[str, Any]
    input_shape: list[int]
    parameters: int
    trainable_parameters: int
    multiply_adds: int | None
    uncounted: list[str] = Field(default_factory=list)
    stages: list[_Stage]
    summary: str


class _Samples(_Part):
    """An entry of the gallery's index: images as they are."""

    kind: Literal["samples"]
    key: str
    dataset: str
    captions: list[str]


class _Augmented(_Part):
    """An entry of the gallery's index: images under an augmentation."""

    kind: Literal["augmented"]
    key: str
    dataset: str
    captions: list[str]
    augmentation: str
    pipeline: str


_NETWORKS = TypeAdapter(list[_Network])
_GALLERY = TypeAdapter(list[_Samples | _Augmented])


def read_inputs(results: Path) -> Inputs:
    """Read the inputs of a report from the study's folder of results.

    Raises:
        InputError: a file is missing, cannot be read, lacks a column, is of another format, or
            has changed since the analysis wrote it.
    """
    file = results / "analysis.json"
    try:
        analysis = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(analysis, dict):
            raise ValueError("it is no analysis")
        again = f"run {_again(analysis)}"
        if analysis.get("format") != FORMAT:
            raise InputError(
                f"{file} is of format {str(analysis.get('format'))[:20]}, this version reads "
                f"{FORMAT}; {again}"
            )
        if not is_sealed(analysis):
            raise InputError(f"{file} has changed since the analysis wrote it; {again}")
        for name, sha256 in analysis["tables"].items():
            file = results / name
            if file_sha256(file) != sha256:
                raise InputError(f"{file} has changed since the analysis wrote it; {again}")
        tables = {}
        for name, (texts, numbers) in TABLES.items():
            file = results / f"{name}.csv"
            tables[name] = _read_table(file, texts, numbers)
        file = results / "models.json"
        models = _read_models(file)
        file = results / "gallery.npz"
        gallery = _read_gallery(file)
    except UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{file}: cannot be read ({reason}); delete it and run snakemake again"
        ) from None
    return Inputs(analysis, tables, models, gallery)


def _again(analysis: dict[str, Any]) -> str:
    return "snakemake partial" if analysis.get("partial") else "snakemake --forcerun analyse"


def _read_models(file: Path) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    _NETWORKS.validate_python(models)
    for model in models:
        if model["multiply_adds"] is None and "uncounted" not in model:
            raise ValueError(f"{model['model']} does not tell what is not counted")
    return models


def _read_gallery(file: Path) -> list[dict[str, Any]]:
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()  # before NumPy takes damaged bytes for sizes
    if damaged is not None:
        raise ValueError(f"{damaged} is damaged")
    with np.load(file, allow_pickle=False) as arrays:
        index = json.loads(str(arrays["index"]))
        _GALLERY.validate_python(index)
        gallery = [{**entry, "images": arrays[entry["key"]]} for entry in index]
    for entry in gallery:
        images = entry["images"]
        if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(entry["captions"]):
            raise ValueError(f"{entry['key']} does not hold images with their captions")
    return gallery


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
