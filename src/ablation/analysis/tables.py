"""The tables of a study, from the results of its runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis import power
from ablation.analysis.calibration import reliability
from ablation.analysis.classes import class_accuracies, confusions
from ablation.analysis.effects import Effect
from ablation.analysis.measures import MEASURES, chance, near_chance, unequal
from ablation.analysis.rules import (
    BALANCED_BELOW,
    LONGER_BUDGET,
    LOSS_JUMP,
    MISCALIBRATED,
    OVERFITTING_GAP,
    STILL_FALLING,
)
from ablation.analysis.runs import RunResult
from ablation.analysis.states import RunState, log_of
from ablation.analysis.testing import OPEN, Decision, decide
from ablation.study.comparisons import Cell, Comparison, reference_of
from ablation.study.plan import PlannedExperiment

CELL = ["experiment", "dataset", "model", "augmentation"]
VERDICTS = ("better", "worse", "same", OPEN)
INTERACTION = "interaction"  # a factor's effect that depends on another factor
FAILURES_MISSED = 0.05  # chance to see no failure at the rate of failures that is excluded
NO_VERDICT = "none"  # no seed has finished on both sides
RUN_COLUMNS = (
    *CELL, "seed", "id", "status", "test_accuracy", "val_accuracy_last", "val_accuracy_best",
    "epochs", "seconds",
    *(m for m in MEASURES if m not in {
        "test_accuracy", "val_accuracy_last", "val_accuracy_best", "epochs", "seconds"}),
    "validation", "reason", "log", "attempts",
)  # fmt: skip
COMPARISON_COLUMNS = (
    "experiment", "kind", "dataset", "arm", "reference", "seeds", "difference", "low", "high",
    "p", "p_holm", "detectable", "verdict", "basis", "agree", "superiority", "image_low",
    "image_high", "arm_accuracy", "reference_accuracy", "measure", "epoch", "arm_model",
    "arm_augmentation", "reference_model", "reference_augmentation", "seeds_needed", "factors",
    "near_chance", "by_seed", "detectable_low", "detectable_high", "failure_rate",
    "failing",
)  # fmt: skip

Results = Mapping[Cell, Sequence[RunResult]]  # the runs of an experiment that are there
Missing = Mapping[str, RunState]  # by folder, those that are not


def runs_table(experiment: PlannedExperiment, results: Results, missing: Missing) -> pd.DataFrame:
    """Return a row a run, in the order of the study file."""
    found = {r.run.folder: r for of_cell in results.values() for r in of_cell}
    rows = []
    for run in experiment.runs:
        row: dict[str, Any] = {
            "experiment": experiment.name,
            "dataset": run.dataset,
            "model": run.model,
            "augmentation": run.augmentation,
            "seed": run.seed,
            "id": run.id,
            "validation": experiment.block.validation,
        }
        if run.folder in found:
            result = found[run.folder]
            row |= {"status": result.record["status"], **result.measures}
            row["attempts"] = len(result.record["attempts"])
            if result.diverged:
                row |= {"reason": _why_diverged(result), "log": str(log_of(run))}
        else:
            state = missing[run.folder]
            row |= {"status": state.status, "reason": state.reason, "log": str(state.log or "")}
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
    return table.astype({"epochs": "Int64", "attempts": "Int64"})


def _why_diverged(result: RunResult) -> str:
    lost = result.history.loc[~np.isfinite(result.history["loss"]), "epoch"]
    if len(lost):
        return f"the training loss was not finite in epoch {int(lost.iloc[0])}"
    return "the network's answers were not finite after training"


def curves_table(experiment: PlannedExperiment, results: Results) -> pd.DataFrame:
    """Return a row a run and epoch."""
    frames = [
        result.history.assign(
            experiment=experiment.name,
            dataset=result.run.dataset,
            model=result.run.model,
            augmentation=result.run.augmentation,
            seed=result.run.seed,
            id=result.run.id,
        )
        for of_cell in results.values()
        for result in of_cell
    ]
    columns = [
        *CELL, "seed", "id", "epoch", "loss", "accuracy", "val_loss", "val_accuracy",
        "learning_rate",
    ]  # fmt: skip
    return (
        pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)
    )


def cells_table(experiment: PlannedExperiment, runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row a cell: counts of its runs, then mean and deviation of each measure.

    Means are over the seeds whose run has finished and not diverged; the deviation (n - 1) is
    empty for a single one.
    """
    rows = []
    for cell, of_cell in runs.groupby(CELL, sort=False):
        names = tuple(map(str, cell))[1:]
        status = of_cell["status"]
        row: dict[str, Any] = {
            **dict(zip(CELL, cell, strict=True)),
            "is_baseline": reference_of(experiment, names) == names,  # type: ignore[arg-type]
            "runs": len(of_cell),
            "finished": int(status.isin(["completed", "stopped_early", "diverged"]).sum()),
            "diverged": int((status == "diverged").sum()),
            "failed": int((status == "failed").sum()),
            "missing": int(status.isin(["running", "missing"]).sum()),
            "stopped_early": int((status == "stopped_early").sum()),
        }
        sound = of_cell[status.isin(["completed", "stopped_early"])]
        for measure in MEASURES:
            values = sound[measure].astype(float)
            row |= {measure: values.mean(), f"{measure}_sd": values.std(ddof=1)}
        row |= {
            "test_accuracy_low": sound["test_accuracy"].min(),
            "test_accuracy_high": sound["test_accuracy"].max(),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def comparisons_table(
    experiment: PlannedExperiment,
    found: Sequence[Effect | None],
    level: Callable[[int | None], float],
    margin: float,
) -> pd.DataFrame:
    """Return a row a comparison and kind.

    Args:
        experiment: the experiment.
        found: the effect of each of its comparisons.
        level: how often all of them together may claim a difference where there is none, at this
            look (None) or at a next one with so many seeds.
        margin: differences within it do not matter, as a share.
    """
    pairs = list(zip(experiment.comparisons, found, strict=True))
    judged = {
        place: effect.estimate
        for place, (_, effect) in enumerate(pairs)
        if effect is not None and effect.estimate is not None
    }
    questions = [experiment.comparisons[place].question for place in judged]
    decided = decide(list(judged.values()), questions, level(None))
    decisions = dict(zip(judged, decided, strict=True))
    rows = []
    for place, (comparison, effect) in enumerate(pairs):
        row = _told(comparison)
        if effect is None:
            row |= {"seeds": 0, "verdict": NO_VERDICT, "near_chance": False, "failing": False}
        else:
            row |= _found(effect)
            if place in decisions:
                row |= _judged(effect, decisions[place], margin)
                row |= _reach(comparison, effect, level, experiment.questions)
                if decisions[place].verdict(margin) == OPEN and not effect.near_chance:
                    row["seeds_needed"] = power.seeds_needed(
                        effect, lambda seeds: level(seeds) / experiment.questions, margin
                    )
        rows += [{"experiment": experiment.name, "kind": kind, **row} for kind in comparison.kinds]
    table = pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))
    return table.astype({"seeds": "Int64", "epoch": "Int64", "seeds_needed": "Int64"})


