"""Calibration of verdicts on simulated studies with known differences, analysed as real ones.

A simulated study is a study file in a separate project folder and, for every planned run, the files
of a trained run. It is read and compared by the code of the reports. Printed: false positives, also
of paired t-tests and three common rules of thumb on the same files; the power at the minimum
detectable effect; the coverage of intervals; and how often arms that differ by more than the margin
are called the same. Every rate has its number of studies and an exact (Clopper-Pearson) 95 %
interval.

    python benchmarks/verdicts.py [--studies N] [--seed S] [--quick]
"""

import argparse
import gc
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import chdir, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special, stats

from ablation.analysis.analyse import analyse
from ablation.analysis.effects import Effect, effects
from ablation.analysis.runs import RunResult, read_run
from ablation.analysis.testing import combined_error, decide, family_level, holm, t_test
from ablation.analysis.verdicts import all_scores, compare
from ablation.study.comparisons import CellKey, Comparison
from ablation.study.plan import Plan, load_config, load_plan
from ablation.training.code import LOOP
from ablation.training.records import write_record

STUDIES = 300  # simulated in each condition
QUICK_STUDIES = 40
TRAINED, VALIDATED = 3600, 500  # images
EPOCHS, EARLIER = 3, 2  # trained, and the epoch at which budgets are compared
LAG = 0.02  # increase of validation accuracy in each epoch
ALLOWED = 0.05  # false positives
POWER = 0.75
COVERAGE = (0.93, 0.97)  # of the interval over the images
COVERAGE_OF_ALL = 0.94  # least coverage of the deciding intervals, simultaneous at 95 %
THROUGH_FILES = 25  # one in so many studies is written to files and read
CHUNK = 250  # studies of one job
CLAIMS = ("better", "worse")

# By run folder: which test images are classified correctly, and validation accuracy by epoch.
Drawn = dict[str, tuple[np.ndarray, np.ndarray]]
Tally = dict[tuple[str, str, str], tuple[int, int]]  # table, condition, measure: hits, studies


@dataclass(frozen=True)
class Condition:
    """A condition of simulated studies.

    A network classifies an image correctly if a normal variable is small enough: the sum of the
    image's difficulty for all networks, its difficulty for the networks of one arm, and noise.

    Attributes:
        seeds: runs of each cell.
        arms: cells of an experiment, including the reference.
        accuracy: expected accuracy of an arm without a planted difference.
        images: number of test images.
        spread: standard deviation of a network's expected accuracy over seeds, as a share (beta
            distribution).
        shared: share of the variance that is the image's difficulty for all networks; at 0 all
            images are equally difficult.
        own: share of the variance that is the image's difficulty for the networks of one arm.
        experiments: number of experiments.
        form: ``baseline``: every arm is compared with the first; ``pairs``: every arm with every
            other; ``grid``: two models by augmentations, with main effects, interactions and
            validation accuracies at an earlier epoch.
    """

    seeds: int = 3
    arms: int = 6
    accuracy: float = 0.95
    images: int = 1000
    spread: float = 0.003
    shared: float = 0.8
    own: float = 0.0
    experiments: int = 1
    form: str = "baseline"

    def __str__(self) -> str:
        """Describe the condition in one line."""
        difficulty = f"{self.shared:.0%} shared" if self.shared else "equal"
        if self.own:
            difficulty += f", {self.own:.0%} own"
        parts = [
            f"{self.seeds} seed{'s' * (self.seeds > 1)}",
            f"{self.arms} arms{f' ({self.form})' if self.form != 'baseline' else ''}",
            f"{100 * self.accuracy:.0f} %",
            f"{self.images:,} images",
            f"spread {100 * self.spread:.1f}",
            f"difficulty {difficulty}",
        ]
        if self.experiments > 1:
            parts.append(f"{self.experiments} experiments")
        return " · ".join(parts)


