"""Figures with their words: caption, alternative text, and the rows behind them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ablation.report.cells import told_accuracy, told_difference
from ablation.report.class_tables import class_matrix, confused_table
from ablation.report.figures import (
    draw_accuracies,
    draw_classes,
    draw_confusion,
    draw_cost,
    draw_curves,
    draw_differences,
    draw_grid,
    draw_reliability,
    png,
    strip,
    tiles,
)
from ablation.report.model import Download, Drawing, Numbering, Picture
from ablation.report.part import Part, Row, arms_of, extremes
from ablation.report.tables import VERDICTS, last_epochs_table, seeds_table
from ablation.report.text import (
    counted,
    magnitude,
    number,
    percent,
    points,
)

MIXED_LABELS = (
    "training loss and training accuracy under mixed labels are not comparable with those of the "
    "other arms; compare the validation curves and the clean training accuracy."
)
TOLD = 12  # things that an alternative text tells one by one


def accuracies_drawing(part: Part, numbering: Numbering) -> Drawing | None:
    """Draw the test accuracy of every run; None if none has one."""
    runs = part.rows("runs")
    if runs["test_accuracy"].isna().all():
        return None
    anchor = numbering.anchor("accuracies", part.experiment, part.dataset)
    return Drawing(
        id=anchor,
        number=numbering.figure(),
        caption=f"Test accuracy of {part.where}: pale dots are runs, dark marks the means over "
        "seeds.",
        picture=Picture(
            draw_accuracies(part.cells, runs, part.styles, part.optimistic),
            "svg",
            f"Test accuracy on {part.dataset} in %, mean and standard deviation over seeds: "
            f"{_by_arm(part, told_accuracy)}." + _optimistic_alt(part),
        ),
        notes=part.notes,
        downloads=[
            Download.of_rows(f"{anchor}-runs", runs, "Runs as CSV"),
            Download.of_rows(f"{anchor}-means", part.cells, "Means as CSV"),
        ],
        data=seeds_table(part, anchor),
    )


def differences_drawing(part: Part, numbering: Numbering) -> Drawing | None:
    """Draw every comparison's difference and interval; None if there is none."""
    compared = part.rows("comparisons")
    if compared["difference"].isna().all():
        return None
    anchor = numbering.anchor("differences", part.experiment, part.dataset)
    margin = points(part.block["margin"]).lstrip("+")
    told = [
        f"{row['arm']} against {row['reference']} {told_difference(row)}, "
        f"{VERDICTS.get(row['verdict'], row['verdict'])}"
        for row in compared.to_dict("records")
    ]
    few = bool((compared["basis"] == "images").any())
    return Drawing(
        id=anchor,
        number=numbering.figure(),
        caption=f"Differences of test accuracy in points with their intervals, {part.where}; "
        f"within {margin} points of zero arms count as the same.",
        picture=Picture(
            draw_differences(compared, part.styles, part.block["margin"], part.optimistic),
            "svg",
            f"Differences on {part.dataset} in points: {_listed(told)}."
            + " * 95 % intervals for test images only, these runs." * few
            + _optimistic_alt(part),
        ),
        notes=part.notes,
        downloads=[Download.of_rows(anchor, compared, "Data as CSV")],
    )


def grid_drawing(part: Part, grid: Mapping[str, Any], numbering: Numbering) -> Drawing:
    """Draw mean test accuracy over two factors as a heat map."""
    anchor = numbering.anchor("grid", part.experiment, part.dataset, grid["title"])
    rows = pd.DataFrame(
        [
            {
                "row_factor": grid["row_factor"],
                "row": row,
                "column_factor": grid["column_factor"],
                "column": column,
                "test_accuracy": value,
            }
            for row, values in zip(grid["rows"], grid["values"], strict=True)
            for column, value in zip(grid["columns"], values, strict=True)
        ]
    )
    told = [
        f"{row['row']} and {row['column']} "
        + ("not run" if pd.isna(row["test_accuracy"]) else f"{percent(row['test_accuracy'])} %")
        for row in rows.to_dict("records")
    ]
    return Drawing(
        id=anchor,
        number=numbering.figure(),
        caption=f"Mean test accuracy in %, {grid['title']}, {part.where}.",
        picture=Picture(
            draw_grid(grid),
            "svg",
            f"Mean test accuracy by {grid['row_factor']} and {grid['column_factor']}: "
            f"{_listed(told)}." + _optimistic_alt(part),
        ),
        notes=part.notes,
        downloads=[Download.of_rows(anchor, rows)],
    )


