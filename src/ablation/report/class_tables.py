"""Tables of single classes: one function a table, each of an experiment on one data set."""

import math

import pandas as pd

from ablation.analysis.testing import SEEDS_FOR_VERDICTS
from ablation.report.cells import points_cell
from ablation.report.model import Cell, Column, Download, Numbering, Table
from ablation.report.part import Part, Row, every_arm, extremes
from ablation.report.tables import ARM_COLUMNS
from ablation.report.text import (
    interval,
    number,
    p_value,
    percent,
)

SHOWN_CLASSES = 10  # rows of each kind in a table of classes that would be long
LONG_TABLE = 30  # rows from which on a table of classes is cut
OF_IMAGES = (
    "* With fewer than three seeds no effect is claimed: shown are 95 % intervals for test images "
    "only, these runs."
)


def class_effects_table(part: Part, numbering: Numbering) -> Table | None:
    """Tabulate what arms do to single classes: all of it, or the strongest effects."""
    effects = part.rows("class_effects")
    if effects.empty:
        return None
    anchor = numbering.anchor("class-effects", part.experiment, part.dataset)
    shown = effects
    notes = ["Differences of the accuracy on a class, arm minus reference."]
    if len(effects) > LONG_TABLE:
        ranked = effects.sort_values("difference", ascending=False, kind="stable")
        helped = ranked[ranked["difference"] > 0].head(SHOWN_CLASSES)
        harmed = ranked[ranked["difference"] < 0].tail(SHOWN_CLASSES)
        shown = pd.concat([helped, harmed])
        notes.append(
            f"Shown are the {len(helped)} most helped and the {len(harmed)} most harmed of "
            f"{len(effects):,} pairs of class and comparison; the file has all of them."
        )
    if any(map(_of_images, shown.to_dict("records"))):
        notes.append(OF_IMAGES)
    return Table(
        id=anchor,
        number=numbering.table(),
        caption=f"Effects on single classes, {part.where}.",
        columns=[
            Column("Class"),
            Column("Arm"),
            Column("Reference"),
            Column("Images", numeric=True),
            Column("Seeds", numeric=True),
            Column(part.mark("Difference, points"), numeric=True),
            Column("Interval", numeric=True),
            Column("p (Holm)", numeric=True),
            Column("Verdict"),
        ],
        rows=[
            [
                Cell(row["class"]),
                Cell(row["arm"]),
                Cell(row["reference"]),
                Cell(number(row["images"], 0), row["images"]),
                Cell(number(row["seeds"], 0), row["seeds"]),
                points_cell(row["difference"]),
                Cell(interval(row["low"], row["high"]) + " *" * _of_images(row), row["low"]),
                Cell(p_value(row["p_holm"]), row["p_holm"]),
                Cell(row["verdict"]),
            ]
            for row in shown.to_dict("records")
        ],
        headers=3,
        notes=[*notes, *part.notes],
        downloads=[Download.of_rows(anchor, effects, "CSV")],
    )


def _of_images(row: Row) -> bool:
    """Whether an interval is for the test images only; a class without images has none."""
    return bool(row["seeds"] < SEEDS_FOR_VERDICTS and math.isfinite(row["low"]))


def hardest_classes_table(part: Part, numbering: Numbering) -> Table | None:
    """Tabulate the classes with the lowest mean accuracy over the arms."""
    classes = part.rows("classes").dropna(subset=["accuracy"])
    if classes.empty:
        return None
    grouped = classes.groupby("class", sort=False)
    means = grouped["accuracy"].mean().sort_values(kind="stable").head(SHOWN_CLASSES)
    rows = []
    for name, mean in means.items():
        of_class = classes[classes["class"] == name]
        worst, best = extremes(of_class, "accuracy")
        rows.append(
            [
                Cell(str(name)),
                Cell(number(worst["images"], 0), worst["images"]),
                Cell(percent(mean), mean),
                Cell(percent(worst["accuracy"]), worst["accuracy"]),
                Cell(part.names[worst["model"], worst["augmentation"]]),
                Cell(percent(best["accuracy"]), best["accuracy"]),
                Cell(part.names[best["model"], best["augmentation"]]),
            ]
        )
    return Table(
        id=numbering.anchor("hardest", part.experiment, part.dataset),
        number=numbering.table(),
        caption=f"The hardest classes of {part.where}: accuracy on a class, over all arms.",
        columns=[
            Column("Class"),
            Column("Images", numeric=True),
            Column(part.mark("Mean, %"), numeric=True),
            Column(part.mark("Lowest, %"), numeric=True),
            Column("of"),
            Column(part.mark("Highest, %"), numeric=True),
            Column("of"),
        ],
        rows=rows,
        notes=part.notes,
    )


def class_matrix(part: Part, anchor: str) -> Table | None:
    """Tabulate the accuracy of each arm on each class, if this is no large table."""
    classes = part.rows("classes")
    names = list(dict.fromkeys(classes["class"]))
    arms = [arm for arm in part.arms if arm in set(every_arm(classes))]
    if len(names) > LONG_TABLE:
        return None
    by_place = {
        (arm, name): value
        for arm, name, value in zip(
            every_arm(classes), classes["class"], classes["accuracy"], strict=True
        )
    }
    return Table(
        id=f"{anchor}--data",
        number="",
        caption=f"Accuracy on each class in %, {part.where}",
        columns=[
            Column("Class"),
            *(Column(part.mark(part.names[arm]), numeric=True) for arm in arms),
        ],
        rows=[
            [
                Cell(name),
                *(
                    Cell(percent(by_place.get((arm, name))), by_place.get((arm, name)))
                    for arm in arms
                ),
            ]
            for name in names
        ],
        notes=part.notes,
    )


def confused_table(part: Part, anchor: str) -> Table:
    """Tabulate the three most frequent confusions of every arm."""
    confusion = part.rows("confusion")
    wrong = confusion[confusion["true"] != confusion["predicted"]]
    rows = []
    for arm in part.arms:
        model, augmentation = arm
        of_arm = wrong[(wrong["model"] == model) & (wrong["augmentation"] == augmentation)]
        worst = of_arm.sort_values("share", ascending=False, kind="stable").head(3)
        rows += [
            [
                *(Cell(name) for name in arm),
                Cell(row["true"]),
                Cell(row["predicted"]),
                Cell(number(row["count"], 0), row["count"]),
                Cell(percent(row["share"]), row["share"]),
            ]
            for row in worst.to_dict("records")
        ]
    return Table(
        id=f"{anchor}--data",
        number="",
        caption=f"The most frequent confusions of each arm, {part.where}",
        columns=[
            *ARM_COLUMNS,
            Column("True class"),
            Column("Predicted class"),
            Column(part.mark("Images, over seeds"), numeric=True),
            Column(part.mark("Share of the true class, %"), numeric=True),
        ],
        rows=rows,
        headers=2,
        notes=part.notes,
    )
