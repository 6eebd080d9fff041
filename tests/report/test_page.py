"""The page: which HTML is let through, how figures and tables come out, and hostile names."""

import base64
import html
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from ablation.report.page import plain_text, to_html

from .made import arms, made
from .test_text import read_latex


class Elements(HTMLParser):
    """Tags, attributes and text of a page, as a browser parses it."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.other, self.attributes = [], "", [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.other.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


@pytest.mark.parametrize(
    "allowed",
    [
        '<div class="answer">', "</div>", "<details>", "</details>", "<summary>", "</sup>", "<br>",
        '<a id="figure-1">', "</a>", '<sup class="unchecked">', "<p>", "<span>",
    ],
)  # fmt: skip
def test_html_of_templates_is_let_through(allowed):
    assert allowed in to_html(f"{allowed}\n", {})
    assert allowed in to_html(f"Some {allowed} text.\n", {})


@pytest.mark.parametrize(
    "refused",
    [
        "<script>alert(1)</script>", '<img src="https://x.y/z.png">', '<a href="https://x.y">',
        '<div onclick="x">', '<div class="a" style="b">', "<!-- comment -->", "<iframe>",
        '<a id="x" onmouseover="y">', "<?php ?>", "<![CDATA[x]]>", "<svg/onload=x>", "<h1>",
        '<div class="A">', "<style>p{}</style>",
    ],
)  # fmt: skip
def test_other_html_comes_out_as_text(refused):
    for markdown in (f"{refused}\n", f"Some {refused} text.\n"):
        page = Elements(to_html(markdown, {}))
        assert set(page.tags) <= {"p"}, page.tags
        assert refused in page.text and not page.other


def test_an_image_alone_is_a_figure_with_its_caption():
    markdown = "![words](study/a.svg)\n\n*Figure 1. A caption.*\n\nText.\n"
    page = to_html(markdown, {"study/a.svg": b"<svg/>"}).replace("\n", "")
    data = base64.b64encode(b"<svg/>").decode()
    assert page == (
        '<figure><div class="scroll">'
        f'<img src="data:image/svg+xml;base64,{data}" alt="words" /></div>'
        "<figcaption><em>Figure 1. A caption.</em></figcaption></figure><p>Text.</p>"
    )
    for other in ("Text.", "*Some* text."):
        assert "figcaption" not in to_html(f"![w](a.svg)\n\n{other}\n", {"a.svg": b""})


def test_links_to_files_stand_behind_captions_and_are_no_part_of_them():
    files = {"s/a.svg": b'<svg width="90pt" height="45.0pt"/>', "s/a.pdf": b"", "s/a.csv": b""}
    page = to_html("![words](s/a.svg)\n\n*Figure 1. One.* [PDF](s/a.pdf) [SVG](s/a.svg)\n", files)
    caption = page.partition("<figcaption>")[2].partition("</figcaption>")[0]
    assert caption.count("download=") == 2
    assert 'width="120" height="60" style="--width: 120px"' in page
    table = "*Table 1. One.* [CSV](s/a.csv)\n\n| A |\n| --- |\n| 1 |\n"
    page = to_html(table, files)
    assert '<p class="caption">' in page and 'aria-label="Table 1. One."' in page
    assert "caption" not in to_html(table.replace("[CSV]", "A word and [CSV]"), files)


def test_anchors_become_ids_of_what_follows():
    page = to_html('<a id="x"></a>\n\n## Title\n\n<a id="y"></a>\n\n*Text.*\n', {})
    assert '<h1 id="x">' in page and '<p id="y">' in page and "<a" not in page
    fold = '<details class="summary">\n<summary>A</summary>\n\nText.\n\n</details>\n'
    page = to_html(f'<a id="x"></a>\n\n{fold}', {})
    assert page.startswith('<details id="x" class="summary">')
    twice = to_html(f'<a id="x"></a>\n\n<a id="y"></a>\n\n{fold}', {})
    assert 'id="x"' in twice and '<details id="y"' in twice


def test_headings_skip_no_level():
    page = to_html("# A\n\n### B\n\n#### C\n\n## D\n\n#### E\n", {})
    assert re.findall(r"<h(\d)>(\w)", page) == [
        ("1", "A"), ("2", "B"), ("3", "C"), ("2", "D"), ("3", "E"),
    ]  # fmt: skip


def test_short_cells_stay_on_one_line():
    page = to_html("| A | B |\n| --- | --- |\n| short | " + "long " * 9 + "|\n", {})
    assert re.findall(r'<td data-title="(\w)" class="short">', page) == ["A"]


def test_a_link_to_a_file_of_the_report_holds_it():
    page = to_html("[CSV](study/a.csv), [up](#top)\n", {"study/a.csv": b"a,b\n"})
    data = base64.b64encode(b"a,b\n").decode()
    assert f'href="data:text/csv;base64,{data}"' in page
    assert 'download="a.csv"' in page and '<a href="#top">' in page


def test_cells_name_their_columns_and_tables_their_captions():
    table = "*Table 1. Cells.*\n\n| A | B *b* |\n| --- | ---: |\n| 1 | 2 |\n| 3 | 4 |\n"
    other = table.replace("Cells", "More").replace("| A |", "| Z |")
    page = to_html(f"{table}\nText.\n\n{other}", {})
    titles = re.findall(r'<td[^>]*data-title="([^"]*)"', page)
    assert titles == ["A", "B b"] * 2 + ["Z", "B b"] * 2
    assert re.findall(r'aria-label="([^"]*)"', page) == ["Table 1. Cells.", "Table 1. More."]


def test_a_paragraph_as_plain_text():
    assert plain_text("A **bold** `code` [link](x) \\*star\\* &lt;b&gt;") == (
        "A bold code link *star* <b>"
    )


HOSTILE = {
    "TITLE": "Do <b>\"shortcuts\"</b> & $x_1$ | *pay*? </title><script>alert(1)</script>",
    "ARMA": "a_b & 50% $x$ | <i>#^~{}\\",
    "ARMB": "**<img src=x onerror=y>**",
    "QUESTION": "# [x](http://evil.example/x) `q` <!-- ?",
}  # fmt: skip
CLASSES = ("<script>", "a|b*c*", "$x$")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A study whose texts are made of what means something in HTML, Markdown or LaTeX."""
    study = arms("none", "ARMA", "ARMB", question="QUESTION", models=["resnet8"])
    study = study.replace('"Arms"', '"TITLE"')
    return made(
        tmp_path_factory.mktemp("hostile"), study,
        lambda cell, seed: {"none": 0.9, "ARMA": 0.95, "ARMB": 0.7}[cell[2]] + 0.001 * seed,
        names=HOSTILE, options=lambda *_: {"class_names": CLASSES}, name="study",
    )  # fmt: skip


