"""The written analysis: sentences about the tables, each with the cells that it speaks from."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.tables import (
    CELL,
    INTERACTION,
    NO_VERDICT,
    VERDICTS,
    changed_order,
    groups_of,
)
from ablation.analysis.testing import OPEN, SEEDS_FOR_VERDICTS
from ablation.study.comparisons import names_of
from ablation.study.plan import PlannedExperiment

Row = Mapping[Any, Any]  # of a table

LISTED = 4  # more comparisons than these are counted instead of named
LISTED_CELLS = 6  # and more cells
GROUPS = {
    "baseline": "against {reference}",
    "twin": "against its residual twin",
    "arm": "as declared",
    "budget": "at these budgets",
    "factor": "on average over the grid",
    INTERACTION: "interactions",
}
SAID = {
    "better": "more accurate",
    "worse": "less accurate",
    "same": "the same within the margin",
    OPEN: "open",
}
# Of an interaction: the first effect less the second.
INTERACTIONS = {**SAID, "better": "positive", "worse": "negative"}


@dataclass(frozen=True)
class Citation:
    """Where a number of a sentence comes from.

    Attributes:
        table: name of an exported table.
        where: values of key columns that pick its row (or rows of the same value).
        column: its column.
        shown: the number as it stands in the sentence.
    """

    table: str
    where: dict[str, Any]
    column: str
    shown: str


@dataclass(frozen=True)
class Finding:
    """Something that the runs show, as text.

    Attributes:
        part: ``answer``, ``evidence``, ``problem`` or ``open``.
        kind: what it is about.
        text: whole sentences.
        sources: where its numbers come from, in their order.
    """

    part: str
    kind: str
    text: str
    sources: tuple[Citation, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def percent(share: float) -> str:
    """Write a share in percent without the sign: ``97.35``."""
    return _minus(f"{100 * share:.2f}")


def whole_percent(share: float) -> str:
    """Write a share in whole percent without the sign: ``63``."""
    return f"{100 * share:.0f}"


def points(share: float) -> str:
    """Write a difference of shares in points with its sign: ``+1.20``, ``−0.35`` or ``0.00``."""
    text = f"{100 * share:+.2f}"
    return "0.00" if float(text) == 0 else _minus(text)


def size(share: float) -> str:
    """Write the size of a difference of shares in points: ``1.20``."""
    return f"{100 * abs(share):.2f}"


def count(value: float) -> str:
    """Write a whole number."""
    return f"{int(value)}"


def plain(value: float) -> str:
    """Write a number with as many digits as it has."""
    return f"{value:g}"


def _minus(text: str) -> str:
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


@dataclass
class Sentence:
    """Collects where the numbers of a sentence come from while it is written.

    Calling it returns a number as text.

    Attributes:
        tables: where the numbers are.
        experiment: whose rows they are, unless told otherwise.
        sources: what was cited, in order.
    """

    tables: Mapping[str, pd.DataFrame]
    experiment: str = ""
    sources: list[Citation] = field(default_factory=list)

    def __call__(self, table: str, column: str, style: Callable[[Any], str], **where: Any) -> str:
        """Return the one value of a table's column in the rows picked, as text.

        Raises:
            LookupError: the rows hold no value or several.
        """
        frame = self.tables[table]
        if "experiment" in frame:
            where = {"experiment": self.experiment, **where}
        for key, value in where.items():
            frame = frame[frame[key] == value]
        values = frame[column].dropna().unique()
        if len(values) != 1:
            raise LookupError(f"{table}.{column} where {where}: {len(values)} values")
        shown = style(values[0])
        self.sources.append(Citation(table, where, column, shown))
        return shown

    def rule(self, name: str) -> str:
        """Return the value of a rule as text."""
        return self("rules", "value", plain, rule=name)


class Writer:
    """Writes the findings of one experiment.

    Args:
        experiment: what was asked.
        tables: the experiment's rows of every table.
        chosen_by: the validation measures by which runs went back to their best epoch.
    """

    def __init__(
        self,
        experiment: PlannedExperiment,
        tables: Mapping[str, pd.DataFrame],
        chosen_by: Sequence[str],
    ) -> None:
        self.experiment, self.tables, self.chosen_by = experiment, tables, chosen_by
        table = tables["comparisons"]
        self.comparisons = table.assign(group=groups_of(table))
        told = self.comparisons[self.comparisons["verdict"] != NO_VERDICT]
        self.once = told.drop_duplicates(["dataset", "arm", "reference", "epoch"])
        self.several = len(set(tables["cells"]["dataset"])) > 1
        self._name = names_of(experiment)

    def findings(self) -> list[Finding]:
        """Return everything that is to be said about the experiment."""
        return [self.answer(), *self.evidence(), *self.problems(), *self.questions()]

    # The answer

    def answer(self) -> Finding:
        """Return the answer in one sentence."""
        say = self._sentence()
        parts = []
        told = self.comparisons[self.comparisons["verdict"] != NO_VERDICT]
        if len(told) and told["seeds"].max() < SEEDS_FOR_VERDICTS:
            return self._too_few_seeds(say)
        for kind in GROUPS:
            rows = told[told["group"] == kind]
            if len(rows):
                parts.append(self._group(say, kind, rows))
        if not parts:
            return Finding("answer", "nothing compared", self._nothing_compared())
        text = "; ".join(parts)
        return Finding(
            "answer",
            "verdicts",
            f"{text[0].upper()}{text[1:]}; {self._reach(say)}.",
            tuple(say.sources),
        )

    def _too_few_seeds(self, say: Sentence) -> Finding:
        """Say that there is no verdict, and the largest difference between arms that was seen."""
        text = f"{self._reach(say)}, so every comparison stays open"
        pairs = self.once[self.once["kind"] != "factor"]
        if len(pairs):
            at = int(np.argmax(np.abs(np.asarray(pairs["difference"], float))))
            row = dict(pairs.iloc[at])
            text += (
                f"; the largest difference seen is that of {self._arm(row)} and "
                f"{row['reference']}, {self._numbers(say, row)}"
            )
        return Finding("answer", "verdicts", f"{text[0].upper()}{text[1:]}.", tuple(say.sources))

    def _group(self, say: Sentence, kind: str, rows: pd.DataFrame) -> str:
        references = list(dict.fromkeys(rows["reference"]))
        reference = references[0] if len(references) == 1 else "the baseline"
        words = INTERACTIONS if kind == INTERACTION else SAID
        said = []
        for verdict in VERDICTS:
            of_verdict = rows[rows["verdict"] == verdict]
            if not len(of_verdict):
                continue
            if len(of_verdict) <= LISTED:
                names = join([self._told(say, row) for row in of_verdict.to_dict("records")])
                verb = "is" if len(of_verdict) == 1 else "are"
            else:
                where = {"diagnosis": f"{kind}: {verdict}"}
                number = say("diagnostics", "count", count, **where)
                names, verb = f"all {number}", "are"
                if len(of_verdict) < len(rows):
                    names = f"{number} of {say('diagnostics', 'of', count, **where)}"
            if verdict == OPEN:
                one = len(of_verdict) == 1
                stays = "the comparison stays" if one else "the comparisons stay"
                said.append(f"for {names} {stays} open")
            else:
                said.append(f"{names} {verb} {words[verdict]}")
        where = {"diagnosis": f"{kind}: {NO_VERDICT}"}
        if self._counted(**where):
            said.append(f"{say('diagnostics', 'count', count, **where)} without a result")
        return f"{GROUPS[kind].format(reference=reference)}: {', '.join(said)}"

    def _told(self, say: Sentence, row: Row) -> str:
        """Name a comparison within the answer: as much of it as its group does not tell."""
        if row["group"] == INTERACTION:
            alike = self.once[self.once["factors"] == row["factors"]]
            several = len(alike) > 1
            return f"{row['factors']} ({row['arm']})" if several else str(row["factors"])
        if row["kind"] not in ("arm", "budget", "factor"):
            return self._arm(row)
        text = f"{self._arm(row)} against {row['reference']}"
        if not math.isnan(_number(row["epoch"])):
            text += f" after epoch {say('comparisons', 'epoch', count, **self._where(row))}"
        return text

    def _reach(self, say: Sentence) -> str:
        fewest, most = int(self.once["seeds"].min()), int(self.once["seeds"].max())
        if fewest < SEEDS_FOR_VERDICTS <= most:
            text = (
                f"where fewer than {say.rule('seeds for verdicts')} seeds could be compared there "
                "is no verdict"
            )
        else:
            seeds = self._seeds(say, fewest)
            if fewest < most:
                seeds += f" to {self._seeds(say, most)}"
            seeds += " seed" if most == 1 else " seeds"
            text = f"over {seeds}"
            if most < SEEDS_FOR_VERDICTS:
                text = f"with {seeds} there is no verdict"
        if self._counted("diverged"):
            at = {"diagnosis": "diverged", "model": ""}
            number = say("diagnostics", "count", count, **at)
            of = say("diagnostics", "of", count, **at)
            text += f", leaving out the {number} of {of} runs that diverged"
        return text

    def _seeds(self, say: Sentence, seeds: int) -> str:
        row = dict(self.once[self.once["seeds"] == seeds].iloc[0])
        return self._cited(say, "seeds", count, self._where(row))

    def _nothing_compared(self) -> str:
        if len(self.comparisons):
            return (
                "No seed has finished on both sides of any comparison, so there is no answer yet."
            )
        return (
            "The experiment declares no baseline and no comparison, and holds no plain network "
            "beside its residual twin, so nothing is ranked."
        )

    # The evidence

    def evidence(self) -> list[Finding]:
        """Return the comparisons, those with a verdict first, then what the seeds alone do."""
        decided = self.once[self.once["verdict"] != OPEN]
        order = decided["difference"].abs().sort_values(ascending=False, kind="stable").index
        found = [self._compare(row) for row in decided.loc[order].to_dict("records")]
        found += self._open()
        found += [self._looks()] if self._has("looks") else []
        found += [self._seed_range()] if self._has("seed range, median") else []
        return found + [f for f in (self._best_epoch(),) if f is not None]

    def _compare(self, row: Row) -> Finding:
        if row["group"] == INTERACTION:
            return self._interaction(row)
        if row["kind"] == "factor":
            return self._main_effect(row)
        say = self._sentence()
        where = self._where(row)
        arm, reference = self._arm(row), row["reference"]
        if row["verdict"] == "same":
            text = (
                f"{arm} and {reference} are the same within the margin of {say.rule('margin')} "
                f"points: {self._numbers(say, row)}. {self._cited(say, 'seeds', count, where)} "
                "sound seeds exclude that more than "
                f"{self._cited(say, 'failure_rate', whole_percent, where)} % of the runs fail."
            )
            return Finding("evidence", "same", text, tuple(say.sources))
        verdict = {"better": "more", "worse": "less"}[row["verdict"]]
        images = "test images" if row["measure"] == "test_accuracy" else "validation images"
        text = (
            f"{arm} is {verdict} accurate than {reference}: "
            f"{self._cited(say, 'arm_accuracy', percent, where)} % against "
            f"{self._cited(say, 'reference_accuracy', percent, where)} % of the {images}, "
            f"{self._numbers(say, row)}"
        )
        if abs(row["difference"]) < self._margin():
            text += f"; less than the margin of {say.rule('margin')} points"
        return Finding("evidence", "verdict", f"{text}.", tuple(say.sources))

    def _main_effect(self, row: Row) -> Finding:
        say = self._sentence()
        where = self._where(row)
        text = (
            f"On average over the rest of the grid, {self._arm(row)} against {row['reference']}: "
            f"{self._cited(say, 'arm_accuracy', percent, where)} % against "
            f"{self._cited(say, 'reference_accuracy', percent, where)} % of the test images, "
            f"{self._numbers(say, row)}; {SAID[row['verdict']]}."
        )
        others = {
            factor
            for crossed in self.once.loc[
                (self.once["group"] == INTERACTION)
                & (self.once["dataset"] == row["dataset"])
                & self.once["verdict"].isin(["better", "worse"]),
                "factors",
            ]
            if row["factors"] in (factors := crossed.split(" × "))
            for factor in factors
            if factor != row["factors"]
        }
        if others:
            text += f" This average hides that it depends on {join(sorted(others))}."
        return Finding("evidence", "main effect", text, tuple(say.sources))

    def _interaction(self, row: Row) -> Finding:
        say = self._sentence()
        where = self._where(row)
        step, _, condition = row["arm"].rpartition(", ")
        other = row["reference"].rpartition(", ")[2]
        step = step.replace(" − ", " instead of ")
        text = (
            f"Interaction of {row['factors']}: {step} changes accuracy by "
            f"{self._cited(say, 'arm_accuracy', points, where)} points {condition} and by "
            f"{self._cited(say, 'reference_accuracy', points, where)} {other}; the first less the "
            f"second is {self._numbers(say, row)}: {INTERACTIONS[row['verdict']]}."
        )
        return Finding("evidence", "interaction", text, tuple(say.sources))

    def _numbers(self, say: Sentence, row: Row) -> str:
        where = self._where(row)
        text = f"{self._cited(say, 'difference', points, where)} points, "
        if row["basis"] == "images":
            text += f"for test images only, these runs: {say.rule('interval')} % "
        if math.isnan(_number(row["low"])):
            text += "without an interval"
        else:
            text += (
                f"interval {self._cited(say, 'low', points, where)} to "
                f"{self._cited(say, 'high', points, where)}"
            )
        if not math.isnan(_number(row["epoch"])):
            text += f", after epoch {self._cited(say, 'epoch', count, where)}"
        planned = len(self.experiment.block.seeds)
        if row["seeds"] < planned:
            seeds = self._cited(say, "seeds", count, where)
            noun = "seed" if row["seeds"] == 1 else "seeds"
            text += f", over the {seeds} {noun} that both sides have finished without diverging"
        return text

    def _open(self) -> list[Finding]:
        rows = self.once[self.once["verdict"] == OPEN]
        if not len(rows):
            return []
        say = self._sentence()
        if len(rows) <= LISTED:
            listed = []
            for row in rows.to_dict("records"):
                numbers = self._numbers(say, row)
                if not math.isnan(_number(row["detectable"])):
                    detected = self._cited(say, "detectable", size, self._where(row))
                    numbers += f"; detectable {detected}"
                listed.append(f"{self._arm(row)} and {row['reference']} ({numbers})")
            text = f"Open: {'; '.join(listed)}."
        else:
            where = {"diagnosis": f"all: {OPEN}"}
            number = say("diagnostics", "count", count, **where)
            of = say("diagnostics", "of", count, **where)
            text = f"{number} of {of} comparisons are open."
            pairs = rows[(rows["kind"] != "factor") & rows["detectable"].notna()]
            if len(pairs) > 1:
                least, most = (self._extreme(pairs, "detectable", low) for low in (True, False))
                power = say.rule("power")
                low, high = (size(row["detectable"]) for row in (least, most))
                is_so = "is" if low == high else "lies between"
                detected = self._cited(say, "detectable", size, self._where(least))
                if low != high:
                    detected += f" and {self._cited(say, 'detectable', size, self._where(most))}"
                text += (
                    f" The smallest difference that this sample detects with {power} % power "
                    f"{is_so} {detected} points among the pairs of arms."
                )
        return [Finding("evidence", OPEN, text, tuple(say.sources))]

    def _looks(self) -> Finding:
        say = self._sentence()
        number = say("diagnostics", "count", count, diagnosis="looks")
        text = (
            f"These results have been looked at {number} times with growing numbers of seeds. All "
            f"looks together claim a difference where there is none in at most {say.rule('level')} "
            "% of studies, so each look has a lower level of its own."
        )
        rows = self.tables["diagnostics"]
        if not rows.loc[rows["diagnosis"] == "looks", "value"].iloc[0]:
            text += (
                " What these seeds may spend of it was spent at earlier looks, so nothing is "
                "claimed here; a study of its own with new seeds can claim something."
            )
        return Finding("evidence", "looks", text, tuple(say.sources))

    def _seed_range(self) -> Finding:
        say = self._sentence()
        median = say("diagnostics", "value", size, diagnosis="seed range, median")
        text = f"Between its seeds, the test accuracy of an arm differs by {median} points"
        most = say("diagnostics", "value", size, diagnosis="seed range, most")
        if most == median:
            say.sources.pop()
        else:
            text += f" (median over the arms), and by {most} at most"
        return Finding("evidence", "seed range", f"{text}.", tuple(say.sources))

    # The problems

    def problems(self) -> list[Finding]:
        """Return what a careful reader would hold against these runs."""
        found = [
            self._not_there(),
            self._of_runs(
                "diverged",
                "diverged and {is_are} left out of every mean of accuracy, which flatters the arms "
                "that lost them",
            ),
            self._test_as_validation(),
            self._best_weights(),
            self._near_chance(),
            self._never_predicted(),
            self._of_cells(
                "overfitting",
                "Overfitting: clean training images are classified more than {threshold} points "
                "more accurately than test images by {cells}.",
                "overfitting gap",
                points,
            ),
            self._balanced(),
            self._of_runs(
                "loss jump",
                "had a training loss that rose by more than {threshold} % from one epoch to the "
                "next",
                "loss jump",
            ),
            self._of_runs(
                "stopped early",
                "{was_were} stopped early; what more epochs would have given is not known",
            ),
            self._of_runs(
                "still improving",
                "still improved in the last epoch (validation loss fell by more than {threshold} "
                "%), so a longer budget may change the comparisons; these are",
                "still falling",
            ),
            self._of_cells(
                "miscalibration",
                "Calibration: confidence and accuracy differ by more than {threshold} points "
                "(expected calibration error) in {cells}.",
                "miscalibration",
                size,
            ),
            self._classes("harmed"),
            self._classes("helped"),
        ]
        return [finding for finding in found if finding is not None]

    def _not_there(self) -> Finding | None:
        if not self._has("not there"):
            return None
        say = self._sentence()
        number = say("diagnostics", "count", count, diagnosis="not there")
        of = say("diagnostics", "of", count, diagnosis="not there")
        return Finding(
            "problem",
            "not there",
            f"{number} of {of} runs are not there (failed, running or not run yet); what is said "
            "here rests on the others.",
            tuple(say.sources),
        )

    def _test_as_validation(self) -> Finding | None:
        if self.experiment.block.validation != "test":
            return None
        return Finding(
            "problem",
            "test as validation",
            "The test split served as validation split: every setting that was chosen by looking "
            "at validation was chosen on the test images, which makes test accuracy optimistic. "
            "Temperatures are fitted on them as well.",
        )

    def _best_weights(self) -> Finding | None:
        if not self.chosen_by:
            return None
        return Finding(
            "problem",
            "best weights",
            f"Networks were scored with the weights of their best epoch by "
            f"{join(sorted(self.chosen_by))}, not of the last: scores on the split that chose "
            "them are optimistic.",
        )

    def _of_runs(self, diagnosis: str, words: str, rule: str = "") -> Finding | None:
        """``3 of 8 runs <words>: names.``, or None where there is none."""
        table = self.tables["diagnostics"]
        rows = table[table["diagnosis"] == diagnosis]
        total = rows[rows["model"] == ""]
        if not len(total) or not total["count"].iloc[0]:
            return None
        say = self._sentence()
        where = {"diagnosis": diagnosis, "model": ""}
        runs = int(total["count"].iloc[0])
        number = say("diagnostics", "count", count, **where)
        of = say("diagnostics", "of", count, **where)
        words = words.format(
            is_are="is" if runs == 1 else "are",
            was_were="was" if runs == 1 else "were",
            threshold=say.rule(rule) if rule else "",
        )
        cells, cited = [], len(say.sources)
        for row in rows[rows["model"] != ""].to_dict("records"):
            at = {key: row[key] for key in CELL}
            told = say("diagnostics", "count", count, **at, diagnosis=diagnosis)
            cells.append(f"{self._cell(row)} ({told})")
        if len(cells) > LISTED_CELLS:
            del say.sources[cited:]
        if len(cells) <= LISTED_CELLS:
            text = f"{number} of {of} runs {words}: {join(cells)}."
        else:
            text = f"{number} of {of} runs {words.removesuffix('; these are')}."
        return Finding("problem", diagnosis, text, tuple(say.sources))

    def _of_cells(
        self, diagnosis: str, words: str, rule: str, style: Callable[[Any], str]
    ) -> Finding | None:
        table = self.tables["diagnostics"]
        rows = table[table["diagnosis"] == diagnosis].sort_values(
            "value", ascending=False, kind="stable"
        )
        if not len(rows):
            return None
        say = self._sentence()
        threshold = say.rule(rule)
        cells = []
        for row in rows.head(LISTED_CELLS).to_dict("records"):
            at = {key: row[key] for key in CELL}
            value = say("diagnostics", "value", style, **at, diagnosis=diagnosis)
            cells.append(f"{self._cell(row)} ({value})")
        if len(rows) > LISTED_CELLS:
            cells.append("others")
        text = words.format(threshold=threshold, cells=join(cells))
        return Finding("problem", diagnosis, text, tuple(say.sources))

    def _near_chance(self) -> Finding | None:
        table = self.tables["diagnostics"]
        rows = table[table["diagnosis"] == "near chance"]
        if not len(rows):
            return None
        say = self._sentence()
        threshold = say.rule("near chance")
        cells = []
        for row in rows.head(LISTED_CELLS).to_dict("records"):
            at = {**{key: row[key] for key in CELL}, "diagnosis": "near chance"}
            accuracy = say("diagnostics", "value", percent, **at)
            largest = say("diagnostics", "threshold", percent, **at)
            cells.append(f"{self._cell(row)} ({accuracy} %, largest class {largest} %)")
        if len(rows) > LISTED_CELLS:
            cells.append("others")
        text = (
            f"Little learned: test accuracy is at most {threshold} % of the way from the share of "
            f"the largest class of the test split to no error in {join(cells)}. Comparisons among "
            "these arms do not count as the same, and what rests on them stays open."
        )
        return Finding("problem", "near chance", text, tuple(say.sources))

    def _never_predicted(self) -> Finding | None:
        table = self.tables["diagnostics"]
        rows = table[table["diagnosis"] == "never predicted"]
        if not len(rows):
            return None
        say = self._sentence()
        cells = []
        for row in rows.head(LISTED_CELLS).to_dict("records"):
            at = {key: row[key] for key in CELL}
            if row["count"] <= LISTED:
                classes = join([f"class ‘{name}’" for name in self._unpredicted(at)])
            else:
                at["diagnosis"] = "never predicted"
                number, of = (say("diagnostics", name, count, **at) for name in ("count", "of"))
                classes = f"{number} of {of} classes"
            cells.append(f"{classes} by {self._cell(row)}")
        if len(rows) > LISTED_CELLS:
            cells.append("further classes by other arms")
        text = f"Never predicted, although the test split has images of them: {'; '.join(cells)}."
        return Finding("problem", "never predicted", text, tuple(say.sources))

    def _unpredicted(self, cell: Row) -> list[str]:
        """The classes of the test split that no run of a cell predicts."""
        rows = self.tables["confusion"]
        for key, value in cell.items():
            rows = rows[rows[key] == value]
        predicted = set(rows["predicted"])
        return [name for name in dict.fromkeys(rows["true"]) if name not in predicted]

    def _balanced(self) -> Finding | None:
        """What accuracy hides where the classes of the test split are unequal."""
        table = self.tables["diagnostics"]
        low = table[table["diagnosis"] == "balanced accuracy"]
        low = low.sort_values("value", ascending=False, kind="stable")
        say = self._sentence()
        texts = []
        if len(low):
            threshold = say.rule("balanced accuracy")
            cells = []
            for row in low.head(LISTED_CELLS).to_dict("records"):
                accuracy, balanced = self._both_accuracies(say, row)
                cells.append(f"{self._cell(row)} ({balanced} % against {accuracy} %)")
            if len(low) > LISTED_CELLS:
                cells.append("others")
            texts.append(
                f"Small classes are answered worse: balanced accuracy is more than {threshold} "
                f"points below test accuracy in {join(cells)}."
            )
        for where in table.loc[table["diagnosis"] == "balanced order", "dataset"]:
            at = {"dataset": where, "model": "", "diagnosis": "balanced order"}
            number, of = (say("diagnostics", column, count, **at) for column in ("count", "of"))
            every = self.tables["cells"]
            rows = every[(every["dataset"] == where) & every["test_accuracy"].notna()]
            first, second = changed_order(rows.to_dict("records"))[0]
            (one, one_balanced), (two, two_balanced) = (
                self._both_accuracies(say, row) for row in (first, second)
            )
            clearest = "" if number == "1" else ", most clearly of this one"
            pairs = "pair" if of == "1" else "pairs"
            texts.append(
                f"Counting every class alike changes the order of {number} of {of} {pairs} of "
                f"arms{clearest}: {self._cell(first)} has {one} % and {self._cell(second)} {two} % "
                f"test accuracy, but {one_balanced} % and {two_balanced} % balanced accuracy."
            )
        if not texts:
            return None
        texts.append("The verdicts are on test accuracy.")
        return Finding("problem", "unequal classes", " ".join(texts), tuple(say.sources))

    def _both_accuracies(self, say: Sentence, row: Row) -> tuple[str, str]:
        """Test accuracy and balanced accuracy of a cell."""
        at = {key: row[key] for key in CELL}
        accuracy = say("cells", "test_accuracy", percent, **at)
        return accuracy, say("cells", "balanced_accuracy", percent, **at)

    def _classes(self, verdict: str) -> Finding | None:
        table = self.tables["class_effects"]
        rows = table[table["verdict"] == verdict]
        rows = rows.drop_duplicates(["dataset", "arm", "reference", "class"])
        if not len(rows):
            return None
        say = self._sentence()
        order = rows["difference"].abs().sort_values(ascending=False, kind="stable").index
        told = []
        for row in rows.loc[order[:LISTED]].to_dict("records"):
            where = {key: row[key] for key in ("experiment", "dataset", "arm", "reference")}
            value = say("class_effects", "difference", points, **where, **{"class": row["class"]})
            told.append(
                f"class ‘{row['class']}’ by {self._arm(row)} ({value} points against "
                f"{row['reference']})"
            )
        more = "; the table of classes has others" if len(rows) > LISTED else ""
        text = f"Classes {verdict}: {join(told)}{more}."
        part = "problem" if verdict == "harmed" else "evidence"
        return Finding(part, f"classes {verdict}", text, tuple(say.sources))

    def _best_epoch(self) -> Finding | None:
        if self.chosen_by or not self._has("best epoch, mean"):
            return None
        table = self.tables["diagnostics"]
        if not table.loc[table["diagnosis"] == "best epoch, most", "value"].iloc[0]:
            return None
        say = self._sentence()
        mean = say("diagnostics", "value", size, diagnosis="best epoch, mean")
        most = say("diagnostics", "value", size, diagnosis="best epoch, most")
        return Finding(
            "evidence",
            "best epoch",
            f"Scoring each run at its best epoch instead of its last would have raised validation "
            f"accuracy by {mean} points on average and {most} at most; the tables' test accuracy "
            "is that of the last epoch.",
            tuple(say.sources),
        )

    # What stays open

    def questions(self) -> list[Finding]:
        """Return what stays open, and what would settle it."""
        return [f for f in (self._more_seeds(), self._longer()) if f is not None]

    def _more_seeds(self) -> Finding | None:
        rows = self.once[(self.once["verdict"] == OPEN) & ~self.once["near_chance"]]
        rows = rows[~rows["failing"] | rows["seeds_needed"].notna()]
        say = self._sentence()
        few = len(self.once) and int(self.once["seeds"].min()) < SEEDS_FOR_VERDICTS
        if few:
            text = (
                f"A verdict takes at least {say.rule('seeds for verdicts')} seeds; "
                "how many would settle these comparisons can be told from the spread of that many."
            )
        elif len(rows):
            known = rows[rows["seeds_needed"].notna()]
            beyond = len(known) < len(rows)
            if len(known):
                least, most = (self._extreme(known, "seeds_needed", low) for low in (True, False))
                needed = self._cited(say, "seeds_needed", count, self._where(least))
                if most["seeds_needed"] != least["seeds_needed"]:
                    needed += f" to {self._cited(say, 'seeds_needed', count, self._where(most))}"
                needed += " seeds"
            else:
                needed = f"more than {say.rule('most seeds')} seeds"
            text = (
                "If the true differences are those seen, or the margin of "
                f"{say.rule('margin')} points where that is more, what is open takes "
                f"{needed} to settle"
            )
            if self._has("level spent"):
                text += " in a study of its own, because this one has spent its error probability"
            if beyond and len(known):
                text += f"; some takes more than {say.rule('most seeds')}, or more test images"
            elif beyond:
                text += ", or more test images"
            text += "."
        else:
            return None
        return Finding("open", "seeds", text, tuple(say.sources))

    def _longer(self) -> Finding | None:
        if not self._has("longer budget"):
            return None
        say = self._sentence()
        epochs = say("diagnostics", "value", count, diagnosis="longer budget")
        times = say.rule("longer budget")
        return Finding(
            "open",
            "epochs",
            f"Whether this holds once the networks no longer improve: train for {epochs} "
            f"epochs ({times} times the longest budget of a run that still improves) and declare "
            "the two lengths as a budget comparison.",
            tuple(say.sources),
        )

    # Helpers

    def _sentence(self) -> Sentence:
        return Sentence(self.tables, self.experiment.name)

    def _margin(self) -> float:
        rules = self.tables["rules"]
        return float(rules.loc[rules["rule"] == "margin", "value"].iloc[0]) / 100

    def _counted(self, diagnosis: str) -> int:
        """How many runs of the experiment have a diagnosis."""
        table = self.tables["diagnostics"]
        rows = table[(table["diagnosis"] == diagnosis) & (table["model"] == "")]
        return int(rows["count"].sum())

    def _has(self, diagnosis: str) -> bool:
        return bool((self.tables["diagnostics"]["diagnosis"] == diagnosis).any())

    def _extreme(self, rows: pd.DataFrame, column: str, lowest: bool) -> Row:
        pick = np.argmin if lowest else np.argmax
        return dict(rows.iloc[int(pick(np.asarray(rows[column], float)))])

    def _where(self, row: Row) -> dict[str, Any]:
        keys = ("experiment", "dataset", "arm", "reference", "measure")
        where = {key: row[key] for key in keys}
        epoch = _number(row["epoch"])
        return where if math.isnan(epoch) else {**where, "epoch": int(epoch)}

    @staticmethod
    def _cited(say: Sentence, column: str, style: Callable[[Any], str], where: Row) -> str:
        return say("comparisons", column, style, **where)

    def _arm(self, row: Row) -> str:
        on = f" on {row['dataset']}" if self.several and row["dataset"] != "all" else ""
        return f"{row['arm']}{on}"

    def _cell(self, row: Row) -> str:
        name = self._name((row["dataset"], row["model"], row["augmentation"]))
        return f"{name} on {row['dataset']}" if self.several else name


def partial_text(say: Sentence) -> str:
    """Return what to say of a study that has not run whole: ``A partial report: …``."""
    missing = say("diagnostics", "count", count, diagnosis="not there")
    of = say("diagnostics", "of", count, diagnosis="not there")
    listed = [
        f"{say('diagnostics', 'count', count, diagnosis=diagnosis)} {words}"
        for diagnosis, words in (
            ("failed", "failed"), ("running", "still running"), ("missing", "not run yet"),
        )
        if _total(say.tables, diagnosis)
    ]  # fmt: skip
    verb = "is" if missing == "1" else "are"
    more = f" ({', '.join(listed)})" if listed else ""
    return f"A partial report: {missing} of {of} runs {verb} missing{more}."


def summarise(
    writers: Sequence[Writer],
    tables: Mapping[str, pd.DataFrame],
    survivals: Sequence[Finding] = (),
) -> list[Finding]:
    """Return the verdict on a study: what was run, then each experiment's answer.

    Args:
        writers: the experiments' writers.
        tables: every table of the study.
        survivals: what is to be said of claims that are tested again, in front of the answers.
    """
    found = []
    say = Sentence(tables)
    if _total(tables, "not there"):
        text = partial_text(say)
        found.append(Finding("problem", "partial", text, tuple(say.sources)))
    say = Sentence(tables)
    runs = say("diagnostics", "of", count, diagnosis="runs")
    finished = say("diagnostics", "count", count, diagnosis="runs")
    text = f"{finished} of {runs} runs have finished"
    comparisons = tables["comparisons"]
    if len(comparisons):
        told = {
            verdict: say("diagnostics", "count", count, diagnosis=f"all: {verdict}")
            for verdict in VERDICTS
        }
        of = say("diagnostics", "of", count, diagnosis="all: better")
        text += (
            f". Of {of} comparisons, counted by experiment, {told['better']} came out in favour of "
            f"the arm, {told['worse']} in favour of its reference, {told['same']} as the same "
            f"within the margin, and {told[OPEN]} are open"
        )
        if (comparisons["verdict"] == NO_VERDICT).any():
            none = say("diagnostics", "count", count, diagnosis=f"all: {NO_VERDICT}")
            text += f"; {none} have no result, because no seed has finished on both sides"
    found.append(Finding("answer", "extent", f"{text}.", tuple(say.sources)))
    found += survivals
    for writer in writers:
        answer = writer.answer()
        question = writer.experiment.block.question
        text, sources = f"{question} {answer.text}", list(answer.sources)
        clear = writer.once[writer.once["verdict"].isin(["better", "worse"])]
        clear = clear[clear["kind"] != "factor"]
        if len(clear) > 1:
            at = int(np.argmax(np.abs(np.asarray(clear["difference"], float))))
            widest = writer._compare(dict(clear.iloc[at]))
            text += f" The largest difference: {widest.text}"
            sources += widest.sources
        found.append(Finding("answer", answer.kind, text, tuple(sources)))
    return found


def _total(tables: Mapping[str, pd.DataFrame], diagnosis: str) -> int:
    """A count of the whole study."""
    table = tables["diagnostics"]
    rows = table[(table["experiment"] == "") & (table["diagnosis"] == diagnosis)]
    return int(rows["count"].iloc[0])


def findings_table(found: Mapping[str, Sequence[Finding]]) -> pd.DataFrame:
    """Return a row for each number of the prose, and one for each finding without a number.

    Args:
        found: findings by experiment; ``summary`` for those of the whole study.
    """
    rows = [
        {
            "scope": scope,
            "part": finding.part,
            "kind": finding.kind,
            "text": finding.text,
            "number": source.shown if source else "",
            "table": source.table if source else "",
            "column": source.column if source else "",
            "where": _told(source.where) if source else "",
        }
        for scope, findings in found.items()
        for finding in findings
        for source in finding.sources or (None,)
    ]
    columns = ["scope", "part", "kind", "text", "number", "table", "column", "where"]
    return pd.DataFrame(rows, columns=columns)


def join(names: Sequence[str]) -> str:
    """Join names as prose does: ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _number(value: Any) -> float:
    return math.nan if value is None or value is pd.NA else float(value)


def _told(where: dict[str, Any]) -> str:
    return json.dumps(where, ensure_ascii=False, default=int)
