"""Tables as files to paste: LaTeX and Markdown."""

from collections.abc import Sequence

from markupsafe import Markup

from ablation.report.model import Table
from ablation.report.text import latex_text, markdown_text


def latex_table(table: Table, label: str, remarks: Sequence[str] = ()) -> str:
    """Write a table as a LaTeX float in the style of ``booktabs``.

    Args:
        table: what it holds; its notes go below it.
        label: its label, of letters, digits and hyphens.
        remarks: texts for the comment above it.
    """
    kinds = "".join("r" if column.numeric else "l" for column in table.columns)
    comment = ["Needs \\usepackage{booktabs} in the preamble.", *remarks]
    lines = [
        *(f"% {' '.join(text.split())}" for text in comment),
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{latex_text(table.caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{@{{}}{kinds}@{{}}}}",
        r"\toprule",
        _latex_row([column.title for column in table.columns]),
        r"\midrule",
        *(_latex_row([cell.text for cell in row]) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\footnotesize {latex_text(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def markdown_table(table: Table) -> Markup:
    """Write the cells of a table as GitHub flavoured Markdown; marked rows are bold."""
    lines = [
        _markdown_row([markdown_text(column.title) for column in table.columns]),
        _markdown_row(["---:" if column.numeric else "---" for column in table.columns]),
    ]
    for place, row in enumerate(table.rows):
        texts = [str(markdown_text(cell.text)) for cell in row]
        if place in table.marked:
            texts[: table.headers] = [f"**{text}**" for text in texts[: table.headers]]
        lines.append(_markdown_row(texts))
    return Markup("\n".join(lines) + "\n")


def markdown_file(table: Table, remarks: Sequence[str] = ()) -> str:
    """Write a table with its caption, its notes and remarks as Markdown."""
    texts = [
        f"**{markdown_text(table.caption)}**",
        markdown_table(table).rstrip(),
        *(markdown_text(note) for note in (*table.notes, *remarks)),
    ]
    return "\n\n".join(texts) + "\n"


def _latex_row(texts: Sequence[str]) -> str:
    return " & ".join(latex_text(text) for text in texts) + r" \\"


def _markdown_row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
