import base64
import hashlib
import html
import io
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ablation.report.figures import (
    ArmStyles,
    _shorter,
    arm_names,
    draw_accuracies,
    draw_classes,
    draw_confusion,
    draw_cost,
    draw_curves,
    draw_differences,
    draw_grid,
    draw_reliability,
    png,
    strip,
    tiles,
)

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
BROKEN = "$\\frac{$ <b>"  # which mathematics could not read
MODELS = ["resnet8", "plain8"]
LABELS = ["none", "crop", "cutmix"]
ARMS = [(model, label) for model in MODELS for label in LABELS]
NAMES = [f"{model} · {label}" for model, label in ARMS]
TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def styles_of(models=MODELS, labels=LABELS) -> ArmStyles:
    augmentations = [{"label": x, "pipeline": "" if x == "none" else "flip"} for x in labels]
    return ArmStyles([{"models": models, "augmentations": augmentations}])


def cells_of(arms, accuracy=0.9, sd=0.01, **others) -> pd.DataFrame:
    """Rows of ``cells.csv``; accuracies may be one for each arm."""
    accuracies = np.broadcast_to(accuracy, len(arms))
    return pd.DataFrame(
        [
            {
                "experiment": "e", "dataset": "d", "model": model, "augmentation": label,
                "is_baseline": False, "runs": 3, "finished": 3, "diverged": 0, "failed": 0,
                "missing": 0, "stopped_early": 0, "test_accuracy": float(value),
                "test_accuracy_sd": sd, "test_accuracy_low": value - 0.01,
                "test_accuracy_high": value + 0.01, "seconds": 30.0 + i,
            }
            | others
            for i, ((model, label), value) in enumerate(zip(arms, accuracies, strict=True))
        ]
    )  # fmt: skip


def runs_of(cells, seeds=3) -> pd.DataFrame:
    rows = cells[["model", "augmentation", "test_accuracy"]].to_dict("records")
    return pd.DataFrame([row | {"seed": seed} for row in rows for seed in range(seeds)])


def compared(arm, difference=0.01, half=0.005, verdict="better", **others) -> dict:
    """A row of ``comparisons.csv``."""
    model, label = arm
    return {
        "experiment": "e", "kind": "arm", "dataset": "d", "arm": f"{model} · {label}",
        "reference": "resnet8 · none", "seeds": 3, "difference": difference,
        "low": difference - half, "high": difference + half, "verdict": verdict, "basis": "seeds",
        "image_low": difference - half / 2, "image_high": difference + half / 2,
        "measure": "test_accuracy", "epoch": np.nan, "arm_model": model,
        "arm_augmentation": label, "reference_model": "resnet8", "reference_augmentation": "none",
    } | others  # fmt: skip


def without_result(arm) -> dict:
    numbers = ("difference", "low", "high", "image_low", "image_high")
    return compared(arm, verdict="none", **dict.fromkeys(numbers, np.nan))


def factor_of(first, second) -> dict:
    return compared(("", "")) | {"kind": "factor", "arm": first, "reference": second}


def models_of(models=MODELS, first=2_000_000, factor=2) -> list[dict]:
    return [
        {"model": model, "dataset": "d", "multiply_adds": first * factor**i}
        for i, model in enumerate(models)
    ]


def confusion_of(arms, classes, wrong=0.25) -> pd.DataFrame:
    """Each class is taken for the next one in a share of its images, more so by later arms."""
    following = [*classes[1:], classes[0]]
    return pd.DataFrame(
        [
            {
                "model": model, "augmentation": label, "true": true, "predicted": predicted,
                "count": 100 * share, "share": share,
            }
            for i, (model, label) in enumerate(arms)
            for true, other in zip(classes, following, strict=True)
            for predicted, share in ((true, 1 - wrong - i / 100), (other, wrong + i / 100))
        ],
        columns=["model", "augmentation", "true", "predicted", "count", "share"],
    )  # fmt: skip


