import math

import pytest
from markdown_it import MarkdownIt

from ablation.report import text


def test_numbers_are_told_with_two_decimals_and_a_real_minus():
    assert text.percent(0.97125) == "97.12"
    assert text.percent(1.0) == "100.00"
    assert text.points(-0.01234) == "−1.23"
    assert text.points(0.01) == "+1.00"
    assert text.points(-0.00001) == "0.00"
    assert text.number(-0.001) == "0.00"
    assert text.number(-1.5) == "−1.50"


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
def test_what_is_no_number_is_a_dash(nothing):
    assert text.percent(nothing) == text.number(nothing) == "–"


def test_p_values_have_three_decimals_or_are_below_the_least():
    assert text.p_value(0.04213) == "0.042"
    assert text.p_value(0.00099) == "<0.001"
    assert text.p_value(0.001) == "0.001"
    assert text.p_value(1.0) == "1.000"
    assert text.p_value(math.nan) == "–"


def test_intervals_and_spreads_stay_on_one_line():
    assert text.interval(-0.0214, 0.0032) == "−2.14\xa0to\xa0+0.32"
    assert text.interval(math.nan, 0.1) == text.interval(None, None) == "–"
    assert text.spread(0.97125, 0.0031) == "97.12\xa0±\xa00.31"
    assert text.spread(0.97125, math.nan) == "97.12"
    assert text.spread(math.nan, math.nan) == "–"


def test_counts_keep_three_digits():
    assert text.magnitude(4_089_000_000) == "4.09 G"
    assert text.magnitude(40_813_568) == "40.8 M"
    assert text.magnitude(999) == "999"


def test_a_slug_is_fit_for_anchors_and_file_names():
    assert text.slug("Geometric+CutMix") == "geometric-cutmix"
    assert text.slug("…/") == "x"


FOREIGN = [
    "<script>alert(1)</script>",
    "a*b*c **d** _e_ __f__",
    "`code` ``more``",
    "[x](http://y) ![z](w) [^1]",
    "# no heading",
    "## none",
    "- no list",
    "+ no list",
    "1. no list",
    "12) no list",
    "---",
    "===",
    "> no quote",
    "~~kept~~",
    "back\\slash \\* &amp; & &lt;",
    "+1.20",
    "$x_1$ and $$y$$",
]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_foreign_text_comes_out_of_markdown_as_it_is(foreign):
    parsed = MarkdownIt("gfm-like", {"linkify": False}).parse(str(text.markdown_text(foreign)))
    assert [token.type for token in parsed] == ["paragraph_open", "inline", "paragraph_close"]
    assert {child.type for child in parsed[1].children} <= {"text", "text_special"}
    assert "".join(child.content for child in parsed[1].children) == foreign


def test_github_sees_no_mathematics():
    assert "$" not in text.markdown_text("$x$")


def test_foreign_text_cannot_end_a_cell_of_a_table():
    cell = text.markdown_text("flip | crop(4)\n| x")
    parsed = MarkdownIt("gfm-like", {"linkify": False}).render(f"| a |\n| --- |\n| {cell} |\n")
    assert "<td>flip | crop(4) | x</td>" in parsed


def test_foreign_text_cannot_close_its_fence():
    block = text.fenced("a\n````\nb")
    (token,) = MarkdownIt().parse(str(block))
    assert token.content == "a\n````\nb\n"
