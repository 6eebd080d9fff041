"""Reading what the analysis, the model table and the gallery have left for the report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablation.errors import InputError

FORMAT = 1
_TEXT = ("experiment", "dataset", "model", "augmentation", "id", "status")


@dataclass(frozen=True)
class Inputs:
    """What a report is made from.

    Attributes:
        analysis: the content of ``analysis.json``.
        runs: ``runs.csv``, a row a run.
        curves: ``curves.csv``, a row a run and epoch.
        models: the content of ``models.json``.
        gallery: entries of the gallery's index, each with its ``images``, uint8 [n, height,
            width, channels].
    """

    analysis: dict[str, Any]
    runs: pd.DataFrame
    curves: pd.DataFrame
    models: list[dict[str, Any]]
    gallery: list[dict[str, Any]]


def read_inputs(results: Path) -> Inputs:
    """Read the inputs of a report from the study's folder of results.

    Raises:
        InputError: a file is missing, cannot be read, or is of another format.
    """
    file = results
    try:
        file = results / "analysis.json"
        analysis = json.loads(file.read_text())
        if analysis["format"] != FORMAT:
            raise ValueError(f"format {analysis['format']}, not {FORMAT}")
        file = results / "runs.csv"
        runs = _read_table(file)
        file = results / "curves.csv"
        curves = _read_table(file)
        file = results / "models.json"
        models = json.loads(file.read_text())
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
    return Inputs(analysis, runs, curves, models, gallery)


def _read_table(file: Path) -> pd.DataFrame:
    """Read a table whose labels stay text, be they ``None``, ``007`` or ``12345e67``."""
    header = pd.read_csv(file, nrows=0).columns
    numbers = [name for name in header if name not in (*_TEXT, "validation")]
    return pd.read_csv(
        file,
        dtype=dict.fromkeys(set(header) - set(numbers), str),
        keep_default_na=False,
        na_values={name: ["", "nan", "NaN"] for name in numbers},
    )
