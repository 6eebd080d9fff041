"""Properties of every kind of figure."""

import hashlib
import io
import os
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ablation.report.plots import style
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

HOSTILE = [
    '$\\frac{$ <b>_&" -- ]]>',
    "_" + "long" * 20,
    "two\nlines\tand \x00\x1b",
    "语言 🙂 naïve",
    "words " * 16,
]


def every_figure(study, **comparison):
    images = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 1)
    names = [study.classes[0], study.classes[-1]]
    references = {(m, a): (m, study.labels[0]) for m, a in study.arms}
    rows = {"images": images, "captions": names, "true": names, "predicted": names[::-1]}
    of_label = {"arm": study.labels[0], "augmentation": study.labels[0], "pipeline": "flip | crop"}
    return {
        "factors": headline_factors(study.cells, study.runs, study.factorial, study.styles),
        "arms": headline_arms(study.comparisons(**comparison), study.styles, 0.005),
        "crossed": headline_arms(
            study.comparisons(study.models, **comparison), study.styles, 0.005
        ),
        "accuracies": accuracies(study.cells, study.runs, study.styles),
        "curves": curves(study.curves, study.styles, mixed=study.labels[-1:]),
        "reliability": reliability(study.calibration, study.arms, study.styles),
        "classes": classes(study.classwise, study.arms, references),
        "confusion": confusion(study.confusion, study.classes, study.arms),
        "cost": cost(study.cells, study.costs, study.styles),
        "gallery": gallery([rows | of_label]),
        "mistakes": mistakes([rows | of_label]),
        "blocks": blocks(),
    }


@pytest.fixture(scope="module")
def usual(make_study):
    """The study of the fixture and its figures, for tests that only look at them."""
    study = make_study()
    return study, every_figure(study)


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def save_all(figures):
    """All figures as SVG, which any reader of XML takes, without one warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = {name: style.save(figure, "svg") for name, figure in figures.items()}
    for content in drawn.values():
        ET.fromstring(content)
    return drawn


@pytest.mark.slow
def test_bytes_repeat_in_another_process(study):
    drawn = all_drawn(study)
    assert b"Date" not in drawn["pdf"] and b"<dc:date>" not in drawn["arms"]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from conftest import Study; from test_every_figure import all_drawn, digests\n"
        "print(digests(all_drawn(Study())))"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    changed = os.environ | {"PYTHONHASHSEED": "1"}
    again = subprocess.run(command, env=changed, stdout=subprocess.PIPE, text=True, check=True)
    assert again.stdout.strip() == str(digests(drawn))


def all_drawn(study):
    figures = every_figure(study)
    return save_all(figures) | {"pdf": style.save(figures["arms"], "pdf")}


def digests(drawn):
    return {name: hashlib.sha256(content).hexdigest() for name, content in drawn.items()}


def test_an_arm_has_one_colour_in_all_figures(usual):
    study, figures = usual
    seen = {}
    for name, figure in figures.items():
        if name in ("factors", "crossed"):
            continue  # colours are levels and models there
        for line in figure.findobj(Line2D):
            if ":" not in str(line.get_label()):
                continue
            arm = tuple(line.get_label().split(":")[1:3])
            if name == "arms":
                arm = tuple(arm[0].split(" · "))
            seen.setdefault(arm, {}).setdefault(name, to_hex(line.get_color()))
    assert set(seen) == set(study.arms)
    for arm, colours in seen.items():
        assert set(colours.values()) == {study.styles[arm].colour}, (arm, colours)
    assert {"accuracies", "curves", "reliability", "cost"} <= set(seen["resnet8", "crop"])


def test_no_text_is_too_small_to_read(usual):
    for name, figure in usual[1].items():
        sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
        assert min(sizes) >= style.SMALL, name


@pytest.mark.slow
def test_foreign_text_is_drawn_as_it_is(make_study):
    study = make_study(HOSTILE[:2], HOSTILE, HOSTILE)
    figures = every_figure(study)
    save_all(figures)
    for name in ("accuracies", "curves", "reliability", "cost", "classes", "crossed"):
        shown = " ".join(texts(figures[name]))
        assert "$\\frac{$ <b>_&" in shown, name
        assert "\x00" not in shown
        assert max(len(line) for text in texts(figures[name]) for line in text.split("\n")) < 110


@pytest.mark.slow
@pytest.mark.parametrize("models", [["a"], ["a", "b"]])
def test_a_study_without_any_result_is_drawn(make_study, models):
    study = make_study(models).without_results()
    figures = every_figure(study, **study.none)
    save_all(figures)
    for name in ("factors", "arms", "accuracies", "curves", "reliability", "confusion", "cost"):
        assert any("no result" in t or "diverged" in t for t in texts(figures[name])), name


def test_a_single_run_is_drawn(make_study):
    study = make_study(["resnet8"], ["none", "crop"], ["cat", "dog"], seeds=1)
    save_all(every_figure(study))


@pytest.mark.slow
def test_many_classes_are_cut_to_those_that_matter(make_study):
    study = make_study(classes=[f"breed {i}" for i in range(120)])
    study.classwise.loc[study.classwise["class"] == "breed 77", "accuracy"] = [0.9, 0.1] * 3
    figures = every_figure(study)
    save_all(figures)
    assert "Class (the 25 of 120 that differ most)" in texts(figures["classes"])
    assert "breed 77" in texts(figures["classes"])
    rows = [t.get_text() for t in figures["confusion"].axes[0].get_yticklabels()]
    assert rows[0] == "breed 119 → breed 0" and len(rows) == 20  # the largest share is first


def test_styles_differ_and_stay(make_study):
    styles = make_study([f"m{i}" for i in range(40)], [f"a{i}" for i in range(40)]).styles
    arms = [(f"m{i}", "a0") for i in range(40)] + [("m0", f"a{i}") for i in range(1, 40)]
    assert len({styles[arm] for arm in arms}) == len(arms)
    assert styles["m0", "a3"] == styles["m7", "a3"] and styles.of_model("m5") == styles["m5", "a0"]


@pytest.mark.parametrize("wanted", [[0, 0, 0], [0, 9, 10], [50, 50, 100], [99, 100, 100]])
def test_labels_are_spread_within_limits(wanted):
    placed = style.space_out(np.array(wanted, float), 10, 0, 100)
    assert (np.diff(placed) >= 10 - 1e-9).all()
    assert placed.min() >= 0 and placed.max() <= 100


def test_images_stay_as_crisp_as_they_are(usual):
    figure = usual[1]["gallery"]
    first = figure.axes[0].images[0]
    assert np.array_equal(first.get_array(), np.arange(9).reshape(3, 3))
    assert first.get_interpolation() == "none"
    svg = style.save(figure, "svg").decode()
    assert svg.count("<image ") == 2 and 'width="3"' in svg
    colour = np.full((1, 400, 200, 3), 128, np.uint8)
    row = {"augmentation": "a", "pipeline": "", "images": colour, "captions": ["x"]}
    assert gallery([row]).axes[0].images[0].get_array().shape == (96, 48, 3)


def test_mistakes_show_both_classes(usual):
    shown = texts(usual[1]["mistakes"])
    assert "true cat,\ntaken for dog" in shown


def test_the_plain_block_lacks_the_addition():
    for kind, parts in (("basic", 2 * 4), ("bottleneck", 2 * 6)):
        figure = blocks(kind)
        assert texts(figure).count("+") == 1
        assert len([p for p in figure.axes[0].patches if hasattr(p, "get_boxstyle")]) == parts
        figure.savefig(io.BytesIO(), format="png")