class Simulation:
    """A project folder with one study, whose runs can be drawn repeatedly.

    The folder has to be the working directory.

    Attributes:
        plan: the study.
        comparisons: all comparisons, each with the name of its experiment.
    """

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        Path("config/studies").mkdir(parents=True)
        Path("config/config.yaml").write_text("study: simulated\n")
        Path("config/studies/simulated.yaml").write_text(study_file(condition))
        self.plan: Plan = load_plan(load_config())
        self.comparisons: list[tuple[str, Comparison]] = [
            (experiment.name, comparison)
            for experiment in self.plan.experiments
            for comparison in experiment.comparisons
        ]
        self.sources = {
            (experiment.name, run.cell): [r for r in experiment.runs if r.cell == run.cell]
            for experiment in self.plan.experiments
            for run in experiment.runs
        }
        self._label = np.arange(condition.images) % 2
        self._val_label = np.arange(VALIDATED) % 2
        even = (np.arange(condition.images) + 0.5) / condition.images
        self._even = special.ndtri(even).astype(np.float32)
        self._read: dict[str, RunResult] | None = None
        self._count = 0
        self._records: dict[str, dict[str, object]] = {}
        self._write_constant_files()
        gc.collect()
        gc.freeze()  # statsmodels collects garbage at every call

    def draw(
        self,
        random: np.random.Generator,
        expected: Mapping[CellKey, float] | None = None,
        *,
        networks: Mapping[CellKey, Sequence[float]] | None = None,
        new_images: bool = False,
    ) -> Drawn:
        """Draw the results of every run of one study.

        Args:
            random: random number generator.
            expected: accuracy of arms that differ from the condition.
            networks: alternatively, expected accuracy of the network of each seed.
            new_images: draw the difficulties of the test images; otherwise they are the quantiles
                of the distribution, so that expected accuracies hold exactly on them.
        """
        condition = self.condition
        count = condition.images
        if new_images:
            difficulty = random.standard_normal(count, np.float32)
        else:
            difficulty = random.permutation(self._even)
        shared = np.float32(math.sqrt(condition.shared)) * difficulty
        rest = np.float32(math.sqrt(1 - condition.shared - condition.own))
        drawn = {}
        for source, runs in self.sources.items():
            mean = (expected or {}).get(source, condition.accuracy)
            accuracies = networks[source] if networks else self.accuracies(random, mean, len(runs))
            of_arm = shared
            if condition.own:
                own = random.standard_normal(count, np.float32)
                of_arm = shared + np.float32(math.sqrt(condition.own)) * own
            for run, accuracy in zip(runs, accuracies, strict=True):
                luck = rest * random.standard_normal(count, np.float32)
                epochs = run.settings.training.epochs
                by_epoch = [max(accuracy - LAG * (epochs - e), 0) for e in range(1, epochs + 1)]
                drawn[run.folder] = (
                    of_arm + luck < special.ndtri(accuracy),
                    random.binomial(VALIDATED, by_epoch) / VALIDATED,
                )
        return drawn

    def read(self, drawn: Drawn) -> dict[str, RunResult]:
        """Write the files of every run, and read them as the analysis does."""
        for folder, (right, validated) in drawn.items():
            self._write(Path(folder), right, validated)
        return {folder: read_run(run) for folder, run in self.plan.runs.items()}

    def results(self, drawn: Drawn) -> dict[str, RunResult]:
        """Return the results that comparisons need, without writing files.

        One in `THROUGH_FILES` studies is also written and read, and has to give the same table.
        """
        if self._read is None or not self._count % THROUGH_FILES:
            self._read = self.read(drawn)
            made = self._in_memory(drawn)
            pd.testing.assert_frame_equal(  # a CSV may change the last bit of an accuracy
                compare(self.plan, self._read), compare(self.plan, made), rtol=1e-9, atol=1e-12
            )
        else:
            made = self._in_memory(drawn)
        self._count += 1
        return made

    def _in_memory(self, drawn: Drawn) -> dict[str, RunResult]:
        assert self._read is not None
        made = {}
        for folder, (right, validated) in drawn.items():
            known = self._read[folder]
            history = known.history
            if self.condition.form == "grid":  # nothing else is compared at an epoch
                history = history.assign(val_accuracy=validated)
            probability = _probability(self._label, right)
            made[folder] = replace(known, history=history, probability=probability)
        return made

    def table(self, by_folder: Mapping[str, RunResult]) -> pd.DataFrame:
        """Return a row for each comparison, as in ``comparisons.csv``."""
        return compare(self.plan, by_folder)

    def truth(self, comparison: Comparison, expected: Mapping[CellKey, float]) -> float:
        """Return the true difference of a comparison, from the arms' expected accuracies."""
        arm, reference = (
            sum(w * expected.get(source, self.condition.accuracy) for w, source in side.terms)
            for side in (comparison.arm, comparison.reference)
        )
        return float(arm - reference)

    def accuracies(self, random: np.random.Generator, mean: float, count: int) -> Sequence[float]:
        """Draw the expected accuracies of an arm's networks."""
        if not self.condition.spread:
            return [mean] * count
        total = mean * (1 - mean) / self.condition.spread**2 - 1
        drawn = random.beta(mean * total, (1 - mean) * total, count)
        return list(np.clip(drawn, 1e-6, 1 - 1e-6))

    def _write_constant_files(self) -> None:
        """Write the files that are equal in all studies of a condition."""
        for run in self.plan.runs.values():
            folder = Path(run.folder)
            folder.mkdir(parents=True)
            epochs = run.settings.training.epochs
            rows = "".join(f"{epoch},2.0,1800.0\n" for epoch in range(1, epochs + 1))
            (folder / "timing.csv").write_text("epoch,seconds,images_per_second\n" + rows)
            self._records[run.folder] = {
                "id": run.id,
                "status": "completed",
                "settings": run.settings.model_dump(mode="json"),
                "code": {LOOP: "simulated"},
                "data": {
                    "source": "mnist5k/1.0.0",
                    "hash": "0" * 64,
                    "shape": [28, 28, 1],
                    "train": TRAINED,
                    "validation": VALIDATED,
                    "test": self.condition.images,
                },
                "class_names": ["0", "1"],
                "parameters": 1000,
                "trainable_parameters": 1000,
                "weights_sha256": None,
                "train_accuracy_clean": 1.0,
                "epochs": epochs,
                "threads": {"intra_op": 2, "inter_op": 2},
                "device": "CPU",
                "environment": {
                    "python": "3.11.7",
                    "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
                    "git_commit": None,
                    "system": "Linux",
                    "processor": "simulated",
                    "cores": 2,
                    "gpus": [],
                    "variables": {},
                },
                "started": "2026-01-01T00:00:00Z",
                "seconds": 6.0,
            }
        for data in self.plan.data.values():
            Path(data.folder).mkdir(parents=True)
            described = {"hash": "0" * 64, "splits": {}, "citation": "", "counts": {}}
            (Path(data.folder) / "description.json").write_text(json.dumps(described))

    def _write(self, folder: Path, right: np.ndarray, by_epoch: np.ndarray) -> None:
        """Write the other files of a run."""
        lines = ["epoch,loss,accuracy,val_loss,val_accuracy,learning_rate"] + [
            f"{epoch},{1 / epoch},{value},{1 / epoch},{np.float32(value)!s},0.1"
            for epoch, value in enumerate(by_epoch, 1)
        ]
        (folder / "history.csv").write_text("\n".join(lines) + "\n")
        validated = np.arange(VALIDATED) < round(by_epoch[-1] * VALIDATED)
        np.savez(  # training compresses; both read the same
            folder / "predictions.npz",
            label=self._label,
            probability=_probability(self._label, right),
            val_label=self._val_label,
            val_probability=_probability(self._val_label, validated),
        )
        write_record(folder, self._records[str(folder)])


