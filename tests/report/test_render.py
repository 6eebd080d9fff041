"""The files of a report: all there, the same bytes each time, whole or as before."""

import errno
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from ablation.errors import InputError
from ablation.report import render as rendering
from ablation.report.inputs import read_inputs
from ablation.report.render import Report, render

from .made import Rendered, arms

pytestmark = pytest.mark.slow  # analyses or renders whole studies


def test_a_report_is_a_page_a_text_and_a_folder(rendered, crossed):
    assert sorted(path.name for path in rendered.folder.iterdir()) == [
        "sample", "sample.html", "sample.md",
    ]  # fmt: skip
    figures = {Path(name).stem for name in rendered.files if name.endswith(".svg")}
    assert figures == {Path(name).stem for name in rendered.files if name.endswith(".pdf")}
    tables = {Path(name).stem for name in rendered.files if name.endswith(".csv")}
    latex = {Path(name).stem for name in rendered.files if name.endswith(".tex")}
    assert latex == tables | {"analysis"}
    ablation = rendered.files["ablation-residual-mnist5k.tex"].decode()
    assert "\\caption{Ablation" in ablation  # LaTeX numbers it
    assert {"curves-residual-mnist5k", "headline-augmentation-mnist5k"} <= figures
    assert {"ablation-residual-mnist5k", "comparisons-augmentation"} <= tables
    assert all(rendered.files.values())
    assert (crossed.results / "rubric.csv").read_text().startswith("criterion,question,status,")


def test_findings_are_written_as_they_are_in_the_report(rendered, crossed):
    table = pd.read_csv(crossed.results / "findings.csv", dtype=str, keep_default_na=False)
    assert list(table) == ["scope", "part", "kind", "text", "number", "table", "column", "where"]
    pd.testing.assert_frame_equal(table, crossed.findings.fillna("").astype(str))
    visible = re.sub(r"\s+", " ", "".join(Page(rendered.page).words))
    for sentence in table["text"]:
        assert sentence in visible, sentence


