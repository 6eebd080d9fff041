"""Which plot shows what of an experiment."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from ablation.report import plots
from ablation.report.story import Story

if TYPE_CHECKING:
    from ablation.report.render import Report

TITLES = {
    "headline": "The main result",
    "curves": "Learning curves",
    "gallery": "Images under each augmentation",
    "mistakes": "Test images that are classified wrongly",
    "blocks": "A residual and a plain block",
    "classes": "Accuracy on each class",
    "confusion": "Confusion of classes",
    "reliability": "Reliability diagrams",
    "cost": "Accuracy against multiply-adds",
}
