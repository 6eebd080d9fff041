"""The committed example is what its tables and today's templates make, and its prose is true."""

import json
import re
import runpy
from html.parser import HTMLParser

import pandas as pd
import pytest

from ablation.study.plan import load_config, load_plan

from ..conftest import ROOT, tracked

EXAMPLE = ROOT / "reports/example"
TABLES = EXAMPLE / "results"
STUDY, NOTEBOOKS = "quickstart", "notebooks"
NUMBER = re.compile(r"(?<![\w.])[+−]?\d+(?:\.\d+)?(?![\w]|\.\d)")
PICTURES = re.compile(r'src="data:image/[^"]+"')
CELL = ("experiment", "dataset", "model", "augmentation")
SECONDS = {"minutes": 60, "hours": 3600}
WRITTEN = ("findings.csv", "rubric.csv")  # by the report

tool = runpy.run_path(str(ROOT / "tools/example.py"))


@pytest.fixture(scope="module", params=[STUDY, NOTEBOOKS])
def again(request, tmp_path_factory):
    """A report of the example, rendered once more from the tables that lie beside it."""
    study, folder = request.param, tmp_path_factory.mktemp("example")
    picture = b'<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt"></svg>'
    tables = folder / "tables"
    tables.mkdir()
    for file in tracked(f"{tool['KEPT'][study].relative_to(ROOT)}/*"):
        (tables / file.name).write_bytes(file.read_bytes())
    with pytest.MonkeyPatch.context() as undrawn:
        if study == NOTEBOOKS:  # the page of the other one has the sizes of its figures
            undrawn.setattr("ablation.report.render.save", lambda figure, kind: picture)
        tool["render_example"](study, tables, folder)
    return study, folder


def without_pictures(file):
    """A report's text; the last digit of a curve may differ on another processor."""
    return PICTURES.sub("picture", file.read_text())


@pytest.mark.slow
def test_the_example_is_what_the_templates_make_of_its_tables(again):
    study, folder = again
    made = [file.name for file in folder.glob(f"{study}.*")]
    assert sorted(made) == ([f"{study}.html"] if study == STUDY else []) + [f"{study}.md"]
    for name in made:
        assert without_pictures(EXAMPLE / name) == without_pictures(folder / name), (
            "run make example ARGS=--again"
        )


@pytest.mark.slow
def test_its_figures_and_exports_are_those_of_its_tables(again):
    study, folder = again
    committed = {file.name: file for file in tracked(f"reports/example/{study}/*")}
    made = {file.name: file for file in (folder / study).iterdir()}
    assert committed.keys() == made.keys(), "run make example ARGS=--again"
    for name, file in made.items():
        if file.suffix == ".csv":
            assert committed[name].read_bytes() == file.read_bytes(), name


@pytest.mark.slow
def test_the_texts_are_those_of_the_report(again):
    study, folder = again
    for name in WRITTEN:
        committed = tool["KEPT"][study] / name
        assert committed.read_bytes() == (folder / "tables" / name).read_bytes(), name