def _found(effect: Effect) -> dict[str, Any]:
    """What a comparison found, without a verdict."""
    return {
        "seeds": effect.seeds,
        "difference": effect.difference,
        "low": effect.image_low,
        "high": effect.image_high,
        "verdict": OPEN,
        "basis": "images",
        "agree": effect.agree,
        "superiority": effect.superiority,
        "image_low": effect.image_low,
        "image_high": effect.image_high,
        "arm_accuracy": effect.arm,
        "reference_accuracy": effect.reference,
        "near_chance": effect.near_chance,
        "failing": effect.failing,
        "by_seed": " ".join(f"{value:.6g}" for value in effect.by_seed),
    }


def _judged(effect: Effect, decision: Decision, margin: float) -> dict[str, Any]:
    """What is said of an effect from three seeds on."""
    assert effect.estimate is not None
    verdict = decision.verdict(margin)
    # Networks that learned nothing are equal whatever is compared, and runs that fail are rare, so
    # that a mean over few seeds hides how much they cost.
    if verdict == "same" and (effect.near_chance or effect.failing):
        verdict = OPEN
    known = math.isfinite(decision.low)  # at level 0 there is no interval
    return {
        "low": decision.low if known else None,
        "high": decision.high if known else None,
        "p": effect.estimate.p,
        "p_holm": decision.p,
        "verdict": verdict,
        "basis": "seeds",
        "failure_rate": 1 - FAILURES_MISSED ** (1 / effect.seeds) if verdict == "same" else None,
    }


