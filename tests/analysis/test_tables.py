"""The declared tables: their columns, their types, and texts that look like something else."""

import subprocess
import sys

import numpy as np
import pytest

from ablation.analysis.tables import TABLES
from ablation.study.metrics import BY_NAME, METRICS, VAL_ACCURACY

from ..factory import analysed, simulated_study

UNITS = {"text", "flag", "count", "number", "share", "difference", "seconds"}
DTYPES = {"text": "str", "flag": "bool", "count": "Int64"}


@pytest.mark.parametrize("name", TABLES)
def test_every_column_says_what_it_holds(name):
    table = TABLES[name]
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert table.meaning.endswith(".")
    for column in table.columns:
        assert column.unit in UNITS
        assert column.meaning


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_rows_has_its_columns_and_types(name, tmp_path):
    table = TABLES[name]
    frame = table.frame()
    assert len(frame) == 0
    assert [str(dtype) for dtype in frame.dtypes] == [
        DTYPES.get(column.unit, "float64") for column in table.columns
    ]
    frame.to_csv(tmp_path / f"{name}.csv", index=False)
    assert list(table.read(tmp_path)) == [column.name for column in table.columns]


@pytest.mark.parametrize(
    "label", ["None", "NA", "nan", "007", "1e5", "true", "-", 'a,b "c"\n', "<i>&$x$|", " "]
)
def test_texts_are_read_as_they_were_written(label, tmp_path):
    row = {"experiment": label, "check": "c", "count": 3, "value": np.nan, "detail": None}
    TABLES["checks"].frame([row]).to_csv(tmp_path / "checks.csv", index=False)
    (read,) = TABLES["checks"].read(tmp_path).to_dict("records")
    assert (read["experiment"], read["count"], read["detail"]) == (label, 3, "")
    assert np.isnan(read["value"])


def test_an_undeclared_column_is_refused():
    with pytest.raises(ValueError, match="the table checks has no column verdict"):
        TABLES["checks"].frame([{"verdict": "better"}])


def test_metrics_are_columns_of_runs_and_cells():
    names = [metric.name for metric in METRICS]
    assert set(names) < {column.name for column in TABLES["runs"].columns}
    assert {f"{name}_sd" for name in names} < {column.name for column in TABLES["cells"].columns}


def test_metrics_and_the_measures_of_comparisons_are_the_same():
    assert VAL_ACCURACY not in BY_NAME
    for metric in METRICS:
        assert metric.title
        assert metric.definition.endswith(".")
        assert metric.unit in UNITS - {"text", "flag"}


def test_the_names_of_the_tables_are_known_without_pandas():
    code = "import sys; from ablation.analysis.tables import TABLES; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


HOSTILE = {"PLAIN": "a_b & 50% $x$ | <i>#^~{}", "TITLE": 'Do <b>"shortcuts"</b> | *pay*?'}
STUDY = """\
title: TITLE
experiments:
  arms:
    question: Which?
    datasets: [mnist5k]
    models: [resnet8]
    augmentations: {none: "", PLAIN: crop(2)}
    seeds: [0, 1]
    baseline: {augmentation: none}
    training: {epochs: 2}
"""


def test_labels_that_no_study_file_can_hold_go_through_the_analysis(tmp_path):
    classes = ("<script>", "a|b")
    plan = simulated_study(
        tmp_path,
        STUDY,
        lambda cell, seed: 0.9 if cell[2] == "PLAIN" else 0.8,
        names=HOSTILE,
        missing=lambda cell, seed: cell[2] == "none" and seed == 1,
        options=lambda cell, seed: {"class_names": classes},
    )
    analysis, tables = analysed(tmp_path, plan, partial=True)
    assert analysis["title"] == HOSTILE["TITLE"]
    assert tables["cells"]["augmentation"].tolist() == ["none", HOSTILE["PLAIN"]]
    assert tables["cells"]["test_accuracy"].tolist() == [0.8, 0.9]
    assert tables["comparisons"]["arm"].tolist() == [HOSTILE["PLAIN"]]
    assert set(tables["classes"]["class"]) == set(classes)
    assert analysis["partial"] == {"planned": 4, "missing": 1}
