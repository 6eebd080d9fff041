"""The comparisons of the cells of a study: automatic and declared ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any, Protocol

from ablation.errors import InputError, nearest
from ablation.models.families.base import NetworkSettings
from ablation.study import schema
from ablation.study.grid import Run
from ablation.study.metrics import TEST_ACCURACY, VAL_ACCURACY

Cell = tuple[str, str, str]  # dataset, model, augmentation
CellKey = tuple[str, Cell]  # experiment, cell
Outcome = tuple[str, int | None]  # metric, or val_accuracy with an epoch

AXES = ("dataset", "model", "augmentation")
EVERY_DATASET = "all"
REVERSED = {"better": "worse", "worse": "better"}


class Grid(Protocol):
    """The part of a planned experiment that decides its comparisons."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def block(self) -> schema.Experiment:
        """Its block in the file."""

    @property
    def architectures(self) -> Mapping[str, NetworkSettings]:
        """The network of each model, by name."""

    @property
    def runs(self) -> list[Run]:
        """Its runs."""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of the values of cells.

    Attributes:
        label: its name in tables.
        terms: weights and cells; weight 1 for a single cell.
    """

    label: str
    terms: tuple[tuple[float, CellKey], ...]

    @property
    def cell(self) -> Cell | None:
        """The cell, if it is a single one."""
        return self.terms[0][1][1] if len(self.terms) == 1 else None


@dataclass(frozen=True)
class Comparison:
    """A comparison of an arm with a reference.

    Attributes:
        kinds: reasons of the comparison, one or more of ``baseline``: with the baseline of the
            experiment; ``counterpart``: of a plain network with the residual network that differs
            only in the shortcuts; ``arm``, ``budget``, ``factor``: declared in the study.
        dataset: its data set; ``all`` for a contrast over several.
        arm, reference: the two sides; the difference is arm minus reference.
        epoch: validation accuracy after this epoch is compared; None for a metric of the whole run.
        factors: names of the factors of a main effect or an interaction, otherwise empty.
        claims: the claims that it tests, each with the claimed result of the arm: ``better``,
            ``worse``, ``same`` or ``different``.
        measure: the metric that is compared; ``val_accuracy`` at an epoch.
        margin: largest negligible difference declared for this comparison; None for the default.
        levels: level of the first factor and its reference level.
        conditions: levels of the second factor of an interaction, on both sides.
    """

    kinds: tuple[str, ...]
    dataset: str
    arm: Contrast
    reference: Contrast
    epoch: int | None = None
    factors: tuple[str, ...] = ()
    claims: tuple[tuple[str, str], ...] = ()
    measure: str = TEST_ACCURACY
    margin: float | None = None
    levels: tuple[str, str] = ("", "")
    conditions: tuple[str, str] = ("", "")

    @property
    def weights(self) -> dict[CellKey, float]:
        """The weight of every cell in the difference of arm and reference."""
        weights: dict[CellKey, float] = {}
        for sign, side in ((1, self.arm), (-1, self.reference)):
            for weight, source in side.terms:
                weights[source] = weights.get(source, 0.0) + sign * weight
        return weights

    @property
    def sources(self) -> set[CellKey]:
        """All cells that it uses."""
        return {source for _, source in (*self.arm.terms, *self.reference.terms)}

    @property
    def outcome(self) -> Outcome:
        """The metric that is compared, and the epoch."""
        return self.measure, self.epoch

    @property
    def question(self) -> Any:
        """Key of the test, equal for a comparison and its reverse."""
        return frozenset((self.arm.terms, self.reference.terms)), self.outcome


@dataclass(frozen=True)
class Factorial:
    """A declared factorial grid.

    Attributes:
        factors: names of the factors.
        known: whether they are built-in factors, not factors declared in the study.
        levels: the levels of each factor, the reference first.
        dataset: its data set; ``all`` if the data set is a factor.
        combinations: each combination of levels with its cells.
    """

    factors: tuple[str, ...]
    known: bool
    levels: tuple[tuple[str, ...], ...]
    dataset: str
    combinations: tuple[tuple[tuple[str, ...], tuple[Cell, ...]], ...]

    @property
    def cells(self) -> dict[tuple[str, ...], tuple[Cell, ...]]:
        """The cells of each combination of levels."""
        return dict(self.combinations)


def cells_of(experiment: Grid) -> list[Cell]:
    """Return the cells of an experiment in the order of the file."""
    return list(dict.fromkeys(run.cell for run in experiment.runs))


def reference_of(experiment: Grid, cell: Cell) -> Cell | None:
    """Return the cell that a cell is compared with; None without a baseline."""
    baseline = experiment.block.baseline
    return None if baseline is None else _with_names(baseline, cell)


def names_of(experiment: Grid) -> Callable[[Cell], str]:
    """Return a function that names cells by model and augmentation, if these vary."""
    cells = cells_of(experiment)
    shown = [len({cell[i] for cell in cells}) > 1 for i in (1, 2)]
    if not any(shown):
        shown = [True, True]

    def name(cell: Cell) -> str:
        return " · ".join(part for part, use in zip(cell[1:], shown, strict=True) if use)

    return name


def find_comparisons(
    experiment: Grid, others: Mapping[str, Grid]
) -> tuple[list[Comparison], list[Factorial]]:
    """Return the comparisons of an experiment, each once, and its factorial grids.

    Comparisons with the baseline come first, then plain networks with their residual counterparts,
    then declared ones. A pair with several reasons, or its reverse, is listed once, as found first.

    Args:
        experiment: the experiment.
        others: all experiments of the study by name.

    Raises:
        DeclaredError: a declared comparison cannot be made.
    """
    found: dict[Any, Comparison] = {}
    cells, name = dict.fromkeys(cells_of(experiment)), names_of(experiment)

    def add(new: Comparison) -> None:
        known = found.get(new.question)
        if known is None:
            found[new.question] = new
            return
        if None not in (known.margin, new.margin) and known.margin != new.margin:
            raise InputError(f"this pair is compared with a margin of {known.margin:g} above")
        claims = new.claims
        if new.arm.terms != known.arm.terms:
            claims = tuple((claim, REVERSED.get(says, says)) for claim, says in claims)
        found[new.question] = replace(
            known,
            kinds=tuple(dict.fromkeys((*known.kinds, *new.kinds))),
            claims=tuple(dict.fromkeys((*known.claims, *claims))),
            margin=new.margin if known.margin is None else known.margin,
        )

    def pair(kind: str, arm: Cell, reference: Cell) -> Comparison:
        first, second = (
            Contrast(name(cell), ((1.0, (experiment.name, cell)),)) for cell in (arm, reference)
        )
        return Comparison((kind,), arm[0], first, second)

    for cell in cells:
        reference = reference_of(experiment, cell)
        if reference in cells and reference != cell and reference is not None:
            add(pair("baseline", cell, reference))
    for dataset, model, augmentation in cells:
        counterpart = counterpart_of(experiment, model)
        reference = (dataset, counterpart or "", augmentation)
        if counterpart and reference in cells:
            add(pair("counterpart", (dataset, model, augmentation), reference))
    grids = []
    for position, declared in enumerate(experiment.block.comparisons):
        try:
            if declared.kind == "factor":
                made = _factorials(declared, experiment)
                grids += made
                for grid in made:
                    for effect in _effects(grid, experiment.name, declared):
                        add(effect)
            else:
                for one in _pairs(declared, experiment, others):
                    add(one)
        except InputError as error:
            raise DeclaredError(position, str(error)) from None
    return list(found.values()), grids


class DeclaredError(InputError):
    """A declared comparison that cannot be made.

    Attributes:
        position: its place in the experiment's list.
    """

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


def _with_names(names: schema.Baseline, cell: Cell) -> Cell:
    dataset, model, augmentation = cell
    return (dataset, names.model or model, names.augmentation or augmentation)


def counterpart_of(experiment: Grid, model: str) -> str | None:
    """Return the residual network that differs from a plain one only in the shortcuts, if any."""
    own = experiment.architectures[model]
    if getattr(own, "kind", None) != "plain":
        return None
    shortcut = {"kind", "projection", "padding"}
    for name, other in experiment.architectures.items():
        if getattr(other, "kind", None) == "residual" and (
            own.model_dump(exclude=shortcut) == other.model_dump(exclude=shortcut)
        ):
            return name
    return None


def _matching(arms: schema.Arms | None, experiment: Grid) -> list[Cell]:
    """Return the cells that match; raise InputError for an unknown name."""
    cells = cells_of(experiment)
    wanted = arms.given() if arms else {}
    for key, values in wanted.items():
        _refuse_unknown(key, values, cells)
    return [
        cell
        for cell in cells
        if all(cell[AXES.index(key)] in values for key, values in wanted.items())
    ]


def _refuse_unknown(key: str, values: Sequence[str], cells: Sequence[Cell]) -> None:
    known = {cell[AXES.index(key)] for cell in cells}
    for value in values:
        if value not in known:
            raise InputError(f"the experiment has no {key} '{value}'{nearest(value, known)}")


def _pairs(
    declared: schema.Comparison, experiment: Grid, others: Mapping[str, Grid]
) -> list[Comparison]:
    names = declared.reference
    assert names is not None  # checked by the schema
    if names.experiment is not None and names.experiment not in others:
        raise InputError(
            f"the study has no experiment '{names.experiment}'{nearest(names.experiment, others)}"
        )
    other = others[names.experiment] if names.experiment else experiment
    for key, value in names.model_dump(exclude_none=True, exclude={"experiment"}).items():
        _refuse_unknown(key, [value], cells_of(other))
    arms, there = _matching(declared.arm, experiment), set(cells_of(other))
    made = [
        _pair(declared, (experiment, arm), (other, _with_names(names, arm)))
        for arm in arms
        if _with_names(names, arm) in there
        and (other is not experiment or _with_names(names, arm) != arm)
    ]
    if not made and other is experiment and all(_with_names(names, arm) == arm for arm in arms):
        raise InputError("the arm and its reference are the same")
    if not made:
        raise InputError("no cell of the experiment has both the arm and its reference")
    return made


def _pair(
    declared: schema.Comparison, arm: tuple[Grid, Cell], reference: tuple[Grid, Cell]
) -> Comparison:
    sides = []
    for grid, cell in (arm, reference):
        run = next(run for run in grid.runs if run.cell == cell)
        sides.append((grid, cell, names_of(grid)(cell), run, run.settings.training.epochs))
    (first, second) = sides
    if first[3].data.id != second[3].data.id:
        raise InputError(
            f"{first[2]} and {second[2]} are on differently prepared data, so their images "
            "cannot be paired"
        )
    _expect_common_seeds([(grid, cell) for grid, cell, *_ in sides])
    if first[0].block.validation != second[0].block.validation:
        raise InputError(
            "the two experiments validate on different splits, and train on different images"
        )
    lengths = [side[4] for side in sides]
    labels = [side[2] for side in sides]
    if declared.kind == "budget" and declared.epoch is None:
        if lengths[0] == lengths[1]:
            raise InputError(
                f"{labels[0]} and {labels[1]} are both trained for {lengths[0]} epochs: give an "
                "epoch, or cells of different training lengths"
            )
        labels = [
            f"{label} ({length} {'epoch' if length == 1 else 'epochs'})"
            for label, length in zip(labels, lengths, strict=True)
        ]
    if declared.epoch is not None:
        if declared.epoch > min(lengths):
            raise InputError(
                f"epoch {declared.epoch} is beyond the {min(lengths)} epochs of training"
            )
        if first[0] is not second[0]:
            labels = [
                f"{label} ({side[0].name})" for label, side in zip(labels, sides, strict=True)
            ]
    arm_side, reference_side = (
        Contrast(label, ((1.0, (side[0].name, side[1])),))
        for label, side in zip(labels, sides, strict=True)
    )
    return Comparison(
        (declared.kind,),
        arm[1][0],
        arm_side,
        reference_side,
        epoch=declared.epoch,
        claims=_claims(declared),
        measure=declared.measure if declared.epoch is None else VAL_ACCURACY,
        margin=declared.margin,
    )


def _claims(declared: schema.Comparison) -> tuple[tuple[str, str], ...]:
    return ((declared.claim, declared.says),) if declared.claim and declared.says else ()


def _expect_common_seeds(cells: Sequence[tuple[Grid, Cell]]) -> None:
    of_cell: dict[CellKey, set[int]] = {}
    for grid in {grid.name: grid for grid, _ in cells}.values():
        for run in grid.runs:
            of_cell.setdefault((grid.name, run.cell), set()).add(run.seed)
    if not set.intersection(*(of_cell[grid.name, cell] for grid, cell in cells)):
        listed = " and ".join(dict.fromkeys(names_of(grid)(cell) for grid, cell in cells[:4]))
        raise InputError(f"the compared cells ({listed}) have no seed in common")


def _factorials(declared: schema.Comparison, experiment: Grid) -> list[Factorial]:
    """Return the declared grids, one per data set unless the data set is a factor."""
    cells = _matching(declared.where, experiment)
    known = _factors(declared, experiment)
    names = tuple(known)
    axes = {axis for _, axis in known.values()}
    grids = []
    datasets: list[str | None] = (
        [None] if "dataset" in axes else list(dict.fromkeys(cell[0] for cell in cells))
    )
    for dataset in datasets:
        combined: dict[tuple[str, ...], list[Cell]] = {}
        for cell in cells:
            levels = tuple(level_of(cell) for level_of, _ in known.values())
            if dataset in (None, cell[0]) and None not in levels:
                combined.setdefault(levels, []).append(cell)  # type: ignore[arg-type]
        levels_of = tuple(
            _ordered(declared, name, dict.fromkeys(key[i] for key in combined))
            for i, name in enumerate(names)
        )
        if any(len(levels) < 2 for levels in levels_of):
            few = next(n for n, levels in zip(names, levels_of, strict=True) if len(levels) < 2)
            raise InputError(f"the factor '{few}' has fewer than two levels among these cells")
        for key in product(*levels_of):
            if key not in combined:
                listed = " with ".join(f"{n} {level}" for n, level in zip(names, key, strict=True))
                raise InputError(f"the grid is incomplete: no cell has {listed}")
        counts = {len(group) for group in combined.values()}
        if len(counts) > 1:
            raise InputError(
                "the grid is not balanced: its combinations of levels hold between "
                f"{min(counts)} and {max(counts)} cells; narrow it with 'where'"
            )
        _expect_common_seeds([(experiment, cell) for group in combined.values() for cell in group])
        grids.append(
            Factorial(
                names,
                isinstance(declared.factors, list),
                levels_of,
                dataset or EVERY_DATASET,
                tuple((key, tuple(group)) for key, group in combined.items()),
            )
        )
    return grids


def _factors(
    declared: schema.Comparison, experiment: Grid
) -> dict[str, tuple[Callable[[Cell], str | None], str]]:
    """Return for each factor a function from cells to levels, and its axis."""
    if isinstance(declared.factors, list):
        return {name: (_known_factor(name, experiment), _axis(name)) for name in declared.factors}
    found: dict[str, tuple[Callable[[Cell], str | None], str]] = {}
    for name, levels in (declared.factors or {}).items():
        members: dict[Cell, str] = {}
        axes: set[str] = set()
        for level, arms in levels.items():
            axes |= arms.given().keys()
            for cell in _matching(arms, experiment):
                if cell in members:
                    raise InputError(
                        f"factor '{name}': the levels '{members[cell]}' and '{level}' share cells"
                    )
                members[cell] = level
        found[name] = (members.get, "dataset" if axes == {"dataset"} else "other")
    return found


def _axis(factor: str) -> str:
    return {"depth": "model", "shortcut": "model"}.get(factor, factor)


def _known_factor(name: str, experiment: Grid) -> Callable[[Cell], str | None]:
    if name in AXES:
        return lambda cell: cell[AXES.index(name)]

    def level_of(cell: Cell) -> str:
        own, key = experiment.architectures[cell[1]], {"depth": "depth", "shortcut": "kind"}[name]
        level = getattr(own, key, None)
        right = isinstance(level, int) if name == "depth" else level in ("plain", "residual")
        if not right:
            raise InputError(
                f"factor '{name}': the model {cell[1]} has no {name}, as networks of the family "
                f"{own.family} have no setting '{key}'; leave it out with 'where'"
            )
        return str(level)

    return level_of


def _ordered(
    declared: schema.Comparison, factor: str, present: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the levels of a factor, the reference first.

    Declared factors are in the order of the declaration, depths increasing, others in the order of
    the file.
    """
    if isinstance(declared.factors, dict):
        return tuple(level for level in declared.factors[factor] if level in present)
    return tuple(sorted(present, key=int) if factor == "depth" else present)