def _reach(
    comparison: Comparison,
    effect: Effect,
    level: Callable[[int | None], float],
    questions: int,
) -> dict[str, Any]:
    """How small a difference the comparison finds."""
    # An interaction is a difference of differences, each of 1 at most.
    largest = 2 ** max(0, len(comparison.factors) - 1)
    found = power.detectable(effect, level(None) / questions)
    sizes = [min(size, largest) for size in found] if found else [None] * 3
    names = ("detectable", "detectable_low", "detectable_high")
    return dict(zip(names, sizes, strict=True))


def _told(comparison: Comparison) -> dict[str, Any]:
    row: dict[str, Any] = {
        "dataset": comparison.dataset,
        "arm": comparison.arm.label,
        "reference": comparison.reference.label,
        "measure": "test_accuracy" if comparison.epoch is None else "val_accuracy",
        "epoch": comparison.epoch,
        "factors": " × ".join(comparison.factors),
    }
    for side, contrast in (("arm", comparison.arm), ("reference", comparison.reference)):
        if contrast.cell is not None:
            row |= {f"{side}_model": contrast.cell[1], f"{side}_augmentation": contrast.cell[2]}
    return row


def _of_cells(
    experiment: PlannedExperiment,
    results: Results,
    make: Callable[[Sequence[RunResult]], pd.DataFrame],
) -> pd.DataFrame:
    """A table made of each cell's sound runs, one below the other, with the cell's names."""
    frames = []
    for cell, of_cell in results.items():
        sound = [result for result in of_cell if not result.diverged]
        if sound:
            frame = make(sound)
            for position, (key, value) in enumerate(
                zip(CELL, (experiment.name, *cell), strict=True)
            ):
                frame.insert(position, key, value)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=CELL)


def classes_table(experiment: PlannedExperiment, results: Results) -> pd.DataFrame:
    """Return a row a cell and class."""
    return _of_cells(experiment, results, class_accuracies)


def confusion_table(experiment: PlannedExperiment, results: Results) -> pd.DataFrame:
    """Return a row for each confusion of a cell that happened, and each class's right answers."""
    return _of_cells(experiment, results, confusions)


def calibration_table(experiment: PlannedExperiment, results: Results) -> pd.DataFrame:
    """Return a row a cell, bin and way: as it is, and after temperature scaling."""

    def bins(sound: Sequence[RunResult]) -> pd.DataFrame:
        label = np.concatenate([result.label for result in sound])
        return pd.concat(
            [
                reliability(label, np.concatenate(probability)).assign(scaled=scaled)
                for scaled, probability in (
                    (False, [result.probability for result in sound]),
                    (True, [result.scaled for result in sound]),
                )
            ]
        )

    columns = [*CELL, "scaled", "bin", "low", "high", "count", "confidence", "accuracy"]
    return _of_cells(experiment, results, bins).reindex(columns=columns)


