"""The written analysis: sentences computed from the tables, in the report's words."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ablation.analysis.comparisons import Cell, Comparison
from ablation.analysis.effects import SEEDS_FOR_METHODS, Difference
from ablation.analysis.runs import RunResult
from ablation.study.plan import PlannedExperiment

OVERFITTING_GAP = 0.05  # clean training accuracy above test accuracy
LOSS_JUMP = 1.25  # training loss of an epoch relative to that of the epoch before
STILL_FALLING = 0.95  # last validation loss relative to that of the epoch before
SUBJECTS = {
    "baseline": "Against the baseline",
    "twin": "Plain networks against their residual twins",
    "depth": "The deepest networks against the shallowest of their kind",
}
VERDICTS = {
    "better": "more accurate",
    "worse": "less accurate",
    "unclear": "too close to rank",
}


@dataclass(frozen=True)
class Finding:
    """Something that the runs show, as text.

    Attributes:
        part: ``answer``, ``evidence``, ``problem`` or ``open``.
        text: whole sentences.
    """

    part: str
    text: str

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Compared:
    """A comparison with its result; None where every pair of runs has diverged."""

    comparison: Comparison
    difference: Difference | None


class Writer:
    """Writes the findings of one experiment.

    Args:
        experiment: what was asked.
        results: its runs by cell.
        cells: for each cell its measures (as ``spread`` gives them) by name.
        compared: its comparisons.
    """

    def __init__(
        self,
        experiment: PlannedExperiment,
        results: dict[Cell, list[RunResult]],
        cells: dict[Cell, dict[str, Any]],
        compared: list[Compared],
    ) -> None:
        self.experiment, self.results, self.cells = experiment, results, cells
        self.compared = [item for item in compared if item.difference is not None]
        self.broken = [item for item in compared if item.difference is None]
        varying = [len({cell[i] for cell in results}) > 1 for i in range(3)]
        self._shown = varying if any(varying) else [False, True, True]

    def findings(self) -> list[Finding]:
        """Return everything that is to be said about the experiment."""
        return [*self.answer(), *self.evidence(), *self.problems(), *self.questions()]

    def name(self, cell: Cell) -> str:
        """Name a cell by the factors that vary in this experiment."""
        return " · ".join(part for part, shown in zip(cell, self._shown, strict=True) if shown)

    def answer(self) -> list[Finding]:
        """Return the answer in a sentence or two."""
        if not self.compared:
            return [Finding("answer", self._no_comparison())]
        sentences = []
        for kind, subject in SUBJECTS.items():
            items = [item for item in self.compared if kind in item.comparison.kinds]
            if items:
                sentences.append(f"{subject}: {self._verdicts(items)}.")
        return [Finding("answer", " ".join([*sentences, self._reach()]))]

    def evidence(self) -> list[Finding]:
        """Return the comparisons, those that can be ranked first."""
        found = [
            Finding("evidence", self._compare(item))
            for item in sorted(self.compared, key=lambda item: -abs(_of(item).mean))
            if _of(item).verdict != "unclear"
        ]
        unclear = [item for item in self.compared if _of(item).verdict == "unclear"]
        if unclear:
            listed = "; ".join(
                f"{self.name(item.comparison.arm)} against {self.name(item.comparison.reference)} "
                f"({self._numbers(item)})"
                for item in unclear
            )
            found.append(Finding("evidence", f"These differ too little to rank: {listed}."))
        found += self._seed_spread()
        return found

    def problems(self) -> list[Finding]:
        """Return what a careful reader would hold against these runs."""
        return [
            Finding("problem", text)
            for text in (
                self._diverged(),
                self._test_as_validation(),
                self._best_weights(),
                self._overfitting(),
                self._jumps(),
                self._stopped_early(),
                self._still_improving(),
                self._best_epoch(),
            )
            if text
        ]

    def questions(self) -> list[Finding]:
        """Return what stays open."""
        found = []
        seeds = min(
            (_of(item).seeds for item in self.compared), default=len(self.experiment.block.seeds)
        )
        if seeds < SEEDS_FOR_METHODS:
            found.append(
                f"With {_count_of(seeds, 'seed')} the verdicts speak of these trained networks "
                f"only; a claim about the methods takes at least {SEEDS_FOR_METHODS} seeds."
            )
        unclear = [item for item in self.compared if _of(item).verdict == "unclear"]
        if unclear:
            widest = max((_of(item).high - _of(item).low) / 2 for item in unclear)
            found.append(
                f"{_count_of(len(unclear), 'comparison')} could not be ranked: the intervals "
                f"reach up to {100 * widest:.2f} points to either side, and smaller differences "
                "would need more seeds or more test images."
            )
        return [Finding("open", text) for text in found]

    def _no_comparison(self) -> str:
        if self.broken:
            return "Every pair of runs to be compared holds a diverged run: there is no answer."
        return (
            "The experiment declares no baseline and holds no pair of networks that are compared "
            "by themselves, so nothing is ranked."
        )

    def _verdicts(self, items: list[Compared]) -> str:
        parts = []
        for verdict, words in VERDICTS.items():
            names = [
                self.name(item.comparison.arm) for item in items if _of(item).verdict == verdict
            ]
            if names:
                parts.append(f"{_join(names)} {_is(len(names), 'is', 'are')} {words}")
        return "; ".join(parts)

    def _reach(self) -> str:
        if any(_of(item).basis == "images" for item in self.compared):
            return "This holds for these trained networks."
        return "This holds over the seeds."

    def _compare(self, item: Compared) -> str:
        arm, reference = item.comparison.arm, item.comparison.reference
        verdict = {"better": "more", "worse": "less"}[_of(item).verdict]
        found = _of(item)
        return (
            f"{self.name(arm)} is {verdict} accurate than {self.name(reference)}: "
            f"{percent(found.arm)} against {percent(found.reference)} of the test images, "
            f"{self._numbers(item)}."
        )

    def _numbers(self, item: Compared) -> str:
        found = _of(item)
        notes = "" if found.agree or not found.mean else ", the seeds disagree in sign"
        if found.seeds < max(len(self.results[cell]) for cell in _cells(item)):
            notes += f", over the {_count_of(found.seeds, 'seed')} that both have"
        return (
            f"{points(found.mean)} points, interval {points(found.low)} to {points(found.high)}"
            f"{notes}"
        )

    def _seed_spread(self) -> list[Finding]:
        ranges = {
            cell: measures["test_accuracy"]["high"] - measures["test_accuracy"]["low"]
            for cell, measures in self.cells.items()
            if measures["test_accuracy"] and measures["test_accuracy"]["n"] > 1
        }
        if not ranges:
            return []
        widest = max(ranges, key=lambda cell: ranges[cell])
        median = float(np.median(list(ranges.values())))
        return [
            Finding(
                "evidence",
                "The seed alone moves the test accuracy of an arm by "
                f"{100 * median:.2f} points (median over the arms, highest less lowest), at most "
                f"by {100 * ranges[widest]:.2f} ({self.name(widest)}).",
            )
        ]

    def _diverged(self) -> str:
        return self._of_runs(
            "diverged and {is_are} left out of every mean of accuracy and loss",
            lambda result: result.diverged,
        )

    def _test_as_validation(self) -> str:
        if self.experiment.block.validation != "test":
            return ""
        return (
            "The test split served as validation split: whatever was chosen by looking at "
            "validation was chosen on the test images, and the test accuracies are optimistic."
        )

    def _best_weights(self) -> str:
        chosen = self._chosen_by()
        if not chosen:
            return ""
        return (
            "Networks were scored with the weights of their best epoch by "
            f"{_join(sorted(chosen))}, not of the last: scores on the split that chose them "
            "are optimistic."
        )

    def _chosen_by(self) -> set[str]:
        """The validation measures by which some run went back to its best epoch."""
        return {
            run.settings["training"]["early_stopping"]["monitor"]
            for run in self.experiment.runs
            if (run.settings["training"]["early_stopping"] or {}).get("restore_best")
        }

    def _overfitting(self) -> str:
        gaps = {
            cell: measures["train_accuracy_clean"]["mean"] - measures["test_accuracy"]["mean"]
            for cell, measures in self.cells.items()
            if measures["test_accuracy"]
        }
        wide = {cell: gap for cell, gap in gaps.items() if gap > OVERFITTING_GAP}
        if not wide:
            return ""
        listed = _join([f"{self.name(cell)} ({points(gap)})" for cell, gap in wide.items()])
        return (
            f"Overfitting: clean training images are classified more than "
            f"{100 * OVERFITTING_GAP:.0f} points more accurately than test images by {listed}."
        )

    def _jumps(self) -> str:
        def jumped(result: RunResult) -> bool:
            loss = result.history["loss"].to_numpy()
            return bool((loss[1:] > LOSS_JUMP * loss[:-1]).any())

        return self._of_runs(
            f"had a training loss that rose by more than {LOSS_JUMP - 1:.0%} from one epoch to "
            "the next".replace("%", " %"),
            jumped,
        )

    def _stopped_early(self) -> str:
        return self._of_runs(
            "{was_were} stopped early, so arms differ in training length",
            lambda result: result.record["status"] == "stopped_early",
        )

    def _still_improving(self) -> str:
        def improving(result: RunResult) -> bool:
            loss = result.history["val_loss"].to_numpy()
            return len(loss) > 1 and bool(loss[-1] < STILL_FALLING * loss[-2])

        return self._of_runs(
            "still improved when training ended (validation loss fell by more than "
            f"{1 - STILL_FALLING:.0%} in the last epoch), so a longer budget may change the "
            "ranking".replace("%", " %"),
            improving,
        )

    def _best_epoch(self) -> str:
        if self._chosen_by():
            return ""
        gains = [
            result.measures()["val_accuracy_best"] - result.measures()["val_accuracy_last"]
            for result in self._all()
            if not result.diverged
        ]
        if not gains or max(gains) == 0:
            return ""
        return (
            "Reporting each run's best epoch instead of its last would have added "
            f"{100 * float(np.mean(gains)):.2f} points of validation accuracy on average, "
            f"{100 * max(gains):.2f} at most; the tables' test accuracy is that of the last epoch."
        )

    def _of_runs(self, words: str, is_so: Any) -> str:
        """``3 of 8 runs <words>: names.``, ``All 8 runs <words>.``, or nothing."""
        counts = {cell: sum(map(is_so, results)) for cell, results in self.results.items()}
        total = sum(counts.values())
        if not total:
            return ""
        runs = sum(map(len, self.results.values()))
        words = words.format(is_are=_is(total, "is", "are"), was_were=_is(total, "was", "were"))
        if total == runs:
            return f"{'The run' if runs == 1 else f'All {runs} runs'} {words}."
        listed = _join([f"{self.name(cell)} ({count})" for cell, count in counts.items() if count])
        return f"{total} of {_count_of(runs, 'run')} {words}: {listed}."

    def _all(self) -> Iterable[RunResult]:
        return (result for results in self.results.values() for result in results)


def summarise(writers: Sequence[Writer]) -> list[Finding]:
    """Return the summary of a study: each experiment's answer and its widest clear difference."""
    found = []
    for writer in writers:
        question = writer.experiment.block.question
        answer = " ".join(finding.text for finding in writer.answer())
        clear = [item for item in writer.compared if _of(item).verdict != "unclear"]
        if clear:
            widest = max(clear, key=lambda item: abs(_of(item).mean))
            answer += f" The widest difference: {writer._compare(widest)}"
        found.append(Finding("answer", f"{question} {answer}"))
    return found


def percent(share: float) -> str:
    """Write a share as ``97.35 %``."""
    return f"{100 * share:.2f} %"


def points(share: float) -> str:
    """Write a difference of shares in points with its sign, ``+1.20`` or ``−0.35``."""
    rounded = round(100 * share, 2) + 0.0  # no negative zero
    return f"{rounded:+.2f}".replace("-", "−") if rounded else "0.00"


def _of(item: Compared) -> Difference:
    if item.difference is None:
        raise ValueError("a comparison without a result has nothing to tell")
    return item.difference


def _cells(item: Compared) -> tuple[Cell, Cell]:
    return item.comparison.arm, item.comparison.reference


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _count_of(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _is(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