def noise_of(arms, classes) -> pd.DataFrame:
    """Confusions that leave hardly a cell empty, as far as packing the images goes."""
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(len(classes)), (len(arms), len(classes)))
    keys = ["model", "augmentation", "true", "predicted"]
    rows = [(*arm, true, other) for arm in arms for true in classes for other in classes]
    return pd.DataFrame(rows, columns=keys).assign(share=shares.ravel(), count=1)


def classes_of(arms, classes) -> pd.DataFrame:
    columns = ["model", "augmentation", "class", "images", "accuracy", "accuracy_sd"]
    rows = [
        (*arm, name, 100, 0.5 + 0.5 * i / len(classes), 0.01)
        for arm in arms
        for i, name in enumerate(classes)
    ]
    return pd.DataFrame(rows, columns=columns)


def calibration_of(arms) -> pd.DataFrame:
    columns = [
        "model", "augmentation", "scaled", "bin", "low", "high", "count", "confidence", "accuracy",
    ]  # fmt: skip
    rows = [
        (*arm, scaled, i, (i - 1) / 15, i / 15, 10 * i, (i - 0.5) / 15, (i - 1 + scaled / 2) / 15)
        for arm in arms
        for scaled in (False, True)
        for i in (5, 10, 15)
    ]
    return pd.DataFrame(rows, columns=columns)


def curves_of(models, augmentations, loss=1.0) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "model": model, "augmentation": augmentation, "seed": 0, "epoch": epoch,
                "loss": loss, "val_loss": loss, "val_accuracy": 0.5,
            }
            for model in models for augmentation in augmentations for epoch in (1, 2)
        ]
    )  # fmt: skip


def every_figure(arms=ARMS, styles=None, classes=TEN) -> dict[str, bytes]:
    """One figure of each kind."""
    styles = styles or styles_of()
    cells, names = cells_of(arms), list(arm_names(arms).values())
    curves = curves_of(*(list(dict.fromkeys(part)) for part in zip(*arms, strict=True)))
    rows = pd.DataFrame([compared(arm) for arm in arms])
    models = models_of(list(dict.fromkeys(model for model, _ in arms)))
    grid = {
        "row_factor": "model", "column_factor": "augmentation", "rows": names[:1],
        "columns": [label for _, label in arms[:2]], "values": [[0.9, None]],
    }  # fmt: skip
    return {
        "accuracies": draw_accuracies(cells, runs_of(cells), styles, True),
        "differences": draw_differences(rows, styles, 0.005, True),
        "cost": draw_cost(cells, models, styles, True),
        "confusion": draw_confusion(confusion_of(arms, classes), classes, arms, names),
        "classes": draw_classes(classes_of(arms, classes), arms, names),
        "reliability": draw_reliability(calibration_of(arms), arms, names, styles),
        "curves": draw_curves(curves, arms, styles, True),
        "grid": draw_grid(grid),
    }


def digests() -> dict[str, str]:
    drawn = every_figure(ARMS[:2])
    return {name: hashlib.sha256(content).hexdigest() for name, content in drawn.items()}


@pytest.fixture(scope="module")
def figures() -> dict[str, bytes]:
    return every_figure()


def texts(drawn: bytes) -> list[str]:
    """All that a figure says, line by line."""
    return [html.unescape(text.strip()) for text in re.findall("<!--(.*?)-->", drawn.decode())]


def groups(drawn: bytes) -> dict[str, ET.Element]:
    """What a figure draws, by name."""
    return {group.get("id"): group for group in ET.fromstring(drawn).iter(f"{SVG}g")}


def style(group: ET.Element) -> str:
    """How the last thing of a group looks: its markers, or its line where it has none."""
    styled = [part.get("style") for part in group.iter() if part.get("style")]
    return styled[-1]