@pytest.fixture(scope="module")
def hostile_report(hostile):
    return hostile.render()


@pytest.mark.slow
def test_hostile_texts_come_out_as_text_in_html(hostile_report, rendered):
    page, sound = Elements(hostile_report.page), Elements(rendered.page)
    assert set(page.tags) <= set(sound.tags)
    assert {name for name, _ in page.attributes} <= {name for name, _ in sound.attributes}
    assert not page.other or page.other == ["DOCTYPE html"]
    shown = html.unescape(page.text)
    for word in HOSTILE.values():
        assert word in shown, word
    assert "<script>" in shown


@pytest.mark.slow
def test_hostile_texts_come_out_as_text_in_markdown(hostile_report):
    shown = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(hostile_report.markdown)
    page = Elements(shown)
    assert not set(page.tags) & {"script", "b", "i", "del"} and not page.other
    assert "evil.example" not in "".join(re.findall(r'href="([^"]*)"', shown))
    for word in HOSTILE.values():
        assert word in page.text, word
    assert "$" not in re.sub(r"```.*?```", "", hostile_report.markdown, flags=re.S)


@pytest.mark.slow
def test_hostile_texts_come_out_as_text_in_latex_and_csv(hostile_report, hostile):
    names = hostile.tables["cells"]["augmentation"].tolist()
    latex = hostile_report.files["ablation-arms-mnist5k.tex"].decode()
    body = latex.split("\\midrule\n")[1].split("\\bottomrule")[0]
    first = [row.split(" & ")[0].strip() for row in body.strip().split("\\\\\n")]
    shown = [read_latex(re.sub(r"^\\textbf\{(.*)\}$", r"\1", one)) for one in first]
    assert shown == names
    frame = pd.read_csv(
        hostile.folder / "reports/study/ablation-arms-mnist5k.csv", dtype=str, keep_default_na=False
    )
    assert frame["Augmentation"].tolist() == names
