"""What the four notebooks were graded on, asked of a study and answered from its tables.

Each criterion has a verdict and the evidence for it. A criterion that a study does not set out to
meet is ``not part of this study``, and the evidence names the nearest thing that it has. Every
number in the evidence is computed from the tables and records given.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.published import effective_steps, mixing_steps, step_families
from ablation.analysis.thresholds import near_chance, threshold
from ablation.study.architectures import resolve_architecture
from ablation.study.families.resnet import ResNetSettings
from ablation.study.grid import Run
from ablation.study.plan import Plan, PlannedExperiment
from ablation.study.schema import OWN_IMAGES

MET = "met"
NOT_MET = "not met"
NOT_PART = "not part of this study"
CRITERIA_COLUMNS = ("criterion", "question", "verdict", "evidence")

STEADY_EPOCHS = 3  # fewer show no course
STEADY_RISE = 0.05  # of the loss's own range, above its lowest value so far
LOSS_SHARE = 0.9  # of the first epoch's loss; mixed labels keep the loss from falling far
SETTLED_SHARE = 0.2  # of the epochs, at the end
SETTLED_EPOCHS = 2  # at least
SETTLED_CHANGE = 0.01  # of validation accuracy
ARMS_TRIED = 3  # that change the images
GRADED_DEPTHS = (34, 50)
CATS = "cats_vs_dogs"
FINISHED = ("completed", "stopped_early")

QUESTIONS = {
    1: "Are ResNet-34 and ResNet-50 implemented, with the block functions right and the model "
    "summaries as expected?",
    2: "Do ResNet-34 and ResNet-50 train on cats_vs_dogs with the loss falling steadily over the "
    "epochs?",
    3: "Is there an ablation table of plain and residual networks of 34 and 50 layers, trained "
    "for the same number of epochs, by validation accuracy?",
    4: "Do ResNet models trained on CutMix and on MixUp data converge?",
    5: "Were several augmentations tried, the best for the task found, performance compared and "
    "problems described?",
    6: "Are basic augmentation, CutMix and MixUp compared systematically, with pictures?",
}

DEFINITIONS: list[tuple[str, str]] = [
    (
        "Implemented as expected",
        "A network is as expected where the parameters that a run counted, in all and trainable, "
        "are those of a separate count from the blocks of the paper's Table 1 (He et al. 2015), "
        "for the head, the shortcuts and the biases that the study asks for.",
    ),
    (
        "Falls steadily",
        f"A training loss falls steadily if it has at least {STEADY_EPOCHS} epochs, ends below "
        f"where it began and never stands above its lowest value so far by more than "
        f"{100 * STEADY_RISE:g} % of its range (highest less lowest epoch). The range makes the "
        "rule the same for every data set and loss; measuring from the lowest value so far, "
        "several small rises count as the one that they add up to.",
    ),
    (
        "Converged",
        "A cell has converged if all its runs finished with finite losses, the training loss of "
        f"each run ended at no more than {100 * LOSS_SHARE:g} % of that of its first epoch (mixed "
        "labels put a floor under it), validation accuracy has settled and is well above chance, "
        f"both in the mean over its runs. Settled: the mean over the last {100 * SETTLED_SHARE:g} "
        f"% of the epochs, at least {SETTLED_EPOCHS}, lies within {100 * SETTLED_CHANGE:g} point "
        "of the mean over as many epochs before. Well above chance: the last epoch's accuracy has "
        f"come more than {100 * threshold('near_chance'):g} % of the way from chance, the share of "
        "the largest class of the validation split, to 100 %. A learning rate that ends at 0 "
        "settles any run: converged then means at this budget.",
    ),
    (
        "Best augmentation",
        f"Asked where one network meets at least {ARMS_TRIED} augmentations on one data set. An "
        "arm is named the best only if the verdicts of the comparisons put it above every other "
        "arm: better than it, directly or through an arm in between, or the same as it, and "
        "better than at least one.",
    ),
    (
        "Systematic comparison",
        "Basic augmentation (geometric or coloured, without mixing), CutMix and MixUp are compared "
        "systematically where one network on one data set has finished all three with every seed "
        "and each is compared with the same reference, or is that reference.",
    ),
]
"""Name and text of what the verdicts mean by their words."""

Key = tuple[str, str, str, str]  # experiment, dataset, model, augmentation
Row = dict[str, Any]
Answer = tuple[str, str]  # verdict, evidence


def criteria_table(
    plan: Plan,
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    cells: pd.DataFrame,
    comparisons: pd.DataFrame,
    records: Mapping[str, Mapping[str, Any]],
    chance: Mapping[str, float],
) -> pd.DataFrame:
    """Answer the grading criteria of the notebooks for a study.

    Args:
        plan: the study.
        runs: a row a run: experiment, dataset, model, augmentation, seed, status,
            val_accuracy_last (0 to 1), epochs.
        curves: a row a run and epoch: the same keys, epoch, loss, val_accuracy.
        cells: a row a cell: the keys without seed, runs, finished, test_accuracy (0 to 1).
        comparisons: a row a comparison: experiment, kind, dataset, arm_model, arm_augmentation,
            reference_model, reference_augmentation, difference (0 to 1), verdict, measure.
        records: content of ``run.json`` by the run's folder, for the runs that have left one.
        chance: share of the largest class in the validation split, of the same runs.

    Returns:
        A row for each criterion from 1 to 6: criterion, question, verdict (``met``, ``not met``
        or ``not part of this study``) and evidence (sentences).
    """
    study = _Study(plan, runs, curves, cells, comparisons, records, chance)
    answers: dict[int, Callable[[_Study], Answer]] = {
        1: _implemented,
        2: _cats_and_dogs,
        3: _ablation_table,
        4: _converged,
        5: _best_augmentation,
        6: _systematic,
    }
    rows = [(number, QUESTIONS[number], *answer(study)) for number, answer in answers.items()]
    return pd.DataFrame(rows, columns=list(CRITERIA_COLUMNS))


def parameter_count(
    architecture: Mapping[str, Any], channels: int, classes: int
) -> tuple[int, int]:
    """Count the parameters of a residual or plain network from its blocks, without building it.

    Args:
        architecture: the settings, as ``resolve_architecture`` returns them.
        channels: of an image.
        classes: outputs of the head.

    Returns:
        All parameters, batch norm's moving statistics included, and the trainable ones.
    """
    settings = ResNetSettings.model_validate(dict(architecture))
    convolutions = []  # channels in, channels out, side of the kernel
    width = settings.width
    convolutions.append((channels, width, 7 if settings.stem == "imagenet" else 3))
    entering = width
    for stage, blocks in enumerate(settings.blocks):
        inner = width * 2**stage
        leaving = 4 * inner if settings.bottleneck else inner
        for _ in range(blocks):
            if settings.bottleneck:
                convolutions += [(entering, inner, 1), (inner, inner, 3), (inner, leaving, 1)]
            else:
                convolutions += [(entering, inner, 3), (inner, inner, 3)]
            if entering != leaving and settings.kind == "residual" and settings.projection != "pad":
                convolutions.append((entering, leaving, 1 if settings.projection == "1x1" else 3))
            entering = leaving
    kernels = sum(first * second * side**2 for first, second, side in convolutions)
    outputs = sum(second for _, second, _ in convolutions)  # each with a batch norm
    biases = outputs if settings.bias else 0
    trainable = kernels + biases + 2 * outputs + (entering + 1) * classes
    return trainable + 2 * outputs, trainable


def falls_steadily(loss: Sequence[float]) -> bool:
    """Tell whether a training loss falls steadily over its epochs; `DEFINITIONS` says when."""
    values = np.asarray(loss, float)
    if len(values) < STEADY_EPOCHS or not np.isfinite(values).all() or values[-1] >= values[0]:
        return False
    return bool(largest_rise(values) <= STEADY_RISE)


def largest_rise(loss: Sequence[float] | np.ndarray) -> float:
    """Return how far a loss has stood above its lowest value so far, as a share of its range."""
    values = np.asarray(loss, float)
    spread = values.max() - values.min()
    rise = (values - np.minimum.accumulate(values)).max()
    return float(rise / spread) if spread else 0.0


def late_change(accuracy: Sequence[float]) -> float | None:
    """Return how far accuracy still moved in the end.

    The mean over the last fifth of the epochs (at least two) less the mean over as many before;
    None where there are too few epochs for both.
    """
    number = max(SETTLED_EPOCHS, round(SETTLED_SHARE * len(accuracy)))
    if len(accuracy) < 2 * number:
        return None
    return float(np.mean(accuracy[-number:]) - np.mean(accuracy[-2 * number : -number]))


@dataclass(frozen=True)
class _Study:
    """A study's tables, with what several criteria ask of them."""

    plan: Plan
    runs: pd.DataFrame
    curves: pd.DataFrame
    cells: pd.DataFrame
    comparisons: pd.DataFrame
    records: Mapping[str, Mapping[str, Any]]
    chance: Mapping[str, float]

    @cached_property
    def by_cell(self) -> dict[Key, dict[str, Run]]:
        """The planned runs of each cell by folder, each cell of equal runs once."""
        found: dict[Key, dict[str, Run]] = {}
        for experiment in self.plan.experiments:
            for run in experiment.runs:
                found.setdefault((experiment.name, *run.cell), {})[run.folder] = run
        once: dict[frozenset[str], Key] = {}
        for key, of_cell in found.items():
            once.setdefault(frozenset(of_cell), key)
        return {key: found[key] for key in once.values()}

    @cached_property
    def training(self) -> dict[Key, dict[str, Any]]:
        """The training settings of each cell, without the number of epochs."""
        return {
            (experiment.name, *run.cell): run.settings["training"] | {"epochs": None}
            for experiment in self.plan.experiments
            for run in experiment.runs
        }

    @cached_property
    def run_rows(self) -> dict[tuple[str, str, str, str, int], Row]:
        """Rows of the table of runs by cell and seed."""
        return {(*_key(row), int(row["seed"])): row for row in _rows(self.runs)}

    @cached_property
    def curve_rows(self) -> dict[tuple[str, str, str, str, int], pd.DataFrame]:
        """Epochs of each run, in order."""
        found = {}
        keys = ["experiment", "dataset", "model", "augmentation", "seed"]
        for _, part in self.curves.groupby(keys, sort=False):
            row = _rows(part.head(1))[0]
            found[(*_key(row), int(row["seed"]))] = part.sort_values("epoch")
        return found

    @cached_property
    def cell_rows(self) -> dict[Key, Row]:
        """Rows of the table of cells."""
        return {_key(row): row for row in _rows(self.cells)}

    def status(self, key: Key, seed: int) -> str:
        """Return the status of a run."""
        return str(self.run_rows[(*key, seed)]["status"])

    def finished(self, key: Key) -> list[int]:
        """Return the seeds of a cell that have finished, rising."""
        return sorted(
            int(row["seed"])
            for place, row in self.run_rows.items()
            if place[:4] == key and row["status"] in FINISHED
        )

    def validation_accuracy(self, key: Key, seeds: Iterable[int]) -> float:
        """Return the mean validation accuracy of the last epoch over seeds."""
        values = [float(self.run_rows[(*key, seed)]["val_accuracy_last"]) for seed in seeds]
        return float(np.mean(values)) if values else float("nan")

    def tell_unfinished(self, key: Key) -> str:
        """Say which runs of a cell have not finished; empty where all have."""
        planned = sorted({place[4] for place in self.run_rows if place[:4] == key})
        left = [seed for seed in planned if self.status(key, seed) not in FINISHED]
        return _joined(f"seed {seed} {self.status(key, seed)}" for seed in left) if left else ""


