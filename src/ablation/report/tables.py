"""Tables of results: one function a table, each of an experiment on one data set."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ablation.report.cells import (
    arm_cells,
    multiply_adds_cell,
    number_cell,
    points_cell,
    share_cell,
    told_accuracy,
    told_difference,
    told_interval,
    told_runs,
    told_size,
)
from ablation.report.export import latex_table, markdown_file
from ablation.report.model import Cell, Column, Download, Numbering, Table
from ablation.report.part import Part, Row, every_arm
from ablation.report.text import (
    NO_BREAK,
    NOTHING,
    interval,
    number,
    p_value,
    percent,
    points,
)

MANY_ARMS = 30  # arms from which on runs are not tabulated by seed
KINDS = {
    "baseline": "baseline",
    "twin": "twin",
    "arm": "between arms",
    "budget": "budget",
    "factor": "factor",
}
VERDICTS = {
    "better": "more accurate",
    "worse": "less accurate",
    "same": "the same",
    "open": "open",
    "none": "no common finished seed",
}
AGAINST = {
    "better": "more accurate than {}",
    "worse": "less accurate than {}",
    "same": "the same as {}",
    "open": "open against {}",
    "none": "no finished seed in common with {}",
}
OF_IMAGES = (
    "* With fewer than three seeds there is no verdict. Shown are the differences, in brackets "
    "those at the seeds, with 95 % intervals for test images only, these runs."
)
BALANCED = (
    "Balanced accuracy: mean of the classes' recalls, told because the classes of the test split "
    "are unequal; differences and verdicts are of test accuracy."
)
MEANS = "Mean ± standard deviation over the runs that finished without diverging."
ARM_COLUMNS = (Column("Model"), Column("Augmentation"))


def ablation_table(part: Part, numbering: Numbering, partial: str) -> Table:
    """Tabulate the test accuracy of every cell, with its difference to the baseline.

    Its files are the rows as CSV and the table as LaTeX and as Markdown.
    """
    cells = part.cells.to_dict("records")
    compared = baseline_comparisons(part)
    has_baseline = bool(compared) or any(cell["is_baseline"] for cell in cells)
    top5 = bool(part.cells["top5_accuracy"].notna().any())
    columns = [
        *ARM_COLUMNS,
        Column("Runs", prose=True),
        Column(part.mark("Test accuracy, %"), numeric=True),
        *[Column(part.mark("Balanced accuracy, %"), numeric=True)] * part.unequal,
    ]
    if has_baseline:
        columns += [
            Column(part.mark("Difference, points (interval)"), numeric=True),
            Column("Verdict", prose=True),
        ]
    exported = len(columns)
    columns += [
        *[Column(part.mark("Top-5 accuracy, %"), numeric=True)] * top5,
        Column("Clean training accuracy, %", numeric=True),
        Column(part.mark("Gap, points"), numeric=True),
    ]
    rows = []
    for cell in cells:
        row = [*arm_cells(cell), Cell(told_runs(cell), cell["finished"]), _test_accuracy(cell)]
        if part.unequal:
            row.append(share_cell(cell, "balanced_accuracy"))
        if has_baseline:
            found = compared.get((cell["model"], cell["augmentation"]))
            row += [_difference(found), Cell(_verdict(cell, found))]
        if top5:
            row.append(share_cell(cell, "top5_accuracy"))
        row += [share_cell(cell, "train_accuracy_clean"), points_cell(cell["gap"])]
        rows.append(row)
    anchor = numbering.anchor("ablation", part.experiment, part.dataset)
    notes = _notes_on_differences(part, list(compared.values())) if has_baseline else []
    if part.unequal:
        largest = max(part.class_images) / sum(part.class_images)
        notes += [BALANCED, f"The largest class has {percent(largest)} % of the test images."]
    notes += part.notes
    table = Table(
        id=anchor,
        number=numbering.table(),
        caption=f"Ablation table of {part.where}: test accuracy after the last epoch.",
        columns=columns,
        rows=rows,
        headers=2,
        marked=baseline_rows(cells),
        notes=[
            f"{MEANS} Gap: clean training accuracy minus test accuracy.",
            *notes,
        ],
    )
    short = replace(
        table,
        columns=columns[:exported],
        rows=[row[:exported] for row in rows],
        caption=f"{table.caption} {MEANS}",
        notes=notes,
    )
    remarks = [partial] if partial else []
    return replace(
        table,
        downloads=[
            Download(
                f"{anchor}.tex",
                "LaTeX",
                latex_table(short, anchor, remarks).encode(),
                "text/x-tex",
            ),
            Download(
                f"{anchor}.md", "Markdown", markdown_file(short, remarks).encode(), "text/markdown"
            ),
            Download.of_rows(anchor, part.cells, "CSV"),
        ],
    )


def epochs_table(part: Part, numbering: Numbering) -> Table | None:
    """Tabulate validation accuracy by the way of choosing an epoch; None without any."""
    shown = part.cells[part.cells["val_accuracy_last"].notna()]
    if shown.empty:
        return None
    cells = part.cells.to_dict("records")
    return Table(
        id=numbering.anchor("epochs", part.experiment, part.dataset),
        number=numbering.table(),
        caption=f"Validation accuracy of {part.where} by the way of choosing an epoch.",
        columns=[
            *ARM_COLUMNS,
            Column(part.mark("Last epoch, %"), numeric=True),
            Column(part.mark("Median of the last five, %"), numeric=True),
            Column(part.mark("Best epoch, %"), numeric=True),
            Column(part.mark("What picking the best epoch would have added, points"), numeric=True),
        ],
        rows=[
            [
                *arm_cells(cell),
                share_cell(cell, "val_accuracy_last"),
                share_cell(cell, "val_accuracy_median5"),
                share_cell(cell, "val_accuracy_best"),
                points_cell(cell["best_epoch_gain"]),
            ]
            for cell in cells
        ],
        headers=2,
        marked=baseline_rows(cells),
        notes=[
            "Every other number of this report is of the last epoch; the best epoch is told for "
            "comparison only.",
            *part.notes,
        ],
    )


def comparisons_table(part: Part, numbering: Numbering) -> Table | None:
    """Tabulate every comparison; None if nothing is compared.

    The data set of the part may be ``all``.
    """
    compared = part.rows("comparisons")
    if compared.empty:
        return None
    anchor = numbering.anchor("comparisons", part.experiment, part.dataset)
    return Table(
        id=anchor,
        number=numbering.table(),
        caption=f"Comparisons of {part.where}.",
        columns=[
            Column("Kind"),
            Column("Arm"),
            Column("Reference"),
            Column("Seeds", numeric=True),
            Column(part.mark("Difference, points"), numeric=True),
            Column("Interval", numeric=True),
            Column("p (Holm)", numeric=True),
            Column("Seeds agreeing, %", numeric=True),
            Column("P(A>B)", numeric=True),
            Column("Smallest detectable difference, points (95 % interval)", numeric=True),
            Column("95 % interval over images", numeric=True),
            Column("Verdict"),
        ],
        rows=[_comparison(row) for row in compared.to_dict("records")],
        headers=3,
        notes=[
            "Differences are arm minus reference. P(A>B): how often a run of the arm beats a run "
            "of the reference. Smallest detectable difference: what such runs show 4 times in 5.",
            *_notes_on_differences(part, compared.to_dict("records")),
            *part.notes,
        ],
        downloads=[Download.of_rows(anchor, compared, "CSV")],
    )


def grid_table(part: Part, grid: Mapping[str, Any], numbering: Numbering) -> Table:
    """Tabulate mean test accuracy over two factors."""
    return Table(
        id=numbering.anchor("cross", part.experiment, part.dataset, grid["title"]),
        number=numbering.table(),
        caption=f"Mean test accuracy in % by {grid['row_factor']} (down) and "
        f"{grid['column_factor']} (across), {part.where}.",
        columns=[
            Column(str(grid["row_factor"])),
            *(Column(part.mark(str(name)), numeric=True) for name in grid["columns"]),
        ],
        rows=[
            [
                Cell(str(name)),
                *(Cell("not run" if value is None else percent(value), value) for value in values),
            ]
            for name, values in zip(grid["rows"], grid["values"], strict=True)
        ],
        notes=part.notes,
    )


def calibration_table(part: Part, numbering: Numbering) -> Table | None:
    """Tabulate how well probabilities tell accuracy; None if no run has finished."""
    if part.cells["ece"].isna().all():
        return None
    cells = part.cells.to_dict("records")
    return Table(
        id=numbering.anchor("calibration-table", part.experiment, part.dataset),
        number=numbering.table(),
        caption=f"Calibration of {part.where} on the test split.",
        columns=[
            *ARM_COLUMNS,
            Column(part.mark("NLL, nats"), numeric=True),
            Column(part.mark("Brier score"), numeric=True),
            Column(part.mark("ECE, %"), numeric=True),
            Column(part.mark("ECE after scaling, %"), numeric=True),
            Column("Temperature", numeric=True),
        ],
        rows=[
            [
                *arm_cells(cell),
                number_cell(cell, "nll", 4),
                number_cell(cell, "brier", 4),
                share_cell(cell, "ece"),
                share_cell(cell, "ece_scaled"),
                number_cell(cell, "temperature", 2),
            ]
            for cell in cells
        ],
        headers=2,
        marked=baseline_rows(cells),
        notes=[
            f"{MEANS} NLL: negative log-likelihood. ECE: expected calibration error. The "
            "temperature is fitted on the validation split.",
            *part.notes,
        ],
    )


def cost_table(part: Part, numbering: Numbering) -> Table:
    """Tabulate what each cell costs beside what it reaches."""
    models = {model["model"]: model for model in part.models}
    cells = part.cells.to_dict("records")
    rows = []
    for cell in cells:
        model = models.get(cell["model"])
        minutes = cell["seconds"] / 60
        row = [*arm_cells(cell), _test_accuracy(cell)]
        if part.unequal:
            row.append(share_cell(cell, "balanced_accuracy"))
        if model is None:
            row += [Cell(NOTHING), Cell(NOTHING)]
        else:
            row += [
                Cell(f"{model['parameters']:,}", model["parameters"]),
                multiply_adds_cell(model),
            ]
        row += [
            Cell(number(cell["epochs"], 1).removesuffix(".0"), cell["epochs"]),
            Cell(number(minutes), minutes),
            number_cell(cell, "images_per_second", 0),
        ]
        rows.append(row)
    return Table(
        id=numbering.anchor("cost-table", part.experiment, part.dataset),
        number=numbering.table(),
        caption=f"Cost of {part.where}: means over the runs that finished without diverging.",
        columns=[
            *ARM_COLUMNS,
            Column(part.mark("Test accuracy, %"), numeric=True),
            *[Column(part.mark("Balanced accuracy, %"), numeric=True)] * part.unequal,
            Column("Parameters", numeric=True),
            Column("Multiply-adds", numeric=True),
            Column("Epochs", numeric=True),
            Column("Training, minutes", numeric=True),
            Column("Images per second", numeric=True),
        ],
        rows=rows,
        headers=2,
        marked=baseline_rows(cells),
        notes=part.notes,
    )


def last_epochs_table(part: Part, anchor: str) -> Table:
    """Tabulate where the curves end: means over seeds of each run's last epoch."""
    curves = part.rows("curves")
    last = curves.sort_values("epoch", kind="stable").groupby("id", sort=False).tail(1)
    last = last[np.isfinite(last["loss"])]  # a diverged run ends nowhere
    rows = []
    for model, augmentation in part.arms:
        ends = last[(last["model"] == model) & (last["augmentation"] == augmentation)]
        means = {
            name: float(ends[name].mean())
            for name in ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
        }
        rows.append(
            [
                Cell(model),
                Cell(augmentation),
                Cell(number(means["epoch"], 1).removesuffix(".0"), means["epoch"]),
                Cell(number(means["loss"], 4), means["loss"]),
                Cell(percent(means["accuracy"]), means["accuracy"]),
                Cell(number(means["val_loss"], 4), means["val_loss"]),
                Cell(percent(means["val_accuracy"]), means["val_accuracy"]),
            ]
        )
    return Table(
        id=f"{anchor}--data",
        number="",
        caption=part.mark(f"Last epoch of each arm, {part.where}, means over seeds"),
        columns=[
            *ARM_COLUMNS,
            Column("Epoch", numeric=True),
            Column("Training loss", numeric=True),
            Column("Training accuracy, %", numeric=True),
            Column(part.mark("Validation loss"), numeric=True),
            Column(part.mark("Validation accuracy, %"), numeric=True),
        ],
        rows=rows,
        headers=2,
        notes=part.notes,
    )


