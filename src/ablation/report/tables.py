"""Tables of the report: data frames of text, and their Markdown and LaTeX."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ablation.errors import visible
from ablation.report import text
from ablation.report.experiment import MARKS, ExperimentView, short
from ablation.report.values import Row, Tables
from ablation.study.metrics import METRICS, TEST_ACCURACY, VAL_ACCURACY, Metric

BOLD = "\ue002"  # private-use character around bold text
ACROSS = 6  # most arms in a table of metrics
ALWAYS = ("Test accuracy", "Reference", "Difference", "p", "Verdict")  # shown even if constant
SIDES = ("arm", "reference")
BY_NAME = {metric.name: metric for metric in METRICS}
BY_NAME[VAL_ACCURACY] = replace(  # of comparisons at an epoch
    BY_NAME["val_accuracy_last"], name=VAL_ACCURACY, title="Validation accuracy"
)


def amount(value: float, unit: str, decimals: int) -> str:
    """Format a metric: shares in percent, differences in percentage points."""
    if unit == "share":
        return text.percent(value, decimals)
    if unit == "difference":
        return text.points(value, decimals)
    return text.number(value, decimals)


def change(row: Row, value: float, decimals: int) -> str:
    """Format a difference of a comparison's metric, with its sign."""
    if BY_NAME[row.measure].unit in ("share", "difference"):
        return text.points(value, decimals)
    return text.signed(value, 3)


def seeds_or_spread(values: Sequence[float], unit: str, decimals: int) -> str:
    """Format the values of runs: up to two as they are, more as mean ± standard deviation."""
    if unit in ("count", "seconds", "number") and values:
        decimals = {"count": 0, "seconds": 1}.get(unit, 3 if max(values) < 10 else 0)
    if len(values) <= 2:
        return " / ".join(amount(value, unit, decimals) for value in values) or text.NOTHING
    series = pd.Series(values, dtype=float)
    mean, spread = amount(series.mean(), unit, decimals), amount(series.std(), unit, decimals)
    if unit == "count" and series.nunique() == 1:
        return mean
    return f"{mean} ± {spread.lstrip('+')}"


def difference(row: Row, decimals: int) -> str:
    """Format a difference with its interval, or with up to two seeds the one of each seed."""
    by_seed = str(row.by_seed).split()
    if len(by_seed) <= 2:
        return " / ".join(change(row, float(value), decimals) for value in by_seed)
    shown = change(row, row.difference, decimals)
    if row.ci_low != row.ci_low:  # no interval at level 0
        return shown
    low, high = (change(row, end, decimals) for end in (row.ci_low, row.ci_high))
    return f"{shown} ({low} to {high})"


def ablation_table(experiment: ExperimentView, dataset: str, decimals: int) -> pd.DataFrame:
    """Return the ablation table of an experiment on a data set, a row for each arm.

    With verdicts, the arm with the highest accuracy is bold, and arms whose comparison with it is
    open or same.
    """
    cells = [cell for cell in experiment.cells if cell.dataset == dataset]
    compared = _main_comparisons(experiment, cells)
    references = {key: short(row, "reference") for key, row in compared.items()}
    one_reference = len(set(references.values())) == 1
    top = _top(experiment, dataset)
    rows: list[dict[str, str]] = []
    for cell in cells:
        key = (cell.model, cell.augmentation)
        bold = BOLD if key in top else ""
        row = {name: f"{bold}{value}{bold}" for name, value in _names(experiment, cell).items()}
        runs = _sound_runs(experiment, cell)
        row[f"Test accuracy{experiment.dagger}, %"] = _reached(
            cell, runs, "test_accuracy", decimals
        )
        row["Training accuracy, %"] = _reached(cell, runs, "train_accuracy_clean", decimals)
        one = compared.get(key)
        if compared:
            title = "Difference" + (f" to {next(iter(references.values()))}" * one_reference)
            shown = difference(one, decimals) if one is not None else text.NOTHING
            if one is not None and not one_reference:
                shown += f" to {references[key]}"
            row[f"{title}, points"] = shown
            row["Verdict"] = mark(one)
        rows.append(row)
    return _without_constants(pd.DataFrame(rows))