def look(drawn: bytes, name: str) -> tuple[str | None, str]:
    """The form and the paint of the marker in a named group."""
    parts = {part.get("id"): part for part in ET.fromstring(drawn).iter()}
    use = next(parts[name].iter(f"{SVG}use"))
    return parts[use.get(LINK)[1:]].get("d"), style(parts[name])


def points(group: ET.Element) -> np.ndarray:
    """Where a group has its markers: x to the right, y upwards."""
    uses = [use for use in group.iter(f"{SVG}use") if use.get("y")]
    return np.array([(float(use.get("x")), -float(use.get("y"))) for use in uses])


def width_of(drawn: bytes) -> float:
    return float(ET.fromstring(drawn).get("viewBox").split()[2])


# All figures


def test_an_arm_has_one_colour_in_all_figures(figures):
    styles = styles_of()
    seen: dict[tuple[str, str], set[str]] = {}
    for name in ("accuracies", "differences", "cost", "reliability", "curves"):
        drawn = groups(figures[name])
        of_arms = {key: group for key, group in drawn.items() if key and key.count(":") == 2}
        assert {tuple(key.split(":")[1:]) for key in of_arms} == set(ARMS), name
        for key, group in of_arms.items():
            colours = set(
                re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", ET.tostring(group, "unicode"))
            )
            seen.setdefault(tuple(key.split(":")[1:]), set()).update(colours - {"#ffffff"})
    assert seen == {arm: {styles[arm].colour} for arm in ARMS}


