"""From the Markdown of a report to one page of HTML that loads nothing."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import escape

TYPES = {
    "svg": "image/svg+xml", "png": "image/png", "csv": "text/csv", "tex": "text/x-tex",
    "pdf": "application/pdf", "md": "text/markdown",
}  # fmt: skip

# The HTML that templates may write. Everything else comes out as text.
_ALLOWED = re.compile(
    r"""</?(?:details|summary|div|span|sup|a|p|br)>
    |<(?:details|div|p|span|sup)\ class="[a-z -]+">
    |<a\ id="[A-Za-z0-9_.+-]+">""",
    re.VERBOSE,
)


def to_html(markdown: str, files: Mapping[str, bytes]) -> str:
    """Return Markdown as HTML.

    An image alone in its paragraph becomes a figure whose caption is the paragraph in italics that
    follows. Cells of tables name their column, so that a narrow page can show a row as a card.

    Args:
        markdown: text in GitHub flavoured Markdown.
        files: content of the files that images and links lead to, by the path in the text.
    """
    return str(_parser().render(markdown, {"files": files}))


def plain_text(markdown: str) -> str:
    """Return a paragraph of Markdown as plain text."""
    tokens = _parser().parseInline(markdown)[0].children or []
    return "".join(token.content for token in tokens if token.type in ("text", "code_inline"))


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}, renderer_cls=_Renderer).enable("table")
    parser.core.ruler.push("figures", lambda state: _join_captions(state.tokens))
    parser.core.ruler.push("cells", lambda state: _name_cells(state.tokens))
    return parser


class _Renderer(RendererHTML):
    """Writes HTML with files as data URIs."""

    def image(self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[place]
        address = str(token.attrs["src"])
        token.attrs["src"] = _data_uri(address, env["files"])
        return RendererHTML.image(self, tokens, place, options, env)

    def link_open(
        self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType
    ) -> str:
        token = tokens[place]
        address = str(token.attrs["href"])
        if address in env["files"]:
            token.attrs["href"] = _data_uri(address, env["files"])
            token.attrs["download"] = address.rpartition("/")[2]
        return self.renderToken(tokens, place, options, env)

    def html_block(
        self, tokens: Sequence[Token], place: int, _options: OptionsDict, _env: EnvType
    ) -> str:
        return _allowed_only(tokens[place].content)

    def html_inline(
        self, tokens: Sequence[Token], place: int, _options: OptionsDict, _env: EnvType
    ) -> str:
        return _allowed_only(tokens[place].content)


def _allowed_only(html: str) -> str:
    """Return HTML in which every tag that templates do not use is text."""
    parts, end = [], 0
    for found in _ALLOWED.finditer(html):
        parts += [_as_text(html[end : found.start()]), found[0]]
        end = found.end()
    return "".join([*parts, _as_text(html[end:])])


def _as_text(html: str) -> str:
    return html.replace("<", "&lt;").replace(">", "&gt;")


def _data_uri(address: str, files: Mapping[str, bytes]) -> str:
    kind = TYPES[address.rpartition(".")[2]]
    return f"data:{kind};base64,{base64.b64encode(files[address]).decode()}"


def _join_captions(tokens: list[Token]) -> None:
    """Make figures of paragraphs that hold an image alone, with the caption that follows."""
    for place, token in enumerate(tokens):
        if token.type != "inline" or [one.type for one in token.children or []] != ["image"]:
            continue
        tokens[place - 1].tag = tokens[place + 1].tag = "figure"
        after = tokens[place + 2 : place + 5]
        kinds = [one.type for one in after]
        if kinds[:2] == ["paragraph_open", "inline"] and _is_caption(after[1]):
            after[0].tag = after[2].tag = "figcaption"
            tokens[place + 1 : place + 5] = [*after, tokens[place + 1]]


def _is_caption(token: Token) -> bool:
    kinds = [one.type for one in token.children or []]
    return bool(kinds) and "em_open" in kinds[:3] and kinds[-1] == "em_close"


def _name_cells(tokens: list[Token]) -> None:
    """Give each cell of a table the title of its column, and each table its caption."""
    titles: list[str] = []
    column, caption = 0, ""
    for place, token in enumerate(tokens):
        if token.type == "inline":
            content = plain_of(token)
            if tokens[place - 1].type == "th_open":
                titles.append(content)
            elif tokens[place - 1].type == "td_open":
                tokens[place - 1].attrs["data-title"] = titles[column]
                column += 1
            elif tokens[place - 1].type == "paragraph_open":
                caption = content
        elif token.type == "table_open":
            titles = []
            token.attrs |= {"class": "data", "aria-label": caption or "Table"}
        elif token.type == "tr_open":
            column = 0


def plain_of(token: Token) -> str:
    """Return the text of an inline token."""
    parts: list[Any] = [
        one.content for one in token.children or [] if one.type in ("text", "code_inline")
    ]
    return "".join(parts)


def attribute(text: str) -> str:
    """Return text for the value of an attribute."""
    return str(escape(text))
