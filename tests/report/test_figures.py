"""The figures of an experiment: each kind with data, and no others."""

import pytest
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from ablation.report.figures import FIGURES
from ablation.report.plots.style import Styles

from .made import arms, made


def drawn(made, place=0, dataset="mnist5k"):
    """Its figures by kind."""
    report = made.report()
    experiment = report.experiments[place]
    styles = Styles(made.analysis["experiments"])
    figures = {
        kind: draw(report.inputs, styles, experiment, dataset)
        for kind, (_, draw) in FIGURES.items()
    }
    return {kind: figure for kind, figure in figures.items() if figure is not None}


def words(figure):
    return " ".join(
        text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))
    )


ALWAYS = {"headline", "curves", "classes", "confusion", "reliability", "blocks"}


@pytest.mark.slow
def test_each_kind_is_there_where_it_has_something_to_show(crossed):
    assert set(FIGURES) >= ALWAYS | {"cost", "gallery"}
    assert ALWAYS | {"cost"} <= set(drawn(crossed, 0))
    assert "gallery" not in drawn(crossed, 0)  # one augmentation only
    assert ALWAYS | {"gallery"} <= set(drawn(crossed, 1))
    assert "cost" not in drawn(crossed, 1)  # one network only


def test_without_data_there_is_no_figure(tmp_path):
    study = made(
        tmp_path, arms("none", "crop", baseline=None), lambda cell, seed: 0.9,
        diverged=lambda cell, seed: True, costs={"resnet8": None},
    )  # fmt: skip
    figures = drawn(study)
    assert not set(figures) & {"classes", "confusion", "reliability", "cost"}
    assert "no result" in words(figures["headline"]) or "diverged" in words(figures["headline"])


@pytest.mark.slow
def test_the_main_result_is_drawn_as_the_experiment_asks(crossed, changed):
    assert "8 14" in " ".join(words(drawn(crossed, 0)["headline"]).split())
    forest = words(drawn(crossed, 1)["headline"])
    assert "Difference in test accuracy" in forest and "+5.0" in forest and "−5.0" in forest
    single = words(drawn(changed(arms("none", "crop", baseline=None)))["headline"])
    assert "95.0" in single and "Difference" not in single


def test_classes_are_drawn_as_differences_to_the_reference(crossed):
    figure = drawn(crossed, 1)["classes"]
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows == ["none (accuracy, %)", "crop", "bright", "mix"]


@pytest.mark.slow
def test_scores_of_a_test_split_that_validates_are_marked(spoilt, crossed):
    for study, marked in ((spoilt, True), (crossed, False)):
        figures = drawn(study, 0 if marked else 1)
        for kind in ("headline", "curves"):
            assert ("†" in words(figures[kind])) == marked, kind


def test_an_arm_has_one_colour_in_every_figure_of_a_study(crossed):
    seen = {}
    for figure in drawn(crossed, 1).values():
        for line in figure.findobj(Line2D):
            parts = str(line.get_label()).split(":")
            if len(parts) > 1 and "resnet8" in parts:
                seen.setdefault(parts[-1], set()).add(to_hex(line.get_color()))
    assert len(seen) == 4 and all(len(colours) == 1 for colours in seen.values()), seen


@pytest.mark.parametrize("mixed", ["mix"])
def test_losses_of_mixed_labels_are_dashed(crossed, mixed):
    lines = drawn(crossed, 1)["curves"].findobj(Line2D)
    dashed = {str(line.get_label()) for line in lines if line.get_linestyle() == "--"}
    assert dashed == {f"loss:resnet8:{mixed}"}