@pytest.mark.slow
def test_everything_that_it_links_to_is_there(again):
    study, _ = again
    for page in (EXAMPLE / f"{study}.md", EXAMPLE / "README.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (EXAMPLE / link).exists(), link


def test_the_shrunken_notebooks_say_so_and_show_their_rubric():
    text = (EXAMPLE / f"{NOTEBOOKS}.md").read_text()
    assert "no result about the methods" in text.splitlines()[0]
    rubric = pd.read_csv(tool["KEPT"][NOTEBOOKS] / "rubric.csv")
    assert set(rubric["status"]) <= {"met", "not met", "cannot be decided"}
    assert len(rubric)


def test_it_says_where_it_was_made():
    made = json.loads((TABLES / "analysis.json").read_text())["provenance"]
    text = (EXAMPLE / "README.md").read_text()
    for commit in made["git_commits"]:
        assert not commit.endswith("-dirty")
        assert commit[:12] in text
    for processor in made["processors"]:
        assert processor in text
    assert "reports/example/quickstart.md" in (ROOT / "README.md").read_text()


def test_it_is_a_report_of_the_default_study(monkeypatch):
    monkeypatch.chdir(ROOT)
    plan = load_plan(load_config({"study": STUDY}))
    runs = pd.read_csv(TABLES / "runs.csv", dtype={"id": str})
    assert set(runs["id"]) == {run.id for run in plan.runs.values()}
    analysis = json.loads((TABLES / "analysis.json").read_text())
    assert analysis["title"] == plan.study.title
    compared = pd.read_csv(TABLES / "comparisons.csv")
    for experiment in plan.experiments:
        rows = compared[compared["experiment"] == experiment.name]
        assert set(rows["arm"]) == {comparison.arm.label for comparison in experiment.comparisons}


class Prose(HTMLParser):
    """Collects the paragraphs of the answers, without those that are figures or captions."""

    def __init__(self):
        super().__init__()
        self.paragraphs, self.text, self.inside = [], None, 0

    def handle_starttag(self, tag, attrs):
        if tag == "div" and (self.inside or dict(attrs).get("class") == "answer"):
            self.inside += 1
        if self.inside and tag == "p":
            self.text = ""

    def handle_endtag(self, tag):
        if tag == "div" and self.inside:
            self.inside -= 1
        if tag == "p" and self.text is not None:
            self.paragraphs += [text] if (text := " ".join(self.text.split())) else []
            self.text = None

    def handle_data(self, data):
        if self.text is not None:
            self.text += data


def answers():
    parser = Prose()
    parser.feed((EXAMPLE / f"{STUDY}.html").read_text())
    return parser.paragraphs


def findings():
    return pd.read_csv(TABLES / "findings.csv", dtype=str, keep_default_na=False)


def labels():
    """Everything with digits that is a name and no number."""
    analysis = json.loads((TABLES / "analysis.json").read_text())
    compared = pd.read_csv(TABLES / "comparisons.csv")
    classes = pd.read_csv(TABLES / "classes.csv", dtype={"class": str})
    names = {*compared["arm"], *compared["reference"]}
    names |= {f"class ‘{name}’" for name in classes["class"]}
    for experiment in analysis["experiments"]:
        names |= {experiment["question"], *experiment["models"], *experiment["datasets"]}
        names |= {entry["label"] for entry in experiment["augmentations"]}
    return sorted(names, key=len, reverse=True)


def numbers(text):
    for label in labels():
        text = text.replace(label, "")
    return sorted(NUMBER.findall(text))


def test_the_answers_are_findings():
    written = answers()
    assert len(written) >= 2
    assert set(written) <= set(findings()["text"])


def test_every_number_of_the_findings_stands_in_an_exported_table():
    tables, numbered = {}, findings()
    numbered = numbered[numbered["number"] != ""]
    assert len(numbered) > 15
    for row in numbered.itertuples():
        assert row.number in row.text
        if row.table not in tables:
            tables[row.table] = pd.read_csv(
                TABLES / f"{row.table}.csv", dtype={"class": str}, keep_default_na=False,
                na_values=[],
            )  # fmt: skip
        frame = tables[row.table]
        for key, value in json.loads(row.where).items():
            same = frame[key].astype(str) == str(value)
            if isinstance(value, int | float) and not isinstance(value, bool):
                same = pd.to_numeric(frame[key], errors="coerce") == value
            frame = frame[same]
        if row.column == "rows":
            assert float(row.number) == len(frame), row
            continue
        others = [key for key in CELL if key in frame and key not in json.loads(row.where)]
        if len(frame) > 1:  # of the rows that match, the one that speaks of all cells
            frame = frame[(frame[others] == "").all(axis=1)]
        values = set(frame[row.column].astype(str)) - {""}
        assert len(values) == 1, row
        number, _, unit = row.number.replace("−", "-").replace(",", "").partition(" ")
        value, shown = float(values.pop()) / SECONDS.get(unit, 1), float(number)
        digits = len(number.partition(".")[2])
        forms = {round(scale * sign * value, digits) for scale in (1, 100) for sign in (1, -1)}
        assert shown in forms, row


def test_the_findings_have_no_other_results():
    """Whole numbers may be settings, such as the epochs."""
    for text, rows in findings().groupby("text"):
        results = {number for number in numbers(text) if "." in number}
        assert results <= set(numbers(" ".join(rows["number"]))), text


def test_a_changed_number_would_be_noticed(monkeypatch):
    changed = findings()
    changed["number"] = changed["number"].str.replace(r"^(\d)", r"9\1", regex=True)
    changed["text"] = changed["text"].str.replace(r"(\d+\.\d)", r"9\1", regex=True)
    monkeypatch.setitem(globals(), "findings", lambda: changed)
    with pytest.raises(AssertionError):
        test_every_number_of_the_findings_stands_in_an_exported_table()
    with pytest.raises(AssertionError):
        test_the_answers_are_findings()