def seeds_table(part: Part, anchor: str) -> Table | None:
    """Tabulate the test accuracy of every run by seed, if this is no large table."""
    runs = part.rows("runs")
    if len(part.arms) > MANY_ARMS:
        return None
    seeds = sorted(set(runs["seed"]))
    by_place = {
        (arm, seed): (status, value)
        for arm, seed, status, value in zip(
            every_arm(runs), runs["seed"], runs["status"], runs["test_accuracy"], strict=True
        )
    }

    def shown(place: tuple[Any, float]) -> Cell:
        status, value = by_place.get(place, ("", math.nan))
        return Cell(percent(value) if math.isfinite(value) else status or "not planned", value)

    return Table(
        id=f"{anchor}--data",
        number="",
        caption=f"Test accuracy of every run in %, {part.where}",
        columns=[
            *ARM_COLUMNS,
            *(Column(part.mark(f"Seed {seed:.0f}"), numeric=True) for seed in seeds),
        ],
        rows=[
            [*(Cell(name) for name in arm), *(shown((arm, seed)) for seed in seeds)]
            for arm in part.arms
        ],
        headers=2,
        notes=part.notes,
    )


def baseline_comparisons(part: Part) -> dict[tuple[str, str], Row]:
    """Return the comparisons with the baseline by arm."""
    compared = part.rows("comparisons")
    return {
        (row["arm_model"], row["arm_augmentation"]): row
        for row in compared[compared["kind"] == "baseline"].to_dict("records")
    }