def test_figures_are_the_same_bytes_in_another_process():
    told = subprocess.run(
        [sys.executable, "-c", f"import runpy; print(runpy.run_path({__file__!r})['digests']())"],
        env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == str(digests())


def test_figures_carry_no_date_and_no_creator(figures):
    for drawn in figures.values():
        assert b"dc:date" not in drawn
        assert b"dc:creator" not in drawn
        assert b"atplotlib v" not in drawn


def test_every_reference_inside_a_figure_has_its_one_target(figures):
    for name, drawn in figures.items():
        parts = list(ET.fromstring(drawn).iter())
        ids = [part.get("id") for part in parts if part.get("id")]
        assert len(ids) == len(set(ids)), name
        links = {part.get(LINK)[1:] for part in parts if (part.get(LINK) or "").startswith("#")}
        clips = set(re.findall(r"url\(#(\w+)\)", drawn.decode()))
        assert links and links | clips <= set(ids), name


def test_foreign_text_in_a_figure_is_no_mathematics():
    arms = [(BROKEN, "none"), (BROKEN, "_$x$"), ("m", "none")]
    styles = styles_of([BROKEN, "m"], ["none", "_$x$"])
    for name, drawn in every_figure(arms, styles, [BROKEN, "_$y$"]).items():
        told = " ".join(texts(drawn))
        assert BROKEN in told, name
        assert "_$x$" in told, name
        if name in ("confusion", "classes"):
            assert "_$y$" in told


def test_figures_stay_small(figures):
    for name, drawn in figures.items():
        assert len(drawn) < 65_000, name


def test_markers_that_look_different_keep_their_styles():
    marker = '\n<use xlink:href="#m" x="{}" y="1" style="fill: {}"/>'
    alike = "<g>" + marker.format(1, "red") + marker.format(2, "red") + "\n</g>"
    mixed = "<g>" + marker.format(1, "red") + marker.format(2, "blue") + "\n</g>"
    assert _shorter(mixed) == mixed
    assert _shorter(alike).count("fill: red") == 1
    assert '<g style="fill: red">' in _shorter(alike)


def test_figures_are_no_wider_than_the_page(figures):
    for name, drawn in figures.items():
        assert width_of(drawn) <= 735, name


def test_one_arm_with_one_seed_draws_numbers_only():
    arm = [("resnet8", "none")]
    cells = cells_of(arm, sd=np.nan)
    accuracies = draw_accuracies(cells, runs_of(cells, 1), styles_of(), False)
    cost = draw_cost(cells, models_of(), styles_of(), False)
    for drawn in (accuracies, cost, *every_figure([*arm, ("resnet8", "crop")]).values()):
        assert not re.search(r'"[^"]*\bnan\b[^"]*"', drawn.decode())
    assert len(points(groups(cost)["work:resnet8:none"])) == 1


def test_arms_of_one_panel_differ_without_colour_too():
    styles = styles_of([f"m{i}" for i in range(4)], ["none", *"abcde"])
    for arms in (
        [("m0", label) for label in ("none", *"abcde")],
        [(f"m{i}", "none") for i in range(4)],
    ):
        seen = [styles[arm] for arm in arms]
        assert len({style.colour for style in seen}) == len(arms)
        assert len({(str(style.dashes), style.marker) for style in seen}) == len(arms)


def test_every_style_of_a_large_study_is_its_own():
    labels = [{"label": f"a{i}", "pipeline": "flip" if i else ""} for i in range(300)]
    styles = ArmStyles([{"augmentations": labels, "models": ["m"]}])
    seen = {(s.colour, str(s.dashes), s.marker) for s in (styles["m", a["label"]] for a in labels)}
    assert len(seen) == 300


# Curves


def test_arms_with_the_same_style_get_panels_of_their_own():
    blocks = [
        {"models": ["a", "b"], "augmentations": [{"label": "none", "pipeline": ""}]},
        {"models": ["a", "b"], "augmentations": [{"label": "mix", "pipeline": "mixup"}]},
    ]
    arms = [("a", "mix"), ("b", "mix")]
    drawn = draw_curves(curves_of(["a", "b"], ["mix"]), arms, ArmStyles(blocks), False)
    assert len(re.findall(r'id="axes_\d+"', drawn.decode())) == 6


def test_curves_without_any_finite_value_are_drawn_empty():
    frame = curves_of(["m"], ["none"], loss=float("inf")).assign(val_accuracy=np.nan)
    drawn = draw_curves(frame, [("m", "none")], styles_of(["m"], ["none"]), True)
    assert "loss:m:none" not in groups(drawn)
    assert any("test split" in text for text in texts(drawn))


# Accuracies


def test_means_stand_where_the_axis_says():
    arms = [("resnet8", label) for label in LABELS]
    cells = cells_of(arms, accuracy=[0.90, 0.92, 0.98])
    drawn = groups(draw_accuracies(cells, runs_of(cells), styles_of(), False))
    first, second, third = (points(drawn[f"mean:resnet8:{x}"])[0] for x in LABELS)
    assert (second - first)[0] / (third - first)[0] == pytest.approx(0.25, abs=1e-3)
    assert first[1] > second[1] > third[1]  # the first row is at the top


def test_whiskers_reach_one_standard_deviation():
    arms = [("resnet8", "none"), ("resnet8", "crop")]
    cells = cells_of(arms, accuracy=[0.90, 0.92], sd=0.01)
    drawn = groups(draw_accuracies(cells, runs_of(cells), styles_of(), False))
    mean, other = (points(drawn[f"mean:resnet8:{x}"])[0] for x in LABELS[:2])
    ends = [
        points(group)[:, 0]
        for name, group in drawn.items()
        if name and name.startswith("line2d") and len(points(group)) == 2
    ]
    half = (other - mean)[0] / 2
    assert any(np.allclose(x, [mean[0] - half, mean[0] + half], atol=0.02) for x in ends)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"diverged": 3}, "every run diverged"),
        ({"failed": 3}, "every run failed"),
        ({"missing": 3}, "not run yet"),
        ({"diverged": 1, "missing": 2}, "no result, 1 diverged, 2 not run yet"),
    ],
)
def test_a_cell_without_accuracy_says_why(counts, words):
    cells = pd.concat([cells_of(ARMS[:1]), cells_of(ARMS[1:2], np.nan, np.nan, **counts)])
    told = texts(draw_accuracies(cells, runs_of(cells), styles_of(), False))
    assert told.count(words) == 1
    assert f"crop ({words})" in texts(draw_cost(cells, models_of(), styles_of(), False))


