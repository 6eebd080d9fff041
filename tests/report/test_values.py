"""Every number of a sentence comes from a cell of a table, and findings.csv says from which."""

import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from jinja2 import Environment, nodes
from markupsafe import Markup

from ablation.report.values import KEYS, ROWS, Citations, Row, Tables, Value

from ..conftest import ROOT
from .made import numbers

TEMPLATES = sorted((ROOT / "src/ablation/report/templates").glob("*.md.j2"))
FRAMES = {
    "cells": pd.DataFrame(
        {
            "experiment": ["a", "a", "b"],
            "dataset": "d",
            "model": "m",
            "augmentation": ["none", "crop", "none"],
            "test_accuracy": [0.9, 0.95, np.nan],
        }
    ),
    "thresholds": pd.DataFrame({"threshold": ["level"], "value": [0.05]}),
}


@pytest.fixture
def tables():
    return Tables(FRAMES)


def test_a_number_of_a_row_knows_its_cell(tables):
    row = tables.of(experiment="a").row("cells", augmentation="crop")
    value = row.test_accuracy
    assert (value, value.table, value.column) == (0.95, "cells", "test_accuracy")
    assert value.where == {
        "experiment": "a", "dataset": "d", "model": "m", "augmentation": "crop",
    }  # fmt: skip
    assert row.model == "m" and row["model"] == "m" and len(row) == 5


def test_the_number_of_rows_is_a_number_of_a_table(tables):
    value = tables.of(experiment="a").tally("cells", dataset="d")
    assert (value, value.column) == (2, ROWS)
    assert value.where == {"experiment": "a", "dataset": "d"}
    assert tables.of(experiment="a").value("thresholds", "value", threshold="level") == 0.05


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda t: t.value("cells", "test_accuracy", dataset="d"), "cells.test_accuracy"),
        (lambda t: t.value("cells", "test_accuracy", experiment="b"), "0 values"),
        (lambda t: t.value("cells", "model", experiment="b"), "is text"),
        (lambda t: t.value("cells", "gap", experiment="b"), "no column 'gap'"),
        (lambda t: t.value("cell", "gap"), "no table 'cell'"),
        (lambda t: t.rows("cells", seed=1), "no column 'seed'"),
        (lambda t: t.row("cells", dataset="d"), "3 rows"),
    ],
)
def test_what_is_not_one_number_is_refused(tables, ask, said):
    with pytest.raises(LookupError, match=said):
        ask(tables)


def test_a_row_without_such_a_column_says_so(tables):
    with pytest.raises(AttributeError, match="table cells has no column 'gap'"):
        _ = tables.rows("cells")[0].gap


@pytest.mark.parametrize("name", Citations().filters)
def test_a_number_without_a_source_is_refused(name):
    write = Citations().filters[name]
    value = Value(0.5, "cells", {}, "test_accuracy")
    assert isinstance(write(value), Markup)
    for other in (0.5, 3, "0.5", value + 0, value * 100):
        with pytest.raises(TypeError, match="not a number of a table"):
            write(other)


def test_only_the_numbers_of_a_text_are_recorded_with_it():
    citations = Citations()
    value = Value(0.951, "cells", {"model": "m"}, "test_accuracy")

    def outer():
        inner = citations.finding("a", "finding", "inner", lambda: "nothing\n here")
        return f"{inner}, {citations.filters['percent'](value)} %"

    assert citations.finding("a", "answer", "outer", outer) == "nothing here, 95.1 %"
    assert citations.finding("a", "answer", "empty", lambda: " \n") == ""
    table = citations.table()
    assert table["kind"].tolist() == ["inner", "outer"]
    assert table["number"].fillna("").tolist() == ["", "95.1"]
    assert table.iloc[1][["table", "column", "where"]].tolist() == [
        "cells", "test_accuracy", '{"model": "m"}',
    ]  # fmt: skip


def cited(made):
    """The rows of findings.csv that cite a number."""
    table = made.findings
    return table[table["number"].notna()]


def matching(made, row):
    frame = made.tables[row["table"]]
    for key, value in json.loads(row["where"]).items():
        frame = frame[frame[key] == value]
    return frame


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crossed", "spoilt", "growing"])
def test_every_cited_cell_is_one_cell_that_holds_the_number(request, name):
    made = request.getfixturevalue(name)
    rows = cited(made)
    assert len(rows) > 8
    for row in rows.to_dict("records"):
        frame = matching(made, row)
        if row["column"] == ROWS:
            value = len(frame)
        else:
            assert len(frame) == 1, row
            value = float(frame[row["column"]].iloc[0])
        write = Citations(made.report().decimals).filters
        known = Value(value, row["table"], {}, row["column"])
        shown = {str(one(known)) for name, one in write.items() if name in FORMATS or value >= 0}
        assert row["number"] in shown, row


FORMATS = ("percent", "points", "size", "amount", "signed", "number", "plain", "whole")
# Names of levels and of classes, and what is to be typed, are text.
NO_RESULTS = re.compile(
    r"(?:\d+ to )?\d+ layers|‘[^’]*’|snakemake .*?study=\w+|\[[\d, ]+\]|the numbers from \d+ to \d+"
)


@pytest.mark.parametrize("name", ["crossed", "spoilt", "growing"])
def test_every_number_of_a_sentence_is_cited(request, name):
    made = request.getfixturevalue(name)
    rows = made.findings
    for (kind, sentence), group in rows.groupby(["kind", "text"]):
        shown = Counter(numbers(NO_RESULTS.sub("", sentence)))
        known = group["number"].dropna()
        assert all(number in sentence for number in known)
        if kind != "extent":
            assert shown == Counter(numbers(NO_RESULTS.sub("", " ; ".join(known)))), sentence


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_no_number_is_typed_into_a_template(file):
    """Of texts; indices, columns and arguments are not printed."""
    tree = Environment(extensions=["jinja2.ext.do"]).parse(file.read_text())
    for data in tree.find_all(nodes.TemplateData):
        sentence = re.sub(r"\b(?:19|20)\d\d\b(?=[).,])", "", data.data, flags=re.M)
        assert not re.search(r"\d", sentence), sentence
    printed = [child for output in tree.find_all(nodes.Output) for child in output.nodes]
    assert not [one for one in printed if isinstance(one, nodes.Const)]
    for one in tree.find_all(nodes.Const):
        if isinstance(one.value, str) and " " in one.value:
            assert not re.search(r"\d", one.value), one.value


def test_the_keys_of_a_table_pick_one_row(crossed, spoilt):
    for made in (crossed, spoilt):
        for name in KEYS.keys() & made.tables.keys():
            frame = made.tables[name]
            wheres = [
                json.dumps(Row(name, row).where, default=str) for row in frame.to_dict("records")
            ]
            assert len(set(wheres)) == len(frame), name
