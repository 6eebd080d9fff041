"""Conversion of the Markdown of a report to a self-contained HTML page."""

import base64
import re
from collections.abc import Mapping, Sequence

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

TYPES = {
    "svg": "image/svg+xml", "png": "image/png", "csv": "text/csv", "tex": "text/x-tex",
    "pdf": "application/pdf", "md": "text/markdown", "txt": "text/plain",
}  # fmt: skip

# HTML that templates may write; everything else is escaped
_ALLOWED = re.compile(
    r"""</?(?:details|summary|div|nav|span|sup|a|p|br)>
    |<(?:details|div|nav|p|span|sup)\ class="[a-z -]+">
    |<nav\ (?:class="[a-z -]+"\ )?aria-label="[A-Za-z ]+">
    |<details\ id="[A-Za-z0-9_.+-]+"(?:\ class="[a-z -]+")?>
    |<a\ id="[A-Za-z0-9_.+-]+">""",
    re.VERBOSE,
)

_ANCHOR = re.compile(r'<a id="([A-Za-z0-9_.+-]+)">')
_SIZE = re.compile(rb'<svg[^>]* width="([0-9.]+)pt"[^>]* height="([0-9.]+)pt"')
_SHORT, _SHORT_TITLE = 22, 12  # most characters of cells and column titles without line breaks


def to_html(markdown: str, files: Mapping[str, bytes]) -> str:
    """Return Markdown as HTML.

    A paragraph with only an image becomes a figure. Its caption is the following paragraph if that
    is in italics, optionally followed by links to files. Table cells have the title of their column
    as an attribute, so that narrow pages can show rows as cards. A paragraph with only an anchor
    becomes the id of the next block. Headings skip no level.

    Args:
        markdown: text in GitHub flavoured Markdown.
        files: content of linked files and images, by their path in the text.
    """
    return str(_parser().render(markdown, {"files": files}))


def plain_text(markdown: str) -> str:
    """Return a paragraph of Markdown as plain text."""
    tokens = _parser().parseInline(markdown)[0].children or []
    return "".join(token.content for token in tokens if token.type in ("text", "code_inline"))


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}, renderer_cls=_Renderer).enable("table")
    parser.core.ruler.push("anchors", lambda state: _move_anchors(state.tokens))
    parser.core.ruler.push("headings", lambda state: _order_headings(state.tokens))
    parser.core.ruler.push("figures", lambda state: _join_captions(state.tokens))
    parser.core.ruler.push("cells", lambda state: _name_cells(state.tokens))
    return parser


class _Renderer(RendererHTML):
    """Renders HTML with files as data URIs."""

    def image(self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[place]
        address = str(token.attrs["src"])
        token.attrs["src"] = _data_uri(address, env["files"])
        found = _SIZE.search(env["files"][address][:2000])
        if found:
            width, height = (round(float(points) * 4 / 3) for points in found.groups())
            token.attrs |= {"width": width, "height": height, "style": f"--width: {width}px"}
        image = RendererHTML.image(self, tokens, place, options, env)
        return f'<div class="scroll">{image}</div>' if len(tokens) == 1 else image

    def link_open(
        self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType
    ) -> str:
        token = tokens[place]
        address = str(token.attrs["href"])
        if address in env["files"]:
            token.attrs["href"] = _data_uri(address, env["files"])
            token.attrs["download"] = address.rpartition("/")[2]
        return self.renderToken(tokens, place, options, env)

    def table_open(
        self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType
    ) -> str:
        return '<div class="scroll">' + self.renderToken(tokens, place, options, env)

    def table_close(
        self, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType
    ) -> str:
        return self.renderToken(tokens, place, options, env) + "</div>"

    def text(self, tokens: Sequence[Token], place: int, _: OptionsDict, __: EnvType) -> str:
        """Render text, with a no-break space before a per cent sign."""
        return escapeHtml(tokens[place].content).replace(" %", "\N{NO-BREAK SPACE}%")

    def html_block(
        self, tokens: Sequence[Token], place: int, _options: OptionsDict, _env: EnvType
    ) -> str:
        return _allowed_only(tokens[place].content)

    def html_inline(
        self, tokens: Sequence[Token], place: int, _options: OptionsDict, _env: EnvType
    ) -> str:
        return _allowed_only(tokens[place].content)


def _allowed_only(html: str) -> str:
    """Escape all HTML tags that templates may not write."""
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


def _move_anchors(tokens: list[Token]) -> None:
    """Move the id of an anchor in a separate paragraph to the next block."""
    for place in range(len(tokens) - 4, 0, -1):
        children = tokens[place].children or []
        found = _ANCHOR.fullmatch(children[0].content) if children else None
        if found is None or [one.content for one in children[1:]] != ["</a>"]:
            continue
        after = tokens[place + 2]
        if after.type == "html_block" and re.match("<details(?! id)", after.content):
            after.content = after.content.replace("<details", f'<details id="{found[1]}"', 1)
        elif after.nesting == 1 and "id" not in after.attrs:
            after.attrs["id"] = found[1]
        else:
            continue
        del tokens[place - 1 : place + 2]


def _order_headings(tokens: list[Token]) -> None:
    """Raise headings that skip a level, for screen readers."""
    level = 0
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            level = min(int(token.tag[1]), level + 1)
            token.tag = tokens[place + 2].tag = f"h{level}"


def _join_captions(tokens: list[Token]) -> None:
    """Turn paragraphs with only an image into figures with captions."""
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
    """Return whether a paragraph is in italics, except for links to files at its end."""
    children = token.children or []
    kinds = [one.type for one in children]
    if "em_open" not in kinds[:3] or "em_close" not in kinds:
        return False
    end = len(kinds) - kinds[::-1].index("em_close")
    return not plain_of(token, children[end:])


def _name_cells(tokens: list[Token]) -> None:
    """Add column titles to table cells, and captions to tables."""
    titles: list[str] = []
    column, caption = 0, ""
    for place, token in enumerate(tokens):
        if token.type == "inline":
            content = plain_of(token)
            if tokens[place - 1].type == "th_open":
                titles.append(content)
                if len(content) <= _SHORT_TITLE:
                    tokens[place - 1].attrs["class"] = "short"
            elif tokens[place - 1].type == "td_open":
                tokens[place - 1].attrs["data-title"] = titles[column]
                if len(content) <= _SHORT:
                    tokens[place - 1].attrs["class"] = "short"
                column += 1
            elif tokens[place - 1].type == "paragraph_open":
                caption = content
        elif token.type == "table_open":
            titles = []
            token.attrs |= {"class": "data", "aria-label": caption or "Table"}
            if place > 2 and _is_caption(tokens[place - 2]):
                tokens[place - 3].attrs["class"] = "caption"
        elif token.type == "tr_open":
            column = 0


def plain_of(token: Token, children: Sequence[Token] | None = None) -> str:
    """Return the text of an inline token, or of some of its children, without links to files."""
    parts: list[str] = []
    of_file = False
    for one in token.children or [] if children is None else children:
        if one.type == "link_open":
            of_file = str(one.attrs["href"]).rpartition(".")[2] in TYPES
        elif one.type == "link_close":
            of_file = False
        elif one.type in ("text", "code_inline") and not of_file:
            parts.append(one.content)
    return "".join(parts).strip()
