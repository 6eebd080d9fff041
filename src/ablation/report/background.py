"""Tables of what stands behind the results: rules, training, networks, runs, origin."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ablation.report.cells import multiply_adds_cell
from ablation.report.datasets import told_shape
from ablation.report.model import Cell, Column, Download, Numbering, Table
from ablation.report.text import (
    NOTHING,
    counted,
    duration,
    magnitude,
    number,
    percent,
    points,
    setting,
    shape,
)

STATUS = {
    "completed": "completed",
    "stopped_early": "stopped early",
    "diverged": "diverged",
    "failed": "failed",
    "running": "still running",
    "missing": "not run yet",
}


def published_table(published: pd.DataFrame, numbering: Numbering) -> Table:
    """Tabulate published figures beside those of the study."""
    anchor = numbering.anchor("published")
    return Table(
        id=anchor,
        number=numbering.table(),
        caption="Published figures beside those of this study, test accuracy.",
        columns=[
            Column("Experiment"),
            Column("Data"),
            Column("Model"),
            Column("Augmentation"),
            Column("Published, %", numeric=True),
            Column("This study, %", numeric=True),
            Column("Difference, points", numeric=True),
            Column("Source", prose=True),
            Column("Their setting", prose=True),
            Column("What differs", prose=True),
        ],
        rows=[
            [
                *(Cell(row[name]) for name in ("experiment", "dataset", "model", "augmentation")),
                Cell(percent(row["published"]), row["published"]),
                Cell(percent(row["own"]), row["own"]),
                Cell(points(row["difference"]), row["difference"]),
                *(Cell(row[name]) for name in ("source", "setting", "differences_in_setting")),
            ]
            for row in published.to_dict("records")
        ],
        headers=4,
        downloads=[Download.of_rows(anchor, published, "CSV")],
    )


def rules_table(rules: pd.DataFrame, numbering: Numbering) -> Table:
    """Tabulate the thresholds and levels behind the prose."""
    return Table(
        id=numbering.anchor("rules"),
        number=numbering.table(),
        caption="Thresholds and levels.",
        columns=[
            Column("Rule"),
            Column("Value", numeric=True),
            Column("Unit"),
            Column("Meaning", prose=True),
        ],
        rows=[
            [Cell(row["rule"]), _rule(row["value"]), Cell(row["unit"]), Cell(row["meaning"])]
            for row in rules.to_dict("records")
        ],
    )


def judging_table(experiments: Sequence[Mapping[str, Any]], numbering: Numbering) -> Table:
    """Tabulate by what each experiment's comparisons were judged."""
    return Table(
        id=numbering.anchor("judging"),
        number=numbering.table(),
        caption="How each experiment was judged.",
        columns=[
            Column("Experiment"),
            Column("Seeds"),
            Column("Comparisons", numeric=True),
            Column("Level, %", numeric=True),
            Column("Margin, points", numeric=True),
            Column("Looks", numeric=True),
        ],
        rows=[
            [
                Cell(one["name"]),
                Cell(setting(one["seeds"])),
                Cell(f"{one['comparisons']:,}", one["comparisons"]),
                Cell(percent(one["level"]), one["level"]),
                Cell(points(one["margin"]).lstrip("+"), one["margin"]),
                Cell(f"{one['looks']}", one["looks"]),
            ]
            for one in experiments
        ],
        notes=[
            "Level: how often this look at the experiment may claim a difference where there is "
            "none. Looks: at how many sets of finished seeds it has been looked. "
            "Margin: within it arms count as the same."
        ],
    )


def training_table(block: Mapping[str, Any], numbering: Numbering) -> Table:
    """Tabulate every training setting of an experiment."""
    validation = {
        "held-out": "a share of the training split, held out",
        "test": "the test split †",
    }[block["validation"]]
    rows = [[key.replace("_", " "), setting(value)] for key, value in block["training"].items()]
    rows += [["validation", validation], ["seeds", setting(block["seeds"])]]
    rows += [
        [f"augmentation {a['label']}", a["pipeline"] or "unchanged"] for a in block["augmentations"]
    ]
    if block["baseline"]:
        rows.append(["baseline", setting(block["baseline"])])
    return Table(
        id=numbering.anchor("training", block["name"]),
        number=numbering.table(),
        caption=f"Training settings of experiment {block['name']}.",
        columns=[Column("Setting"), Column("Value")],
        rows=_text_rows(rows),
    )


def model_table(models: Sequence[Mapping[str, Any]], numbering: Numbering) -> Table:
    """Tabulate the networks."""
    return Table(
        id=numbering.anchor("model-table"),
        number=numbering.table(),
        caption="Networks. Multiply-adds count convolutions and dense layers for one image; "
        "shapes are those that a stage puts out.",
        columns=[
            Column("Model"),
            Column("Data"),
            Column("Input"),
            Column("Parameters", numeric=True),
            Column("Trainable", numeric=True),
            Column("Multiply-adds", numeric=True),
            Column("Stages", prose=True),
        ],
        rows=[
            [
                Cell(model["model"]),
                Cell(model["dataset"]),
                Cell(shape(model["input_shape"])),
                Cell(f"{model['parameters']:,}", model["parameters"]),
                Cell(f"{model['trainable_parameters']:,}", model["trainable_parameters"]),
                multiply_adds_cell(model),
                Cell(
                    ", ".join(f"{s['stage']} {shape(s['output_shape'])}" for s in model["stages"])
                ),
            ]
            for model in models
        ],
    )