def test_rows_tell_the_reference_and_the_runs_that_count():
    cells = pd.concat(
        [cells_of(ARMS[:1], is_baseline=True), cells_of(ARMS[1:2], diverged=1, finished=2)]
    )
    told = texts(draw_accuracies(cells, runs_of(cells), styles_of(), True))
    assert "none (reference)" in told
    assert "crop (2 of 3 runs)" in told
    assert "test accuracy, % †" in told


# Differences


def test_the_form_of_the_marker_tells_the_verdict():
    verdicts = ["better", "worse", "same", "open"]
    rows = pd.DataFrame([compared(ARMS[1], verdict=verdict) for verdict in verdicts])
    drawn = draw_differences(rows, styles_of(), 0.005, False)
    looks = [look(drawn, f"difference {i}:resnet8:crop") for i in range(4)]
    assert len({form for form, _ in looks}) == 4
    assert ["fill: #ffffff" in paint for _, paint in looks] == [False, False, False, True]


def test_the_legend_has_the_verdicts_that_occur():
    rows = pd.DataFrame([compared(ARMS[1], verdict="better"), without_result(ARMS[2])])
    told = texts(draw_differences(rows, styles_of(), 0.005, False))
    assert "more accurate" in told
    assert "less accurate" not in told
    assert "open" not in told
    assert "no result: no seed in common" in told
    assert "within the margin of ±0.5 points" in told


def test_a_factor_has_no_arms_colour():
    factor = factor_of("depth 32", "depth 8")
    rows = pd.DataFrame([compared(ARMS[1]), factor])
    drawn = draw_differences(rows, styles_of(), 0.005, False)
    colour = re.search(r"fill: (#\w+)", style(groups(drawn)["difference 1::"]))[1]
    assert len(set(re.findall("[0-9a-f]{2}", colour))) == 1  # a grey
    assert "depth 32 − depth 8" in texts(drawn)


def test_an_interaction_keeps_its_sides_apart():
    row = factor_of(
        "shortcut plain − residual, with depth 32", "shortcut plain − residual, with depth 8"
    )
    told = texts(draw_differences(pd.DataFrame([row]), styles_of(), 0.005, False))
    assert "(shortcut plain − residual, with depth 32)" in told
    assert "− (shortcut plain − residual, with depth 8)" in told


def test_a_wide_interval_is_cut_and_does_not_flatten_the_others():
    ordinary = [compared(arm, 0.01 * i, 0.01) for i, arm in enumerate(ARMS[:5])]
    wide = compared(ARMS[5], 0.0, 0.9, "open")

    def span(rows):
        """How far apart 0 and 4 points are drawn, as a part of the figure."""
        drawn = draw_differences(pd.DataFrame(rows), styles_of(), 0.005, False)
        first, last = (f"difference {i}:{':'.join(ARMS[i])}" for i in (0, 4))
        found = groups(drawn)
        ends = points(found[last])[0, 0] - points(found[first])[0, 0]
        return ends / width_of(drawn), {"clipped <", "clipped >"} & found.keys()

    alone, nothing_cut = span(ordinary)
    with_wide, cut = span([*ordinary, wide])
    assert not nothing_cut
    assert cut == {"clipped <", "clipped >"}
    assert with_wide > alone / 3


def test_no_difference_lies_beyond_the_axis():
    rows = pd.DataFrame([compared(ARMS[1], 0.002), compared(ARMS[2], -0.6, verdict="worse")])
    found = groups(draw_differences(rows, styles_of(), 0.005, False))
    x = points(found["difference 1:resnet8:cutmix"])[0, 0]
    panel = found["patch_2"].find(f"{SVG}path").get("d")
    left = float(panel.split()[1])
    assert x > left
    assert "clipped <" not in found


