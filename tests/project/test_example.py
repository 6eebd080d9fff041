"""The committed example is what its tables and today's templates make, and its prose is true."""

import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from ablation.report.render import render
from ablation.study.plan import load_config, load_plan

from ..conftest import ROOT, tracked

EXAMPLE = ROOT / "reports/example"
TABLES = EXAMPLE / "results"
STUDY = "quickstart"
NUMBER = re.compile(r"(?<![\w.])[+−]?\d+(?:\.\d+)?(?![\w]|\.\d)")
PICTURES = re.compile(r'src="data:image/[^"]+"')


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """The example, rendered once more from the tables that lie beside it."""
    folder = tmp_path_factory.mktemp("example")
    render(STUDY, TABLES, folder)
    return folder


def without_pictures(file):
    """A report's text; the last digit of a curve may differ on another processor."""
    return PICTURES.sub("picture", file.read_text())


@pytest.mark.parametrize("name", [f"{STUDY}.html", f"{STUDY}.md"])
def test_the_example_is_what_the_templates_make_of_its_tables(again, name):
    assert without_pictures(EXAMPLE / name) == without_pictures(again / name), "run make example"


def test_its_figures_and_exports_are_those_of_its_tables(again):
    committed = {file.name: file for file in tracked(f"reports/example/{STUDY}")}
    made = {file.name: file for file in (again / STUDY).iterdir()}
    assert committed.keys() == made.keys(), "run make example"
    for name, file in made.items():
        if file.suffix in {".csv", ".tex", ".md"}:
            assert committed[name].read_bytes() == file.read_bytes(), name


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
    """Collects the sentences of the verdict: answers, and entries of lists, without links."""

    def __init__(self):
        super().__init__()
        self.sentences, self.text, self.link, self.inside = [], None, 0, False

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "section":
            self.inside = attributes.get("aria-labelledby") == "verdict"
        if self.inside and (tag == "li" or (tag == "p" and attributes.get("class") == "answer")):
            self.text = ""
        if tag == "span" and attributes.get("class") == "sources":
            self.link += 1

    def handle_endtag(self, tag):
        if tag == "span" and self.link:
            self.link -= 1
        if tag in {"li", "p"} and self.text is not None:
            self.sentences.append(self.text.strip())
            self.text = None

    def handle_data(self, data):
        if self.text is not None and not self.link:
            self.text += data


def sentences():
    parser = Prose()
    parser.feed((EXAMPLE / f"{STUDY}.html").read_text())
    return parser.sentences


def labels():
    """Everything with digits that is a name and no number."""
    analysis = json.loads((TABLES / "analysis.json").read_text())
    compared = pd.read_csv(TABLES / "comparisons.csv")
    classes = pd.read_csv(TABLES / "classes.csv", dtype={"class": str})
    names = {*compared["arm"], *compared["reference"]}
    names |= {f"class ‘{name}’" for name in classes["class"]}
    names |= {arm.rpartition(", ")[0].replace(" − ", " instead of ") for arm in compared["arm"]} - {
        ""
    }
    for experiment in analysis["experiments"]:
        names |= {experiment["question"], *experiment["models"], *experiment["datasets"]}
        names |= {entry["label"] for entry in experiment["augmentations"]}
    return sorted(names, key=len, reverse=True)


def numbers(text):
    for label in labels():
        text = text.replace(label, "")
    return sorted(NUMBER.findall(text))


def test_every_number_of_the_rendered_prose_stands_in_an_exported_table():
    findings = pd.read_csv(TABLES / "findings.csv", dtype=str, keep_default_na=False)
    tables = {}
    written = sentences()
    assert len(written) > 15
    for sentence in written:
        rows = findings[findings["text"] == sentence].drop_duplicates()
        assert len(rows), f"no finding says: {sentence}"
        rows = rows[rows["scope"] == rows["scope"].iloc[0]]
        cited = []
        for row in rows[rows["number"] != ""].itertuples():
            name = row.table
            if name not in tables:
                tables[name] = pd.read_csv(
                    TABLES / f"{name}.csv", dtype={"class": str}, keep_default_na=False,
                    na_values=[],
                )  # fmt: skip
            frame = tables[name]
            for key, value in json.loads(row.where).items():
                frame = frame[frame[key].astype(str) == str(value)]
            values = set(frame[row.column].astype(str)) - {""}
            assert len(values) == 1, (sentence, row)
            value = float(values.pop())
            shown = float(row.number.replace("−", "-"))
            digits = len(row.number.partition(".")[2])
            forms = {round(scale * sign * value, digits) for scale in (1, 100) for sign in (1, -1)}
            assert shown in forms, (sentence, row)
            cited.append(row.number)
        assert set(numbers(sentence)) == set(cited), sentence


def test_a_changed_number_would_be_noticed(monkeypatch):
    changed = [re.sub(r"(\d)(\.\d\d)", r"9\1\2", text) for text in sentences()]
    assert changed != sentences()
    monkeypatch.setitem(globals(), "sentences", lambda: changed)
    with pytest.raises(AssertionError, match="no finding says"):
        test_every_number_of_the_rendered_prose_stands_in_an_exported_table()