def stages_table(model: Mapping[str, Any], anchor: str) -> Table:
    """Tabulate the stages of a network."""
    rows = []
    for stage in model["stages"]:
        parameters, multiply_adds = stage.get("parameters"), stage.get("multiply_adds")
        rows.append(
            [
                Cell(stage["stage"]),
                Cell(shape(stage["output_shape"])),
                Cell(str(stage["blocks"] or NOTHING), stage["blocks"] or None),
                Cell(NOTHING if parameters is None else f"{parameters:,}", parameters),
                Cell(NOTHING if multiply_adds is None else magnitude(multiply_adds), multiply_adds),
            ]
        )
    return Table(
        id=f"{anchor}--stages",
        number="",
        caption=f"Stages of {model['model']} on {model['dataset']}",
        columns=[
            Column("Stage"),
            Column("Output"),
            Column("Blocks", numeric=True),
            Column("Parameters", numeric=True),
            Column("Multiply-adds", numeric=True),
        ],
        rows=rows,
    )


def runs_table(
    runs: pd.DataFrame,
    optimistic: Collection[str],
    unequal: Collection[tuple[str, str]],
    numbering: Numbering,
) -> Table:
    """Tabulate every run.

    Args:
        runs: ``runs.csv``.
        optimistic: experiments that used the test split for validation.
        unequal: experiments and data sets whose classes of the test split are unequal.
        numbering: gives its anchor and number.
    """

    def score(run: Mapping[Any, Any], name: str) -> Cell:
        mark = " †" if run["experiment"] in optimistic and math.isfinite(run[name]) else ""
        return Cell(percent(run[name]) + mark, run[name])

    def balanced(run: Mapping[Any, Any]) -> Cell:
        told = (run["experiment"], run["dataset"]) in unequal
        return score(run, "balanced_accuracy") if told else Cell(NOTHING)

    notes = [of_some(optimistic)] if optimistic else []
    if unequal:
        notes.append(
            "Balanced accuracy, the mean of the classes' recalls, is told where the classes of the "
            "test split are unequal."
        )
    anchor = numbering.anchor("run-table")
    return Table(
        id=anchor,
        number=numbering.table(),
        caption="Every run. A run that two experiments share stands under both.",
        columns=[
            Column("Experiment"),
            Column("Data"),
            Column("Model"),
            Column("Augmentation"),
            Column("Seed", numeric=True),
            Column("Id", code=True),
            Column("Status"),
            Column("Test accuracy, %", numeric=True),
            *[Column("Balanced accuracy, %", numeric=True)] * bool(unequal),
            Column("Validation, last, %", numeric=True),
            Column("Epochs", numeric=True),
            Column("Seconds", numeric=True),
        ],
        rows=[
            [
                *(Cell(run[name]) for name in ("experiment", "dataset", "model", "augmentation")),
                Cell(number(run["seed"], 0), run["seed"]),
                Cell(run["id"]),
                Cell(told_status(run)),
                score(run, "test_accuracy"),
                *[balanced(run)] * bool(unequal),
                score(run, "val_accuracy_last"),
                Cell(number(run["epochs"], 0), run["epochs"]),
                Cell(number(run["seconds"], 1), run["seconds"]),
            ]
            for run in runs.to_dict("records")
        ],
        headers=4,
        notes=notes,
        downloads=[Download.of_rows(anchor, runs, "CSV")],
    )


def told_status(run: Mapping[Any, Any]) -> str:
    """Tell what became of a run."""
    return STATUS.get(run["status"], run["status"])