def diagnostics_table(
    experiment: PlannedExperiment, results: Results, cells: pd.DataFrame, comparisons: pd.DataFrame
) -> pd.DataFrame:
    """Return what is to be known of cells, and in rows without a model of the experiment.

    Columns: the cell, ``diagnosis``, ``count`` of how many ``of``, ``value``, ``threshold``.
    """
    rows: list[dict[str, Any]] = []

    def add(diagnosis: str, cell: Cell = ("", "", ""), **values: Any) -> None:
        names = dict(zip(CELL, (experiment.name, *cell), strict=True))
        rows.append({**names, "diagnosis": diagnosis, **values})

    for diagnosis, threshold, is_so in (
        ("diverged", None, lambda result: result.diverged),
        ("stopped early", None, lambda r: r.record["status"] == "stopped_early"),
        ("loss jump", LOSS_JUMP, lambda r: loss_rise(r) > LOSS_JUMP),
        ("still improving", STILL_FALLING, lambda r: last_fall(r) > STILL_FALLING),
    ):
        counts = {cell: sum(map(is_so, of_cell)) for cell, of_cell in results.items()}
        every = sum(map(len, results.values()))
        add(diagnosis, count=sum(counts.values()), of=every, threshold=threshold)
        for cell, count in counts.items():
            if count:
                add(diagnosis, cell, count=count, of=len(results[cell]), threshold=threshold)
    still = [r for of_cell in results.values() for r in of_cell if last_fall(r) > STILL_FALLING]
    if still:
        longest = max(result.run.settings["training"]["epochs"] for result in still)
        add("longer budget", value=LONGER_BUDGET * longest)
    absent = cells[["failed", "missing"]].sum().sum()
    if absent:
        add("not there", count=int(absent), of=int(cells["runs"].sum()))
    for row in cells.to_dict("records"):
        cell = (row["dataset"], row["model"], row["augmentation"])
        if not math.isfinite(row["test_accuracy"]):
            continue
        by_chance = chance(results[cell][0].label)
        for told, column, limit, there in (
            ("overfitting", "gap", OVERFITTING_GAP, row["gap"] > OVERFITTING_GAP),
            ("miscalibration", "ece", MISCALIBRATED, row["ece"] > MISCALIBRATED),
            (
                "near chance", "test_accuracy", by_chance,
                near_chance(row["test_accuracy"], by_chance),
            ),
        ):  # fmt: skip
            if there:
                add(told, cell, value=row[column], threshold=limit)
        if row["finished"] - row["diverged"] > 1:
            spread = row["test_accuracy_high"] - row["test_accuracy_low"]
            add("seed range", cell, value=spread)
    for diagnosis, value in _over_cells(results, rows).items():
        add(diagnosis, value=value)
    for values in (
        *_never_predicted(results),
        *_of_balance(results, cells),
        *_verdict_counts(comparisons),
    ):
        add(**values)
    return diagnostics_rows(rows)


def _never_predicted(results: Results) -> list[dict[str, Any]]:
    """How many classes of the test split no run of a cell predicts, where there are any."""
    rows = []
    for cell, of_cell in results.items():
        sound = [result for result in of_cell if not result.diverged]
        classes = {label for result in sound for label in result.label.tolist()}
        never = classes.difference(*(result.answer.tolist() for result in sound))
        if never:
            rows.append(
                {
                    "diagnosis": "never predicted",
                    "cell": cell,
                    "count": len(never),
                    "of": len(classes),
                }
            )
    return rows


def _of_balance(results: Results, cells: pd.DataFrame) -> list[dict[str, Any]]:
    """What accuracy hides, of the data sets whose classes of the test split are unequal."""
    rows: list[dict[str, Any]] = []
    finished = cells[cells["test_accuracy"].notna()]
    for name, of_dataset in finished.groupby("dataset", sort=False):
        dataset, found = str(name), of_dataset.to_dict("records")
        one = results[dataset, found[0]["model"], found[0]["augmentation"]][0]
        images = np.bincount(one.label, minlength=len(one.record["class_names"]))
        if not unequal(images.tolist()):
            continue
        for row in found:
            below = row["test_accuracy"] - row["balanced_accuracy"]
            if below > BALANCED_BELOW:
                rows.append(
                    {
                        "diagnosis": "balanced accuracy",
                        "cell": (dataset, row["model"], row["augmentation"]),
                        "value": below,
                        "threshold": BALANCED_BELOW,
                    }
                )
        changed = changed_order(found)
        if changed:
            rows.append(
                {
                    "diagnosis": "balanced order",
                    "cell": (dataset, "", ""),
                    "count": len(changed),
                    "of": math.comb(len(found), 2),
                }
            )
    return rows