class Page(HTMLParser):
    """External addresses, ids and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.addresses, self.ids, self.words, self.images = [], [], [], []
        self.links, self.inside = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action", "poster"):
                (self.links if tag == "a" else self.addresses).append(value)
            if name == "id":
                self.ids.append(value)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag in ("style", "script", "pre", "code"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and tag == self.inside[-1]:
            self.inside.pop()

    def handle_data(self, data):
        if self.inside in ([], ["code"]):
            self.words.append(data)


def test_the_page_holds_every_figure_and_loads_nothing(rendered):
    page = Page(rendered.page)
    figures = [name for name in rendered.files if name.endswith(".svg")]
    assert len(page.images) == len(figures) > 8
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in page.images)
    assert all(len(image["src"]) > 3000 and image["alt"].strip() for image in page.images)
    assert all(address.startswith("data:") for address in page.addresses)
    assert all(re.match(r"data:|#|https://", address) for address in page.links)
    style = rendered.page.partition("<style>")[2].partition("</style>")[0]
    assert style and "url(" not in style and "@import" not in style
    assert "<script src" not in rendered.page
    assert {address[1:] for address in page.links if address[0] == "#"} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)


def test_pictures_and_links_of_the_text_are_files_and_anchors(rendered):
    pictures = re.findall(r"!\[[^\]]+\]\((\S+?)\)", rendered.markdown)
    assert {Path(path).name for path in pictures} == {
        name for name in rendered.files if name.endswith(".svg")
    }
    for path in re.findall(r"\]\((sample/[^)]+)\)", rendered.markdown):
        assert (rendered.folder / path).is_file(), path
    anchors = re.findall(r'<a id="([^"]*)"></a>', rendered.markdown)
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"(?<!\\)\]\(#([^)]*)\)", rendered.markdown)) <= set(anchors)


def test_figures_and_tables_are_numbered_in_order(rendered):
    for kind in ("Figure", "Table"):
        found = re.findall(rf"^\*{kind} (\d+)\.", rendered.markdown, re.M)
        assert list(map(int, found)) == list(range(1, len(found) + 1)) and found


def test_the_same_inputs_give_the_same_bytes(rendered, crossed, tmp_path):
    (tmp_path / "reports/sample").mkdir(parents=True)
    (tmp_path / "reports/sample/stale.svg").write_text("of an earlier report")
    again = crossed.render(tmp_path / "reports")
    assert again.every_byte == rendered.every_byte  # and nothing of the older one is left


@pytest.fixture
def older(tmp_path):
    """A folder with an older report."""
    folder = tmp_path / "reports"
    (folder / "sample").mkdir(parents=True)
    for name in ("sample.html", "sample.md", "sample/old.svg"):
        (folder / name).write_text(f"the older {name}")
    return folder


@pytest.fixture
def quick(monkeypatch):
    """Reports without figures, which take the time."""
    monkeypatch.setattr(Report, "_figure", lambda *_, **__: "")


def test_a_missing_input_is_named_and_leaves_the_older_report(crossed, older, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(crossed.results, broken)
    (broken / "gallery.npz").unlink()
    before = Rendered(older, "sample").every_byte
    with pytest.raises(InputError, match=r"gallery\.npz: cannot be read .*run snakemake again"):
        render("sample", broken, older)
    assert Rendered(older, "sample").every_byte == before


@pytest.mark.parametrize("name", ["sample.html", "sample.md", "ablation-residual-mnist5k.csv"])
def test_a_full_disk_leaves_the_older_report(crossed, older, quick, monkeypatch, name):
    before = Rendered(older, "sample").every_byte
    write = rendering._write

    def full(staging, content, place):
        if place.name == name:
            staging.write_bytes(content[: len(content) // 2])
            with rendering.writing(place):
                raise OSError(errno.ENOSPC, "No space left on device")
        write(staging, content, place)

    monkeypatch.setattr(rendering, "_write", full)
    with pytest.raises(InputError, match=re.escape(name)):
        render("sample", crossed.results, older)
    assert Rendered(older, "sample").every_byte == before
    assert sorted(path.name for path in older.iterdir()) == ["sample", "sample.html", "sample.md"]


def test_a_folder_that_cannot_be_replaced_stays(crossed, older, quick, monkeypatch):
    before = Rendered(older, "sample").every_byte
    replace = Path.replace

    def refuse(self, target):
        if self.name == "files":
            raise OSError(errno.EIO, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(InputError):
        render("sample", crossed.results, older)
    monkeypatch.undo()
    assert Rendered(older, "sample").every_byte == before


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("analysis.json", lambda t: json.dumps(json.loads(t) | {"format": 4}), "format 4"),
        ("analysis.json", lambda t: t[:100], "Unterminated"),
        ("comparisons.csv", lambda t: t.replace("verdict", "judgement", 1), "judgement"),
        ("cells.csv", lambda t: t.replace(",True,", ",perhaps,"), "bool"),
        ("models.json", lambda t: "", "Expecting value"),
    ],
)
def test_inputs_that_are_not_right_are_named(crossed, tmp_path, name, change, said):
    shutil.copytree(crossed.results, tmp_path / "odd")
    file = tmp_path / "odd" / name
    file.write_text(change(file.read_text()))
    with pytest.raises(InputError, match=rf"{re.escape(name)}.*{said}"):
        read_inputs(tmp_path / "odd")


def test_numbers_without_a_source_are_refused_in_templates(crossed):
    environment = crossed.report()._environment
    row = "experiments[0].cells[0].test_accuracy"
    for source in ("experiments | length", row, f"{row} + 1", f"(100 * {row}) | percent"):
        with pytest.raises(TypeError, match=r"needs a format|not a number of a table"):
            environment.from_string(f"{{{{ {source} }}}}").render()


def test_experiments_whose_names_look_alike_have_separate_files(changed, undrawn):
    study = json.loads(arms("none", "crop"))
    (block,) = study["experiments"].values()
    study["experiments"] = {"Arms": block, "arms": {**block, "training": {"epochs": 3}}}
    study = changed(study)
    report = study.render()
    assert sum(name.startswith("curves-arms-mnist5k") for name in report.files) == 4
    assert len(set(Page(report.page).ids)) == len(Page(report.page).ids)
