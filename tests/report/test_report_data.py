"""What the report tells of the data: classes, sizes, findings; balanced accuracy where it counts.

The names of images hold whatever a file system lets them hold.
"""

import html
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from ablation.errors import visible
from ablation.report.render import render

NAMES = [
    "<script>alert(1)</script>.png",
    "a|b_c*d*`e`.png",
    "[x](javascript:y).png",
    "$x$ & ~~z~~ # \\.png",
    "\u202egnp.two\nlines",
    "never shown.png",
    "nor this.png",
]
CHECKS = [
    {"kind": "few-images", "severity": "note", "text": "1 class with few images.",
     "items": ["<cat>: 3"], "count": 1},
    {"kind": "copies-between-splits", "severity": "warning",
     "text": "1,234 training images with the same pixels as <test> images.",
     "items": NAMES, "count": 1234},
    {"kind": "left-out", "severity": "note", "text": "2 files left out.",
     "items": ["bytes \udcff.png", "b.png"], "count": 2},
]  # fmt: skip


@pytest.fixture(scope="module")
def changed(results, renew):
    """Renders a copy of the results after changes; returns the page and the Markdown."""

    def changed(folder, change, tables=()):
        """Render into the folder's `reports`.

        Args:
            folder: where the copy goes.
            change: changes the entries of the data sets in place.
            tables: pairs of a table's name and what changes its rows in place.
        """
        shutil.copytree(results, folder / "sample")
        analysis = json.loads((folder / "sample/analysis.json").read_text())
        change(analysis["provenance"]["data"])
        for name, alter in tables:
            file = folder / f"sample/{name}.csv"
            rows = pd.read_csv(file, keep_default_na=False, na_values=[""], dtype={"id": str})
            alter(rows)
            rows.to_csv(file, index=False)
        renew(folder / "sample", **analysis)
        render("sample", folder / "sample", folder / "reports")
        return tuple((folder / f"reports/sample.{kind}").read_text() for kind in ("html", "md"))

    return changed


@pytest.fixture(scope="module")
def told(changed, tmp_path_factory):
    """A data set of one's own, stored larger than it is seen, with findings."""

    def change(every):
        (data,) = every
        data |= {
            "shape": [5000, 72, 80, 3],
            "image_size": [64, 64],
            "stored_size": [72, 80],
            "resize": "crop",
            "channels": 3,
            "checks": CHECKS,
            "conversions": {"grey repeated to RGB": 1200, "<palette> to RGB.": 1},
        }
        data["balance"]["test"] |= {
            "classes": 9,
            "largest": {"class": "<dog>", "images": 900},
            "smallest": {"class": "c|t\n", "images": 0},
        }

    return changed(tmp_path_factory.mktemp("told"), change)


@pytest.fixture(scope="module")
def uneven_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("uneven")


@pytest.fixture(scope="module")
def uneven(changed, uneven_folder):
    """Classes of the test split that are unequal in one of the two experiments."""

    def spread(classes):
        one = (classes["experiment"] == "residual") & (classes["class"] == "8 & 9")
        classes.loc[one, "images"] = 111

    def halve(rows):
        for column in ("balanced_accuracy", "balanced_accuracy_sd"):
            if column in rows:
                rows[column] = rows[column] / 2

    tables = [("classes", spread), ("runs", halve), ("cells", halve)]
    return changed(uneven_folder, lambda data: None, tables)


def part(page, start, end="</div>"):
    """What stands between two pieces of the page."""
    begin = page.index(start) + len(start)
    return page[begin : page.index(end, begin)]


