"""Which cells of an experiment are compared with which."""

from dataclasses import dataclass

from ablation.study.plan import PlannedExperiment

Cell = tuple[str, str, str]  # dataset, model, augmentation


@dataclass(frozen=True)
class Comparison:
    """An arm and what it is compared with.

    Attributes:
        kinds: why they are compared, one or more of ``baseline``: with the experiment's baseline;
            ``twin``: a plain network with the residual network of the same depth; ``depth``: the
            deepest with the shallowest network of one kind.
        arm, reference: cells.
    """

    kinds: tuple[str, ...]
    arm: Cell
    reference: Cell


def comparisons(experiment: PlannedExperiment) -> list[Comparison]:
    """Return the comparisons of an experiment, each pair of cells once.

    A pair that is compared for a second reason the other way round keeps its first direction.
    """
    cells = list(dict.fromkeys(run.cell for run in experiment.runs))
    found: dict[frozenset[Cell], Comparison] = {}

    def add(kind: str, arm: Cell, reference: Cell) -> None:
        if arm != reference and reference in cells and arm in cells:
            pair = frozenset((arm, reference))
            known = found.get(pair)
            if known is None:
                found[pair] = Comparison((kind,), arm, reference)
            elif known.arm == arm:
                found[pair] = Comparison((*known.kinds, kind), arm, reference)

    for cell in cells:
        reference = reference_of(experiment, cell)
        if reference is not None:
            add("baseline", cell, reference)
    for dataset, model, augmentation in cells:
        twin = _twin(experiment, model)
        if twin is not None:
            add("twin", (dataset, model, augmentation), (dataset, twin, augmentation))
        shallow = _shallowest(experiment, model)
        if shallow is not None:
            add("depth", (dataset, model, augmentation), (dataset, shallow, augmentation))
    return list(found.values())


def reference_of(experiment: PlannedExperiment, cell: Cell) -> Cell | None:
    """Return the cell that a cell is compared with: its own, with the baseline's names put in."""
    baseline = experiment.block.baseline
    if baseline is None:
        return None
    dataset, model, augmentation = cell
    return (dataset, baseline.model or model, baseline.augmentation or augmentation)


def _twin(experiment: PlannedExperiment, model: str) -> str | None:
    """The residual network that differs from a plain one in the shortcut alone."""
    own = experiment.architectures[model]
    if own["kind"] != "plain":
        return None
    shortcut_settings = {"kind", "projection", "padding"}
    for name, other in experiment.architectures.items():
        if other["kind"] == "residual" and all(
            own[key] == other[key] for key in own if key not in shortcut_settings
        ):
            return name
    return None


def _shallowest(experiment: PlannedExperiment, model: str) -> str | None:
    """The shallowest relative of the deepest network of a kind; None for other networks."""
    own = experiment.architectures[model]
    depth_settings = {
        "depth",
        "projection",
        "padding",
        "stride_on",
    }  # the block's form goes with it
    relatives = {
        name: other["depth"]
        for name, other in experiment.architectures.items()
        if all(own[key] == other[key] for key in own if key not in depth_settings)
    }
    shallowest = min(relatives, key=lambda name: relatives[name])
    if own["depth"] != max(relatives.values()) or own["depth"] == relatives[shallowest]:
        return None
    return shallowest