def run_facts(
    run: Mapping[Any, Any], optimistic: bool, unequal: bool = False
) -> list[tuple[str, str]]:
    """Return everything that is known of a run, as names and values.

    Args:
        run: its row of ``runs.csv``.
        optimistic: whether its experiment used the test split for validation.
        unequal: whether the classes of its test split are unequal.
    """
    facts = [("Status", told_status(run))]
    if run["reason"]:
        facts.append(("Reason", run["reason"]))
    if run["log"]:
        facts.append(("Log", run["log"]))
    if run["attempts"] > 1:
        facts.append(
            (
                "Attempts",
                f"{number(run['attempts'], 0)}, each from the checkpoint of the one before",
            )
        )
    mark = " †" if optimistic else ""
    measures = [
        ("Test accuracy", "test_accuracy", lambda x: f"{percent(x)} %{mark}"),
        *[("Balanced accuracy", "balanced_accuracy", lambda x: f"{percent(x)} %{mark}")] * unequal,
        ("Top-5 accuracy", "top5_accuracy", lambda x: f"{percent(x)} %{mark}"),
        ("Validation accuracy, last epoch", "val_accuracy_last", lambda x: f"{percent(x)} %{mark}"),
        ("best epoch", "val_accuracy_best", lambda x: f"{percent(x)} %{mark}"),
        ("median of the last five", "val_accuracy_median5", lambda x: f"{percent(x)} %{mark}"),
        ("Gain of the best epoch", "best_epoch_gain", lambda x: f"{points(x)} points{mark}"),
        ("Clean training accuracy", "train_accuracy_clean", lambda x: f"{percent(x)} %"),
        ("Gap", "gap", lambda x: f"{points(x)} points{mark}"),
        ("NLL", "nll", lambda x: f"{number(x, 4)}{mark}"),
        ("Brier score", "brier", lambda x: f"{number(x, 4)}{mark}"),
        ("ECE", "ece", lambda x: f"{percent(x)} %{mark}"),
        ("ECE after scaling", "ece_scaled", lambda x: f"{percent(x)} %{mark}"),
        ("Temperature", "temperature", number),
        ("Epochs", "epochs", lambda x: number(x, 0)),
        ("Training time", "seconds", duration),
        ("Images per second", "images_per_second", lambda x: number(x, 0)),
    ]
    facts += [
        (title, tell(run[name])) for title, name, tell in measures if math.isfinite(run[name])
    ]
    return facts


def data_table(data: Sequence[Mapping[str, Any]], numbering: Numbering) -> Table:
    """Tabulate the data sets."""
    sizes = ("classes", "train", "validation", "test")
    return Table(
        id=numbering.anchor("data-table"),
        number=numbering.table(),
        caption="Data sets, with the number of images in each split.",
        columns=[
            Column("Data"),
            Column("Source"),
            Column("Shape", prose=True),
            Column("Classes", numeric=True),
            Column("Training", numeric=True),
            Column("Validation", numeric=True),
            Column("Test", numeric=True),
            Column("Hash of the content", code=True),
        ],
        rows=[
            [
                Cell(one["dataset"]),
                Cell(one["source"]),
                Cell(told_shape(one)),
                *(Cell(f"{one[name]:,}", one[name]) for name in sizes),
                Cell(one["hash"]),
            ]
            for one in data
        ],
    )


def splits_table(data: Sequence[Mapping[str, Any]], numbering: Numbering) -> Table:
    """Tabulate where the splits come from."""
    return Table(
        id=numbering.anchor("split-table"),
        number=numbering.table(),
        caption="Where the splits come from.",
        columns=[Column("Data"), Column("Split"), Column("Origin")],
        rows=_text_rows(
            [one["dataset"], split, str(text)]
            for one in data
            for split, text in one["splits"].items()
        ),
        headers=2,
    )


def provenance_table(provenance: Mapping[str, Any], numbering: Numbering) -> Table:
    """Tabulate where and with what the runs were made."""
    packages = [f"{name} {setting(versions)}" for name, versions in provenance["packages"].items()]
    rows = [
        ["Runs", str(provenance["runs"])],
        *[["Runs that went on after an interruption", str(provenance["resumed"])]]
        * bool(provenance["resumed"]),
        ["Training time, summed over runs", duration(provenance["train_seconds"])],
        ["First run started", setting(provenance["first_started"])],
        ["Last run started", setting(provenance["last_started"])],
        ["Git commits", setting(provenance["git_commits"])],
        ["Python", setting(provenance["python"])],
        ["Packages", "; ".join(packages) or NOTHING],
        ["Processors", setting(provenance["processors"])],
        ["Graphics processors", setting(provenance["gpus"]) if provenance["gpus"] else "none"],
        ["Systems", setting(provenance["systems"])],
        ["CPU threads of a run", setting(provenance["threads"])],
    ]
    return Table(
        id=numbering.anchor("provenance-table"),
        number=numbering.table(),
        caption="Where and with what the runs were made.",
        columns=[Column("What"), Column("Value")],
        rows=_text_rows(rows),
    )


def of_some(optimistic: Collection[str]) -> str:
    """Tell that the scores of some experiments are optimistic."""
    names = ", ".join(sorted(optimistic))
    return (
        f"† The test split was used for validation (experiments: {names}), so these scores are "
        "optimistic."
    )


def scope(block: Mapping[str, Any]) -> str:
    """Tell the extent of an experiment in a line."""
    seeds = ", ".join(map(str, block["seeds"]))
    *shorter, longest = block["epochs"]
    epochs = "".join(f"{count}, " for count in shorter)
    return (
        f"{counted(len(block['models']), 'model')} × "
        f"{counted(len(block['augmentations']), 'augmentation')} on "
        f"{', '.join(block['datasets'])}; {counted(len(block['seeds']), 'seed')} ({seeds}); "
        f"{epochs}{counted(longest, 'epoch')}; {counted(block['runs'], 'run')}."
    )


def _rule(value: str) -> Cell:
    try:
        found = float(value)
    except ValueError:
        return Cell(value)
    return Cell(f"{found:g}".replace("-", "−"), found)


def _text_rows(rows: Iterable[Sequence[str]]) -> list[list[Cell]]:
    return [[Cell(text) for text in row] for row in rows]
