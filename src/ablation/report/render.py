"""Rendering of a report as an HTML page, and as Markdown with figures and tables."""

import itertools
import math
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ablation.errors import visible
from ablation.report import figures, tables, text
from ablation.report.experiment import ComparisonGroup, ExperimentView, short
from ablation.report.inputs import Inputs, read_inputs
from ablation.report.narrative import narrative
from ablation.report.page import plain_text, to_html
from ablation.report.plots.style import Styles, save
from ablation.report.references import references
from ablation.report.values import Citations, Row, Tables, Value
from ablation.storage import atomically, exclusive_lock, sync_folder, writing
from ablation.study.metrics import METRICS, TOP, Metric

LISTED = 8  # most seeds in a list
TWO_DECIMALS = 0.001  # margin below which percentages have two decimals


def render(study: str, results: Path, reports: Path) -> None:
    """Render the report of a study.

    Writes ``{study}.html``, a self-contained page; ``{study}.md`` with the folder ``{study}``
    (figures, and tables as CSV and LaTeX); in ``results``, ``rubric.csv`` and ``findings.csv``, a
    row for each number in a sentence with its table, row and column. The same inputs give the same
    bytes.

    Args:
        study: name of the report's files.
        results: folder with the study's ``analysis.json``, its tables, ``models.json``,
            ``gallery.npz`` and ``mistakes.npz``.
        reports: folder of the report.

    Raises:
        InputError: an input is missing or cannot be read, a narrative cites a missing number, or a
            file cannot be written.
    """
    report = Report(study, read_inputs(results))
    markdown = report.markdown()
    lock = reports / f".lock-{study}"
    with exclusive_lock(lock, f"waiting for another process that writes {reports / study}.html"):
        try:
            _replace(reports, study, report.files, report.page(markdown), markdown)
        finally:
            lock.unlink(missing_ok=True)
    for name, frame in (("findings", report.citations.table()), ("rubric", report.rubric)):
        _write_table(frame, results / f"{name}.csv")


def _write_table(frame: pd.DataFrame, file: Path) -> None:
    content = frame.to_csv(index=False, lineterminator="\n")

    def write(temporary: Path) -> None:
        temporary.write_text(content, encoding="utf-8")

    atomically(file, write)


