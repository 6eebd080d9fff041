import html
import re

import pytest
from markdown_it import MarkdownIt

from ablation.report.export import latex_table, markdown_file
from ablation.report.model import Cell, Column, Table
from ablation.report.text import latex_text

UNESCAPED = re.compile(r"(?<!\\)[&%$#_^~]")
COMMANDS = {
    r"\textbackslash{}": "\\", r"\textasciicircum{}": "^", r"\textasciitilde{}": "~",
    r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", r"\char34{}": '"',
    r"\textasciigrave{}": "`", r"\dag{}": "†", "$-$": "−", r"$\pm$": "±", r"$\cdot$": "·",
    r"$\times$": "×", "{[}": "[", "{]}": "]", "{*}": "*", "-{}-": "--",
}  # fmt: skip


def read_latex(text):
    """What LaTeX prints for a cell, as far as the report writes LaTeX."""
    pieces = re.split(
        "|".join(map(re.escape, sorted(COMMANDS, key=len, reverse=True)))
        + r"|\\[{}$&#%_]|~|(?<![\d\w])--(?![\d\w-])",
        text,
    )
    marks = re.findall(
        "|".join(map(re.escape, sorted(COMMANDS, key=len, reverse=True)))
        + r"|\\[{}$&#%_]|~|(?<![\d\w])--(?![\d\w-])",
        text,
    )
    plain = [COMMANDS.get(m, {"~": " ", "--": "–"}.get(m, m[1:])) for m in marks]
    for piece in pieces:
        assert not re.search(r"[\\{}$&#%_^~]", piece), piece
    return "".join(piece + mark for piece, mark in zip(pieces, [*plain, ""], strict=True))


@pytest.mark.parametrize(
    "foreign",
    ["50 % & more", "a_b^c~d", r"\input{/etc/passwd}", "$x$ {y}", "<i>|", "a--b", "#1 [2] *3*",
     'say "it" `now`', "−1.20 ± 0.30 †", "x × y · z"],
)  # fmt: skip
def test_foreign_text_comes_out_of_latex_as_it_is(foreign):
    assert read_latex(latex_text(foreign)) == foreign


def test_text_stays_on_its_line():
    assert latex_text("a\n\nb\tc\x00d") == "a b c d"


def body_of(latex):
    lines = latex.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()
    assert all(line.endswith(r" \\") for line in lines)
    return [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines]


def cells_of_page(page, name):
    body = re.search(rf'<table id="{name}".*?<tbody>(.*?)</tbody>', page, re.S).group(1)
    return [
        [
            html.unescape(cell).replace("\xa0", " ")
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t", r)
        ]
        for r in re.findall(r"<tr.*?</tr>", body, re.S)
    ]


@pytest.mark.parametrize("which", ["", "partial_"])
@pytest.mark.parametrize("name", ["residual", "augmentation"])
def test_the_latex_table_says_what_the_page_says(request, which, name):
    page = request.getfixturevalue(f"{which}page")
    folder = request.getfixturevalue(f"{which}reports") / "sample"
    latex = (folder / f"ablation-{name}-mnist5k.tex").read_text()
    rows = [[read_latex(cell) for cell in row] for row in body_of(latex)]
    on_page = cells_of_page(page, f"ablation-{name}-mnist5k")
    assert rows == [row[:6] for row in on_page]
    assert any("±" in row[3] for row in rows)
    assert any(" to " in row[4] for row in rows)


def test_the_latex_table_is_whole(partial_reports):
    latex = (partial_reports / "sample/ablation-augmentation-mnist5k.tex").read_text()
    comment, _, rest = latex.partition("\\begin{table}")
    assert all(line.startswith("% ") for line in comment.splitlines())
    assert "\\usepackage{booktabs}" in comment
    assert "4 of 36 runs are missing" in comment
    for name in ("table", "tabular"):
        assert latex.count(f"\\begin{{{name}}}") == latex.count(f"\\end{{{name}}}") == 1
    for rule in ("toprule", "midrule", "bottomrule"):
        assert latex.count(f"\\{rule}\n") == 1
    kinds = re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", latex).group(1)
    assert kinds == "lllrrl"
    assert all(len(row) == len(kinds) for row in body_of(latex))
    assert r"\caption{Ablation table of experiment augmentation on mnist5k" in rest
    assert r"\label{tab:ablation-augmentation-mnist5k}" in rest
    assert r"\dag{} The test split was used for validation" in rest
    assert "{*} With fewer than three seeds there is no verdict" in rest
    shown = [read_latex(row[4]).replace("\xa0", " ") for row in body_of(latex)]
    number = r"(?:[+−]\d\.\d\d|0\.00)"
    by_seed = rf"{number} \[{number}, {number}\] \({number} to {number} \*\)"
    assert [bool(re.fullmatch(by_seed, one)) for one in shown] == [one != "–" for one in shown]
    assert sum(one != "–" for one in shown) == 9
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")


def test_the_markdown_table_says_what_the_page_says(partial_reports, partial_page):
    text = (partial_reports / "sample/ablation-augmentation-mnist5k.md").read_text()
    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    body = rendered.split("<tbody>")[1]
    rows = [
        [html.unescape(re.sub("</?strong>", "", cell)).replace("\xa0", " ")
         for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in re.findall(r"<tr>.*?</tr>", body, re.S)
    ]  # fmt: skip
    on_page = cells_of_page(partial_page, "ablation-augmentation-mnist5k")
    assert rows == [row[:6] for row in on_page]
    assert "4 of 36 runs are missing" in text


def test_a_caption_cannot_leave_its_comment_or_its_braces():
    table = Table("x", "", "a}\n\\end{table}", [Column("m%"), Column("n", numeric=True)],
                  [[Cell("*x"), Cell("1")]])  # fmt: skip
    latex = latex_table(table, "x", ["first\nsecond"])
    assert latex.startswith("% Needs")
    assert "% first second\n" in latex
    assert latex.count("\\end{table}") == 1
    assert "{*}x & 1 \\\\" in latex
    assert "**a}" in markdown_file(table)
