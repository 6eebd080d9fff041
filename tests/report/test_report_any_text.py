"""Any text at any place of a report comes out as text: in HTML, in Markdown and in LaTeX.

A report with the text everywhere is compared with one that says WORD instead: the parsed pages
must have the same elements, and the text wherever the other has WORD.
"""

import html
import os
import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ablation.errors import visible
from ablation.report import export, model
from ablation.report.render import render_html, render_markdown
from ablation.report.text import html_text, latex_text, markdown_text, slug

WORD = "WORD"
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
SYNTAX = [
    "<script>alert(1)</script>", "<!--", "-->", "</title>", "</style>", "</pre>", "</details>",
    "<a id=x>", "<br/>", "&amp;", "&#60;", "&lt", "&", "\"'", "' onload='x", "]]>", "<![CDATA[",
    "<?", "*", "**", "_", "__", "`", "```", "~~~", "~~", "# ", "#", "- ", "+ ", "1. ", "1) ",
    "> ", "---", "===", "| a |", "|---|", ":-:", "[x](y)", "![x](y)", "[x]: y", "[ ] ", "[^1]",
    "<http://x.y>", "http://x.y/z", "www.x.y", "a@b.cd", "\\", "\\\\", "\\*", "\n", "\n\n",
    "    ", "\t", "$x$", "$$", "\\(x\\)", "\\input{/etc/passwd}", "\\end{tabular}", "{", "}",
    "{{x}}", "{% x %}", "{# x", "%", "^^M", "^", "~", "--", "---", "''", "``", ",,", "?`", "!`",
    "<<", ">>", "\\\\[1cm]", "[1cm]", "*[", "–", "−", "×", "±", "·", "†", "\u00a0", "\u2028",
    "\u200d", "\u202e", "é", "日本語", "عربى", "e\u0301", "🧪", "\ufeff", "=cmd|' /C calc'!A0",
    "javascript:alert(1)", ":tada:", "@everyone",
]  # fmt: skip
characters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
foreign_texts = (
    st.lists(st.sampled_from(SYNTAX) | st.text(characters, max_size=6), min_size=1, max_size=8)
    .map("".join)
    .filter(lambda text: text.strip())  # the study's form refuses others
)