class Report:
    """A report.

    Args:
        study: name of its files.
        inputs: inputs of the report.

    Attributes:
        files: content of figures and tables by file name, filled by `markdown`.
        citations: sentences with their numbers, filled by `markdown`.
        rubric: a row for each criterion of the study's rubric, filled by `markdown`.
    """

    def __init__(self, study: str, inputs: Inputs) -> None:
        self.study, self.inputs = study, inputs
        self.analysis = inputs.analysis
        self.tables = Tables(inputs.tables)
        self.decimals = 1 if self.analysis["margin"] >= TWO_DECIMALS else 2
        self.citations = Citations(self.decimals)
        self.styles = Styles(self.analysis["experiments"])
        self.files: dict[str, bytes] = {}
        self.rubric = pd.DataFrame(
            columns=["criterion", "question", "status", "evidence", "remedy"]
        )
        self._numbers = {"Figure": 0, "Table": 0}
        self._exhibits: list[dict[str, Any]] = []
        self._names: set[str] = set()

    def markdown(self) -> str:
        """Return the report as GitHub flavoured Markdown, and fill its files."""
        rendered = self._environment.get_template("report.md.j2").render()
        return re.sub(r"\n[ \t]*\n\s*\n", "\n\n", rendered).strip() + "\n"

    def page(self, markdown: str) -> str:
        """Return the report as a self-contained HTML page."""
        files = {f"{self.study}/{name}": content for name, content in self.files.items()}
        template = self._environment.get_template("page.html.j2")
        return template.render(body=Markup(to_html(markdown, files)))

    @cached_property
    def experiments(self) -> list[ExperimentView]:
        """The experiments."""
        return [
            ExperimentView(block, self.tables.of(experiment=block["name"]))
            for block in self.analysis["experiments"]
        ]

    @cached_property
    def _environment(self) -> Environment:
        environment = Environment(
            loader=PackageLoader("ablation.report"),
            autoescape=True,  # macros return Markup, which is not escaped again
            finalize=_escaped,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.do"],
        )
        environment.filters |= {
            **self.citations.filters,
            "as_text": str,
            "html": text.html_text,
            "fenced": text.fenced,
            "lower_first": lambda words: _first(words, str.lower),
            "upper_first": lambda words: _first(words, str.upper),
            "shape": text.shape,
            "magnitude": text.magnitude,
            "duration": text.duration,
            "plain_number": lambda number: f"{number:g}",
            "thousands": lambda number: f"{number:,}",
            "visible": visible,
        }
        environment.tests["known"] = lambda value: not math.isnan(value)
        environment.globals |= {
            "add_analysis": self._add_analysis,
            "add_summary": self._add_summary,
            "analysis": self.analysis,
            "analysis_text": self._analysis_text,
            "anchor_of": self._anchor_of,
            "arm_of": self._arm_of,
            "arms_of": self._arms_of,
            "best_epoch": any(one["chosen_by"] for one in self.analysis["experiments"]),
            "cited": references(self.analysis),
            "data": self.analysis["data"],
            "decimals": self.decimals,
            "exhibits": self._exhibits,
            "figure": self._figure,
            "finding": self.citations.finding,
            "has_verdicts": any(experiment.has_verdicts for experiment in self.experiments),
            "initializers": _settings_of(self.analysis, "initializer"),
            "join": text.join,
            "METRICS": METRICS,
            "metric": lambda name: tables.BY_NAME[name],
            "momenta": _settings_of(self.analysis, "norm_momentum"),
            "named": self._named,
            "names": self._names_in,
            "narrative": self._narrative,
            "networks": self.inputs.networks,
            "rubric": self._add_criterion,
            "seeds": _seeds,
            "several_datasets": lambda row: self._experiment_of(row).several_datasets,
            "short": short,
            "shown_metrics": self._shown_metrics,
            "shown_names": {
                one.name
                for experiment in self.experiments
                for one in self._shown_metrics(experiment)
            },
            "experiments": self.experiments,
            "experiment_of": self._experiment_of,
            "study": self.study,
            "table": self._table,
            "tables": self.tables,
            "threshold": self._threshold,
            "to_table": tables,
            "tuned": any(one["overrides"] for one in self.analysis["experiments"]),
            "unit": lambda row: tables.BY_NAME[row.measure].unit,
        }
        return environment

    def _experiment_of(self, row: Row) -> ExperimentView:
        return next(
            experiment for experiment in self.experiments if experiment.name == row.experiment
        )

    def _named(self, row: Row, side: str) -> str:
        """Return the name of a side of a comparison in a sentence."""
        return _in_words(short(row, side), self._unaugmented)

    def _arm_of(self, experiment: ExperimentView, row: Row, side: str = "") -> str:
        """Return the short name of a cell in a sentence, with its data set if there are several."""
        name = _in_words(experiment.arm(row, side), self._unaugmented)
        return f"{name} on {row['dataset']}" if experiment.several_datasets and not side else name

    def _arms_of(self, experiment: ExperimentView, rows: Sequence[Row]) -> list[str]:
        """Return the distinct short names of the cells of rows in a sentence."""
        return list(dict.fromkeys(self._arm_of(experiment, row) for row in rows))

    def _names_in(self, group: ComparisonGroup, verdict: str) -> list[str]:
        """Return the names of a group's comparisons with a verdict, in a sentence."""
        return [_in_words(name, self._unaugmented) for name in group.names(verdict)]

    @cached_property
    def _unaugmented(self) -> set[str]:
        """Labels of augmentations without steps in all experiments."""
        every = [one for block in self.analysis["experiments"] for one in block["augmentations"]]
        return {one["label"] for one in every} - {one["label"] for one in every if one["steps"]}

    def _shown_metrics(self, experiment: ExperimentView) -> list[Metric]:
        """Return the metrics that are informative for an experiment."""
        classes = max(
            one["classes"]
            for one in self.analysis["data"]
            if one["dataset"] in experiment.block["datasets"]
        )
        holds = {
            "always": True,
            "appendix": True,
            "more than 5 classes": classes > TOP,
            "unequal classes": experiment.check("unequal_classes") is not None,
            "10 epochs": max(experiment.block["epochs"]) >= 10,
        }
        return [metric for metric in METRICS if holds[metric.shown]]

    def _threshold(self, name: str) -> Value:
        return self.tables.value("thresholds", "value", threshold=name)

    def _narrative(self, experiment: ExperimentView) -> Markup:
        file = experiment.block["narrative"]
        if not file:
            return Markup()
        return narrative(Path(file), experiment.tables, self.citations.filters)

    def _figure(
        self, kind: str, experiment: ExperimentView | None, dataset: str, caller: Callable[[], str]
    ) -> Markup:
        """Return a figure with its caption; empty without data."""
        title, draw = figures.FIGURES[kind]
        drawn = draw(self.inputs, self.styles, experiment or self.experiments[0], dataset)
        if drawn is None:
            return Markup()
        name = self._unused(_file_name(kind, experiment.name if experiment else "", dataset))
        files = {f"{name}.{suffix}": save(drawn, suffix) for suffix in ("pdf", "svg")}
        self.files |= files
        caption = self._caption("Figure", f"figure-{name}", [f"{name}.pdf"], caller)
        alt = ": ".join([title, *([text.markdown_text(experiment.name)] if experiment else [])])
        return Markup(
            f'\n\n<a id="figure-{name}"></a>\n\n![{alt}]({self.study}/{name}.svg)\n\n'
            f"*{caption}*\n\n"
        )

    def _table(self, name: str, frame: pd.DataFrame, caller: Callable[[], str]) -> Markup:
        """Return a table with its caption; empty without rows."""
        if frame.empty:
            return Markup()
        name = self._unused(name)
        files = [f"{name}.tex", f"{name}.csv"]
        caption = self._caption("Table", f"table-{name}", files, caller)
        plain = frame.map(lambda cell: str(cell).replace(tables.BOLD, ""))
        plain.columns = [str(column) for column in frame]
        self.files[f"{name}.csv"] = plain.to_csv(index=False, lineterminator="\n").encode()
        latex = tables.latex_table(frame, plain_text(caption.partition(". ")[2]), name)
        self.files[f"{name}.tex"] = latex.encode()
        return Markup(
            f'\n\n<a id="table-{name}"></a>\n\n*{caption}*\n\n{tables.markdown_table(frame)}\n\n'
        )

    def _caption(self, kind: str, anchor: str, files: list[str], caller: Callable[[], str]) -> str:
        self._numbers[kind] += 1
        title = f"{kind} {self._numbers[kind]}"
        words = " ".join(caller().split())
        self._exhibits.append({"title": title, "anchor": anchor, "files": files})
        return f"{title}. {words}"

    def _anchor_of(self, kind: str, row: Row) -> str:
        """Return the anchor of the figure or table that shows a row; empty without one."""
        name = _file_name(kind, row.experiment, row.dataset)
        anchors = [one["anchor"] for one in self._exhibits]
        return next((a for a in anchors if a in (f"figure-{name}", f"table-{name}")), "")

    def _analysis_text(self) -> str:
        """Return the text of the analysis as LaTeX, a paragraph for each experiment."""
        texts: dict[str, dict[str, None]] = {}
        for row in self.citations.findings:
            if row["part"] in ("answer", "finding", "interpretation", "caveat"):
                texts.setdefault(row["scope"], {})[row["text"]] = None
        return "\n\n".join(
            f"\\paragraph{{{text.latex_text(experiment.block['question'])}}}\n"
            + " ".join(map(text.latex_text, texts.get(experiment.name, {})))
            for experiment in self.experiments
        )

    def _add_analysis(self) -> str:
        self.files["analysis.tex"] = f"{self._analysis_text()}\n".encode()
        return "analysis.tex"

    def _unused(self, wanted: str) -> str:
        """Return a unique name for files and anchors."""
        name, number = text.slug(wanted), 1
        while name in self._names:
            number += 1
            name = f"{text.slug(wanted)}-{number}"
        self._names.add(name)
        return name

    def _add_summary(self, network: Mapping[str, Any]) -> str:
        name = self._unused(f"summary-{network['model']}") + ".txt"
        self.files[name] = network["summary"].encode()
        return name

    def _add_criterion(self, **row: str) -> Markup:
        self.rubric.loc[len(self.rubric)] = {key: plain_text(value) for key, value in row.items()}
        return Markup()


