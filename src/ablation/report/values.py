"""Numbers of sentences with their table, row and column.

Templates get rows of the tables of the analysis. A number of a row is a `Value`, which the filters
of `Citations` format and record. The filters raise an error for any other number, so every number
of a sentence is in a table.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from ablation.report import text
from ablation.report.page import plain_text

KEYS = {
    "cells": ("experiment", "dataset", "model", "augmentation"),
    "runs": ("experiment", "dataset", "model", "augmentation", "seed"),
    "epochs": ("experiment", "dataset", "model", "augmentation", "epoch"),
    "comparisons": ("experiment", "dataset", "arm", "reference", "measure", "epoch"),
    "class_effects": ("experiment", "dataset", "arm", "reference", "class"),
    "classes": ("experiment", "dataset", "model", "augmentation", "class"),
    "claims": ("experiment", "claim", "part"),
    "checks": ("experiment", "dataset", "model", "augmentation", "check", "detail"),
    "interpretations": (
        "experiment", "interpretation", "dataset", "model", "augmentation", "reference_model",
        "reference_augmentation",
    ),
    "next_steps": ("experiment", "step"),
    "thresholds": ("threshold",),
    "rubric_checks": (
        "criterion", "check", "experiment", "dataset", "model", "augmentation", "status",
    ),
}  # fmt: skip
"""Key columns of each table."""

ROWS = "rows"  # stands for a column: number of matching rows


class Value(float):
    """A number of a table.

    Attributes:
        table: name of the table.
        where: values of the key columns of its row.
        column: name of its column, or `ROWS` for the number of matching rows.
    """

    table: str
    where: dict[str, Any]
    column: str

    def __new__(cls, number: float, table: str, where: Mapping[str, Any], column: str) -> "Value":
        """Return a number with its source."""
        value = super().__new__(cls, number)
        value.table, value.where, value.column = table, dict(where), column
        return value


class Row(Mapping[str, Any]):
    """A row of a table with access by attribute or key; numbers are `Value`."""

    def __init__(self, table: str, values: Mapping[str, Any]) -> None:
        self.table, self._values = table, values

    def __getitem__(self, column: str) -> Any:
        """Return a cell.

        Raises:
            KeyError: the table has no such column.
        """
        value = self._values[column]
        if value is None or value is pd.NA:
            value = math.nan
        if isinstance(value, bool | np.bool_):
            return bool(value)
        if isinstance(value, Real):
            return Value(float(value), self.table, self.where, column)
        return value

    def __getattr__(self, column: str) -> Any:
        """Return a cell."""
        if column.startswith("_") or column not in self._values:
            raise AttributeError(f"table {self.table} has no column '{column}'")
        return self[column]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the columns."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self._values)

    @property
    def where(self) -> dict[str, Any]:
        """Values of the key columns; missing numbers are left out."""
        keys = KEYS.get(self.table, tuple(self._values))
        found = {key: self._values[key] for key in keys if key in self._values}
        return {key: value for key, value in found.items() if not pd.isna(value)}


class Tables:
    """The tables of a study, row by row.

    Args:
        frames: tables by name; text columns have no missing values.
        where: required values; ignored in tables without such a column.
    """

    def __init__(self, frames: Mapping[str, pd.DataFrame], **where: Any) -> None:
        self.frames, self._where = frames, where

    def of(self, **where: Any) -> "Tables":
        """Return the tables restricted to rows with these values."""
        return Tables(self.frames, **{**self._where, **where})

    def frame(self, table: str, **where: Any) -> pd.DataFrame:
        """Return the rows of a table with these values.

        Raises:
            LookupError: there is no such table or column.
        """
        if table not in self.frames:
            raise LookupError(f"there is no table '{table}'; there are {', '.join(self.frames)}")
        frame = self.frames[table]
        for key in where:
            if key not in frame:
                raise LookupError(f"table {table} has no column '{key}'")
        wanted = {key: one for key, one in {**self._where, **where}.items() if key in frame}
        if not wanted:
            return frame
        same = [(frame[key] == one).to_numpy(bool, na_value=False) for key, one in wanted.items()]
        return frame[np.logical_and.reduce(same)]

    def rows(self, table: str, **where: Any) -> list[Row]:
        """Return the rows of a table with these values."""
        records = self.frame(table, **where).to_dict("records")
        return [Row(table, {str(key): value for key, value in one.items()}) for one in records]

    def row(self, table: str, **where: Any) -> Row | None:
        """Return the only row with these values; None without one.

        Raises:
            LookupError: several rows have these values.
        """
        found = self.rows(table, **where)
        if len(found) > 1:
            raise LookupError(f"{table} where {_shown(where)}: {len(found)} rows, one is needed")
        return found[0] if found else None

    def value(self, table: str, column: str, **where: Any) -> Value:
        """Return the only number of a column in the rows with these values.

        Raises:
            LookupError: there is no such table or column, or no number, or several.
        """
        frame = self.frame(table, **where)
        if column not in frame:
            raise LookupError(f"table {table} has no column '{column}'")
        found = frame[column].dropna().unique()
        if len(found) != 1:
            raise LookupError(
                f"{table}.{column} where {_shown({**self._where, **where})}: {len(found)} values, "
                "one is needed"
            )
        if not isinstance(found[0], Real):
            raise LookupError(f"{table}.{column} is text, not a number")
        return Value(float(found[0]), table, {**self._where, **where}, column)

    def tally(self, table: str, **where: Any) -> Value:
        """Return the number of rows of a table with these values."""
        found = {k: v for k, v in self._where.items() if k in self.frames[table]} | where
        return Value(len(self.frame(table, **where)), table, found, ROWS)


class Citations:
    """Formats the numbers of sentences and records their sources.

    Args:
        decimals: decimals of percentages and percentage points.
    """

    def __init__(self, decimals: int = 1) -> None:
        self.decimals = decimals
        self.findings: list[dict[str, Any]] = []
        self._cited: list[tuple[str, Value]] = []

    @property
    def filters(self) -> dict[str, Callable[..., Markup]]:
        """Filters for templates, by name; each takes a `Value`."""
        return {
            "percent": self._filter(lambda x: text.percent(x, self.decimals)),
            "points": self._filter(lambda x: text.points(x, self.decimals)),
            "size": self._filter(lambda x: text.percent(abs(x), self.decimals)),
            "whole_percent": self._filter(lambda x: text.percent(x, 0)),
            "amount": self._filter(lambda x: text.number(abs(x), 3)),
            "signed": self._filter(lambda x: text.signed(x, 3)),
            "count": self._filter(lambda x: f"{int(x):,}"),
            "whole": self._filter(lambda x: text.number(x, 0)),
            "words": self._filter(lambda x: text.in_words(int(x))),
            "number": self._filter(text.number),
            "plain": self._filter(lambda x: f"{x:g}"),
            "minutes": self._filter(text.duration),
        }

    def finding(self, scope: str, part: str, kind: str, caller: Callable[[], str]) -> Markup:
        """Render a paragraph and record it with its numbers; for ``call`` blocks.

        Args:
            scope: name of the experiment, ``summary`` or ``rubric``.
            part: ``answer``, ``finding``, ``interpretation``, ``caveat`` or ``next step``.
            kind: topic of the paragraph.
            caller: renders the text.
        """
        outer, self._cited = self._cited, []
        try:
            paragraph = " ".join(caller().split())
            if paragraph:
                self._record(scope, part, kind, paragraph)
        finally:
            self._cited = outer
        return Markup(paragraph)

    def table(self) -> pd.DataFrame:
        """Return a row for each recorded number, and for each paragraph without numbers."""
        columns = ["scope", "part", "kind", "text", "number", "table", "column", "where"]
        return pd.DataFrame(self.findings, columns=columns)

    def _record(self, scope: str, part: str, kind: str, paragraph: str) -> None:
        row = {"scope": scope, "part": part, "kind": kind, "text": plain_text(paragraph)}
        numbers = [
            {
                "number": shown,
                "table": value.table,
                "column": value.column,
                "where": json.dumps(value.where, ensure_ascii=False, default=_as_json),
            }
            for shown, value in self._cited
        ]
        self.findings += [{**row, **number} for number in numbers or [{}]]

    def _filter(self, write: Callable[[float], str]) -> Callable[[Value], Markup]:
        def write_and_record(value: Value) -> Markup:
            if not isinstance(value, Value):
                raise TypeError(f"{value!r} is not a number of a table")
            shown = write(value)
            self._cited.append((shown, value))
            return Markup(shown)

        return write_and_record


def _as_json(value: Any) -> Any:
    return int(value) if float(value).is_integer() else float(value)


def _shown(where: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} is {value}" for key, value in where.items()) or "any row"