def table_of(page, anchor):
    """Titles and rows of a table of the page, as text."""
    body = part(page, f'<table id="{anchor}"', "</table>")
    rows = [
        [
            html.unescape(re.sub("<.*?>", "", cell))
            for cell in re.findall(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", row, re.S)
        ]
        for row in re.findall(r"<tr.*?</tr>", body, re.S)
    ]
    return rows[0], rows[1:]


def test_findings_stand_warnings_first_with_five_names(told):
    items = re.findall(r"<li>(.*?)</li>", part(told[0], '<h4 id="checks-mnist5k">', "</ul>"), re.S)
    texts = [html.unescape(item) for item in items]
    assert texts[0] == (
        "Warning: 1,234 training images with the same pixels as <test> images "
        "(‘<script>alert(1)</script>.png’, ‘a|b_c*d*`e`.png’, ‘[x](javascript:y).png’, "
        "‘$x$ & ~~z~~ # \\.png’, ‘\\u202egnp.two\\nlines’ and 1,229 more)."
    )
    assert texts[1:] == [
        "1 class with few images (‘<cat>: 3’).",
        "2 files left out (‘bytes \\udcff.png’, ‘b.png’).",
    ]


def test_shared_images_are_told_near_the_top_with_a_link(told):
    page, markdown = told
    verdict = page[page.index('id="verdict-study"') : page.index('id="verdict-experiment')]
    (warning,) = re.findall(r'<p class="warning">(Splits.*?)</p>', verdict)
    assert "Splits of mnist5k share images, and test (or validation) accuracy" in warning
    assert "1,234 training images with the same pixels as &lt;test&gt; images." in warning
    assert 'href="#checks-mnist5k"' in warning
    assert "script" not in warning  # names stand with the checks alone
    assert markdown.index("Splits of mnist5k share") < markdown.index('id="verdict-experiment')


@pytest.mark.parametrize("severity", ["note", "warning"])
def test_only_warnings_of_shared_images_are_told_there(changed, tmp_path, severity):
    kind = "imbalance" if severity == "warning" else "copies-between-splits"
    check = {"kind": kind, "severity": severity, "text": "T.", "items": [], "count": 1}
    page, _ = changed(tmp_path, lambda data: data[0].update(checks=[check]))
    assert "Splits of" not in page
    assert ("<li>Warning: T.</li>" if severity == "warning" else "<li>T.</li>") in page


def test_names_do_nothing_in_page_and_markdown(told):
    page, markdown = told
    assert "<script>alert" not in page
    assert "<cat>" not in page
    assert "<dog>" not in page
    assert "<script>" not in markdown
    assert "javascript:" not in re.sub(r"\\\[x\\\]\(javascript:y\)", "", markdown)
    lines = [line for line in markdown.splitlines() if "alert(1)" in line and "1,229" in line]
    assert len(lines) == 1  # the line break within a name ends no item
    assert lines[0].startswith("- Warning: 1,234")
    assert r"a\|b\_c\*d\*\`e\`.png" in lines[0]
    assert r"&#36;x&#36; &amp; \~\~z\~\~" in lines[0]
    assert "\u202e" not in page + markdown
    row = next(line for line in markdown.splitlines() if "&lt;dog&gt;" in line)
    assert r"c\|t\\n" in row


def test_a_data_set_without_findings_says_so(page, markdown):
    sentence = "Its images and labels were checked; nothing was found."
    assert sentence in part(page, '<h4 id="checks-mnist5k">')
    assert sentence in markdown
    assert "Splits of" not in page


def test_data_older_than_the_checks_says_so(changed, tmp_path):
    page, _ = changed(tmp_path, lambda data: data[0].update(checked=False))
    text = part(page, '<h4 id="checks-mnist5k">')
    assert "before there were checks" in text
    assert "nothing was found" not in text


def test_images_and_classes_of_each_split(told, page):
    heads, rows = table_of(told[0], "balance-table")
    assert heads[:4] == ["Data", "Split", "Images", "Classes with images"]
    assert rows[0] == ["mnist5k", "train", "3,600", "10", "<script>", "360", "<script>", "360"]
    assert rows[2] == ["mnist5k", "test", "1,000", "9", "<dog>", "900", "c|t\\n", "0"]
    assert "the validation images are trained on as well" not in page


def test_data_used_in_two_ways_is_told_once(changed, tmp_path):
    def change(data):
        data.append(data[0] | {"train": 4000, "validation": 1000})

    page, _ = changed(tmp_path, change)
    assert len(table_of(page, "data-table")[1]) == 2
    assert len(table_of(page, "balance-table")[1]) == 3
    assert page.count(">Checks of mnist5k ") == 1
    assert "the validation images are trained on as well" in page


def test_stored_and_seen_sizes_are_both_told_where_they_differ(told, page):
    _, (row,) = table_of(told[0], "image-table")
    assert row == [
        "mnist5k", "72×80", "64×64", "scaled until they cover the size, the centre cut out",
        "3, as the study asks for",
        "grey repeated to RGB: 1,200 images; <palette> to RGB: 1 image",
    ]  # fmt: skip
    _, (data,) = table_of(told[0], "data-table")
    assert data[2] == "5000×72×80×3, of which a network sees 64×64×3"
    assert "all other arms and every evaluation take the centre" in told[0]
    _, (row,) = table_of(page, "image-table")
    assert row == [
        "mnist5k", "28×28", "28×28", "no: their own size", "1, as the source has them", "none",
    ]  # fmt: skip
    assert table_of(page, "data-table")[1][0][2] == "28×28×1"
    assert "take the centre" not in page


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain ‘ü’ 日本.png", "plain ‘ü’ 日本.png"),
        ("a\tb\n\x00", "a\\tb\\n\\x00"),
        ("\udcff\u2028\u202e", "\\udcff\\u2028\\u202e"),
    ],
)
def test_characters_that_cannot_be_seen_are_written_out(name, shown):
    assert visible(name) == shown
    shown.encode()


def test_balanced_accuracy_is_told_where_classes_are_unequal_only(uneven, results):
    page, markdown = uneven
    title = "Balanced accuracy, %"
    for kind in ("ablation", "cost-table"):
        heads, rows = table_of(page, f"{kind}-residual-mnist5k")
        at = heads.index(title)
        assert heads[at - 1] == "Test accuracy, %"
        accuracy, balanced = (float(rows[0][place].split("\xa0")[0]) for place in (at - 1, at))
        assert balanced == pytest.approx(accuracy / 2, abs=0.01)
        assert rows[1][at] != "–"  # of plain20
        assert all(len(row) == len(heads) for row in rows)
        assert f"{title} †" not in table_of(page, f"{kind}-augmentation-mnist5k")[0]
    heads, rows = table_of(page, "run-table")
    at = heads.index(title)
    runs = pd.read_csv(results / "runs.csv")
    wanted = runs["balanced_accuracy"].where(runs["experiment"] == "residual") / 2
    assert [row[at] for row in rows] == [
        "–" if np.isnan(value) else f"{100 * value:.2f}" for value in wanted
    ]
    assert page.count("<dt>Balanced accuracy</dt>") == wanted.notna().sum()
    assert "mean of the classes&#39; recalls" in page
    assert title in markdown


@pytest.mark.parametrize("kind", ["tex", "md"])
def test_balanced_accuracy_stands_in_the_exported_table_too(uneven, uneven_folder, kind):
    for experiment, there in (("residual", True), ("augmentation", False)):
        file = uneven_folder / f"reports/sample/ablation-{experiment}-mnist5k.{kind}"
        assert ("Balanced accuracy" in file.read_text()) == there


def test_where_classes_are_equal_it_is_not_told(page, markdown):
    assert "Balanced accuracy" not in page
    assert "Balanced accuracy" not in markdown
