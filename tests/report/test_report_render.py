import json
import re
import shutil
from itertools import pairwise
from types import SimpleNamespace

import pytest
from markdown_it import MarkdownIt

from ablation.errors import InputError
from ablation.report.inputs import read_inputs
from ablation.report.render import render


def files_of(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_the_same_inputs_give_the_same_bytes(reports, results, plan, tmp_path):
    first = files_of(reports)
    copy = tmp_path / "copy"
    shutil.copytree(reports, copy)
    (copy / "sample" / "stale.svg").write_text("of an earlier report")
    render(plan, results, copy)  # over an older report, which leaves nothing behind
    assert files_of(copy) == first
    assert sorted(path.name for path in copy.iterdir()) == ["sample", "sample.html", "sample.md"]


def test_a_failing_report_leaves_the_older_one_alone(reports, results, plan, tmp_path):
    copy, broken = tmp_path / "copy", tmp_path / "broken"
    shutil.copytree(reports, copy)
    shutil.copytree(results, broken)
    (broken / "gallery.npz").unlink()
    with pytest.raises(InputError, match=r"gallery\.npz"):
        render(plan, broken, copy)
    assert files_of(copy) == files_of(reports)


def test_an_analysis_of_another_format_is_refused(results, tmp_path):
    shutil.copytree(results, tmp_path / "old")
    file = tmp_path / "old" / "analysis.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 2}))
    with pytest.raises(InputError, match=r"analysis\.json: cannot be read \(format 2, not 1\)"):
        read_inputs(tmp_path / "old")


def test_labels_that_look_like_numbers_or_nothing_stay_text(results, tmp_path):
    shutil.copytree(results, tmp_path / "odd")
    file = tmp_path / "odd" / "runs.csv"
    header, row = file.read_text().splitlines()[:2]
    values = row.split(",")
    values[2:6] = ["007", "None", "0", "12345e67"]
    file.write_text(f"{header}\n{','.join(values)}\n")
    run = read_inputs(tmp_path / "odd").runs.iloc[0]
    assert (run["model"], run["augmentation"], run["id"]) == ("007", "None", "12345e67")


def test_names_that_look_alike_get_anchors_and_files_of_their_own(results, tmp_path):
    shutil.copytree(results, tmp_path / "alike")
    file = tmp_path / "alike" / "analysis.json"
    file.write_text(file.read_text().replace('"residual"', '"Augmentation"'))
    for name in ("runs.csv", "curves.csv"):
        table = tmp_path / "alike" / name
        table.write_text(re.sub("^residual,", "Augmentation,", table.read_text(), flags=re.M))
    render(SimpleNamespace(name="alike"), tmp_path / "alike", tmp_path / "reports")
    names = {path.name for path in (tmp_path / "reports/alike").glob("*.svg")}
    assert {"curves-augmentation-mnist5k.svg", "curves-augmentation-mnist5k-2.svg"} <= names
    page = (tmp_path / "reports/alike.html").read_text()
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_pictures_of_the_markdown_are_files(markdown, reports):
    pictures = re.findall(r"!\[((?:\\.|[^\]\\])+)\]\(([^)]*)\)", markdown)
    assert len(pictures) == 4 + 7
    assert {path for _, path in pictures} == {
        f"sample/{file.name}" for file in (reports / "sample").iterdir()
    }


@pytest.fixture(scope="module")
def rendered(markdown):
    return MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown)


def test_foreign_text_is_text_in_markdown(rendered, markdown):
    title = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; $x_1$ | *shortcuts*"
    assert f"<h1>Do {title} pay?</h1>" in rendered
    assert "Does `depth` hurt? [No](http://example.org) # &lt;b&gt;really" in rendered
    assert "*five*; say &quot;it&quot;; _0_; `q`; [x](y)." in rendered
    assert not re.search(r"<(script|i|a|em|del)\b(?!>Figure)", rendered.replace("<em>Fig", ""))
    outside = re.sub(r"```.*?```", "", markdown, flags=re.S)
    assert "$" not in outside


def test_tables_of_the_markdown_are_tables_of_one_width(rendered):
    tables = re.findall(r"<table>.*?</table>", rendered, re.S)
    assert len(tables) == 1 + 2 + 2 + 2 + 1 + 4 + 1 + 2 + 1
    for table in tables:
        rows = re.findall(r"<tr>(.*?)</tr>", table, re.S)
        assert len({len(re.findall(r"<t[hd]", row)) for row in rows}) == 1
    assert "brightness(0.2) | contrast(0.7, 1.3)</td>" in rendered


def test_page_and_markdown_tell_the_same_numbers(rendered, page):
    def numbers(text):
        cells = re.findall(r"<t[hd][^>]*>(?:<code>|<strong>)?(.*?)(?:</\w+>)?</t[hd]>", text)
        return sorted(cell for cell in cells if re.search(r"\d\.\d", cell))

    assert numbers(rendered) == numbers(page)


def test_markdown_marks_scores_validated_on_the_test_split(markdown):
    section = markdown.split("## Experiment augmentation †")[1].split("\n## ")[0]
    words = "† The test split was used for validation in this experiment"
    # the experiment, two figures, the ablation table, the cross table, the curves' numbers
    assert section.count(words) == 6
    assert "Test accuracy, % †" in section
    assert "†" not in markdown.split("## Experiment residual\n")[1].split("\n## ")[0]


def test_markdown_tells_diverged_cells_in_words(rendered):
    assert re.search(
        r"<td>plain56</td>\s*<td>none</td>\s*<td[^>]*>every run diverged</td>", rendered
    )


def test_markdown_keeps_its_parts_apart(markdown):
    lines = markdown.split("\n")
    for above, line in pairwise(lines):
        if re.match(r"#{1,3} ", line) or (line.startswith("|") and not above.startswith("|")):
            assert above == "", (above, line)