# (1) ----------------------------------------------------------------------------------------


def _implemented(study: _Study) -> Answer:
    planned = {
        run.settings["model"]["depth"]
        for run in study.plan.runs.values()
        if _graded(run.settings["model"])
    }
    if planned != set(GRADED_DEPTHS):
        lacking = " or ".join(_graded_names(planned))
        told = _joined(_networks(study.plan))
        return NOT_PART, f"The study does not run {lacking}; its networks are {told}."
    counted: dict[str, tuple[Run, Mapping[str, Any], int]] = {}
    for folder, run in study.plan.runs.items():
        record = study.records.get(folder)
        if record is None or not _graded(run.settings["model"]):
            continue
        name = repr((
            sorted(run.settings["model"].items()), run.dataset,
            record["parameters"], record["trainable_parameters"],
        ))  # fmt: skip
        counted[name] = (run, record, counted[name][2] + 1 if name in counted else 1)
    sentences, right = [], dict.fromkeys(GRADED_DEPTHS, False)
    wrong = False
    for run, record, number in counted.values():
        agrees, sentence = _tell_count(run, record, number)
        right[run.settings["model"]["depth"]] |= agrees
        wrong |= not agrees
        sentences.append(sentence)
    sentences += [
        f"No run of ResNet-{depth} has left a count of its parameters yet."
        for depth in GRADED_DEPTHS
        if all(run.settings["model"]["depth"] != depth for run, _, _ in counted.values())
    ]
    return _verdict(all(right.values()) and not wrong), " ".join(sentences)


