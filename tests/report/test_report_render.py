import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from ablation.errors import InputError
from ablation.report.inputs import read_inputs
from ablation.report.render import render

SECTIONS = [
    "Verdict", "Tables", "Curves", "Gallery", "Classes", "Calibration", "Cost", "Methods", "Runs",
    "Provenance",
]  # fmt: skip


def files_of(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_the_same_inputs_give_the_same_bytes(reports, results, tmp_path):
    first = files_of(reports)
    copy = tmp_path / "copy"
    shutil.copytree(reports, copy)
    (copy / "sample" / "stale.svg").write_text("of an earlier report")
    render("sample", results, copy)  # over an older report, which leaves nothing behind
    assert files_of(copy) == first
    assert sorted(path.name for path in copy.iterdir()) == ["sample", "sample.html", "sample.md"]


def test_a_failing_report_leaves_the_older_one_alone(reports, results, tmp_path):
    copy, broken = tmp_path / "copy", tmp_path / "broken"
    shutil.copytree(reports, copy)
    shutil.copytree(results, broken)
    (broken / "gallery.npz").unlink()
    with pytest.raises(InputError, match=r"gallery\.npz"):
        render("sample", broken, copy)
    assert files_of(copy) == files_of(reports)


def test_an_analysis_of_another_format_is_refused(results, tmp_path):
    shutil.copytree(results, tmp_path / "old")
    file = tmp_path / "old" / "analysis.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 4}))
    with pytest.raises(
        InputError, match=r"analysis\.json is of format 4, this version reads 5; run"
    ):
        read_inputs(tmp_path / "old")


def test_a_table_without_a_column_is_refused_with_its_name(results, tmp_path, renew):
    shutil.copytree(results, tmp_path / "old")
    file = tmp_path / "old" / "comparisons.csv"
    pd.read_csv(file).drop(columns="p_holm").to_csv(file, index=False)
    renew(tmp_path / "old")
    with pytest.raises(InputError, match=r"comparisons\.csv: .*no column p_holm"):
        read_inputs(tmp_path / "old")


@pytest.mark.parametrize(("column", "value"), [("test_accuracy", "high"), ("is_baseline", "yes")])
def test_a_value_that_cannot_be_read_is_told_with_its_file(results, tmp_path, renew, column, value):
    shutil.copytree(results, tmp_path / "odd")
    file = tmp_path / "odd" / "cells.csv"
    pd.read_csv(file, dtype=str, keep_default_na=False).assign(**{column: value}).to_csv(
        file, index=False
    )
    renew(tmp_path / "odd")
    with pytest.raises(InputError, match=rf"cells\.csv: .*{value}"):
        read_inputs(tmp_path / "odd")


def test_labels_that_look_like_numbers_or_nothing_stay_text(results, tmp_path, renew):
    shutil.copytree(results, tmp_path / "odd")
    file = tmp_path / "odd" / "runs.csv"
    header, row = file.read_text().splitlines()[:2]
    values = row.split(",")
    values[2:4], values[5] = ["007", "None"], "12345e67"
    file.write_text(f"{header}\n{','.join(values)}\n")
    renew(tmp_path / "odd")
    run = read_inputs(tmp_path / "odd").tables["runs"].iloc[0]
    assert (run["model"], run["augmentation"], run["id"]) == ("007", "None", "12345e67")


def test_names_that_look_alike_get_anchors_and_files_of_their_own(results, tmp_path, renew):
    shutil.copytree(results, tmp_path / "alike")
    file = tmp_path / "alike" / "analysis.json"
    file.write_text(file.read_text().replace('"residual"', '"Augmentation"'))
    for table in (tmp_path / "alike").glob("*.csv"):
        table.write_text(re.sub("^residual,", "Augmentation,", table.read_text(), flags=re.M))
    renew(tmp_path / "alike")
    render("alike", tmp_path / "alike", tmp_path / "reports")
    names = {path.name for path in (tmp_path / "reports/alike").iterdir()}
    for name in ("curves", "ablation", "comparisons"):
        assert {f"{name}-augmentation-mnist5k.csv", f"{name}-augmentation-mnist5k-2.csv"} <= names
    page = (tmp_path / "reports/alike.html").read_text()
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_a_study_without_any_run_says_so(results, tmp_path, renew):
    folder = tmp_path / "empty"
    shutil.copytree(results, folder)
    analysis = json.loads((folder / "analysis.json").read_text())
    analysis["partial"] = {"text": "A partial report: all runs are missing.", "planned": 36,
                           "missing": 36}  # fmt: skip
    analysis["summary"] = []
    analysis["provenance"] |= {"first_started": None, "last_started": None, "data": []}
    for block in analysis["experiments"]:
        block |= {"findings": [], "grids": []}
    kept = ["experiment", "dataset", "model", "augmentation"]
    for name in ("curves", "classes", "class_effects", "confusion", "calibration", "published"):
        pd.DataFrame(columns=kept).to_csv(folder / f"{name}.csv", index=False)
    counts = {"finished": 0, "diverged": 0, "stopped_early": 0, "failed": 0}
    lost = {"runs": {"status": "missing", "reason": "not run yet"},
            "cells": counts, "comparisons": {"verdict": "none", "basis": ""}}  # fmt: skip
    for name, values in lost.items():
        file = folder / f"{name}.csv"
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        numbers = {"is_baseline", "runs", "missing", "seed", "seeds", "epoch"}
        for column in table.columns:
            if re.fullmatch(r"[\d.e-]*", "".join(table[column])) and column not in numbers | {"id"}:
                table[column] = ""
        table = table.assign(**values)
        if name == "cells":
            table["missing"] = table["runs"]
        table.to_csv(file, index=False)
    renew(folder, **analysis)
    render("sample", folder, tmp_path / "reports")
    page = (tmp_path / "reports/sample.html").read_text()
    assert page.count("No run has finished yet, so there is nothing to show.") == 3
    assert "no finished run" in page
    assert not re.search(r"\bnan\b", re.sub(r"<[^>]*>", " ", page[page.index("<main") :]))
    markdown = (tmp_path / "reports/sample.md").read_text()
    assert re.findall(r"^## (.*)$", markdown, re.M) == SECTIONS


def test_pictures_and_links_of_the_markdown_are_files(markdown, reports):
    pictures = re.findall(r"!\[((?:\\.|[^\]\\])+)\]\(([^)]*)\)", markdown)
    assert len(pictures) == 24
    assert all(text.strip() for text, _ in pictures)
    links = re.findall(r"(?<!!)\[[^\]]*\]\((sample/[^)]*)\)", markdown)
    assert {path for _, path in pictures} | set(links) == {
        f"sample/{file.name}" for file in (reports / "sample").iterdir()
    }


def test_links_within_the_markdown_arrive(markdown, partial_markdown):
    for text in (markdown, partial_markdown):
        anchors = re.findall(r'<a id="([^"]*)"></a>', text)
        assert len(set(anchors)) == len(anchors)
        links = re.findall(r"(?<!\\)\]\(#([^)]*)\)", text)
        assert links
        assert set(links) <= set(anchors)


@pytest.fixture(scope="module")
def rendered(markdown):
    return as_html(markdown)


def as_html(markdown):
    return MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown)


