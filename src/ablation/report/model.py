"""What a report is made of: a tree of sections whose leaves are texts, tables and figures.

Page and Markdown are two ways to write the same tree, so neither says what the other does not.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup

from ablation.report.text import slug

# What a `data:` address of text may hold as it is, beside letters, digits and `_.-~`.
_PLAIN = " !$'()*+,/:;=?@[]^`{|}"


@dataclass(frozen=True)
class Download:
    """A file that the page carries and that stands beside the Markdown.

    Attributes:
        file: its name.
        title: what the link to it says.
        content: its bytes.
        kind: its media type.
    """

    file: str
    title: str
    content: bytes
    kind: str = "text/csv"

    @classmethod
    def of_rows(cls, name: str, rows: pd.DataFrame, title: str = "Data as CSV") -> "Download":
        """Offer the rows of a table as CSV under a name without ending."""
        return cls(f"{name}.csv", title, rows.to_csv(index=False, lineterminator="\n").encode())

    @property
    def uri(self) -> str:
        """The file as a ``data:`` address."""
        return f"data:{self.kind};base64,{base64.b64encode(self.content).decode()}"


@dataclass(frozen=True)
class Link:
    """A link to an anchor of the report."""

    title: str
    anchor: str


@dataclass(frozen=True)
class Linked:
    """A text, and where in the report its numbers stand."""

    text: str
    links: Sequence[Link] = ()


@dataclass(frozen=True)
class Paragraph:
    """A text; its role is one of plain, note, question, answer, warning and badge."""

    block: ClassVar[str] = "paragraph"
    text: str
    role: str = "plain"
    links: Sequence[Link] = ()


@dataclass(frozen=True)
class Items:
    """A list of texts."""

    block: ClassVar[str] = "items"
    items: Sequence[Linked]


@dataclass(frozen=True)
class Code:
    """A text whose lines and spaces stay as they are; ``label`` names it."""

    block: ClassVar[str] = "code"
    text: str
    label: str


@dataclass(frozen=True)
class Facts:
    """Names with their values, set close."""

    block: ClassVar[str] = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers are set to the right, code in its own face, prose wide."""

    title: str
    numeric: bool = False
    code: bool = False
    prose: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says.
        value: the number behind it, by which the column is sorted; None if it has none.
    """

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        id: its anchor.
        number: its name in the text, such as ``Table 3``; empty in folds.
        caption: what it shows.
        columns: its columns.
        rows: its cells.
        headers: how many leading cells of a row name the row.
        marked: numbers of the rows that stand out.
        notes: what has to be known to read it.
        downloads: its files.
    """

    block: ClassVar[str] = "table"
    id: str
    number: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    headers: int = 1
    marked: frozenset[int] = frozenset()
    notes: Sequence[str] = ()
    downloads: Sequence[Download] = ()

    @property
    def sortable(self) -> bool:
        """Whether a reader may want another order: not of names with their values."""
        return len(self.columns) > 2 and len(self.rows) > 1

    @property
    def title(self) -> str:
        """Number and caption."""
        return f"{self.number}. {self.caption}" if self.number else self.caption


WIDE = 450  # points


@dataclass(frozen=True)
class Picture:
    """An image as bytes; ``alt`` tells in words what it shows."""

    content: bytes
    kind: str
    alt: str
    caption: str = ""

    @property
    def uri(self) -> str:
        """The image as a ``data:`` address."""
        if self.kind == "svg":
            # With its quotes single and its lines joined, nearly every character stands for
            # itself, which base64 would make a third longer. Attributes hold no bare `'`, since
            # XML writers escape it; what would end the page's own attribute is quoted.
            drawn = " ".join(self.content.decode().replace('"', "'").split())
            return Markup(f"data:image/svg+xml,{quote(drawn, safe=_PLAIN)}")
        return f"data:image/{self.kind};base64,{base64.b64encode(self.content).decode()}"

    @property
    def wide(self) -> bool:
        """Whether it is a drawing too wide to be read on a small screen without scrolling."""
        found = re.search(rb'<svg[^>]* width="([\d.]+)pt"', self.content[:2000])
        return found is not None and float(found[1]) > WIDE


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes:
        id: its anchor and the name of its file.
        number: its name in the text, such as ``Figure 3``.
        caption: what it shows.
        picture: the image, whole, as the Markdown shows it.
        tiles: the images one by one with their captions, where the page shows them so.
        code: the pipeline behind it.
        notes: what has to be known to read it.
        downloads: files with the rows behind it.
        data: the rows behind it, or what they come to, where that is short.
    """

    block: ClassVar[str] = "drawing"
    id: str
    number: str
    caption: str
    picture: Picture
    tiles: Sequence[Picture] = ()
    code: str = ""
    notes: Sequence[str] = ()
    downloads: Sequence[Download] = ()
    data: Table | None = None

    @property
    def title(self) -> str:
        """Number and caption."""
        return f"{self.number}. {self.caption}"

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.id}.{self.picture.kind}"


@dataclass(frozen=True)
class Fold:
    """Blocks that are shown on demand, and in print."""

    block: ClassVar[str] = "fold"
    title: str
    blocks: "Sequence[Block]"


@dataclass(frozen=True)
class Section:
    """A part of the report under a heading.

    Attributes:
        id: its anchor.
        title: its heading.
        blocks: what stands in it.
        level: of its heading: 2 for the parts of the report, 3 and 4 within them.
        short: its name in the navigation; without one it has no place there.
    """

    block: ClassVar[str] = "section"
    id: str
    title: str
    blocks: "Sequence[Block]"
    level: int = 2
    short: str = ""

    @property
    def parts(self) -> "list[Section]":
        """Sections in it that the navigation names."""
        return [block for block in self.blocks if isinstance(block, Section) and block.short]


Block = Paragraph | Items | Code | Facts | Table | Drawing | Fold | Section


@dataclass(frozen=True)
class Report:
    """Everything that a report says, in its order.

    Attributes:
        study: name of the study.
        title: of the study.
        description: paragraphs.
        partial: what is missing, if something is.
        sections: the parts.
    """

    study: str
    title: str
    description: Sequence[str]
    partial: str
    sections: Sequence[Section]

    @property
    def files(self) -> dict[str, bytes]:
        """Content of every file that stands beside the Markdown, by name."""
        found = {}
        for block in _walk(self.sections):
            if isinstance(block, Drawing):
                found[block.file] = block.picture.content
            if isinstance(block, Drawing | Table):
                found |= {one.file: one.content for one in block.downloads}
        return found


def _walk(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Section | Fold):
            yield from _walk(block.blocks)
        if isinstance(block, Drawing) and block.data:
            yield block.data


LONGEST = 200
"""Characters of an anchor: with its endings it is the name of a file, of 255 bytes at most."""


@dataclass
class Numbering:
    """Gives anchors that are unique, and numbers to figures and tables in their order."""

    taken: set[str] = field(default_factory=set)
    figures: int = 0
    tables: int = 0

    def anchor(self, *words: str) -> str:
        """Return an anchor made from words that no other has."""
        wanted = "-".join(map(slug, words))[:LONGEST]
        anchor, again = wanted, 1
        while anchor in self.taken:
            again += 1
            anchor = f"{wanted}-{again}"
        self.taken.add(anchor)
        return anchor

    def figure(self) -> str:
        """Return the name of the next figure."""
        self.figures += 1
        return f"Figure {self.figures}"

    def table(self) -> str:
        """Return the name of the next table."""
        self.tables += 1
        return f"Table {self.tables}"