def _graded(architecture: Mapping[str, Any]) -> bool:
    """Whether a network is a ResNet-34 or ResNet-50."""
    return (
        architecture["family"] == "resnet"
        and architecture["kind"] == "residual"
        and architecture["form"] == "imagenet"
        and architecture["depth"] in GRADED_DEPTHS
    )


def _graded_names(present: set[int]) -> list[str]:
    """The graded networks that are not present."""
    return [f"ResNet-{depth}" for depth in GRADED_DEPTHS if depth not in present]


def _tell_count(run: Run, record: Mapping[str, Any], number: int) -> tuple[bool, str]:
    """Whether a network has the parameters that it should, and a sentence that says so."""
    own = run.settings["model"]
    classes, channels = len(record["class_names"]), record["data"]["shape"][-1]
    expected = parameter_count(own, channels, classes)
    found = (record["parameters"], record["trainable_parameters"])
    agrees = found == expected
    runs = "1 run" if number == 1 else f"{number} runs"
    told = (
        f"{_paper_name(own)} ({run.model} on {run.dataset}, {classes} classes, {runs}) has "
        f"{found[1]:,} trainable parameters of {found[0]:,}"
    )
    form = _joined(_form(own))
    if agrees:
        told += f", as counted from the blocks of the paper's Table 1 with {form}"
    else:
        told += (
            f", but the blocks of the paper's Table 1 with {form} have {expected[1]:,} of "
            f"{expected[0]:,}"
        )
    paper = parameter_count(resolve_architecture(f"resnet{own['depth']}", {}), channels, classes)
    if agrees and paper[1] != found[1]:
        told += f"; the paper's own form with this head has {paper[1]:,} trainable"
    return agrees, f"{told}."