def test_foreign_text_is_text_in_markdown(rendered, markdown):
    title = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; $x_1$ | *shortcuts*"
    assert f"<h1>Do {title} pay?</h1>" in rendered
    assert "Does `depth` hurt? [No](http://example.org) # &lt;b&gt;really" in rendered
    assert "*five*; say &quot;it&quot;; _0_; `q`; [x](y)." in rendered
    assert "<summary>plain20 · a_b &amp; 50% &#36;x&#36; | &lt;i&gt;#^~\\{} on" in rendered
    assert not re.search(r"<(script|i|del|processor|more|OOM)\b", rendered)
    assert {
        link for link in re.findall(r'<a href="([^"]*)"', rendered) if "example" in link
    } == set()
    outside = re.sub(r"```.*?```", "", markdown, flags=re.S)
    assert "$" not in outside


def test_tables_of_the_markdown_are_tables_of_one_width(rendered, page):
    tables = re.findall(r"<table>.*?</table>", rendered, re.S)
    assert len(tables) == page.count("<table ")
    for table in tables:
        rows = re.findall(r"<tr>(.*?)</tr>", table, re.S)
        assert len({len(re.findall(r"<t[hd]", row)) for row in rows}) == 1
    assert "brightness(0.2) | contrast(0.7, 1.3)</td>" in rendered


class Numbers(HTMLParser):
    """The numbers that a page prints, by section."""

    def __init__(self, text):
        super().__init__()
        self.found, self.section, self.heading, self.skipped = {}, "", None, 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag in ("style", "script", "nav", "title"):
            self.skipped += 1
        if tag == "h2":
            self.heading = ""

    def handle_endtag(self, tag):
        if tag in ("style", "script", "nav", "title"):
            self.skipped -= 1
        if tag == "h2":
            self.section, self.heading = self.heading.removesuffix("#").strip(), None

    def handle_data(self, data):
        if self.heading is not None:
            self.heading += data
        elif not self.skipped:
            numbers = re.findall(r"[<+−-]?\d+(?:[.,]\d+)*", data)
            self.found.setdefault(self.section, Counter()).update(numbers)


@pytest.mark.parametrize("which", ["", "partial_"])
def test_page_and_markdown_tell_the_same_numbers(request, which):
    of_page = Numbers(request.getfixturevalue(f"{which}page")).found
    of_markdown = Numbers(as_html(request.getfixturevalue(f"{which}markdown"))).found
    assert list(of_page) == list(of_markdown) == ["", *SECTIONS]
    for section in of_page:
        assert of_page[section] == of_markdown[section], section
    assert sum(of_page["Tables"].values()) > 300
    assert all(of_page[section] for section in SECTIONS)


def test_markdown_marks_scores_validated_on_the_test_split(markdown):
    tables = markdown.split("\n## Tables\n")[1].split("\n## ")[0]
    before, after = tables.split("### augmentation on mnist5k")
    words = "† The test split was used for validation in this experiment"
    # tables: ablation, epochs, comparisons twice, grid, seeds; figures: accuracies, differences
    # twice, grid
    assert after.count(words) == 10
    assert "Test accuracy, % †" in after
    assert "†" not in before


def test_markdown_tells_diverged_and_missing_cells_in_words(rendered, partial_markdown):
    row = r"<td>plain56</td>\s*<td>none</td>\s*<td>3 of 3 \(3 diverged\)</td>\s*<td[^>]*>every run"
    assert re.search(row, rendered)
    assert partial_markdown.startswith("**A partial report: 4 of 36 runs are missing")
    assert "Reason: failed: &lt;OOM&gt; at epoch 3 no memory · Log: results/logs/train/" in (
        partial_markdown
    )


def test_markdown_keeps_its_parts_apart(markdown, partial_markdown):
    for text in (markdown, partial_markdown):
        for above, line in pairwise(text.split("\n")):
            if re.match(r"#{1,4} |!\[|<details>|</details>", line):
                assert above == "", (above, line)
            if line.startswith("|") and not above.startswith("|"):
                assert above == "", (above, line)
