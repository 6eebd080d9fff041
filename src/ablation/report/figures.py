"""The figures of an experiment."""

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure

from ablation.models.families import network_settings
from ablation.models.families.resnet import ResNetSettings
from ablation.report.experiment import ExperimentView, short
from ablation.report.inputs import Inputs
from ablation.report.plots.accuracies import accuracies
from ablation.report.plots.blocks import blocks
from ablation.report.plots.classes import classes
from ablation.report.plots.confusion import confusion
from ablation.report.plots.cost import cost
from ablation.report.plots.curves import curves
from ablation.report.plots.factors import headline_factors
from ablation.report.plots.forest import headline_arms
from ablation.report.plots.images import gallery, mistakes
from ablation.report.plots.reliability import reliability
from ablation.report.plots.style import Arm, Styles, arms_of
from ablation.report.values import Row

Draw = Callable[[Inputs, Styles, ExperimentView, str], Figure | None]


def _headline(
    inputs: Inputs, styles: Styles, experiment: ExperimentView, dataset: str
) -> Figure | None:
    """Draw accuracies by factor level, differences of arms, or accuracies of arms."""
    cells, runs = (experiment.tables.frame(name, dataset=dataset) for name in ("cells", "runs"))
    if experiment.factorial is not None:
        return headline_factors(cells, runs, experiment.factorial, styles, experiment.optimistic)
    pairs = experiment.tables.frame("comparisons", dataset=dataset, measure="test_accuracy")
    pairs = pairs[(pairs["factors"] == "") & pairs["difference"].notna()]
    if pairs.empty:
        return accuracies(cells, runs, styles, experiment.optimistic)
    margin = float(inputs.analysis["margin"])
    return headline_arms(pairs, styles, margin, optimistic=experiment.optimistic)


def _curves(_: Inputs, styles: Styles, experiment: ExperimentView, dataset: str) -> Figure | None:
    table = experiment.tables.frame("curves", dataset=dataset)
    mixed = [one["label"] for one in experiment.block["augmentations"] if one["mixes_labels"]]
    return None if table.empty else curves(table, styles, mixed, experiment.optimistic)


def _classes(_: Inputs, __: Styles, experiment: ExperimentView, dataset: str) -> Figure | None:
    """Draw the accuracy on each class, as a difference for arms with a reference."""
    table = experiment.tables.frame("classes", dataset=dataset)
    if table.empty:
        return None
    references: dict[Arm, Arm] = {}
    for row in experiment.pairs:
        if row.dataset == dataset:
            arm = (row.arm_model, row.arm_augmentation)
            references.setdefault(arm, (row.reference_model, row.reference_augmentation))
    arms = arms_of(experiment.tables.frame("cells", dataset=dataset))
    return classes(table, arms, references)


def _confusion(_: Inputs, __: Styles, experiment: ExperimentView, dataset: str) -> Figure | None:
    table = experiment.tables.frame("confusion", dataset=dataset)
    if table.empty:
        return None
    names = list(dict.fromkeys(experiment.tables.frame("classes", dataset=dataset)["class"]))
    return confusion(table, names, arms_of(experiment.tables.frame("cells", dataset=dataset)))


def _reliability(
    _: Inputs, styles: Styles, experiment: ExperimentView, dataset: str
) -> Figure | None:
    table = experiment.tables.frame("calibration", dataset=dataset)
    if table.empty:
        return None
    return reliability(table, arms_of(experiment.tables.frame("cells", dataset=dataset)), styles)


def _cost(
    inputs: Inputs, styles: Styles, experiment: ExperimentView, dataset: str
) -> Figure | None:
    """Draw accuracy against multiply-adds, if networks differ in them."""
    cells = experiment.tables.frame("cells", dataset=dataset)
    costs = {
        one["multiply_adds"]
        for network in inputs.networks
        for one in network["costs"]
        if one["dataset"] == dataset and network["model"] in set(cells["model"])
    }
    known = cells["test_accuracy"].notna().any()
    if len(costs - {None}) < 2 or not known:
        return None
    return cost(cells, inputs.networks, styles, optimistic=experiment.optimistic)


def _gallery(inputs: Inputs, _: Styles, experiment: ExperimentView, dataset: str) -> Figure | None:
    labels = {one["label"] for one in experiment.block["augmentations"]}
    shown = [
        entry
        for entry in inputs.gallery
        if entry["dataset"] == dataset and entry.get("augmentation") in labels
    ]
    return gallery(shown) if len(shown) > 1 else None


def _mistakes(inputs: Inputs, _: Styles, experiment: ExperimentView, dataset: str) -> Figure | None:
    shown = [
        {**entry, "arm": _wrong_and_right(entry)}
        for entry in inputs.mistakes
        if (entry["experiment"], entry["dataset"]) == (experiment.name, dataset)
    ]
    return mistakes(shown) if shown else None


def _wrong_and_right(entry: Mapping[str, Any]) -> str:
    if "arm" not in entry:
        return "most runs"
    row = Row("comparisons", entry)
    return f"{short(row, 'arm')} wrong, {short(row, 'reference')} right"


def _blocks(inputs: Inputs, _: Styles, __: ExperimentView, ___: str) -> Figure | None:
    networks = [network_settings(network["architecture"]) for network in inputs.networks]
    residual = [network for network in networks if isinstance(network, ResNetSettings)]
    if not residual:
        return None
    return blocks("bottleneck" if all(one.bottleneck for one in residual) else "basic")


FIGURES: Mapping[str, tuple[str, Draw]] = {
    "headline": ("The main result", _headline),
    "curves": ("Learning curves", _curves),
    "gallery": ("Images under each augmentation", _gallery),
    "blocks": ("A residual and a plain block", _blocks),
    "classes": ("Accuracy on each class", _classes),
    "mistakes": ("Test images that are classified wrongly", _mistakes),
    "confusion": ("Classes that are confused", _confusion),
    "reliability": ("Reliability diagrams", _reliability),
    "cost": ("Accuracy against multiply-adds", _cost),
}
"""Title and drawing function by kind; the function returns None without data."""