def _form(architecture: Mapping[str, Any]) -> list[str]:
    """The options that change the number of parameters, in words."""
    words = [
        {
            "pad": "zero-padded shortcuts (option A)",
            "1x1": "1×1 projections (option B)",
            "3x3": "3×3 projections (the first notebook's, not the paper's)",
            None: "no shortcuts",
        }[architecture["projection"]],
        "biases in front of batch norm" if architecture["bias"] else "no convolution biases",
    ]
    if architecture["width"] != 64:
        words.append(f"{architecture['width']} channels in the first stage instead of 64")
    if architecture["stem"] != "imagenet":
        words.append("a 3×3 stem instead of the 7×7 one")
    return words


# (2) ----------------------------------------------------------------------------------------


def _cats_and_dogs(study: _Study) -> Answer:
    on_cats = {
        key: of_cell
        for key, of_cell in study.by_cell.items()
        if _source(next(iter(of_cell.values()))) == CATS
    }
    if not on_cats:
        names = _joined(dict.fromkeys(_told_source(run) for run in study.plan.runs.values()))
        return NOT_PART, f"The study has no data set {CATS}; it trains on {names}."
    depths = set()
    sentences, met = [], True
    for key, of_cell in on_cats.items():
        architecture = next(iter(of_cell.values())).settings["model"]
        graded = _graded(architecture)
        if graded:
            depths.add(architecture["depth"])
        steady, sentence = _tell_courses(study, key, sorted(run.seed for run in of_cell.values()))
        met &= steady or not graded
        sentences.append(sentence)
    limits = {
        run.data.settings["limit"] for of_cell in on_cats.values() for run in of_cell.values()
    }
    for limit in sorted(limit for limit in limits if limit is not None):
        sentences.append(f"The data set is limited to {limit:,} images a split.")
    if depths != set(GRADED_DEPTHS):
        lacking = " or ".join(_graded_names(depths))
        start = f"The study does not train {lacking} on {CATS}. Of what it trains there:"
        return NOT_PART, " ".join([start, *sentences])
    return _verdict(met), " ".join(sentences)


def _tell_courses(study: _Study, key: Key, seeds: Iterable[int]) -> tuple[bool, str]:
    """Whether the loss of every run of a cell falls steadily, and a sentence that says so."""
    told: dict[bool, list[str]] = {True: [], False: []}
    others = []
    for seed in seeds:
        status = study.status(key, seed)
        if status in FINISHED:
            loss = study.curve_rows[(*key, seed)]["loss"].to_list()
            told[falls_steadily(loss)].append(f"seed {seed} ({_tell_loss(loss)})")
        else:
            others.append(f"seed {seed} {status}")
    parts = [f"falls steadily for {_joined(told[True])}"] if told[True] else []
    parts += [f"does not fall steadily for {_joined(told[False])}"] if told[False] else []
    parts += [f"has no end where a run has not finished: {_joined(others)}"] if others else []
    steady = not told[False] and not others
    return steady, f"{_cell_name(key)}: the training loss {'; it '.join(parts)}."


def _tell_loss(loss: Sequence[float]) -> str:
    told = f"{loss[0]:.4f} to {loss[-1]:.4f} in {_epochs(len(loss))}"
    if len(loss) < STEADY_EPOCHS:
        return f"{told}, fewer than the {STEADY_EPOCHS} that show a course"
    rise = largest_rise(loss)
    if not np.isfinite(rise):
        return f"{told}, not finite throughout"
    return f"{told}, at most {percent(rise)} of its range above its lowest value"


# (3) ----------------------------------------------------------------------------------------

Grid = dict[tuple[str, int], Key]  # the cell of each kind and depth