def mark(row: Row | None) -> str:
    """Return a verdict with its mark."""
    if row is None or not row.verdict:
        return text.NOTHING
    return f"{MARKS[row.verdict]} {row.verdict}"


def comparisons_table(experiment: ExperimentView, decimals: int) -> pd.DataFrame:
    """Return every comparison of an experiment."""
    several = experiment.several_datasets
    rows = []
    for row in experiment.tables.rows("comparisons"):
        metric = BY_NAME[row.measure]
        at = f", epoch {int(row.epoch)}" if row.epoch == row.epoch else ""
        rows.append(
            {
                **({"Data": row.dataset} if several else {}),
                "Arm": row.arm,
                "Reference": row.reference,
                "Metric": f"{metric.title}{at}",
                f"Difference{experiment.dagger} (interval)": difference(row, decimals)
                or text.NOTHING,
                "Confidence, %": text.percent(row.ci_level, 1),
                "p": text.p_value(row.p_adjusted),
                "Verdict": mark(row),
                "Minimum detectable effect": change(row, row.mde, decimals).lstrip("+"),
                "P(arm better)": text.number(row.prob_superiority),
                "Seeds": text.number(row.seeds, 0),
            }
        )
    return _without_constants(pd.DataFrame(rows))


def metrics_tables(
    experiment: ExperimentView, dataset: str, shown: Sequence[Metric], decimals: int
) -> list[pd.DataFrame]:
    """Return tables of the metrics on a data set, with up to `ACROSS` arms as columns each."""
    cells = [cell for cell in experiment.cells if cell.dataset == dataset]
    return [
        pd.DataFrame(
            {
                "Metric": [
                    _with_unit(metric, experiment.dagger * (metric.name == TEST_ACCURACY))
                    for metric in shown
                ],
                **{
                    experiment.arm(cell): [
                        _reached(cell, runs, metric.name, decimals) for metric in shown
                    ]
                    for cell in cells[start : start + ACROSS]
                    for runs in [_sound_runs(experiment, cell)]
                },
            }
        )
        for start in range(0, len(cells), ACROSS)
    ]


