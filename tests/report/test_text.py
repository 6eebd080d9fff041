"""Numbers as they are printed, and foreign text that comes out as the characters that it holds."""

import math
import re

import pytest
from markdown_it import MarkdownIt

from ablation.report import text


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (text.percent(0.97125), "97.12"),
        (text.percent(0.97125, 1), "97.1"),
        (text.points(-0.01234), "−1.23"),
        (text.points(0.01), "+1.00"),
        (text.points(-0.00001), "0.00"),
        (text.number(-0.001), "0.00"),
        (text.number(-1.5), "−1.50"),
        (text.p_value(0.04213), "0.042"),
        (text.p_value(0.00099), "<0.001"),
        (text.p_value(math.nan), "–"),
        (text.percent(None), "–"),
        (text.number(math.inf), "–"),
        (text.points(math.nan), "–"),
        (text.magnitude(40_813_568), "40.8 M"),
        (text.duration(5400), "1.5 hours"),
        (text.in_words(5), "five"),
        (text.in_words(1234), "1,234"),
        (text.join(["a", "b", "c"]), "a, b and c"),
        (text.join(["a", "b"], "or"), "a or b"),
        (text.slug("Geometric+CutMix"), "geometric-cutmix"),
        (text.slug("…/"), "x"),
    ],
)
def test_numbers_and_names(shown, expected):
    assert shown == expected


FOREIGN = [
    "<script>alert(1)</script>", "a*b*c **d** _e_ __f__", "`code` ``more``",
    "[x](http://y) ![z](w) [^1]", "# no heading", "- no list", "+ no list", "1. no list",
    "12) no list", "---", "===", "> no quote", "~~kept~~", "back\\slash \\* &amp; & &lt;",
    "+1.20", "$x_1$ and $$y$$", "a | b", "-- and --- ''x'' ,,y", "50% {of} #1 ^~ <a> \"q\" [z] ±×",
    "*[2cm]", "<!-- none", "<script src=x",
]  # fmt: skip


@pytest.mark.parametrize("foreign", FOREIGN)
def test_foreign_text_comes_out_of_markdown_as_it_is(foreign):
    shown = str(text.markdown_text(foreign))
    parsed = MarkdownIt("gfm-like", {"linkify": False}).parse(shown)
    assert [token.type for token in parsed] == ["paragraph_open", "inline", "paragraph_close"]
    assert {child.type for child in parsed[1].children} <= {"text", "text_special"}
    assert "".join(child.content for child in parsed[1].children) == foreign
    assert "$" not in shown  # GitHub would read mathematics


def test_foreign_text_cannot_end_a_cell_of_a_table():
    cell = text.markdown_text("flip | crop(4)\n| x")
    parsed = MarkdownIt("gfm-like", {"linkify": False}).render(f"| a |\n| --- |\n| {cell} |\n")
    assert "<td>flip | crop(4) | x</td>" in parsed


def test_foreign_text_cannot_close_its_fence():
    block = text.fenced("a\n````\nb")
    (token,) = MarkdownIt().parse(str(block))
    assert token.content == "a\n````\nb\n"


def read_latex(shown):
    """Text as LaTeX would print it."""
    for one, character in (
        (r"\textbackslash{}", "\0"), (r"\textasciicircum{}", "\2"), (r"\textasciitilde{}", "\1"),
        (r"\textless{}", "<"), (r"\textgreater{}", ">"), (r"\textbar{}", "|"), (r"\char34{}", '"'),
        (r"\textasciigrave{}", "`"), ("{[}", "["), ("{]}", "]"), ("{*}", "*"), (r"$-$", "−"),
        (r"$\pm$", "±"), (r"$\times$", "×"), (r"$\cdot$", "·"), (r"\dag{}", "†"), ("~", "\xa0"),
        ("--", "–"), (r"$\bigtriangleup$", "▲"), (r"$\bigtriangledown$", "▼"), (r"$\approx$", "≈"),
    ):  # fmt: skip
        shown = shown.replace(one, character)
    shown = re.sub(r"(?<!\\)\{\}", "", shown)
    assert not re.search(r"(?<!\\)[{}$&#%_^]", shown), shown  # nothing that has a meaning is left
    return re.sub(r"\\([{}$&#%_])", r"\1", shown).translate({0: "\\", 1: "~", 2: "^"})


@pytest.mark.parametrize("foreign", FOREIGN)
def test_foreign_text_comes_out_of_latex_as_it_is(foreign):
    assert read_latex(text.latex_text(foreign)) == foreign


def test_text_stays_on_its_line_in_latex():
    assert text.latex_text("a\n\nb\tc\x00d") == "a b c d"