def baseline_rows(cells: Sequence[Row]) -> frozenset[int]:
    """Return the places of baselines among cells."""
    return frozenset(place for place, cell in enumerate(cells) if cell["is_baseline"])


def _test_accuracy(cell: Row) -> Cell:
    return Cell(told_accuracy(cell), cell["test_accuracy"])


def _difference(found: Row | None) -> Cell:
    return Cell(NOTHING) if found is None else Cell(told_difference(found), found["difference"])


def _verdict(cell: Row, found: Row | None) -> str:
    if found is not None:
        return AGAINST[found["verdict"]].format(found["reference"]) + _ruled_out(found)
    return "baseline" if cell["is_baseline"] else "not compared"


def _comparison(row: Row) -> list[Cell]:
    kind = str(KINDS.get(row["kind"], row["kind"]))
    if math.isfinite(row["epoch"]):
        kind += f", epoch {row['epoch']:.0f}"
    if row["measure"] == "val_accuracy":
        kind += ", validation accuracy"
    return [
        Cell(kind),
        Cell(row["arm"]),
        Cell(row["reference"]),
        Cell(number(row["seeds"], 0), row["seeds"]),
        Cell(told_size(row), row["difference"]),
        Cell(told_interval(row), row["low"]),
        Cell(p_value(row["p_holm"]), row["p_holm"]),
        Cell(percent(row["agree"], 0), row["agree"]),
        Cell(number(row["superiority"]), row["superiority"]),
        Cell(_detectable(row), row["detectable"]),
        Cell(interval(row["image_low"], row["image_high"]), row["image_low"]),
        Cell(VERDICTS[row["verdict"]] + _ruled_out(row)),
    ]


def _detectable(row: Row) -> str:
    text, low, high = (
        points(row[name]).lstrip("+")
        for name in ("detectable", "detectable_low", "detectable_high")
    )
    return text if text == NOTHING else f"{text} ({low} to {high})".replace(" ", NO_BREAK)


def _ruled_out(row: Row) -> str:
    """Tell beside a verdict of the same which rate of failing runs it leaves open."""
    if row["verdict"] != "same":
        return ""
    return f"; a failure rate above {percent(row['failure_rate'], 0)} % is ruled out"


def _notes_on_differences(part: Part, compared: Sequence[Row]) -> list[str]:
    """Tell what intervals and verdicts mean here."""
    margin = points(part.block["margin"]).lstrip("+")
    return [
        f"The same: shown to differ by less than {margin} points; open: shown neither to differ "
        "nor to be the same. Interval: that of the deciding test, at the level that decides.",
        *[OF_IMAGES] * any(row["basis"] == "images" for row in compared),
    ]