@pytest.mark.parametrize(("seeds", "basis", "decides"), [(2, "images", False), (3, "seeds", True)])
def test_with_fewer_than_three_seeds_no_interval_that_decides_is_shown(seeds, basis, decides):
    verdict = "better" if decides else "open"
    rows = pd.DataFrame([compared(ARMS[1], verdict=verdict, basis=basis, seeds=seeds)])
    drawn = draw_differences(rows, styles_of(), 0.005, False)
    told = texts(drawn)
    assert "95 % interval, test images only" in told
    assert ("interval that decides" in told) == decides
    assert ("stroke-width: 2.6" in drawn.decode()) == decides
    assert ("open" in told) == (not decides)


def test_a_budget_tells_its_epoch_and_split():
    row = compared(
        ARMS[1], kind="budget", epoch=20.0, measure="val_accuracy", image_low=np.nan,
        image_high=np.nan,
    )  # fmt: skip
    told = texts(draw_differences(pd.DataFrame([row]), styles_of(), 0.005, False))
    assert "− resnet8 · none at epoch 20, validation" in told
    assert "difference in accuracy, points" in told
    assert "interval that decides" in told
    assert "95 % interval, test images only" not in told


# Cost


def test_arms_that_share_a_style_differ_in_the_cost_figure():
    models = [f"m{i}" for i in range(8)]
    arms = [(model, label) for model in models for label in ("none", "crop")]
    styles = styles_of(models, ["none", "crop"])
    assert styles["m0", "crop"] == styles["m7", "crop"]
    drawn = draw_cost(cells_of(arms), models_of(models), styles, False)
    looks = {look(drawn, f"seconds:{model}:{label}") for model, label in arms}
    assert len(looks) == len(arms)


def test_arms_of_one_model_stand_side_by_side():
    drawn = groups(draw_cost(cells_of(ARMS), models_of(), styles_of(), False))
    x = {arm: points(drawn[f"work:{':'.join(arm)}"])[0, 0] for arm in ARMS}
    first, second = (np.array([x[m, label] for label in LABELS]) for m in MODELS)
    assert (np.diff(first) >= 6.9).all()
    assert np.allclose(np.diff(first), np.diff(second), atol=0.02)
    assert first.max() < second.min()


@pytest.mark.parametrize(("factor", "log"), [(2, False), (40, True)])
def test_multiply_adds_get_a_log_axis_where_they_need_one(factor, log):
    cells = cells_of([(model, "none") for model in MODELS])
    told = texts(draw_cost(cells, models_of(factor=factor), styles_of(), False))
    assert ("multiply-adds an image (log scale)" in told) == log
    assert ("multiply-adds an image" in told) == (not log)


def test_long_training_is_told_in_hours():
    cells = cells_of(ARMS[:2]).assign(seconds=[3600.0, 9000.0])
    told = texts(draw_cost(cells, models_of(), styles_of(), False))
    assert "training of a run, hours" in told
    assert "2.5" in told or "2.4" in told


# Classes


def test_rows_of_a_confusion_matrix_are_true_classes():
    arm = [("resnet8", "none")]
    drawn = draw_confusion(confusion_of(arm, ["cat", "dog", "ox"]), ["cat", "dog", "ox"], arm, "m")
    # Where each text that is not turned begins.
    found = re.findall(
        r"<!-- (.*?) -->\s<g [^>]*translate\(([\d.]+) ([\d.]+)\) scale", drawn.decode()
    )
    places: dict[str, list[tuple[float, float]]] = {}
    for text, x, y in found:
        places.setdefault(text, []).append((float(x), float(y)))
    (true,) = places["cat"]  # the name of the row
    wrong = min(places["25.0"], key=lambda place: place[1])  # cats taken for dogs
    cats, dogs, _ = sorted(places["75.0"])
    assert wrong[1] == pytest.approx(cats[1], abs=0.1) == pytest.approx(true[1], abs=4)
    assert wrong[0] == pytest.approx(dogs[0], abs=0.1)


