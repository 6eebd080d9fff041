"""A network whose multiply-adds cannot be counted is shown without a number, and says why."""

import json
import shutil

from ablation.report.cells import multiply_adds_cell
from ablation.report.render import render

from .conftest import STUDY


def test_a_cell_names_what_keeps_the_count():
    cell = multiply_adds_cell({"multiply_adds": None, "uncounted": ["Attention", "_Own"]})
    assert (cell.text, cell.value) == ("not counted (Attention, _Own)", None)
    assert multiply_adds_cell({"multiply_adds": 40_800_000}).text == "40.8 M"


def test_the_report_of_such_a_network(results, tmp_path):
    folder = tmp_path / STUDY
    shutil.copytree(results, folder)
    models = json.loads((folder / "models.json").read_text())
    for model in models[:1]:
        model |= {"multiply_adds": None, "uncounted": ["MultiHeadAttention"]}
        model["stages"] = [stage | {"multiply_adds": None} for stage in model["stages"]]
    (folder / "models.json").write_text(json.dumps(models))
    render(STUDY, folder, tmp_path / "reports")
    text = (tmp_path / "reports" / f"{STUDY}.md").read_text()
    assert "not counted (MultiHeadAttention)" in text
    assert "uncounted multiply-adds" in text
    page = (tmp_path / "reports" / f"{STUDY}.html").read_text()
    assert "of networks where they are counted" in page