def claims_table(experiment: ExperimentView, decimals: int) -> pd.DataFrame:
    """Return the claims of an experiment with the comparisons that test them."""
    rows = []
    for row in experiment.tables.rows("claims"):
        tested = f"{row.arm} is {row.says} than {row.reference}"
        if row.says in ("same", "different"):
            tested = f"{row.arm} and {row.reference} are {row.says}"
        rows.append(
            {
                "Claim": row.text,
                "Source": row.source,
                "Tested as": tested if row.arm else text.NOTHING,
                "Difference (interval)": _claimed(row, decimals),
                "Verdict": mark(row) if row.arm else text.NOTHING,
                "Claim is": row.status,
                "Here": row.conclusion or text.NOTHING,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.drop(columns="Here") if rows and (frame["Here"] == text.NOTHING).all() else frame


def published_table(tables: Tables, decimals: int) -> pd.DataFrame:
    """Return published accuracies beside those of the study."""
    return pd.DataFrame(
        [
            {
                "Arm": f"{row.model} · {row.augmentation} on {row.dataset}",
                "Published, %": text.percent(row.published, 2),
                "This study, %": text.percent(row.own, decimals),
                "Source": row.source,
                "Their setting": row.setting,
                "What differs": row.differences_in_setting,
            }
            for row in tables.rows("published")
        ]
    )


def networks_table(networks: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the size of each network and image shape."""
    rows = [
        {
            "Model": network["model"],
            "Images": text.shape(cost["input_shape"]),
            "Parameters": f"{cost['parameters']:,}",
            "Trainable": f"{cost['trainable_parameters']:,}",
            "In shortcuts": _or_nothing(cost["shortcut_parameters"]),
            "Multiply-adds": _or_nothing(cost["multiply_adds"]),
        }
        for network in networks
        for cost in network["costs"]
    ]
    return pd.DataFrame(rows).drop_duplicates()


def stages_table(networks: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the stages of each network, for its first data set."""
    return pd.DataFrame(
        [
            {
                "Model": network["model"],
                "Stage": stage["stage"],
                "Blocks": str(stage["blocks"] or text.NOTHING),
                "Output": text.shape(stage["output_shape"]),
                "Parameters": f"{stage['parameters']:,}",
                "Multiply-adds": _or_nothing(stage["multiply_adds"]),
            }
            for network in networks
            for stage in network["stages"]
        ]
    )


def data_table(data: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the splits of each data set with their classes."""
    return pd.DataFrame(
        [
            {
                "Data": one["dataset"],
                "Split": split,
                "Made from": one["splits"].get(split, text.NOTHING),
                "Images": f"{found['images']:,}",
                "Classes": str(found["classes"]),
                "Images of a class": _of_classes(found),
            }
            for one in {one["folder"]: one for one in data}.values()
            for split, found in one["balance"].items()
        ]
    )


def augmentations_table(analysis: Mapping[str, Any]) -> pd.DataFrame:
    """Return each augmentation with the parameters of its steps."""
    found = {
        (one["label"], _steps(one)): None
        for experiment in analysis["experiments"]
        for one in experiment["augmentations"]
    }
    return pd.DataFrame(list(found), columns=["Augmentation", "Steps and parameters"])


def thresholds_table(tables: Tables) -> pd.DataFrame:
    """Return every threshold."""
    return pd.DataFrame(
        [
            {
                "Threshold": row.threshold,
                "Value": f"{row['value']:g}",
                "Unit": row.unit,
                "Meaning": row.meaning,
            }
            for row in tables.rows("thresholds")
        ]
    )


def runs_table(experiment: ExperimentView, decimals: int) -> pd.DataFrame:
    """Return every run of an experiment."""
    return _without_constants(
        pd.DataFrame(
            [
                {
                    **({"Data": row.dataset} if experiment.several_datasets else {}),
                    **_names(experiment, row),
                    "Seed": text.number(row.seed, 0),
                    "Id": row.id,
                    "Status": row.status.replace("_", " "),
                    f"Test accuracy{experiment.dagger}, %": text.percent(
                        row.test_accuracy, decimals
                    ),
                    "Epochs": text.number(row.epochs, 0),
                    "Time, s": text.number(row.seconds, 1),
                    "Reason": row.reason or text.NOTHING,
                }
                for row in experiment.tables.rows("runs")
            ]
        )
    )


def markdown_table(frame: pd.DataFrame) -> str:
    """Return a table as GitHub flavoured Markdown; numbers are aligned to the right."""
    right = {column: _is_numeric(frame[column]) for column in frame}
    lines = [
        _markdown_row(text.markdown_text(column) for column in frame),
        _markdown_row("---:" if right[column] else "---" for column in frame),
    ]
    lines += [_markdown_row(map(_cell, row)) for row in frame.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def latex_table(frame: pd.DataFrame, caption: str, label: str) -> str:
    """Return a table as a LaTeX float in ``booktabs`` style, scaled to the column width.

    Args:
        frame: cells as text; text between two `BOLD` characters is bold.
        caption: caption of the table.
        label: label of letters, digits and hyphens.
    """
    shown = frame.map(_latex_cell)
    shown.columns = [text.latex_text(str(column)) for column in frame]
    kinds = "".join("r" if _is_numeric(frame[column]) else "l" for column in frame)
    table = shown.style.hide(axis="index").to_latex(hrules=True, column_format=f"@{{}}{kinds}@{{}}")
    return (
        "% Needs \\usepackage{booktabs,graphicx} in the preamble.\n"
        "\\begin{table}[tbp]\n\\centering\n"
        f"\\caption{{{text.latex_text(caption)}}}\n\\label{{tab:{label}}}\n"
        "\\resizebox{\\ifdim\\width>\\columnwidth\\columnwidth\\else\\width\\fi}{!}{%\n"
        f"{table.rstrip()}%\n}}\n\\end{{table}}\n"
    )


def _main_comparisons(
    experiment: ExperimentView, cells: Sequence[Row]
) -> dict[tuple[str, str], Row]:
    """Return the first comparison of test accuracy of each arm."""
    found: dict[tuple[str, str], Row] = {}
    datasets = {cell.dataset for cell in cells}
    for row in experiment.pairs:
        if row.dataset in datasets and row.measure == "test_accuracy":
            found.setdefault((row.arm_model, row.arm_augmentation), row)
    return found


def _top(experiment: ExperimentView, dataset: str) -> set[tuple[str, str]]:
    """Return the arm with the highest accuracy and those compared with it as open or same."""
    cells = [cell for cell in experiment.cells if cell.dataset == dataset]
    known = [cell for cell in cells if cell.test_accuracy == cell.test_accuracy]
    if not experiment.has_verdicts or len(known) < 2:
        return set()
    first = max(known, key=lambda cell: cell.test_accuracy)
    best = (first.model, first.augmentation)
    top = {best}
    for row in experiment.pairs:
        sides = {(row[f"{side}_model"], row[f"{side}_augmentation"]) for side in SIDES}
        alike = row.verdict in ("same", "open") and row.measure == "test_accuracy"
        if row.dataset == dataset and alike and best in sides:
            top |= sides
    return top


def _claimed(row: Row, decimals: int) -> str:
    if row.difference != row.difference or not row.measure:
        return text.NOTHING
    shown = change(row, row.difference, decimals)
    if row.ci_low != row.ci_low:
        return shown
    return f"{shown} ({change(row, row.ci_low, decimals)} to {change(row, row.ci_high, decimals)})"


def _steps(augmentation: Mapping[str, Any]) -> str:
    steps = []
    for step in augmentation["steps"]:
        parameters = [
            f"{name} {text.setting(value)}"
            for name, value in step["parameters"].items()
            if value is not None and not (name == "probability" and value == 1)
        ]
        steps.append(f"{step['name']}: {', '.join(parameters)}" if parameters else step["name"])
    return "; ".join(steps) or "no step"


def _of_classes(found: Mapping[str, Any]) -> str:
    """Format the sizes of the smallest and the largest class, with their names if they differ."""
    smallest, largest = found["smallest"], found["largest"]
    if smallest["images"] == largest["images"]:
        return f"{largest['images']:,}"
    return " to ".join(
        f"{one['images']:,} ({visible(one['class'])})" for one in (smallest, largest)
    )


def _or_nothing(count: int | None) -> str:
    return text.NOTHING if count is None else f"{count:,}"


def _names(experiment: ExperimentView, cell: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    if experiment.several_models or len(experiment.block["augmentations"]) == 1:
        found["Model"] = str(cell["model"])
    if len(experiment.block["augmentations"]) > 1:
        found["Augmentation"] = str(cell["augmentation"])
    return found


def _sound_runs(experiment: ExperimentView, cell: Row) -> pd.DataFrame:
    """Return the finished runs of a cell that have not diverged."""
    runs = experiment.tables.frame(
        "runs", dataset=cell.dataset, model=cell.model, augmentation=cell.augmentation
    )
    return runs[runs["status"].isin(["completed", "stopped_early"])]


def _reached(cell: Row, runs: pd.DataFrame, metric: str, decimals: int) -> str:
    values = runs[metric].dropna().tolist()
    if not values and metric == "test_accuracy":
        return "diverged" if cell.diverged else "not finished"
    return seeds_or_spread(values, BY_NAME[metric].unit, decimals)


def _with_unit(metric: Metric, mark: str) -> str:
    return f"{metric.title}{mark}" + {
        "share": ", %",
        "difference": ", points",
        "seconds": ", s",
    }.get(metric.unit, "")


def _without_constants(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop constant columns, except the first and those in `ALWAYS`."""
    if len(frame) < 2:
        return frame
    kept = [
        column
        for place, column in enumerate(frame)
        if place == 0 or frame[column].nunique() > 1 or str(column).startswith(ALWAYS)
    ]
    return frame[kept]


def _is_numeric(column: pd.Series) -> bool:
    return bool(column.astype(str).str.match(r"^[-+−<]?\d|^[–?]$|^(diverged|not finished)$").all())


def _cell(value: object) -> str:
    shown = str(value)
    if shown.startswith(BOLD) and shown.endswith(BOLD):
        return f"**{text.markdown_text(shown.strip(BOLD))}**"
    return str(text.markdown_text(shown))


def _latex_cell(value: object) -> str:
    shown = str(value)
    if shown.startswith(BOLD) and shown.endswith(BOLD):
        return rf"\textbf{{{text.latex_text(shown.strip(BOLD))}}}"
    return text.latex_text(shown)


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
