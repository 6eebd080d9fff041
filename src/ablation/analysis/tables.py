"""Declarations of the tables of a study and of their columns.

Rules, report and reference read them. pandas and the metrics are imported lazily, because Snakemake
imports this module at every start.
"""
# ruff: noqa: PLC0415

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Unit = Literal["text", "flag", "count", "number", "share", "difference", "seconds"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: name of the column.
        unit: ``text``, ``flag`` (true or false), ``count`` (a whole number), ``share`` (0 to 1),
            ``difference`` (of shares, -1 to 1), ``seconds``, or ``number`` for all others.
        meaning: description of the values.
    """

    name: str
    unit: Unit
    meaning: str


@dataclass(frozen=True)
class EachMetric:
    """A column for each metric of `ablation.study.metrics`.

    Attributes:
        mean: whether the columns are means over seeds, each with a column of standard deviations.
    """

    mean: bool = False

    def columns(self) -> list[Column]:
        """Return the columns."""
        from ablation.study.metrics import METRICS

        found: list[Column] = []
        for metric in METRICS:
            unit: Any = metric.unit
            if self.mean:
                unit = "number" if unit == "count" else unit
                found += [
                    Column(metric.name, unit, f"Mean over the seeds. {metric.definition}"),
                    Column(f"{metric.name}_sd", unit, "Its standard deviation (n - 1)."),
                ]
            else:
                found.append(Column(metric.name, unit, metric.definition))
        return found


@dataclass(frozen=True)
class Table:
    """A table, written as ``NAME.csv``.

    Attributes:
        name: name of the table.
        meaning: description of its rows.
        declared: declared columns, in order.
    """

    name: str
    meaning: str
    declared: tuple[Column | EachMetric, ...]

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in order."""
        return tuple(
            column
            for one in self.declared
            for column in ([one] if isinstance(one, Column) else one.columns())
        )

    def frame(self, rows: "Iterable[Mapping[Any, Any]] | pd.DataFrame" = ()) -> "pd.DataFrame":
        """Return a data frame with the declared columns and their types.

        Raises:
            ValueError: a row has an undeclared column.
        """
        import pandas as pd

        table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        names = [column.name for column in self.columns]
        if unknown := set(table.columns) - set(names):
            raise ValueError(f"the table {self.name} has no column {', '.join(sorted(unknown))}")
        table = table.reset_index(drop=True)
        return pd.DataFrame(
            {
                column.name: _typed(table[column.name], column.unit)
                if column.name in table
                else pd.Series(_MISSING.get(column.unit), table.index, _TYPES[column.unit])
                for column in self.columns
            }
        )

    def read(self, folder: Path) -> "pd.DataFrame":
        """Read the table from a folder of results.

        Text that looks like a number or a missing value stays text.
        """
        import pandas as pd

        file = folder / f"{self.name}.csv"
        text = [column.name for column in self.columns if column.unit == "text"]
        numbers = [column.name for column in self.columns if column.unit != "text"]
        return self.frame(
            pd.read_csv(
                file,
                dtype=dict.fromkeys(text, str),
                keep_default_na=False,
                na_values={name: [""] for name in numbers},
            )
        )


_TYPES: dict[Unit, Any] = {
    "text": str, "flag": bool, "count": "Int64", "number": float, "share": float,
    "difference": float, "seconds": float,
}  # fmt: skip
_MISSING: dict[Unit, Any] = {"text": "", "flag": False}  # not a number for all others


def _typed(values: "pd.Series[Any]", unit: Unit) -> "pd.Series[Any]":
    if unit == "flag":
        return values.astype("boolean").fillna(False).astype(bool)  # refuses other values
    if unit == "text" and values.hasnans:
        values = values.astype(object).where(values.notna(), "")
    return values.astype(_TYPES[unit])


CELL = ("experiment", "dataset", "model", "augmentation")
_CELL = (
    Column("experiment", "text", "Experiment."),
    Column("dataset", "text", "Data set."),
    Column("model", "text", "Model."),
    Column("augmentation", "text", "Augmentation."),
)
_SEED = (
    Column("seed", "count", "Seed of the run."),
    Column("id", "text", "First eight hex digits of the hash of the run's settings."),
)
_PAIR = (
    Column("experiment", "text", "Experiment that makes the comparison."),
    Column(
        "kinds", "text",
        "Why the two are compared, one or several of baseline, counterpart, arm, budget and "
        "factor, separated by spaces.",
    ),
    Column("dataset", "text", "Data set; all for a comparison over several."),
    Column("arm", "text", "Arm, or side of a contrast, that is compared."),
    Column("reference", "text", "Arm, or side of a contrast, that it is compared with."),
)  # fmt: skip
_P = (
    Column("p", "share", "Uncorrected p-value; empty with fewer than three seeds."),
    Column(
        "p_adjusted", "share",
        "p-value corrected for the family and for earlier looks; at most 0.05 for a significant "
        "difference.",
    ),
)  # fmt: skip
_FALL = "Loss on the validation images."

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "runs", "A row for each run of each experiment.",
            (
                *_CELL, *_SEED,
                Column(
                    "status", "text",
                    "completed, stopped_early or diverged; of a partial report also failed, "
                    "running or missing.",
                ),
                EachMetric(),
                Column("validation", "text", "held-out, or test where the test split validates."),
                Column("reason", "text", "Why it diverged, failed or is missing."),
                Column("log", "text", "Its log, where there is a reason."),
                Column("attempts", "count", "Processes that trained a part of it."),
            ),
        ),
        Table(
            "curves", "A row for each run and epoch.",
            (
                *_CELL, *_SEED,
                Column("epoch", "count", "Epoch, from 1."),
                Column("loss", "number", "Training loss, mean over the epoch."),
                Column("accuracy", "share", "Training accuracy, mean over the epoch."),
                Column("val_loss", "number", _FALL),
                Column("val_accuracy", "share", "Accuracy on the validation images."),
                Column("learning_rate", "number", "Learning rate of the epoch's first step."),
            ),
        ),
        Table(
            "epochs", "A row for each cell and epoch: means over the runs that have not diverged.",
            (
                *_CELL,
                Column("epoch", "count", "Epoch, from 1."),
                Column("runs", "count", "Runs that have reached it."),
                Column("loss", "number", "Training loss."),
                Column("accuracy", "share", "Training accuracy."),
                Column("val_loss", "number", _FALL),
                Column("val_accuracy", "share", "Validation accuracy."),
                Column("val_accuracy_min", "share", "Lowest validation accuracy of the runs."),
                Column("val_accuracy_max", "share", "Highest validation accuracy of the runs."),
            ),
        ),
        Table(
            "cells",
            "A row for each cell: counts of its runs, then means over the seeds whose run has "
            "finished and not diverged.",
            (
                *_CELL,
                Column("is_baseline", "flag", "Whether it is the baseline of the experiment."),
                Column("runs", "count", "Runs that are planned."),
                Column("finished", "count", "Runs that have finished, diverged ones included."),
                Column("diverged", "count", "Runs that have diverged."),
                Column("failed", "count", "Runs that ended without a result."),
                Column("missing", "count", "Runs that have not finished yet."),
                Column("stopped_early", "count", "Runs that early stopping ended."),
                EachMetric(mean=True),
                Column("test_accuracy_min", "share", "Lowest test accuracy of the runs."),
                Column("test_accuracy_max", "share", "Highest test accuracy of the runs."),
            ),
        ),
        Table(
            "comparisons", "A row for each pair that is compared and metric.",
            (
                *_PAIR,
                Column(
                    "measure", "text",
                    "Metric that is compared; val_accuracy where an epoch is given.",
                ),
                Column("epoch", "count", "Epoch after which validation accuracy is compared."),
                Column("seeds", "count", "Seeds that have finished on both sides, not diverged."),
                Column("difference", "number", "Arm less reference, in the unit of the metric."),
                Column(
                    "ci_low", "number",
                    "Lower end of the deciding interval; with fewer than three seeds, of that over "
                    "the test images.",
                ),
                Column("ci_high", "number", "Its upper end."),
                Column(
                    "ci_level", "share",
                    "Its confidence level: 0.95, corrected for the other comparisons.",
                ),
                *_P,
                Column(
                    "verdict", "text",
                    "better, worse, same or open; empty where no seed is on both sides. Better is "
                    "meant by the metric: of a loss, lower.",
                ),
                Column("basis", "text", "What the interval is over: seeds or images."),
                Column(
                    "mde", "number",
                    "Minimum detectable effect: the smallest true difference found with 80 % "
                    "power.",
                ),
                Column("mde_low", "number", "Lower end of its 95 % interval."),
                Column("mde_high", "number", "Upper end of its 95 % interval."),
                Column(
                    "sign_agreement", "share",
                    "Share of the seeds whose difference has the sign of the mean.",
                ),
                Column(
                    "prob_superiority", "share",
                    "Probability that a run of the arm is better than one of the reference, ties "
                    "counting half.",
                ),
                Column(
                    "image_ci_low", "number",
                    "Lower end of the 95 % interval over the test images for these trained "
                    "networks; empty for metrics without values for each image.",
                ),
                Column("image_ci_high", "number", "Its upper end."),
                Column("arm_value", "number", "Mean of the arm over the same seeds."),
                Column("reference_value", "number", "Mean of the reference over the same seeds."),
                Column("arm_model", "text", "Model of the arm, if it is a single cell."),
                Column("arm_augmentation", "text", "Augmentation of the arm, likewise."),
                Column("reference_model", "text", "Model of the reference, likewise."),
                Column("reference_augmentation", "text", "Augmentation of the reference."),
                Column(
                    "seeds_needed", "count",
                    "Seeds that would decide an open comparison if the true difference is the "
                    "observed one, or the margin if that is larger; empty above 100.",
                ),
                Column("near_chance", "flag", "Whether all cells are near chance."),
                Column(
                    "failing", "flag",
                    "Whether runs of a cell have diverged or are far worse than its others.",
                ),
                Column(
                    "failure_rate", "share",
                    "With the verdict same: failure rate that the seeds without a failure exclude.",
                ),
                Column("by_seed", "text", "Difference at each seed, separated by spaces."),
                Column(
                    "factors", "text",
                    "Factor of a main effect, or both of an interaction, joined by ×.",
                ),
                Column("level", "text", "Level of the first factor."),
                Column("reference_level", "text", "Level that it is compared with."),
                Column("condition", "text", "Of an interaction, level of the second factor."),
                Column("reference_condition", "text", "Level that it is compared with."),
                Column(
                    "margin", "number",
                    "Difference that does not matter, in the unit of the metric; empty where "
                    "nothing is called the same.",
                ),
            ),
        ),
        Table(
            "claims", "A row for each experiment, claim and comparison that tests it.",
            (
                Column("experiment", "text", "Experiment whose comparisons test the claim."),
                Column("claim", "text", "Name of the claim."),
                Column("part", "count", "Number of the comparison; empty for a claim not tested."),
                Column("text", "text", "The claim."),
                Column("source", "text", "Who made it."),
                Column("stated_in", "text", "Experiment that states it."),
                *_PAIR[2:],
                Column("measure", "text", "Metric that is compared."),
                Column("epoch", "count", "Epoch after which validation accuracy is compared."),
                Column("says", "text", "What the claim says the arm is."),
                Column("verdict", "text", "Verdict of the comparison."),
                Column("difference", "number", "Arm less reference, in the unit of the metric."),
                Column("ci_low", "number", "Lower end of the interval over the seeds."),
                Column("ci_high", "number", "Its upper end."),
                Column("seeds", "count", "Seeds that are compared."),
                Column(
                    "part_status", "text",
                    "holds, contradicted, not by more than the margin, or open: of the comparison.",
                ),
                Column("status", "text", "The same of the claim, or not tested."),
                Column("status_there", "text", "Its status in the experiment that states it."),
                Column(
                    "conclusion", "text",
                    "Of a revisited claim: survives, does not survive, not by more than the "
                    "margin, undecided, or not tested here.",
                ),
                Column("near_chance", "flag", "Whether all cells compared are near chance."),
            ),
        ),
        Table(
            "classes", "A row for each cell and class.",
            (
                *_CELL,
                Column("class", "text", "Class."),
                Column("images", "count", "Its test images."),
                Column("accuracy", "share", "Share of them classified correctly, mean over seeds."),
                Column("accuracy_sd", "share", "Its standard deviation over the seeds."),
            ),
        ),
        Table(
            "class_effects", "A row for each pair of cells that is compared, and class.",
            (
                *_PAIR,
                Column("class", "text", "Class."),
                Column("images", "count", "Its test images."),
                Column("seeds", "count", "Seeds that are compared."),
                Column("difference", "difference", "Accuracy of the arm less the reference's."),
                Column("ci_low", "difference", "Lower end of the interval that decides."),
                Column("ci_high", "difference", "Its upper end."),
                *_P,
                Column("verdict", "text", "helped, harmed or unclear."),
            ),
        ),
        Table(
            "confusion", "A row for each true and predicted class of a cell that occur together.",
            (
                *_CELL,
                Column("true", "text", "True class."),
                Column("predicted", "text", "Predicted class."),
                Column("count", "count", "Test images, summed over the seeds."),
                Column("share", "share", "Share of the images of the true class."),
            ),
        ),
        Table(
            "calibration", "A row for each cell and bin of confidence; seeds are pooled.",
            (
                *_CELL,
                Column("scaled", "flag", "Whether it is after temperature scaling."),
                Column("bin", "count", "Number of the bin, from 1."),
                Column("bin_low", "share", "Confidences of the bin are above this,"),
                Column("bin_high", "share", "up to this."),
                Column("count", "count", "Test images in the bin."),
                Column("confidence", "share", "Their mean confidence."),
                Column("accuracy", "share", "Share of them classified correctly."),
            ),
        ),
        Table(
            "checks", "A row for each check that found something, and where.",
            (
                Column("experiment", "text", "Experiment; empty for the whole study."),
                Column("dataset", "text", "Data set; empty for the whole experiment."),
                *_CELL[2:],
                Column("check", "text", "Name of the check."),
                Column("count", "count", "How many are concerned,"),
                Column("of", "count", "of how many."),
                Column("value", "number", "The number that was checked."),
                Column("threshold", "number", "What it was compared with."),
                Column("detail", "text", "Names, such as package versions."),
            ),
        ),
        Table(
            "thresholds", "Every threshold that results are compared with.",
            (
                Column("threshold", "text", "Name."),
                Column("value", "number", "Value, in the unit."),
                Column("unit", "text", "share, difference, count or number."),
                Column("meaning", "text", "What it decides."),
            ),
        ),
        Table(
            "interpretations", "A row for each interpretation whose condition holds.",
            (
                Column("experiment", "text", "Experiment."),
                Column("interpretation", "text", "Name of the interpretation."),
                *_CELL[1:],
                Column("reference_model", "text", "Model that it is compared with, if any."),
                Column("reference_augmentation", "text", "Augmentation of that."),
                Column("epoch", "count", "Epoch that it speaks of, if it is not the last."),
                Column("value", "number", "The number that decides."),
                Column("threshold", "number", "What it was compared with."),
            ),
        ),
        Table(
            "next_steps",
            "A row for each step that would strengthen the results, the most useful first.",
            (
                Column("experiment", "text", "Experiment."),
                Column(
                    "step", "text",
                    "finish_runs, stabilize, seeds_for_verdicts, longer_training, more_seeds or "
                    "new_seeds (in a separate study, because the level is spent).",
                ),
                Column("count", "count", "Runs or comparisons that call for it,"),
                Column("of", "count", "of how many."),
                Column("needed", "count", "Seeds or epochs that it takes."),
                Column("runs", "count", "Runs to train."),
                Column(
                    "seconds", "seconds",
                    "Estimated training time, one run after another; from the mean of the "
                    "experiment's runs.",
                ),
            ),
        ),
        Table(
            "published", "A row for each cell and comparable published accuracy.",
            (
                *_CELL,
                Column("published", "share", "Published test accuracy."),
                Column("own", "share", "Mean test accuracy of the cell."),
                Column("difference", "difference", "Own less published."),
                Column("source", "text", "Publication and table."),
                Column("setting", "text", "How the figure was measured."),
                Column("differences_in_setting", "text", "What differs from the cell."),
            ),
        ),
        Table(
            "rubric_checks", "A row for each check of the study's rubric, and where.",
            (
                Column("criterion", "text", "Number or name of the criterion."),
                Column("question", "text", "What the criterion asks."),
                Column("check", "text", "Name of the check."),
                *_CELL,
                Column("status", "text", "met, not met or cannot be decided."),
                Column("measure", "text", "What the value is of."),
                Column("value", "number", "The number that was checked."),
                Column("threshold", "number", "What it was compared with."),
                Column("count", "count", "How many meet it,"),
                Column("of", "count", "of how many."),
                Column("needed", "count", "How many are needed."),
                Column("remedy_kind", "text", "What would meet it."),
            ),
        ),
    )
}  # fmt: skip