def _escaped(value: Any) -> Markup:
    if isinstance(value, Value):
        raise TypeError(f"{value.table}.{value.column} needs a format, such as `| percent`")
    if isinstance(value, float | int) and not isinstance(value, bool):
        raise TypeError(f"{value} needs a format and a source table")
    return text.markdown_text(value)


def _file_name(kind: str, experiment: str, dataset: str) -> str:
    return text.slug("-".join(filter(None, (kind, experiment, dataset))))


def _in_words(name: str, unaugmented: Collection[str]) -> str:
    return "no augmentation" if name == "none" and name in unaugmented else name


def _settings_of(analysis: Mapping[str, Any], setting: str) -> list[str]:
    """Return the distinct values of a setting of the study's networks."""
    values = [
        text.setting(architecture[setting])
        for experiment in analysis["experiments"]
        for architecture in experiment["architectures"].values()
        if architecture.get(setting) is not None
    ]
    return list(dict.fromkeys(values))


def _seeds(experiment: ExperimentView, needed: Value, *, new: bool = False) -> Markup:
    """Return a list of seeds: those of an experiment and further ones, or only new ones."""
    known = [] if new else list(experiment.block["seeds"])
    further = itertools.count(max(experiment.block["seeds"]) + 1)
    seeds = [*map(str, (*known, *itertools.islice(further, max(0, int(needed) - len(known)))))]
    if len(seeds) > LISTED:
        return Markup(f"the numbers from {seeds[0]} to {seeds[-1]}")
    return Markup(f"`[{', '.join(seeds)}]`")


