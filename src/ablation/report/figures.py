"""Which plot shows what of an experiment."""

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure

from ablation.models.families import network_settings
from ablation.models.families.resnet import ResNetSettings
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
from ablation.report.story import Story, short
from ablation.report.values import Row

Draw = Callable[[Inputs, Styles, Story, str], Figure | None]


def _headline(inputs: Inputs, styles: Styles, story: Story, dataset: str) -> Figure | None:
    """Accuracy by level of the factors, or differences of arms, or the accuracy of each arm."""
    cells, runs = (story.tables.frame(name, dataset=dataset) for name in ("cells", "runs"))
    if story.factorial is not None:
        return headline_factors(cells, runs, story.factorial, styles, story.optimistic)
    pairs = story.tables.frame("comparisons", dataset=dataset, measure="test_accuracy")
    pairs = pairs[(pairs["factors"] == "") & pairs["difference"].notna()]
    if pairs.empty:
        return accuracies(cells, runs, styles, story.optimistic)
    margin = float(inputs.analysis["margin"])
    return headline_arms(pairs, styles, margin, optimistic=story.optimistic)


def _curves(_: Inputs, styles: Styles, story: Story, dataset: str) -> Figure | None:
    table = story.tables.frame("curves", dataset=dataset)
    mixed = [one["label"] for one in story.block["augmentations"] if one["mixes_labels"]]
    return None if table.empty else curves(table, styles, mixed, story.optimistic)


def _classes(_: Inputs, __: Styles, story: Story, dataset: str) -> Figure | None:
    """Accuracy on each class, of an arm with references as difference to the first of them."""
    table = story.tables.frame("classes", dataset=dataset)
    if table.empty:
        return None
    references: dict[Arm, Arm] = {}
    for row in story.pairs:
        if row.dataset == dataset:
            arm = (row.arm_model, row.arm_augmentation)
            references.setdefault(arm, (row.reference_model, row.reference_augmentation))
    arms = arms_of(story.tables.frame("cells", dataset=dataset))
    return classes(table, arms, references)


def _confusion(_: Inputs, __: Styles, story: Story, dataset: str) -> Figure | None:
    table = story.tables.frame("confusion", dataset=dataset)
    if table.empty:
        return None
    names = list(dict.fromkeys(story.tables.frame("classes", dataset=dataset)["class"]))
    return confusion(table, names, arms_of(story.tables.frame("cells", dataset=dataset)))


def _reliability(_: Inputs, styles: Styles, story: Story, dataset: str) -> Figure | None:
    table = story.tables.frame("calibration", dataset=dataset)
    if table.empty:
        return None
    return reliability(table, arms_of(story.tables.frame("cells", dataset=dataset)), styles)


def _cost(inputs: Inputs, styles: Styles, story: Story, dataset: str) -> Figure | None:
    """Accuracy against multiply-adds, where networks differ in them."""
    cells = story.tables.frame("cells", dataset=dataset)
    costs = {
        one["multiply_adds"]
        for network in inputs.networks
        for one in network["costs"]
        if one["dataset"] == dataset and network["model"] in set(cells["model"])
    }
    known = cells["test_accuracy"].notna().any()
    if len(costs - {None}) < 2 or not known:
        return None
    return cost(cells, inputs.networks, styles, optimistic=story.optimistic)


def _gallery(inputs: Inputs, _: Styles, story: Story, dataset: str) -> Figure | None:
    labels = {one["label"] for one in story.block["augmentations"]}
    shown = [
        entry
        for entry in inputs.gallery
        if entry["dataset"] == dataset and entry.get("augmentation") in labels
    ]
    return gallery(shown) if len(shown) > 1 else None


def _mistakes(inputs: Inputs, _: Styles, story: Story, dataset: str) -> Figure | None:
    shown = [
        {**entry, "arm": _wrong_and_right(entry)}
        for entry in inputs.mistakes
        if (entry["experiment"], entry["dataset"]) == (story.name, dataset)
    ]
    return mistakes(shown) if shown else None


def _wrong_and_right(entry: Mapping[str, Any]) -> str:
    if "arm" not in entry:
        return "most runs"
    row = Row("comparisons", entry)
    return f"{short(row, 'arm')} wrong, {short(row, 'reference')} right"


def _blocks(inputs: Inputs, _: Styles, __: Story, ___: str) -> Figure | None:
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
"""By kind its title and what draws it; None where there is nothing to draw."""
