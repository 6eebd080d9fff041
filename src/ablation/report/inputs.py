"""Reading the inputs of a report: results of the analysis and of other commands."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.description import FORMAT
from ablation.analysis.tables import TABLES
from ablation.errors import InputError
from ablation.storage import UNREADABLE

Pictures = list[dict[str, Any]]


@dataclass(frozen=True)
class Inputs:
    """The inputs of a report.

    Attributes:
        analysis: content of ``analysis.json``.
        tables: tables of `ablation.analysis.tables` by name.
        networks: content of ``models.json``.
        gallery: entries of ``gallery.npz``, each with its ``images``, uint8 [n, height, width,
            channels].
        mistakes: entries of ``mistakes.npz``, likewise.
    """

    analysis: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    networks: list[dict[str, Any]]
    gallery: Pictures
    mistakes: Pictures


def read_inputs(results: Path) -> Inputs:
    """Read the results of a study.

    Raises:
        InputError: a file is missing, cannot be read, or has another format.
    """
    file = results / "analysis.json"
    try:
        analysis = json.loads(file.read_text(encoding="utf-8"))
        if analysis["format"] != FORMAT:
            raise ValueError(f"format {analysis['format']}, this version reads {FORMAT}")
        tables = {}
        for name, table in TABLES.items():
            file = results / f"{name}.csv"
            tables[name] = table.read(results)
        file = results / "models.json"
        networks = json.loads(file.read_text(encoding="utf-8"))
        file = results / "gallery.npz"
        gallery = _read_pictures(file)
        file = results / "mistakes.npz"
        mistakes = _read_pictures(file)
    except (*UNREADABLE, LookupError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{file}: cannot be read ({reason}); delete it and run snakemake again"
        ) from None
    return Inputs(analysis, tables, networks, gallery, mistakes)


def _read_pictures(file: Path) -> Pictures:
    with np.load(file, allow_pickle=False) as arrays:
        index = json.loads(str(arrays["index"]))
        return [{**entry, "images": arrays[entry["key"]]} for entry in index]
