"""Rendering: one context, one page and one Markdown file with its figures and tables."""

import re
import tempfile
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ablation.report.context import build_context
from ablation.report.export import markdown_table
from ablation.report.inputs import read_inputs
from ablation.report.model import Report
from ablation.report.text import fenced, html_text, markdown_text


def render(study: str, results: Path, reports: Path) -> None:
    """Render the report of a study.

    Writes ``{study}.html``, one file that loads nothing, and ``{study}.md`` with the folder
    ``{study}``: its figures, the rows behind them as CSV, and the ablation tables as LaTeX and
    Markdown. The same inputs give the same bytes. Each is made aside and then put in its place.

    Args:
        study: name of the report's files.
        results: folder with the study's ``analysis.json`` and its tables as CSV,
            ``models.json`` and ``gallery.npz``.
        reports: folder that the report goes into.

    Raises:
        InputError: an input is missing, cannot be read, or is of another format.
    """
    report = build_context(read_inputs(results))
    page, markdown = render_html(report), render_markdown(report, study)
    reports.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=reports) as name:
        aside = Path(name)
        files = aside / "files"
        files.mkdir()
        for file, content in report.files.items():
            (files / file).write_bytes(content)
        (aside / "page").write_text(page, encoding="utf-8", newline="\n")
        (aside / "markdown").write_text(markdown, encoding="utf-8", newline="\n")
        if (reports / study).exists():
            (reports / study).replace(aside / "replaced")
        files.replace(reports / study)
        (aside / "markdown").replace(reports / f"{study}.md")
        (aside / "page").replace(reports / f"{study}.html")


def render_html(report: Report) -> str:
    """Return the report as one page of HTML."""
    return _environment().get_template("report.html").render(report=report)


def render_markdown(report: Report, folder: str) -> str:
    """Return the report as GitHub flavoured Markdown.

    Args:
        report: what it says.
        folder: where its figures and tables lie, relative to the file.
    """
    # Everything that a template puts in is escaped for Markdown first; being Markup then, it is
    # left alone by the escaping for HTML.
    environment = _environment(finalize=markdown_text)
    environment.filters |= {"fenced": fenced, "cells": markdown_table, "raw": html_text}
    text = environment.get_template("report.md").render(report=report, folder=folder)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _environment(**options: Any) -> Environment:
    return Environment(
        loader=PackageLoader("ablation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