def _probability(label: np.ndarray, right: np.ndarray) -> np.ndarray:
    answer = np.where(right, label, 1 - label)
    return np.where(answer[:, None] == [0, 1], np.float32(0.9), np.float32(0.1))


def study_file(condition: Condition) -> str:
    """Return the text of a condition's study file."""
    grid = condition.form == "grid"
    labels = [f"a{i}" for i in range(condition.arms // (1 + grid))]
    experiment = {
        "question": "Which arm?",
        "datasets": ["mnist5k"],
        "models": ["resnet8", "resnet14"] if grid else ["resnet8"],
        "augmentations": {label: f"crop({i})" if i else "" for i, label in enumerate(labels)},
        "seeds": list(range(condition.seeds)),
        "final_seeds": condition.seeds,  # looked at once, at the whole level
        "baseline": {"augmentation": "a0"},
    }
    if condition.form == "pairs":
        experiment["comparisons"] = [
            {
                "kind": "arm",
                "arm": {"augmentation": labels[i + 1 :]},
                "reference": {"augmentation": label},
            }
            for i, label in enumerate(labels[1:-1], 1)
        ]
    elif grid:
        experiment["comparisons"] = [
            {"kind": "factor", "factors": ["model", "augmentation"]},
            {
                "kind": "budget",
                "arm": {"augmentation": labels[1:]},
                "reference": {"augmentation": "a0"},
                "epoch": EARLIER,
            },
        ]
    experiments = {  # of different lengths, so that they do not share runs
        f"e{i}": {**experiment, "training": {"epochs": EPOCHS + i}}
        for i in range(condition.experiments)
    }
    study = {"title": "Simulated", "margin": 0.5, "experiments": experiments}
    return json.dumps(study, indent=1)  # which is YAML too


class Counts:
    """Numbers of hits and studies of one condition, by measure."""

    def __init__(self, table: str, condition: str) -> None:
        self.table, self.condition = table, condition
        self.counts: Tally = {}

    def add(self, measure: str, hit: bool) -> None:
        """Count one study."""
        key = (self.table, self.condition, measure)
        hits, studies = self.counts.get(key, (0, 0))
        self.counts[key] = (hits + hit, studies + 1)


def _chunk(
    condition: Condition, seed: Sequence[int]
) -> Iterator[tuple[Simulation, np.random.Generator]]:
    with simulated(condition) as simulation:
        yield simulation, np.random.default_rng(list(seed))


@contextmanager
def simulated(condition: Condition) -> Iterator[Simulation]:
    """Make a project folder of a condition, enter it, and remove it at the end."""
    # in memory if possible, because files live for milliseconds
    memory = Path("/dev/shm")  # noqa: S108
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder, chdir(folder):
        yield Simulation(condition)


def null_studies(condition: Condition, studies: int, seed: Sequence[int]) -> Tally:
    """Count false positives of studies with equal arms, of verdicts and of other rules."""
    apart = ", with difficulties by arm" if condition.own else ""
    tally = Counts(f"false positives{apart}", str(condition))
    for simulation, random in _chunk(condition, seed):
        for study in range(studies):
            by_folder = simulation.results(simulation.draw(random, new_images=bool(condition.own)))
            claimed = by_verdicts(simulation, by_folder)
            if not study % THROUGH_FILES:
                table = simulation.table(by_folder)
                if claimed != table["verdict"].isin(CLAIMS).any():
                    raise RuntimeError("table and tests differ")
            tally.add("verdicts", claimed)
            for name, claims in OTHER_RULES.items():
                tally.add(name, claims(simulation, by_folder))
    return tally.counts


def by_verdicts(simulation: Simulation, by_folder: Mapping[str, RunResult]) -> bool:
    """Return whether some comparison is significant, without making the whole table."""
    scores = all_scores(simulation.plan, by_folder)
    level = family_level(simulation.plan.comparing)
    for experiment in simulation.plan.experiments:
        found = [one for one in effects(experiment.comparisons, scores) if one is not None]
        tests = [one.test for one in found if one.test is not None]
        decisions = decide(tests, range(len(tests)), level)
        if any(decision.p <= ALLOWED for decision in decisions):
            return True
    return False


def highest_mean_wins(simulation: Simulation, by_folder: Mapping[str, RunResult]) -> bool:
    """Return whether some experiment has one arm with the highest mean."""
    best = []
    for experiment in simulation.plan.experiments:
        means = sorted(
            sum(by_folder[run.folder].correct.sum() for run in runs)
            for (name, _), runs in simulation.sources.items()
            if name == experiment.name
        )
        best.append(means[-1] > means[-2])
    return any(best)


def paired_tests(simulation: Simulation, by_folder: Mapping[str, RunResult]) -> bool:
    """Return whether paired t-tests over seeds, and over seeds and images, find a difference.

    Corrected by Holm's method within each experiment, without pooled variances.
    """
    scores = all_scores(simulation.plan, by_folder)
    for experiment in simulation.plan.experiments:
        found = [one for one in effects(experiment.comparisons, scores) if one is not None]
        p = np.array([_paired_p(one) for one in found])
        if (holm(p, family_level(simulation.plan.comparing))[0] <= ALLOWED).any():
            return True
    return False


def _paired_p(found: Effect) -> float:
    assert found.test is not None
    error, df = found.test.paired
    both, combined_df = combined_error(
        error, df, found.image_error, found.seed_image_variance, found.images
    )
    t = found.difference / np.array([error, both])
    return float(t_test(t, np.array([df, combined_df])).max())


def uncorrected_t(simulation: Simulation, by_folder: Mapping[str, RunResult]) -> bool:
    """Return whether some arm has p < .05 in a paired t-test against the reference."""
    pairs = []
    for arm, reference in _pairs(simulation):
        accuracy = [
            [by_folder[run.folder].correct.mean() for run in simulation.sources[source]]
            for source in (arm, reference)
        ]
        pairs.append(np.subtract(accuracy[0], accuracy[1]))
    paired = np.array(pairs)
    with np.errstate(all="ignore"):  # all seeds alike: no t
        t = paired.mean(1) / paired.std(1, ddof=1) * math.sqrt(paired.shape[1])
    return bool((np.abs(t) > stats.t.ppf(0.975, paired.shape[1] - 1)).any())


def mcnemar(simulation: Simulation, by_folder: Mapping[str, RunResult]) -> bool:
    """Return whether some arm has p < .05 in McNemar's exact test, at the first seed."""
    for arm, reference in _pairs(simulation):
        one, other = (
            by_folder[simulation.sources[source][0].folder].correct for source in (arm, reference)
        )
        won, lost = int((one & ~other).sum()), int((other & ~one).sum())
        if 2 * special.bdtr(min(won, lost), won + lost, 0.5) < 0.05:
            return True
    return False


OTHER_RULES: dict[str, Callable[[Simulation, Mapping[str, RunResult]], bool]] = {
    "paired tests": paired_tests,
    "highest mean wins": highest_mean_wins,
    "paired t, uncorrected": uncorrected_t,
    "McNemar on one seed": mcnemar,
}


def _pairs(simulation: Simulation) -> list[tuple[CellKey, CellKey]]:
    return [
        (comparison.arm.terms[0][1], comparison.reference.terms[0][1])
        for _, comparison in simulation.comparisons
        if comparison.arm.cell and comparison.reference.cell and comparison.epoch is None
    ]


def planted_studies(condition: Condition, studies: int, seed: Sequence[int]) -> Tally:
    """Count how often differences of the minimum detectable effect are found.

    The effect of the second arm is taken from a study without differences. A new study is then
    drawn in which that arm differs by it, alternately upwards and downwards if the accuracy allows.
    """
    tally = Counts("power", str(condition))
    for simulation, random in _chunk(condition, seed):
        sources = list(simulation.sources)
        arm = next(
            i
            for i, (_, comparison) in enumerate(simulation.comparisons)
            if comparison.arm.terms == ((1.0, sources[1]),)
        )
        others = [
            i
            for i, (_, comparison) in enumerate(simulation.comparisons)
            if sources[1] not in comparison.sources
        ]
        found: list[tuple[float, bool]] = []
        for study in range(studies):
            null = simulation.table(simulation.results(simulation.draw(random)))
            size = float(null["mde"][arm])
            # if only one direction is possible, it is used in every study
            turn = (1, -1) if study % 2 else (-1, 1)
            fits = [sign for sign in turn if _possible(condition, condition.accuracy + sign * size)]
            tally.add("too large to plant", not fits)
            if not fits:
                continue
            drawn = simulation.draw(random, {sources[1]: condition.accuracy + fits[0] * size})
            table = simulation.table(simulation.results(drawn))
            verdict = table["verdict"][arm]
            right, wrong = CLAIMS if fits[0] > 0 else CLAIMS[::-1]
            tally.add("found", verdict == right)
            found.append((size, verdict == right))
            tally.add("planted upwards", fits[0] > 0)
            tally.add("wrong sign", verdict == wrong)
            if others:
                claims = table["verdict"].iloc[others].isin(CLAIMS)
                tally.add("false positives of other arms", bool(claims.any()))
        for _, hit in sorted(found)[: len(found) // 3]:
            tally.add("found, smallest third", hit)
    return tally.counts


def _possible(condition: Condition, accuracy: float) -> bool:
    """Return whether an arm can have an accuracy: between chance and 99.5 %."""
    return 0.5 <= accuracy <= 0.995 and condition.spread**2 < accuracy * (1 - accuracy)


def interval_studies(condition: Condition, studies: int, seed: Sequence[int]) -> Tally:
    """Count how often intervals cover the true difference, for one comparison of each kind.

    The accuracy of each arm differs from the condition's by up to 3 points (or half of the error
    rate). For intervals over seeds, networks are drawn and the true difference is that of the arms.
    For intervals over images, images are drawn and it is that of the networks.
    """
    tally = Counts("coverage", str(condition))
    for simulation, random in _chunk(condition, seed):
        reach = min(0.03, (1 - condition.accuracy) / 2)
        for study in range(studies):
            expected = {
                source: condition.accuracy + random.uniform(-reach, reach)
                for source in simulation.sources
            }
            measures = []
            if condition.seeds >= 3:
                table = simulation.table(simulation.results(simulation.draw(random, expected)))
                measures.append(("deciding", table, "ci_low", "ci_high", expected))
            networks = {
                source: simulation.accuracies(random, mean, condition.seeds)
                for source, mean in expected.items()
            }
            drawn = simulation.draw(random, networks=networks, new_images=True)
            table = simulation.table(simulation.results(drawn))
            theirs = {source: float(np.mean(of)) for source, of in networks.items()}
            measures.append(("over images", table, "image_ci_low", "image_ci_high", theirs))
            for over, table, low, high, true in measures:
                for kind, rows in _kinds(simulation).items():
                    i = rows[study % len(rows)]
                    truth = simulation.truth(simulation.comparisons[i][1], true)
                    held = table[low][i] <= truth <= table[high][i]
                    tally.add(f"{over}: {kind}", bool(held))
    return tally.counts


def _kinds(simulation: Simulation) -> dict[str, list[int]]:
    """Return the positions of the comparisons of each kind."""
    found: dict[str, list[int]] = {}
    for i, (_, comparison) in enumerate(simulation.comparisons):
        if comparison.factors:
            kind = ("main effect", "interaction")[len(comparison.factors) - 1]
        else:
            kind = "pair" if comparison.epoch is None else "pair at an epoch"
        found.setdefault(kind, []).append(i)
    return found


def margin_studies(condition: Condition, studies: int, seed: Sequence[int]) -> Tally:
    """Count how often the second arm is called the same, at several true differences."""
    tally = Counts("called the same", str(condition))
    for simulation, random in _chunk(condition, seed):
        second = list(simulation.sources)[1]
        for study in range(studies):
            sign = 1 if study % 2 else -1
            for points in BEYOND:
                expected = {second: condition.accuracy + sign * points / 100}
                drawn = simulation.draw(random, expected)
                verdict = simulation.table(simulation.results(drawn))["verdict"][0]
                tally.add(f"true difference {points}", verdict == "same")
    return tally.counts


def whole_analyses(condition: Condition, studies: int, seed: Sequence[int]) -> Tally:
    """Count studies whose ``comparisons.csv`` differs from the table used here."""
    tally = Counts("comparisons.csv differs", str(condition))
    for simulation, random in _chunk(condition, seed):
        for _ in range(studies):
            by_folder = simulation.read(simulation.draw(random))
            analyse(simulation.plan, Path("results/simulated"))
            written = Path("results/simulated/comparisons.csv").read_text()
            table = compare(simulation.plan, by_folder)
            tally.add("differs", written != table.to_csv(index=False, lineterminator="\n"))
    return tally.counts


Measure = Callable[[Condition, int, Sequence[int]], Tally]
BASE = Condition()
GRID = Condition(arms=4, form="grid")
SMALL = Condition(accuracy=0.98, images=500)
ALIKE = replace(SMALL, spread=0.0, shared=0.97)  # networks that differ on an image or two
BEYOND = (0, 0.4, 0.51, 0.75, 1.0)  # points; the margin is 0.5

NULL = [
    *(
        replace(BASE, seeds=seeds, spread=spread)
        for seeds in (3, 4, 5, 8)
        for spread in (0.0, 0.003, 0.01, 0.03)
    ),
    *(
        replace(one, seeds=seeds)
        for seeds in (3, 8)
        for one in (
            replace(BASE, accuracy=0.6),
            replace(BASE, accuracy=0.8, spread=0.01),
            SMALL,
            ALIKE,
            replace(BASE, images=10_000),
            replace(BASE, shared=0.0),
            replace(BASE, arms=2),
            replace(BASE, arms=3),
            replace(BASE, arms=12),
            replace(BASE, form="pairs"),
            GRID,
            replace(BASE, arms=2, experiments=2),
            replace(BASE, experiments=2),
        )
    ),
]
OWN = [
    replace(BASE, seeds=seeds, own=own, images=images)
    for seeds in (3, 5, 8)
    for own, images in ((0.02, 1000), (0.05, 1000), (0.05, 10_000), (0.15, 1000))
]
PLANTED = [
    replace(one, seeds=seeds)
    for seeds in (3, 5, 8)
    for one in (
        BASE,
        SMALL,
        replace(BASE, accuracy=0.8, spread=0.01),
        replace(BASE, accuracy=0.9, spread=0.01, arms=2, images=10_000),
        replace(BASE, accuracy=0.8, arms=12),
    )
]
INTERVALS = [
    *(
        replace(one, seeds=seeds)
        for seeds in (3, 5, 8)
        for one in (
            GRID,
            replace(GRID, spread=0.0),
            replace(GRID, spread=0.01),
            replace(GRID, accuracy=0.6, spread=0.03),
            replace(GRID, accuracy=0.98, images=500, spread=0.0),
            replace(GRID, accuracy=0.98, images=500, spread=0.0, shared=0.97),
            replace(GRID, images=10_000),
            replace(GRID, shared=0.0),
        )
    ),
    *(
        replace(one, seeds=seeds)
        for seeds in (1, 2)
        for one in (GRID, replace(GRID, accuracy=0.98, images=500), replace(GRID, shared=0.0))
    ),
]
MARGIN = [
    Condition(seeds, 2, 0.95, images, 0.001, shared)
    for seeds in (3, 5, 8)
    for images, shared in ((10_000, 0.9), (10_000, 0.97), (500, 0.99))
]
WHOLE = [BASE, GRID, replace(BASE, seeds=2, experiments=2), ALIKE]
# Measure, conditions, and share of the requested studies.
DESIGN: list[tuple[Measure, list[Condition], float]] = [
    (null_studies, NULL, 1),
    (null_studies, OWN, 1),
    (planted_studies, PLANTED, 0.5),
    (interval_studies, INTERVALS, 0.5),
    (margin_studies, MARGIN, 0.2),
    (whole_analyses, WHOLE, 0.002),
]


def run_design(studies: int, seed: int, *, quick: bool = False) -> Tally:
    """Run every condition in two processes.

    Args:
        studies: simulated studies in each condition of the largest share.
        seed: seed of the simulation.
        quick: run only every fourth condition.
    """
    jobs: list[tuple[Measure, Condition, int, list[int]]] = []
    for number, (measure, conditions, share) in enumerate(DESIGN):
        for position, condition in enumerate(conditions):
            if quick and position % 4:
                continue
            wanted = max(1, round(studies * share))
            for start in range(0, wanted, CHUNK):
                at = [seed, number, position, start]
                jobs.append((measure, condition, min(CHUNK, wanted - start), at))
    counts: Tally = {}
    with ProcessPoolExecutor(2) as pool:
        for found in pool.map(_run, *zip(*jobs, strict=True)):
            merge(counts, found)
    return counts


def _run(measure: Measure, condition: Condition, studies: int, seed: list[int]) -> Tally:
    return measure(condition, studies, seed)


def merge(counts: Tally, more: Tally) -> None:
    """Add counts to others."""
    for key, (hits, studies) in more.items():
        known = counts.get(key, (0, 0))
        counts[key] = (known[0] + hits, known[1] + studies)


def exact_interval(hits: int, studies: int) -> tuple[float, float]:
    """Return the Clopper-Pearson 95 % interval of a rate."""
    low, high = stats.binomtest(hits, studies).proportion_ci(0.95, "exact")
    return float(low), float(high)


def falls_short(counts: Tally) -> list[str]:
    """Return the rates whose whole interval is beyond their limit."""
    problems = []
    for (table, condition, measure), (hits, studies) in counts.items():
        low, high = exact_interval(hits, studies)
        most, least = 1.0, 0.0
        if table.startswith("false positives") and measure == "verdicts":
            most = ALLOWED
        elif table == "power" and measure == "found":
            least = POWER
        elif table == "power" and measure.startswith("false positives"):
            most = ALLOWED
        elif table == "coverage":
            least, most = COVERAGE
            if measure == "over images: pair at an epoch":  # conservative
                most = 1.0
            elif measure.startswith("deciding"):
                least, most = COVERAGE_OF_ALL, 1.0
        elif table == "called the same" and float(measure.split()[-1]) > 0.5:
            most = ALLOWED
        elif table == "comparisons.csv differs":
            most = 0.0
        if low > most or high < least:
            problems.append(f"{table}: {condition}: {measure}: {_shown(hits, studies)}")
    return problems


def _shown(hits: int, studies: int) -> str:
    low, high = exact_interval(hits, studies)
    return f"{100 * hits / studies:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def format_tables(counts: Tally) -> str:
    """Format the tables: rates in percent, with exact 95 % intervals."""
    parts = []
    for name in dict.fromkeys(table for table, _, _ in counts):
        own = {key[1:]: value for key, value in counts.items() if key[0] == name}
        totals: Tally = {}
        for (condition, measure), (hits, studies) in own.items():
            merge(totals, {("", "all conditions", measure): (hits, studies)})
            merge(totals, {("", condition, measure): (hits, studies)})
        rows: dict[str, dict[str, str]] = {}
        for (_, condition, measure), (hits, studies) in totals.items():
            row = rows.setdefault(condition, {"studies": ""})
            row["studies"] = str(max(studies, int(row["studies"] or 0)))
            row[measure] = _shown(hits, studies)
        table = pd.DataFrame.from_dict(rows, orient="index").fillna("")
        parts.append(f"{name}, %\n{table.loc[list(rows)[1:] + list(rows)[:1]].to_string()}")
    return "\n\n".join(parts)


def main() -> int:
    """Print the tables and the violated limits; return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, help=f"in each condition (default: {STUDIES})")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a few conditions, in a minute")
    given = parser.parse_args()
    began = time.perf_counter()
    studies = given.studies or (QUICK_STUDIES if given.quick else STUDIES)
    counts = run_design(studies, given.seed, quick=given.quick)
    short = falls_short(counts)
    print(format_tables(counts))
    print(f"\n{time.perf_counter() - began:.0f} s; seed {given.seed}")
    print("Falls short:" if short else "Nothing falls short.", *short, sep="\n  ")
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