def _first(words: str, change: Callable[[str], str]) -> str:
    words = type(words)(words.strip()) if isinstance(words, Markup) else words.strip()
    return type(words)(change(words[:1]) + words[1:])


def _replace(
    reports: Path, study: str, files: Mapping[str, bytes], page: str, markdown: str
) -> None:
    """Replace the files of a report; the caller holds the lock."""
    folder, staging = reports / study, reports / f".part-{study}"
    replaced = staging / "replaced"
    with writing(folder):
        if replaced.exists() and not folder.exists():
            replaced.replace(folder)  # a process was killed between two renames
        if staging.exists():
            shutil.rmtree(staging)
        (staging / "files").mkdir(parents=True)
    try:
        for name, content in files.items():
            _write(staging / "files" / name, content, folder / name)
        sync_folder(staging / "files")
        for suffix, text in (("md", markdown), ("html", page)):
            place = reports / f"{study}.{suffix}"
            _write(staging / f"report.{suffix}", text.encode(), place)
        with writing(folder):
            if folder.exists():
                folder.replace(replaced)
            try:
                (staging / "files").replace(folder)
            except OSError:
                if replaced.exists():
                    replaced.replace(folder)
                raise
        for suffix in ("md", "html"):
            place = reports / f"{study}.{suffix}"
            with writing(place):
                (staging / f"report.{suffix}").replace(place)
        sync_folder(reports)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(staging: Path, content: bytes, place: Path) -> None:
    """Write a staged file and flush it to disk; an error names its final place."""
    with writing(place), staging.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