def curves_drawing(part: Part, numbering: Numbering) -> Drawing | None:
    """Draw losses and validation accuracy over the epochs; None if no epoch was trained."""
    curves = part.rows("curves")
    if curves.empty:
        return None
    anchor = numbering.anchor("curves", part.experiment, part.dataset)
    arms = [arm for arm in part.arms if arm in set(arms_of(curves))]
    notes = []
    mixing = [a["label"] for a in part.block["augmentations"] if a["mixes_labels"]]
    if mixing:
        notes.append(f"{', '.join(mixing)}: {MIXED_LABELS}")
    if part.cells["diverged"].any():
        notes.append("Lines of diverged runs end where their values are no longer finite.")
    if part.cells["stopped_early"].any():
        notes.append("After a run has stopped early, the mean is over the runs that go on.")

    def told(cell: Row) -> str:
        last = percent(cell["val_accuracy_last"])
        return f"{last} %" if np.isfinite(cell["val_accuracy_last"]) else told_accuracy(cell)

    return Drawing(
        id=anchor,
        number=numbering.figure(),
        caption=part.mark(f"Loss and accuracy over the epochs, {part.where}")
        + ": means over seeds; bands reach from the lowest to the highest seed.",
        picture=Picture(
            draw_curves(curves, arms, part.styles, part.optimistic),
            "svg",
            "Training loss, validation loss and validation accuracy over "
            f"{counted(int(curves['epoch'].max()), 'epoch')} on {part.dataset}. Validation "
            f"accuracy after the last epoch, mean over seeds: {_by_arm(part, told)}."
            + " † The validation split is the test split."
            * part.optimistic,
        ),
        notes=[*notes, *part.notes],
        downloads=[Download.of_rows(anchor, curves)],
        data=last_epochs_table(part, anchor),
    )


def classes_drawing(part: Part, numbering: Numbering) -> Drawing | None:
    """Draw the accuracy of every arm on every class; None if no run has finished."""
    classes = part.rows("classes")
    if classes.empty:
        return None
    anchor = numbering.anchor("classes", part.experiment, part.dataset)
    arms = arms_of(classes)
    told = []
    for arm in arms:
        of_arm = classes[(classes["model"] == arm[0]) & (classes["augmentation"] == arm[1])]
        of_arm = of_arm.dropna(subset=["accuracy"])
        worst, best = extremes(of_arm, "accuracy")
        told.append(
            f"{part.names[arm]} from {percent(worst['accuracy'])} % on {worst['class']} to "
            f"{percent(best['accuracy'])} % on {best['class']}"
        )
    return Drawing(
        id=anchor,
        number=numbering.figure(),
        caption=part.mark(f"Accuracy on each class in %, {part.where}") + ": means over seeds.",
        picture=Picture(
            draw_classes(classes, arms, [part.names[arm] for arm in arms]),
            "svg",
            f"Accuracy on the classes of {part.dataset}: {_listed(told)}." + _optimistic_alt(part),
        ),
        notes=part.notes,
        downloads=[Download.of_rows(anchor, classes)],
        data=class_matrix(part, anchor),
    )


def confusion_drawing(part: Part, numbering: Numbering) -> Drawing | None:
    """Draw which class is taken for which by every arm; None if no run has finished."""
    confusion = part.rows("confusion")
    if confusion.empty:
        return None
    anchor = numbering.anchor("confusion", part.experiment, part.dataset)
    arms = arms_of(confusion)
    data = confused_table(part, anchor)
    wrong = confusion[confusion["true"] != confusion["predicted"]]
    told = []
    for arm in arms:
        of_arm = wrong[(wrong["model"] == arm[0]) & (wrong["augmentation"] == arm[1])]
        if of_arm.empty:
            told.append(f"{part.names[arm]} none")
            continue
        _, worst = extremes(of_arm, "share")
        told.append(
            f"{part.names[arm]} {worst['true']} taken for {worst['predicted']} in "
            f"{percent(worst['share'])} %"
        )
    return Drawing(
        id=anchor,
        number=numbering.figure(),
        caption=part.mark(f"Confusion matrices, {part.where}")
        + ": share of each true class (down) by predicted class (across), over all seeds.",
        picture=Picture(
            draw_confusion(
                confusion,
                list(dict.fromkeys(part.rows("classes")["class"])),
                arms,
                [part.names[arm] for arm in arms],
            ),
            "svg",
            f"Confusion matrices on {part.dataset}. Most frequent confusion: {_listed(told)}."
            + _optimistic_alt(part),
        ),
        notes=part.notes,
        downloads=[Download.of_rows(anchor, confusion)],
        data=data if data.rows else None,
    )