def changed_order(
    cells: Sequence[Mapping[Any, Any]],
) -> list[tuple[Mapping[Any, Any], Mapping[Any, Any]]]:
    """Return the pairs of cells that test accuracy and balanced accuracy rank differently.

    Only what differs in percent with two decimals, as it is printed, is ranked.

    Args:
        cells: of one data set, with ``test_accuracy`` and ``balanced_accuracy``.

    Returns:
        The pairs, the one with the higher test accuracy first in each, the clearest pair first.
    """
    found = []
    for pair in combinations(cells, 2):
        by_accuracy, by_balance = (
            round(pair[0][name], 4) - round(pair[1][name], 4)
            for name in ("test_accuracy", "balanced_accuracy")
        )
        if by_accuracy * by_balance < 0:
            first, second = pair if by_accuracy > 0 else pair[::-1]
            found.append((min(abs(by_accuracy), abs(by_balance)), first, second))
    found.sort(key=lambda one: one[0], reverse=True)
    return [(first, second) for _, first, second in found]


def _over_cells(results: Results, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What the best epoch would add and the seed moves, over the whole experiment."""
    gains = [
        result.measures["best_epoch_gain"]
        for of_cell in results.values()
        for result in of_cell
        if not result.diverged
    ]
    ranges = [row["value"] for row in rows if row["diagnosis"] == "seed range"]
    found: dict[str, Any] = {}
    if gains:
        found |= {"best epoch, mean": np.mean(gains), "best epoch, most": np.max(gains)}
    if ranges:
        found |= {"seed range, median": np.median(ranges), "seed range, most": np.max(ranges)}
    return {diagnosis: float(value) for diagnosis, value in found.items()}


def totals(comparisons: pd.DataFrame, missing: Sequence[RunState], planned: int) -> pd.DataFrame:
    """Return the rows of the diagnostics that speak of the whole study.

    Args:
        comparisons: of all experiments.
        missing: how it stands with the runs that are not there.
        planned: number of all runs.
    """
    counts = {"runs": planned - len(missing), "not there": len(missing)}
    counts |= {
        key: sum(s.status == key for s in missing) for key in ("failed", "running", "missing")
    }
    everywhere = dict.fromkeys(CELL, "")
    rows = [
        {**everywhere, "diagnosis": diagnosis, "count": count, "of": planned}
        for diagnosis, count in counts.items()
    ]
    rows += [{**everywhere, **values} for values in _verdict_counts(comparisons)]
    return diagnostics_rows(rows)


def groups_of(comparisons: pd.DataFrame) -> "pd.Series[str]":
    """Return what each comparison is counted with: its kind; interactions by themselves."""
    crossed = comparisons["factors"].astype(str).str.contains("×", regex=False)
    return comparisons["kind"].mask(crossed, INTERACTION)


def _verdict_counts(comparisons: pd.DataFrame) -> list[dict[str, Any]]:
    """How many comparisons have which verdict, of each kind and of all, each counted once."""
    once = comparisons.drop_duplicates(["experiment", "dataset", "arm", "reference", "epoch"])
    groups = comparisons.groupby(groups_of(comparisons), sort=False)
    return [
        {
            "diagnosis": f"{kind}: {verdict}",
            "count": int((of_kind["verdict"] == verdict).sum()),
            "of": len(of_kind),
        }
        for kind, of_kind in [("all", once), *groups]
        for verdict in (*VERDICTS, NO_VERDICT)
    ]


def diagnostics_rows(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows of the table of diagnostics, with its columns and their types."""
    columns = [*CELL, "diagnosis", "count", "of", "value", "threshold"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"count": "Int64", "of": "Int64", "value": float, "threshold": float})


def loss_rise(result: RunResult) -> float:
    """Return the largest rise of the training loss from an epoch to the next, as a share of it."""
    loss = result.history["loss"].to_numpy()
    loss = loss[np.isfinite(loss)]
    return float((loss[1:] / loss[:-1]).max() - 1) if len(loss) > 1 else 0.0


def last_fall(result: RunResult) -> float:
    """Return by what share the validation loss fell in the last epoch; 0 if it diverged."""
    loss = result.history["val_loss"].to_numpy()
    if result.diverged or len(loss) < 2 or not loss[-2] > 0:
        return 0.0
    return float(1 - loss[-1] / loss[-2])