def _ablation_table(study: _Study) -> Answer:
    grids = _shortcut_grids(study.plan)
    wanted = {(kind, depth) for kind in ("plain", "residual") for depth in GRADED_DEPTHS}
    tables = [
        {place: grid[place] for place in sorted(wanted, key=_by_depth)}
        for form, grid in grids
        if form == "imagenet" and wanted <= grid.keys()
    ]
    if not tables:
        return NOT_PART, _nearest_grid(study, [grid for _, grid in grids])
    answers = [_tell_table(study, table) for table in tables]
    return _verdict(any(met for met, _ in answers)), " ".join(text for _, text in answers)


def _shortcut_grids(plan: Plan) -> list[tuple[str, Grid]]:
    """Cells that differ in shortcuts and depth alone, with the form of their networks."""
    ignored = {"kind", "depth", "projection", "stride_on", "padding"}
    grids: dict[str, tuple[str, Grid]] = {}
    for experiment in plan.experiments:
        for run in experiment.runs:
            own = run.settings["model"]
            if own["family"] != "resnet":
                continue
            common = {name: value for name, value in own.items() if name not in ignored}
            name = repr((experiment.name, run.dataset, run.augmentation, sorted(common.items())))
            _, grid = grids.setdefault(name, (own["form"], {}))
            grid.setdefault((own["kind"], own["depth"]), (experiment.name, *run.cell))
    return list(grids.values())


def _tell_table(study: _Study, table: Grid) -> tuple[bool, str]:
    """Whether an ablation table is complete and fair, and what it says."""
    experiment, dataset, _, augmentation = next(iter(table.values()))
    start = f"Experiment {experiment}, {dataset}, augmentation {augmentation}"
    finished = [set(study.finished(key)) for key in table.values()]
    seeds = sorted(set.intersection(*finished))
    values = {place: study.validation_accuracy(key, seeds) for place, key in table.items()}
    if not seeds:
        told = _joined(
            f"{_cell_label(place)} ({study.tell_unfinished(key) or 'finished'})"
            for place, key in table.items()
        )
        return False, f"{start}: no seed has finished in all of {told}."
    lengths = {
        int(study.run_rows[(*key, seed)]["epochs"]) for key in table.values() for seed in seeds
    }
    told = _joined(f"{_cell_label(place)} {percent(value)}" for place, value in values.items())
    text = f"{start}, validation accuracy after the last epoch, {_mean_of(seeds)}: {told}"
    if len(lengths) > 1:
        ended = f"{min(lengths)} and {max(lengths)}"
        return False, f"{text}; but the runs ended after between {ended} epochs."
    others = [
        f"{_cell_label(place)} ({left})"
        for place, key in table.items()
        if (left := study.tell_unfinished(key))
    ]
    rest = f" Not all runs have finished: {_joined(others)}." if others else ""
    if len({repr(study.training[key]) for key in table.values()}) > 1:
        rest += " Other settings of their training differ."
    return True, f"{text}, each after {_epochs(lengths.pop())}.{rest}"


def _nearest_grid(study: _Study, grids: list[Grid]) -> str:
    """What a study has instead of the four cells."""
    four = "The study does not run plain and residual networks of 34 and 50 layers side by side."
    twins = [
        (sorted(depth for kind, depth in grid if kind == "plain" and ("residual", depth) in grid))
        for grid in grids
    ]
    most = max(map(len, twins), default=0)
    if not most:
        return f"{four} It has no plain network beside its residual twin."
    depths, grid = next(
        (depths, grid) for depths, grid in zip(twins, grids, strict=True) if len(depths) == most
    )
    table = {
        place: grid[place]
        for place in sorted(
            ((kind, depth) for depth in depths for kind in ("plain", "residual")), key=_by_depth
        )
    }
    layers = _joined(str(depth) for depth in depths)
    return (
        f"{four} It has instead plain and residual networks of {layers} layers. "
        f"{_tell_table(study, table)[1]}"
    )


def _by_depth(place: tuple[str, int]) -> tuple[int, str]:
    return place[1], place[0]


def _cell_label(place: tuple[str, int]) -> str:
    kind, depth = place
    return f"{'plain' if kind == 'plain' else 'ResNet'}-{depth}"


# (4) ----------------------------------------------------------------------------------------

MIXES = {"cutmix": "CutMix", "mixup": "MixUp"}


