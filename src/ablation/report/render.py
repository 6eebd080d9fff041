"""Rendering: one context, one page and one Markdown file with its figures and tables."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ablation.report.context import build_context
from ablation.report.export import markdown_table
from ablation.report.inputs import read_inputs
from ablation.report.model import Report
from ablation.report.text import fenced, html_text, markdown_text
from ablation.storage import alone, sync_folder, writing


def render(study: str, results: Path, reports: Path) -> None:
    """Render the report of a study.

    Writes ``{study}.html``, one file that loads nothing, and ``{study}.md`` with the folder
    ``{study}``: its figures, the rows behind them as CSV, and the ablation tables as LaTeX and
    Markdown. The same inputs give the same bytes. Each is made aside, brought to the disk and then
    put in its place, so that the report before stays whole if that fails.

    Args:
        study: name of the report's files.
        results: folder with the study's ``analysis.json`` and its tables as CSV,
            ``models.json`` and ``gallery.npz``.
        reports: folder that the report goes into.

    Raises:
        InputError: an input is missing, cannot be read, is of another format or has changed; or a
            file cannot be written.
    """
    report = build_context(read_inputs(results))
    page, markdown = render_html(report), render_markdown(report, study)
    lock = reports / f".lock-{study}"
    with alone(lock, f"waiting for another process that writes {reports / study}.html"):
        try:
            _replace(reports, study, report.files, page, markdown)
        finally:
            lock.unlink(missing_ok=True)


def _replace(
    reports: Path, study: str, files: Mapping[str, bytes], page: str, markdown: str
) -> None:
    """Put a report in the place of the one before; nobody else is at it."""
    folder, aside = reports / study, reports / f".part-{study}"
    replaced = aside / "replaced"
    with writing(folder):
        if replaced.exists() and not folder.exists():
            replaced.replace(folder)  # a process was killed between two renames
        if aside.exists():
            shutil.rmtree(aside)  # or earlier
        (aside / "files").mkdir(parents=True)
    try:
        for name, content in files.items():
            _write(aside / "files" / name, content, folder / name)
        sync_folder(aside / "files")
        for suffix, text in (("md", markdown), ("html", page)):
            place = reports / f"{study}.{suffix}"
            _write(aside / f"report.{suffix}", text.encode(), place)
        with writing(folder):
            if folder.exists():
                folder.replace(replaced)
            try:
                (aside / "files").replace(folder)
            except OSError:
                if replaced.exists():
                    replaced.replace(folder)
                raise
        for suffix in ("md", "html"):
            place = reports / f"{study}.{suffix}"
            with writing(place):
                (aside / f"report.{suffix}").replace(place)
        sync_folder(reports)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(aside: Path, content: bytes, place: Path) -> None:
    """Write a file aside and bring it to the disk; a fault is told of its place."""
    with writing(place), aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


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