def trying(examples):
    return settings(
        max_examples=examples * (20 if THOROUGH else 1),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def report_of(text):
    """A report with every kind of block, and the text wherever a study's words may stand."""
    cells = [model.Cell(text), model.Cell(text), model.Cell("1", 1.0)]
    columns = [model.Column(text), model.Column(text, code=True), model.Column("n", numeric=True)]
    links = [model.Link("Table 1", "anchor")]

    def table(number, **more):
        return model.Table(
            "table", number, f"of {text}", columns, [cells, cells], marked=frozenset({1}),
            notes=[text], downloads=[model.Download("t.csv", "CSV", b"")], **more,
        )  # fmt: skip

    drawing = model.Drawing(
        "drawing", "Figure 1", text, model.Picture(b"", "png", text), code=text, notes=[text],
        tiles=[model.Picture(b"", "png", text, text)], data=table(""),
    )  # fmt: skip
    roles = ["plain", "note", "question", "answer", "warning", "badge"]
    blocks = [
        *(model.Paragraph(text, role, links) for role in roles),
        model.Items([model.Linked(text, links), model.Linked(text)]),
        model.Facts([(text, text), ("name", text)]),
        table("Table 1"),
        drawing,
        model.Fold(text, [model.Paragraph(text)]),
        model.Section("inner", text, [model.Paragraph(text)], level=3, short=text),
    ]
    return model.Report(
        "study", text, [text, text], text, [model.Section("a", text, blocks, 2, text)]
    )


class Events(HTMLParser):
    """What a browser's parser sees: elements with their attributes, and text."""

    def __init__(self, page):
        super().__init__()
        self.seen = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.seen.append(("start", tag, tuple(attributes)))

    def handle_endtag(self, tag):
        self.seen.append(("end", tag))

    def handle_data(self, data):
        if self.seen and self.seen[-1][0] == "text":
            data = self.seen.pop()[1] + data
        self.seen.append(("text", data))

    def handle_comment(self, data):
        self.seen.append(("comment", data))

    def handle_decl(self, data):
        self.seen.append(("declaration", data))

    def unknown_decl(self, data):
        self.seen.append(("unknown", data))

    def handle_pi(self, data):
        self.seen.append(("instruction", data))


def put_in(seen, text):
    """What was seen of WORD, with another text in its place."""
    if isinstance(seen, str):
        return seen.replace(WORD, text)
    if isinstance(seen, tuple | list):
        return type(seen)(put_in(one, text) for one in seen)
    return seen


PAGE = Events(render_html(report_of(WORD))).seen


@trying(15)
@given(foreign_texts)
@example("</title><script>alert('x')</script>")
@example("' onmouseover='x' \" onmouseover=\"x\"")
def test_html_holds_any_text(text):
    assert Events(render_html(report_of(text))).seen == put_in(PAGE, text)


def one_line(text):
    return re.sub(r"\s+", " ", text, flags=re.ASCII).strip()


def tokens(markdown):
    """The elements of a parsed Markdown file, and its text."""
    seen = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(markdown):
        if token.type == "inline":
            inline = []
            for child in token.children:
                if child.type in ("text", "text_special"):
                    if inline and inline[-1][0] == "text":
                        inline[-1] = ("text", inline[-1][1] + child.content)
                    else:
                        inline.append(("text", child.content))
                elif child.type == "image":
                    alt = "".join(one.content for one in child.children)
                    assert {one.type for one in child.children} <= {"text", "text_special"}
                    inline.append(("image", child.attrs["src"], alt))
                else:
                    inline.append((child.type, child.tag, html.unescape(child.content)))
            seen.append([one for one in inline if one != ("text", "")])
        else:
            seen.append((token.type, token.tag, html.unescape(token.content), token.level))
    return seen


MARKDOWN = tokens(render_markdown(report_of(WORD), "files"))


@trying(20)
@given(foreign_texts)
@example("1. a")
@example("- [ ] a")
@example("a\n===")
def test_markdown_holds_any_text(text):
    markdown = render_markdown(report_of(text), "files")
    assert tokens(markdown) == put_in(MARKDOWN, one_line(text))


@trying(100)
@given(foreign_texts)
@example("http://x.y www.x.y HTTPS://X.Y")
def test_markdown_links_to_no_address_in_a_text(text):
    # GitHub makes links of these where they stand as they are.
    assert not re.search(r"(?:https?|ftp)://|www\.", str(markdown_text(text)), re.I)


@trying(100)
@given(foreign_texts)
def test_html_within_markdown_holds_any_text(text):
    assert Events(f"<i>{html_text(text)}</i>").seen == [
        ("start", "i", ()), ("text", one_line(text)), ("end", "i"),
    ]  # fmt: skip


# LaTeX --------------------------------------------------------------------------------------

COMMANDS = {
    r"\textbackslash{}": "\\", r"\textasciicircum{}": "^", r"\textasciitilde{}": "~",
    r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", r"\char34{}": '"',
    r"\textasciigrave{}": "`", r"\dag{}": "†", "$-$": "−", r"$\pm$": "±", r"$\cdot$": "·",
    r"$\times$": "×", "{[}": "[", "{]}": "]", "{*}": "*", "{}": "", "~": "\u00a0", "--": "–",
    r"\{": "{", r"\}": "}", r"\$": "$", r"\&": "&", r"\#": "#", r"\%": "%", r"\_": "_",
}  # fmt: skip
LATEX = re.compile("|".join(map(re.escape, sorted(COMMANDS, key=len, reverse=True))) + "|.", re.S)
LIGATURES = ("---", "''", "``", ",,", "<<", ">>", "?`", "!`")


def printed(latex):
    """What LaTeX prints; it must meet no character that it would act on."""
    text = ""
    for piece in LATEX.findall(latex):
        assert piece in COMMANDS or piece not in set('\\{}$&#%_^~\n[]*"`|<>'), piece
        text += COMMANDS.get(piece, piece)
    return text


@trying(200)
@given(foreign_texts)
@example("a–-b-–c--–")
@example("'''' ,,,, ---- ````")
def test_latex_holds_any_text(text):
    latex = latex_text(text)
    assert printed(latex) == one_line(text)
    assert not any(pair in latex for pair in LIGATURES)


def table_of(text):
    columns = [model.Column(text), model.Column(text, numeric=True)]
    rows = [[model.Cell(text), model.Cell(text)]] * 2
    return model.Table("t", "Table 1", text, columns, rows, marked=frozenset({0}), notes=[text])


@trying(40)
@given(foreign_texts)
def test_a_table_as_a_file_holds_any_text(text):
    table = table_of(text)
    latex = export.latex_table(table, "t", [text])
    body = latex.split("\\toprule\n")[1].split("\\bottomrule")[0].replace("\\midrule\n", "")
    lines = body.rstrip("\n").split("\n")
    assert len(lines) == 3
    for line in lines:
        cells = re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))
        assert [printed(cell) for cell in cells] == [one_line(text)] * 2
    comments = latex.split("\\begin{table}")[0].rstrip("\n").split("\n")
    assert len(comments) == 2 and all(line.startswith("% ") for line in comments)

    seen = tokens(export.markdown_file(table, [text]))
    assert seen == put_in(tokens(export.markdown_file(table_of(WORD), [WORD])), one_line(text))


# Names ---------------------------------------------------------------------------------------


@trying(100)
@given(st.text())
def test_what_cannot_be_seen_is_written_out(text):
    assert visible(text).isprintable()
    visible(text).encode()  # also halves of characters and bytes that are no text


@pytest.mark.parametrize("length", [1, 80])
def test_a_file_of_the_longest_names_can_be_written(length, tmp_path):
    numbering = model.Numbering()
    words = ["grid", "e" * length, "d" * length, f"{'a' * length} × {'b' * length}"]
    anchors = [numbering.anchor(*words) for _ in range(3)]
    assert len(set(anchors)) == 3
    for anchor in anchors:
        (tmp_path / f"{anchor}--data-means.csv").write_text("")


@trying(100)
@given(st.text())
def test_a_slug_is_a_name_of_a_file(text):
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", slug(text))