def test_a_matrix_is_one_small_picture_with_its_true_shares():
    arm = [("resnet8", "none")]
    table = confusion_of(arm, TEN)
    drawn = draw_confusion(table, TEN, arm, ["m"])
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(image.get(LINK).partition(",")[2]))))
        for image in ET.fromstring(drawn).iter(f"{SVG}image")
    ]
    (matrix,) = (picture for picture in pictures if picture.shape[:2] == (10, 10))
    dark = 255 - matrix[..., :3].astype(float).mean(axis=-1)
    order = [set(map(tuple, np.argwhere(np.isclose(dark, value)))) for value in np.unique(dark)]
    right = {(i, i) for i in range(10)}
    assert order[2] in (right, {(9 - i, i) for i in range(10)})  # pictures may be upside down
    assert len(order[1]) == 10 and len(order[0]) == 80


def test_numbers_stand_in_matrices_that_have_room():
    one, three = ARMS[:1], ARMS[:3]
    assert "25.0" in texts(draw_confusion(confusion_of(one, TEN), TEN, one, ["m"]))
    assert "25.0" not in texts(draw_confusion(confusion_of(three, TEN), TEN, three, list("abc")))
    many = [f"c{i}" for i in range(13)]
    assert "25.0" not in texts(draw_confusion(confusion_of(one, many), many, one, ["m"]))


def test_many_matrices_and_large_ones_stay_small():
    arms = [(f"m{i}", "none") for i in range(16)]
    drawn = draw_confusion(
        noise_of(arms, TEN), TEN, arms, [f"a fairly long name {i}" for i in range(16)]
    )
    assert len(drawn) < 150_000
    names = [f"a breed of dog {i:03d}" for i in range(120)]
    drawn = draw_confusion(noise_of(arms[:1], names), names, arms[:1], ["m"])
    assert len(drawn) < 150_000
    told = texts(drawn)
    assert "true class (every 5th is named)" in told
    assert 10 <= sum(text.startswith("a breed of dog") for text in told) / 2 <= 25


def test_arms_without_a_result_say_so():
    arms = ARMS[:2]
    one = arms[:1]
    names = ["m", "n"]
    for drawn in (
        draw_confusion(confusion_of(one, TEN), TEN, arms, names),
        draw_classes(classes_of(one, TEN), arms, names),
        draw_reliability(calibration_of(one), arms, names, styles_of()),
    ):
        assert texts(drawn).count("no result") == 1
    for drawn in (
        draw_confusion(confusion_of([], TEN), TEN, arms, names),
        draw_classes(classes_of([], TEN), arms, names),
        draw_reliability(calibration_of([]), arms, names, styles_of()),
    ):
        assert texts(drawn).count("no result") == 2


def test_accuracies_of_classes_are_numbers_where_they_fit():
    assert {"50.0", "95.0"} <= set(texts(draw_classes(classes_of(ARMS, TEN), ARMS, NAMES)))
    many = [f"species {i}" for i in range(200)]
    drawn = draw_classes(classes_of(ARMS, many), ARMS, NAMES)
    told = texts(drawn)
    assert "50.0" not in told
    assert re.search(r"class \(every \d+(st|nd|rd|th) is named\)", " ".join(told))
    assert 20 <= sum(text.startswith("species") for text in told) <= 100
    assert len(drawn) < 100_000


# Calibration


def test_reliability_before_and_after_scaling_differ_without_colour():
    arm = ARMS[:1]
    drawn = groups(draw_reliability(calibration_of(arm), arm, ["m"], styles_of()))
    trained, scaled = drawn["trained:resnet8:none"], drawn["scaled:resnet8:none"]
    dashes = [
        ET.tostring(group, "unicode").count("stroke-dasharray") for group in (trained, scaled)
    ]
    assert dashes == [0, 1]
    assert "fill: #ffffff" in style(scaled)
    assert "fill: #ffffff" not in style(trained)