def _converged(study: _Study) -> Answer:
    arms: dict[str, dict[Key, dict[str, Run]]] = {step: {} for step in MIXES}
    for key, of_cell in study.by_cell.items():
        settings = next(iter(of_cell.values())).settings
        if settings["model"].get("kind") == "residual":
            for step in mixing_steps(effective_steps(settings["augmentation"])):
                if step["step"] in MIXES:  # a choice between them is neither alone
                    arms[step["step"]][key] = of_cell
    sentences, met = [], True
    told: set[Key] = set()
    for of_arm in arms.values():
        for key, of_cell in of_arm.items():
            if key not in told:  # CutMix and MixUp in one pipeline
                converged, sentence = _tell_convergence(study, key, of_cell)
                met &= converged
                told.add(key)
                sentences.append(sentence)
    lacking = [MIXES[step] for step, of_arm in arms.items() if not of_arm]
    if lacking:
        start = f"The study trains no residual network with {' or '.join(lacking)} alone."
        return NOT_PART, " ".join([start, *sentences])
    return _verdict(met), " ".join(sentences)


def _tell_convergence(study: _Study, key: Key, of_cell: dict[str, Run]) -> tuple[bool, str]:
    """Whether a cell has converged, and a sentence that says so."""
    name = _cell_name(key)
    seeds = study.finished(key)
    unfinished = study.tell_unfinished(key)
    if not seeds:
        return False, f"{name}: no run has finished ({unfinished})."
    curves = [study.curve_rows[(*key, seed)] for seed in seeds]
    shares = [curve["loss"].iloc[-1] / curve["loss"].iloc[0] for curve in curves]
    finite = all(np.isfinite(curve["loss"]).all() for curve in curves)
    changes = [late_change(curve["val_accuracy"].to_list()) for curve in curves]
    moved = [change for change in changes if change is not None]
    accuracy = study.validation_accuracy(key, seeds)
    chance = next(study.chance[of.folder] for of in of_cell.values() if of.seed == seeds[0])
    fell = finite and max(shares) <= LOSS_SHARE
    settled = len(moved) == len(changes) and abs(float(np.mean(moved))) < SETTLED_CHANGE
    learned = not near_chance(accuracy, chance)
    parts = [
        "a training loss was not finite"
        if not finite
        else f"the training loss ended at {_percents(shares)} of that of the first epoch",
        "too few epochs to tell whether validation accuracy has settled"
        if len(moved) < len(changes)
        else f"validation accuracy moved by {points(float(np.mean(moved)))} points (its last "
        "epochs less those before)",
        f"and reached {percent(accuracy)} ({_mean_of(seeds)}; chance {percent(chance)})",
    ]
    if unfinished:
        parts.append(f"but not all runs have finished: {unfinished}")
    converged = fell and settled and learned and not unfinished
    verb = "converged" if converged else "not converged"
    return converged, f"{name}: {verb}; {', '.join(parts)}."


# (5) and (6) ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Block:
    """The arms of one network on one data set in one experiment."""

    experiment: PlannedExperiment
    dataset: str
    model: str
    arms: list[str]

    @property
    def name(self) -> str:
        """What it is called."""
        return f"Experiment {self.experiment.name}, {self.dataset}, {self.model}"

    def key(self, arm: str) -> Key:
        """Return the cell of an arm."""
        return (self.experiment.name, self.dataset, self.model, arm)

    def steps(self, arm: str) -> list[dict[str, Any]]:
        """Return the steps of an arm that can do something."""
        return effective_steps(self.experiment.pipelines[arm])

    @property
    def changing(self) -> list[str]:
        """Arms that change the images."""
        return [arm for arm in self.arms if self.steps(arm)]

    def of_kind(self, kind: str) -> list[str]:
        """Return the arms with ``cutmix`` or ``mixup`` alone, or of ``basic`` augmentation."""
        found = []
        for arm in self.changing:
            mixing = {step["step"] for step in mixing_steps(self.steps(arm))}
            basic = kind == "basic" and not mixing and step_families(self.steps(arm))
            if basic or mixing == {kind}:
                found.append(arm)
        return found


def _blocks(plan: Plan) -> list[_Block]:
    found: dict[tuple[str, str, str], _Block] = {}
    for experiment in plan.experiments:
        for run in experiment.runs:
            key = (experiment.name, run.dataset, run.model)
            block = found.setdefault(key, _Block(experiment, run.dataset, run.model, []))
            if run.augmentation not in block.arms:
                block.arms.append(run.augmentation)
    return list(found.values())


def _compared(study: _Study, block: _Block) -> dict[tuple[str, str], Row]:
    """The comparisons of two arms of a block that have an outcome."""
    found: dict[tuple[str, str], Row] = {}
    for row in _rows(study.comparisons):
        if (
            row["experiment"] == block.experiment.name
            and row["kind"] in ("baseline", "arm")
            and row["dataset"] == block.dataset
            and row["arm_model"] == row["reference_model"] == block.model
            and row["measure"] == "test_accuracy"
            and row["verdict"] != "none"
        ):
            found.setdefault((row["arm_augmentation"], row["reference_augmentation"]), row)
    return found