def _effects(grid: Factorial, experiment: str, declared: schema.Comparison) -> list[Comparison]:
    """Return the declared main effects and two-way interactions, averaged over all else."""
    main, interactions = _main_effects_and_interactions(grid, experiment)
    interactions = [replace(effect, claims=_claims(declared)) for effect in interactions]
    return {"all": main + interactions, "main": main, "interactions": interactions}[
        declared.effects
    ]


def _main_effects_and_interactions(
    grid: Factorial, experiment: str
) -> tuple[list[Comparison], list[Comparison]]:
    main, interactions = [], []
    by_level: dict[tuple[int, str], list[tuple[str, ...]]] = {}
    for key in grid.cells:
        for place in enumerate(key):
            by_level.setdefault(place, []).append(key)

    def mean(at: Mapping[int, str], weight: float = 1.0) -> list[tuple[float, CellKey]]:
        """Return the mean of the cells whose factors have the given levels."""
        chosen = [
            cell
            for key in by_level[next(iter(at.items()))]
            if all(key[i] == level for i, level in at.items())
            for cell in grid.cells[key]
        ]
        return [(weight / len(chosen), (experiment, cell)) for cell in chosen]

    def level_name(i: int, level: str) -> str:
        if grid.known and grid.factors[i] == "dataset":
            return f"on {level}"
        if level in ("with", "without"):
            return f"{level} {grid.factors[i]}"
        if grid.known and grid.factors[i] == "shortcut":
            return f"{level} networks"
        return f"{grid.factors[i]} {level}"

    def compare(
        arm: tuple[str, list[tuple[float, CellKey]]],
        reference: tuple[str, list[tuple[float, CellKey]]],
        factors: Sequence[int],
        levels: tuple[str, str],
        conditions: tuple[str, str] = ("", ""),
    ) -> Comparison:
        first, second = (Contrast(label, tuple(terms)) for label, terms in (arm, reference))
        return Comparison(
            ("factor",),
            grid.dataset,
            first,
            second,
            factors=tuple(grid.factors[i] for i in factors),
            levels=levels,
            conditions=conditions,
        )

    effects = [i for i, name in enumerate(grid.factors) if not (grid.known and name == "dataset")]
    for i in effects:
        first, *rest = grid.levels[i]
        for level in rest:
            arm, reference = ((level_name(i, at), mean({i: at})) for at in (level, first))
            main.append(compare(arm, reference, [i], (level, first)))
    for i, j in combinations(range(len(grid.factors)), 2):
        if i not in effects:  # the effect of an arm on two data sets
            i, j = j, i  # noqa: PLW2901
        (first, *rest), (other, *others) = grid.levels[i], grid.levels[j]
        for level, condition in product(rest, others):
            step = f"{level_name(i, level)} − {first}"
            interactions.append(
                compare(
                    (
                        f"{step}, {_with(level_name(j, condition))}",
                        mean({i: level, j: condition}) + mean({i: first, j: condition}, -1.0),
                    ),
                    (
                        f"{step}, {_with(level_name(j, other))}",
                        mean({i: level, j: other}) + mean({i: first, j: other}, -1.0),
                    ),
                    [i, j],
                    (level, first),
                    (condition, other),
                )
            )
    return main, interactions


def _with(label: str) -> str:
    return label if label.startswith(("on ", "with ", "without ")) else f"with {label}"