def test_reliability_points_stand_at_confidence_and_accuracy():
    arm = ARMS[:1]
    drawn = groups(draw_reliability(calibration_of(arm), arm, ["m"], styles_of()))
    trained, scaled = (points(drawn[f"{key}:resnet8:none"]) for key in ("trained", "scaled"))
    step = trained[1] - trained[0]  # a third of the axis to the right and up
    # A square panel, 106 percent wide and with the histogram 131 percent high.
    assert step[0] / step[1] == pytest.approx(131 / 106, rel=0.01)
    panel = re.findall(r"[ML] ([\d.]+) ", drawn["patch_2"].find(f"{SVG}path").get("d"))
    left, right = sorted({float(x) for x in panel})
    assert (trained[0, 0] - left) / (right - left) == pytest.approx((30 + 3) / 106, abs=1e-3)
    assert np.allclose(trained[:, 0], scaled[:, 0])
    assert np.allclose(scaled[:, 1] - trained[:, 1], step[1] / 10, atol=0.05)


def test_the_histogram_leaves_empty_bins_empty():
    arm = ARMS[:1]
    table = calibration_of(arm)
    found = groups(draw_reliability(table[~table["scaled"]], arm, ["m"], styles_of()))
    (bars,) = (
        group for name, group in found.items()
        if (name or "").startswith("patch") and "opacity: 0.35" in ET.tostring(group, "unicode")
        and "clip-path" in ET.tostring(group, "unicode")
    )  # fmt: skip
    corners = re.findall(r"[ML] ([\d.]+) ([\d.]+)", bars.find(f"{SVG}path").get("d"))
    heights = pd.DataFrame(corners, dtype=float)
    floor = heights[1].max()
    tops = sorted(set(np.round(floor - heights[1], 1)) - {0.0})
    assert tops == pytest.approx([tops[-1] / 3, tops[-1] * 2 / 3, tops[-1]], abs=0.15)
    low = heights[np.isclose(heights[1], floor, atol=0.02)]
    assert len(low) >= 4  # the line is down between the bars


# Grids


def test_a_grid_tells_its_numbers_and_what_was_not_run():
    drawn = draw_grid(
        {
            "title": "depth × shortcut", "dataset": "d", "row_factor": "depth",
            "column_factor": "shortcut", "rows": ["8", "32"], "columns": ["residual", "plain"],
            "values": [[0.982, 0.98], [0.93, None]],
        }
    )  # fmt: skip
    told = texts(drawn)
    assert told.count("not run") == 1
    assert {"98.20", "98.00", "93.00", "depth", "shortcut", "residual", "32"} <= set(told)


def test_a_grid_of_equal_or_no_values_is_drawn():
    grid = {"row_factor": "r", "column_factor": "c", "rows": ["a"], "columns": ["b", "c"]}
    assert texts(draw_grid({**grid, "values": [[0.5, 0.5]]})).count("50.00") == 2
    assert texts(draw_grid({**grid, "values": [[None, None]]})).count("not run") == 2


# Images


def test_small_images_are_enlarged_crisply():
    image = np.arange(28 * 28, dtype=np.uint8).reshape(1, 28, 28, 1)
    (tile,) = tiles(image)
    assert tile.shape == (112, 112, 1)
    assert np.array_equal(tile[::4, ::4], image[0])
    assert np.array_equal(tile[3::4, 3::4], image[0])


def test_large_images_are_reduced_and_keep_their_aspect():
    (tile,) = tiles(np.zeros((1, 448, 224, 3), np.uint8))
    assert tile.shape == (112, 56, 3)


def test_a_strip_puts_gaps_between_images():
    joined = strip([np.zeros((4, 4, 1), np.uint8)] * 3)
    assert joined.shape == (4, 24, 1)
    assert (joined == 255).sum() == 4 * 12
    assert png(joined).startswith(b"\x89PNG")