def _best_augmentation(study: _Study) -> Answer:
    blocks = _blocks(study.plan)
    wide = [block for block in blocks if len(block.changing) >= ARMS_TRIED]
    if not wide:
        most = max((len(block.changing) for block in blocks), default=0)
        has = {0: "no arm changes the images", 1: "it has 1 at most"}.get(
            most, f"it has {most} at most"
        )
        return NOT_PART, (
            f"No network of the study meets {ARMS_TRIED} augmentations on one data set; {has}."
        )
    answers = [_tell_best(study, block) for block in wide]
    text = " ".join(text for _, text in answers)
    return _verdict(any(met for met, _ in answers)), f"{text} {_problems(study, wide)}"


def _tell_best(study: _Study, block: _Block) -> tuple[bool, str]:
    """Whether the best arm of a block is known, and what is."""
    accuracy = {
        arm: float(study.cell_rows[block.key(arm)]["test_accuracy"])
        for arm in block.arms
        if study.finished(block.key(arm))
    }
    unfinished = [
        f"{arm} ({left})" for arm in block.arms if (left := study.tell_unfinished(block.key(arm)))
    ]
    rest = f" Runs that have not finished: {_joined(unfinished)}." if unfinished else ""
    if len([arm for arm in accuracy if block.steps(arm)]) < ARMS_TRIED:
        return False, f"{block.name}: fewer than {ARMS_TRIED} augmentations have finished.{rest}"
    ranked = sorted(accuracy, key=lambda arm: -accuracy[arm])
    # In the order of the study: an order by accuracy would rank what no verdict ranks.
    table = _joined(f"{arm} {percent(accuracy[arm])}" for arm in accuracy)
    seeds = {tuple(study.finished(block.key(arm))) for arm in accuracy}
    over = _mean_of(seeds.pop()) if len(seeds) == 1 else "means of the seeds that have finished"
    text = f"{block.name}, test accuracy, {over}: {table}."
    better, same = _relations(_compared(study, block))
    leader = ranked[0]
    below = [arm for arm in ranked[1:] if (leader, arm) in better]
    level = [arm for arm in ranked[1:] if (leader, arm) in same and arm not in below]
    open_arms = [arm for arm in ranked[1:] if arm not in (*below, *level)]
    if below and not open_arms:
        known = f" The best is {leader}: better than {_joined(below)}"
        known += f", the same as {_joined(level)} within the margin." if level else "."
        return len(accuracy) == len(block.arms), f"{text}{known}{rest}"
    order = [
        f"the arm {arm} is better than {_joined(worse)}"
        for arm in accuracy
        if (worse := [other for other in accuracy if (arm, other) in better])
    ]
    known = " No best arm can be named: no verdict puts one above all others."
    if not below and not open_arms:
        known = f" No best arm can be named: {_joined(accuracy)} are the same within the margin."
    known += f" What the comparisons show: {'; '.join(order)}." if order else ""
    return False, f"{text}{known}{rest}"


