"""Figures draw the numbers of the tables, in the order and on the axes that they promise."""

import numpy as np
import pandas as pd
import pytest

from ablation.report.plots import style
from ablation.report.plots.accuracies import accuracies
from ablation.report.plots.classes import classes
from ablation.report.plots.confusion import confusion
from ablation.report.plots.cost import cost
from ablation.report.plots.curves import curves
from ablation.report.plots.factors import headline_factors
from ablation.report.plots.forest import VERDICTS, headline_arms
from ablation.report.plots.reliability import reliability


def drawn(figure, name):
    """The x and y values of the line with this name."""
    (line,) = figure.findobj(lambda artist: artist.get_label() == name)
    return [np.asarray(values, float).tolist() for values in line.get_data()]


def rows(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def approx(values):
    return pytest.approx(values, abs=1e-9)


def test_factors_draw_means_seeds_and_training(study):
    figure = headline_factors(study.cells, study.runs, study.factorial, study.styles)
    ax = figure.axes[0]
    # Augmentation has more levels, so it is on the axis and models are lines.
    assert [t.get_text() for t in ax.get_xticklabels()] == study.labels
    assert drawn(figure, "test:resnet8")[1] == approx([90, 89, 88])
    assert drawn(figure, "train:plain8")[1] == approx([95, 95, 95])
    dots = [line.get_ydata() for line in ax.lines if line.get_alpha() == 0.45]
    assert len(dots) == 6 and list(dots[0]) == approx([89.9, 90, 90.1])
    assert {t.get_text() for t in ax.texts} == {"resnet8", "plain8"}  # at the lines' ends


def test_factors_average_arms_of_the_same_levels(study):
    cells = {
        "8|with": [["resnet8", "none"], ["plain8", "none"]],
        "8|without": [["resnet8", "crop"]],
    }
    factorial = {"factors": ["depth", "x"], "levels": [["8"], ["with"]], "cells": cells}
    figure = headline_factors(study.cells, study.runs, factorial, study.styles)
    assert drawn(figure, "test:with")[1] == approx([(90 + 87) / 2])


def test_differences_are_sorted_with_their_intervals(study):
    table = study.comparisons(["resnet8"])
    figure = headline_arms(table, study.styles, 0.005)
    assert rows(figure) == ["cutmix", "crop"]  # −1 point is above −2
    assert drawn(figure, "difference:resnet8 · crop:resnet8 · none") == [[approx(-2)], [1]]
    bars = [line for line in figure.axes[0].lines if line.get_linewidth() == 5]
    assert list(bars[0].get_xdata()) == approx([-3, -1])
    assert figure.axes[0].get_xlabel() == "Difference in test accuracy to none, points"
    assert "−2.0" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize(("verdict", "marker"), VERDICTS.items(), ids=str)
def test_a_marker_shows_the_verdict(study, verdict, marker):
    figure = headline_arms(study.comparisons(verdict=verdict), study.styles, 0.005)
    marks = [
        line for line in figure.axes[0].lines if str(line.get_label()).startswith("difference")
    ]
    assert all(mark.get_marker() is marker for mark in marks) and marks
    assert verdict in [text.get_text() for text in figure.legends[0].texts]


def test_two_seeds_have_thin_bars_and_the_axis_says_so(study):
    figure = headline_arms(study.comparisons(basis="images", verdict="open"), study.styles, 0.005)
    assert not [line for line in figure.axes[0].lines if line.get_linewidth() == 5]
    assert "images alone, no verdict" in figure.axes[0].get_xlabel()


def test_models_with_own_references_share_rows(study):
    figure = headline_arms(study.comparisons(study.models), study.styles, 0.005)
    assert rows(figure) == ["cutmix", "crop"]
    assert figure.axes[0].get_xlabel().endswith("to none of the same model, points")
    marks = [
        line for line in figure.axes[0].lines if str(line.get_label()).startswith("difference")
    ]
    colours = {study.styles.of_model(model).colour for model in study.models}
    assert {mark.get_color() for mark in marks} == colours
    assert len({float(mark.get_ydata()[0]) for mark in marks}) == 4
    assert set(study.models) <= {text.get_text() for text in figure.legends[0].texts}


def test_counterparts_name_both_models(study):
    table = study.comparisons(["plain8"]).assign(reference_model="resnet8")
    table["reference_augmentation"] = table["arm_augmentation"]
    label = headline_arms(table, study.styles, 0.005).axes[0].get_xlabel()
    assert label == "Difference in test accuracy, plain8 − resnet8, points"


def test_differences_of_several_kinds_name_what_differs(study):
    table = study.comparisons(study.models).assign(reference_augmentation=["none", "crop"] * 2)
    table.loc[3, ["reference_model", "reference_augmentation"]] = ["resnet8", "cutmix"]
    figure = headline_arms(table, study.styles, 0.005)
    assert set(rows(figure)) == {
        "resnet8: crop − none", "resnet8: cutmix − crop", "plain8: crop − none",
        "cutmix: plain8 − resnet8",
    }  # fmt: skip


def test_factors_and_other_measures_have_separate_rows(study):
    empty = dict.fromkeys(["arm_model", "arm_augmentation", "reference_model"], "")
    table = study.comparisons(arm="with crop", reference="without crop", **empty).iloc[:1]
    figure = headline_arms(table, study.styles, np.nan, "negative log likelihood", "nats")
    assert rows(figure) == ["with crop − without crop"]
    assert drawn(figure, "difference:with crop:without crop")[0] == approx([-0.02])
    assert not any("same" in text.get_text() for text in figure.legends[0].texts)


def test_one_wide_interval_is_cut(make_study):
    table = make_study(labels=list("abcdef")).comparisons(verdict="open")
    table.loc[0, ["ci_low", "ci_high"]] = [-0.9, 0.9]
    figure = headline_arms(table, make_study(labels=list("abcdef")).styles, 0.005)
    heads = [str(line.get_label()) for line in figure.axes[0].lines]
    assert sorted(head for head in heads if head.startswith("cut")) == ["cut <", "cut >"]
    assert np.ptp(figure.axes[0].get_xlim()) < 20


@pytest.mark.parametrize("count", [1, 30])
def test_one_to_thirty_rows(make_study, count):
    study = make_study(["resnet8"], [f"a{i}" for i in range(count + 1)])
    figure = headline_arms(study.comparisons(), study.styles, 0.005)
    assert rows(figure) == [f"a{i}" for i in range(count, 0, -1)]


def test_accuracies_draw_every_run_and_the_mean(study):
    study.cells.loc[1, ["test_accuracy", "finished", "missing"]] = [np.nan, 0, 3]
    study.cells.loc[2, "finished"] = 2
    figure = accuracies(study.cells, study.runs, study.styles)
    assert drawn(figure, "mean:resnet8:none") == [approx([90]), [0]]
    assert rows(figure)[0] == "resnet8 · none"
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert "not run yet" in shown and "88.0 (2 of 3)" in shown
    assert list(figure.axes[0].lines[0].get_xdata()) == approx([89.9, 90, 90.1])


def test_curves_draw_means_and_mixed_labels_dashed(study):
    figure = curves(study.curves, study.styles, mixed=["cutmix"])
    assert drawn(figure, "loss:plain8:crop") == [[1, 2, 3], approx([2, 1.5, 4 / 3])]
    assert drawn(figure, "error:resnet8:none")[1] == approx([20, 15, 10 + 10 / 3])
    dashed = {
        line.get_label() for ax in figure.axes for line in ax.lines if line.get_linestyle() == "--"
    }
    assert dashed == {"loss:resnet8:cutmix", "loss:plain8:cutmix"}
    assert [ax.get_title("left") for ax in figure.axes[::2]] == study.models  # a row for each model


@pytest.mark.parametrize(
    ("errors", "scale"),
    [
        ([0.5, 0.2, 0.1], "linear"),
        ([0.5, 0.2, 0.05], "log"),  # a decade
        ([0.5, 0.13, 0.11, 0.1, 0.1], "log"),  # most values at the lower end
        ([0.5, 0.2, 0.0], "linear"),  # zero has no logarithm
    ],
)
def test_wide_and_crowded_errors_have_a_log_axis(study, errors, scale):
    table = pd.DataFrame({"epoch": range(1, len(errors) + 1), "loss": 1.0})
    table = table.assign(model="resnet8", augmentation="none", val_accuracy=1 - np.array(errors))
    left, right = curves(table, study.styles).axes
    assert (left.get_yscale(), right.get_yscale()) == ("linear", scale)


def test_curves_end_where_values_do_and_name_arms_without_any(study):
    of_crop = study.curves["augmentation"] == "crop"
    study.curves.loc[of_crop, ["loss", "val_accuracy"]] = np.inf
    study.curves.loc[study.curves["epoch"] == 3, ["loss", "val_accuracy"]] = np.nan
    figure = curves(study.curves, study.styles)
    assert drawn(figure, "loss:resnet8:none")[0] == [1, 2]
    assert "no result: crop" in [text.get_text() for text in figure.axes[1].texts]


def test_reliability_hides_bins_of_few_images(study):
    figure = reliability(study.calibration, study.arms, study.styles)
    expected = [approx([50, 90]), approx([-2, -2])]
    assert drawn(figure, "trained:resnet8:none") == expected
    assert drawn(figure, "scaled:plain8:cutmix") == expected


def test_classes_show_references_and_differences(study):
    references = {(m, a): (m, "none") for m, a in study.arms}
    figure = classes(study.classwise, study.arms, references)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown[:2] == ["90.0", "90.1"] and "−1.0" in shown
    assert rows(figure)[:2] == ["resnet8 · none (accuracy, %)", "resnet8: crop − none"]
    plain = classes(study.classwise, study.arms)
    assert "−1.0" not in [text.get_text() for text in plain.axes[0].texts]
    without = study.classwise[study.classwise["augmentation"] != "crop"]
    assert "no result" in [t.get_text() for t in classes(without, study.arms).axes[0].texts]


def test_confusion_shows_mistakes_only(study):
    figure = confusion(study.confusion, study.classes, study.arms[:1])
    (mesh,) = figure.axes[0].collections
    shares = mesh.get_array()
    assert np.ma.getmaskarray(shares).tolist() == [[True, False], [False, True]]
    assert shares.compressed().tolist() == approx([2.0, 2.1])


def test_cost_draws_accuracy_by_multiply_adds_or_seconds(study):
    figure = cost(study.cells, study.costs, study.styles)
    assert drawn(figure, "cost:plain8:none") == [[2e6], approx([87])]
    study.costs[1]["costs"][0]["multiply_adds"] = None  # of a layer that nobody counts
    figure = cost(study.cells, study.costs, study.styles)
    shown = " ".join(text.get_text() for text in figure.axes[0].texts).replace("\n", " ")
    assert "no result: plain8 · none" in shown
    figure = cost(study.cells, study.costs, study.styles, seconds=True)
    assert drawn(figure, "cost:plain8:none")[0] == [30]


def test_numbers_are_legible_on_their_cells(study):
    study.classwise.loc[0, "accuracy"] = 0.1
    figure = classes(study.classwise, study.arms)
    colours = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert colours["10.0"] == style.INK and colours["90.1"] == "white"