def reliability_drawing(part: Part, numbering: Numbering) -> Drawing | None:
    """Draw accuracy against confidence; None if no run has finished."""
    calibration = part.rows("calibration")
    if calibration.empty:
        return None
    anchor = numbering.anchor("reliability", part.experiment, part.dataset)
    arms = arms_of(calibration)

    def told(cell: Row) -> str:
        if not np.isfinite(cell["ece"]):
            return told_accuracy(cell)
        return (
            f"{percent(cell['ece'])} % and {percent(cell['ece_scaled'])} % at temperature "
            f"{number(cell['temperature'])}"
        )

    return Drawing(
        id=anchor,
        number=numbering.figure(),
        caption=part.mark(f"Reliability diagrams, {part.where}")
        + ": accuracy against confidence, before and after temperature scaling.",
        picture=Picture(
            draw_reliability(calibration, arms, [part.names[arm] for arm in arms], part.styles),
            "svg",
            f"Reliability on {part.dataset}. Expected calibration error before and after "
            f"temperature scaling: {_by_arm(part, told)}." + _optimistic_alt(part),
        ),
        notes=part.notes,
        downloads=[Download.of_rows(anchor, calibration)],
    )


def cost_drawing(part: Part, numbering: Numbering) -> Drawing | None:
    """Draw accuracy against what it costs; None if no run has finished."""
    if part.cells["test_accuracy"].isna().all():
        return None
    anchor = numbering.anchor("cost", part.experiment, part.dataset)
    models = {model["model"]: model for model in part.models}

    def told(cell: Row) -> str:
        text = told_accuracy(cell)
        if np.isfinite(cell["test_accuracy"]):
            text += f" % in {number(cell['seconds'] / 60)} minutes"
            if cell["model"] in models:
                model = models[cell["model"]]
                count = model["multiply_adds"]
                text += (
                    f" with {magnitude(model['parameters'])} parameters and "
                    f"{'uncounted' if count is None else magnitude(count)} multiply-adds"
                )
        return text

    rows = part.cells.merge(
        pd.DataFrame(
            [
                {key: model[key] for key in ("model", "parameters", "multiply_adds")}
                for model in models.values()
            ],
            columns=["model", "parameters", "multiply_adds"],
        ),
        on="model",
        how="left",
    )
    return Drawing(
        id=anchor,
        number=numbering.figure(),
        caption=part.mark(f"Test accuracy against cost, {part.where}") + ".",
        picture=Picture(
            draw_cost(part.cells, part.models, part.styles, part.optimistic),
            "svg",
            f"Test accuracy on {part.dataset} against cost: {_by_arm(part, told)}."
            + _optimistic_alt(part),
        ),
        notes=part.notes,
        downloads=[Download.of_rows(anchor, rows)],
    )


def gallery_drawing(entry: Mapping[str, Any], numbering: Numbering) -> Drawing:
    """Show a row of the gallery: samples, or the same images under an augmentation."""
    dataset, captions = entry["dataset"], entry["captions"]
    if entry["kind"] == "samples":
        words: tuple[str, ...] = ("samples", dataset)
        title, code = f"Training images of {dataset} with their classes", ""
        shows = f"Image of {dataset}, class"
    else:
        words = ("augmented", dataset, entry["augmentation"])
        title = (
            f"Augmentation {entry['augmentation']} on the same images, with the resulting labels"
        )
        code = entry["pipeline"] or "unchanged"
        shows = f"Image of {dataset} under {entry['augmentation']}, label"
    shown = tiles(entry["images"])
    anchor = numbering.anchor(*words)
    return Drawing(
        id=anchor,
        number=numbering.figure(),
        caption=f"{title}.",
        code=code,
        picture=Picture(
            png(strip(shown)), "png", f"{title}, from left to right: {'; '.join(captions)}."
        ),
        tiles=[
            Picture(png(tile), "png", f"{shows} {text}", text)
            for tile, text in zip(shown, captions, strict=True)
        ],
        downloads=[
            Download.of_rows(
                anchor, pd.DataFrame({"image": range(1, len(captions) + 1), "label": captions})
            )
        ],
    )


def _by_arm(part: Part, tell: Any) -> str:
    """Tell something of every cell, in words for who cannot see the figure."""
    return _listed(
        [
            f"{part.names[cell['model'], cell['augmentation']]} {tell(cell)}"
            for cell in part.cells.to_dict("records")
        ],
        len(part.cells),
    )


def _listed(texts: Sequence[str], most: int = TOLD) -> str:
    told = "; ".join(texts[:most])
    return told + (f"; and {len(texts) - most} more" if len(texts) > most else "")


def _optimistic_alt(part: Part) -> str:
    return " † Optimistic: the test split was used for validation." * part.optimistic