def _relations(
    compared: Mapping[tuple[str, str], Row],
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Pairs of which the first is better, arms in between included, and pairs that are the same."""
    better, same = set(), set()
    for (arm, reference), row in compared.items():
        if row["verdict"] == "better":
            better.add((arm, reference))
        elif row["verdict"] == "worse":
            better.add((reference, arm))
        elif row["verdict"] == "same":
            same |= {(arm, reference), (reference, arm)}
    while True:
        further = {(a, d) for a, b in better for c, d in better if b == c} - better
        if not further:
            return better, same
        better |= further


def _problems(study: _Study, blocks: list[_Block]) -> str:
    """What went wrong with the arms of blocks, in one or two sentences."""
    rows = {
        place: row
        for place, row in study.run_rows.items()
        if any(place[:4] == block.key(arm) for block in blocks for arm in block.arms)
    }
    counts = {
        status: sum(row["status"] == status for row in rows.values())
        for status in ("diverged", "failed")
    }
    told = _joined(f"{number} {status}" for status, number in counts.items())
    worse = [
        f"{block.model} with {arm} on {block.dataset} ({points(row['difference'])} points "
        f"against {reference})"
        for block in blocks
        for (arm, reference), row in _compared(study, block).items()
        if row["verdict"] == "worse"
    ]
    harm = f"worse than what they were compared with: {_joined(worse)}" if worse else (
        "no arm is shown to be worse than what it was compared with"
    )  # fmt: skip
    return f"Problems: of {len(rows)} runs {told}; {harm}."


def _systematic(study: _Study) -> Answer:
    kinds = {"basic": "basic augmentation", "cutmix": "CutMix", "mixup": "MixUp"}
    blocks = _blocks(study.plan)
    full = [block for block in blocks if all(block.of_kind(kind) for kind in kinds)]
    if not full:
        present = [name for kind, name in kinds.items() if any(b.of_kind(kind) for b in blocks)]
        has = f"of the three it has {_joined(present)}" if present else "it has none of the three"
        if len(present) == len(kinds):
            has = "it has all three, but not side by side"
        return NOT_PART, (
            "No network of the study meets basic augmentation, CutMix and MixUp on one data set; "
            f"{has}."
        )
    answers = [_tell_systematic(study, block, list(kinds)) for block in full]
    pictures = "The report's gallery shows pictures of every arm."
    text = " ".join(text for _, text in answers)
    return _verdict(any(met for met, _ in answers)), f"{text} {pictures}"


def _tell_systematic(study: _Study, block: _Block, kinds: list[str]) -> tuple[bool, str]:
    """Whether the three kinds are compared with one reference over the same seeds."""
    compared = _compared(study, block)
    if not compared:
        return False, f"{block.name}: no comparison of two of its arms has an outcome."
    every = set(block.experiment.block.seeds)
    groups = [block.of_kind(kind) for kind in kinds]
    best: tuple[int, str, list[str]] | None = None
    for reference in block.arms:
        arms = [
            arm
            for group in groups
            for arm in group
            if arm == reference or (arm, reference) in compared
        ]
        covered = sum(any(arm in arms for arm in group) for group in groups)
        if best is None or covered > best[0]:
            best = (covered, reference, arms)
    assert best is not None  # a block has arms
    covered, reference, arms = best
    if covered < len(groups):
        left = [arm for group in groups for arm in group if arm not in arms]
        return False, (
            f"{block.name}: the three kinds have no comparison with one reference that has an "
            f"outcome; with {reference} it lacks {_joined(left)}."
        )
    complete = [
        arm
        for arm in dict.fromkeys([reference, *arms])
        if set(study.finished(block.key(arm))) == every
    ]
    told = []
    for arm in arms:
        if arm == reference:
            told.append(f"{arm} is the reference itself")
            continue
        row = compared[(arm, reference)]
        told.append(f"{arm} {points(row['difference'])} points ({row['verdict']})")
    over = _seeds(sorted(every))
    text = f"{block.name}, compared with the arm {reference} over {over}: {_joined(told)}."
    met = reference in complete and all(any(arm in complete for arm in group) for group in groups)
    left = [
        f"{arm} ({study.tell_unfinished(block.key(arm))})"
        for arm in dict.fromkeys([reference, *arms])
        if arm not in complete
    ]
    return met, f"{text} Not with every seed: {_joined(left)}." if left else text


# Words --------------------------------------------------------------------------------------


def percent(share: float) -> str:
    """Write a share as ``97.35 %``."""
    return f"{100 * share:.2f} %"


def points(difference: float) -> str:
    """Write a difference of shares in points, with its sign: ``+1.20``."""
    return f"{round(100 * difference, 2) + 0.0:+.2f}".replace("-", "−")  # + 0.0: no negative zero


def _percents(shares: Sequence[float]) -> str:
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low} to {high}"


def _verdict(met: bool) -> str:
    return MET if met else NOT_MET


def _joined(words: Iterable[str]) -> str:
    """Join words as in ``a, b and c``."""
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {_joined(map(str, seeds))}"


def _mean_of(seeds: Sequence[int]) -> str:
    return f"{'of' if len(seeds) == 1 else 'mean of'} {_seeds(seeds)}"


def _epochs(number: int) -> str:
    return f"{number} {'epoch' if number == 1 else 'epochs'}"


def _paper_name(architecture: Mapping[str, Any]) -> str:
    return _cell_label((architecture["kind"], architecture["depth"]))


def _networks(plan: Plan) -> list[str]:
    """The networks of a study, residual and plain ones by their names in the paper, each once."""
    return list(
        dict.fromkeys(
            f"{_paper_name(own)} ({_FORMS[own['form']]} form)"
            if (own := run.settings["model"])["family"] == "resnet"
            else f"{run.model} ({own['family']})"
            for run in plan.runs.values()
        )
    )


_FORMS = {"imagenet": "ImageNet", "cifar": "CIFAR"}


def _cell_name(key: Key) -> str:
    experiment, dataset, model, augmentation = key
    return f"{model} with {augmentation} on {dataset} (experiment {experiment})"


def _source(run: Run) -> str:
    return str(run.data.settings["source"]).partition(":")[0].partition("/")[0]


def _told_source(run: Run) -> str:
    """Where a run's images come from; the label of images of the user's own."""
    source = _source(run)
    return run.dataset if source in OWN_IMAGES else source


def _key(row: Row) -> Key:
    return (
        str(row["experiment"]),
        str(row["dataset"]),
        str(row["model"]),
        str(row["augmentation"]),
    )


def _rows(table: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
