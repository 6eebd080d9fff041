import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from ablation.report.figures import ArmStyles, draw_curves, png, strip, tiles

SVG = "{http://www.w3.org/2000/svg}"


def lines(file) -> dict[str, str]:
    """The style of each line that names its arm."""
    found = {}
    for group in ET.parse(file).iter(f"{SVG}g"):
        name = group.get("id", "")
        if name.count(":") == 2:
            path = group.find(f".//{SVG}path[@style]")
            if name.startswith("mean"):
                path = group.find(f".//{SVG}use")
            found[name] = path.get("style")
    return found


def colour(style: str, of: str = "stroke") -> str:
    return re.search(rf"{of}: (#[0-9a-f]{{6}})", style).group(1)


@pytest.fixture(scope="module")
def figures(reports):
    return {file.stem: lines(file) for file in sorted((reports / "sample").glob("*.svg"))}


def test_an_arm_has_one_colour_in_all_figures(figures, analysis):
    colours: dict[tuple[str, str], set[str]] = {}
    for found in figures.values():
        for name, style in found.items():
            measure, model, augmentation = name.split(":")
            drawn = colour(style, "fill" if measure == "mean" else "stroke")
            colours.setdefault((model, augmentation), set()).add(drawn)
    cells = {(c["model"], c["augmentation"]) for e in analysis["experiments"] for c in e["cells"]}
    assert colours.keys() == cells
    assert all(len(found) == 1 for found in colours.values())
    # The arm that both experiments have was drawn in both.
    for name in ("curves-residual-mnist5k", "curves-augmentation-mnist5k"):
        assert "loss:resnet20:none" in figures[name]


def test_arms_of_one_panel_differ_without_colour_too(analysis):
    styles = ArmStyles(analysis["experiments"])
    panels = [
        [("resnet20", a["label"]) for a in analysis["experiments"][1]["augmentations"]],
        [(model, "none") for model in analysis["experiments"][0]["models"]],
    ]
    for arms in panels:
        seen = [styles[arm] for arm in arms]
        assert len({style.colour for style in seen}) == len(arms)
        assert len({(str(style.dashes), style.marker) for style in seen}) == len(arms)


def test_every_style_of_a_large_study_is_its_own():
    labels = [{"label": f"a{i}", "pipeline": "flip" if i else ""} for i in range(300)]
    styles = ArmStyles([{"augmentations": labels, "models": ["m"]}])
    seen = {(s.colour, str(s.dashes), s.marker) for s in (styles["m", a["label"]] for a in labels)}
    assert len(seen) == 300


def curves(models, augmentations, loss=1.0):
    return pd.DataFrame(
        [
            {
                "model": model, "augmentation": augmentation, "seed": 0, "epoch": epoch,
                "loss": loss, "val_loss": loss, "val_accuracy": 0.5,
            }
            for model in models for augmentation in augmentations for epoch in (1, 2)
        ]
    )  # fmt: skip


def arms_of(frame):
    return list(
        frame[["model", "augmentation"]].drop_duplicates().itertuples(index=False, name=None)
    )


def test_arms_with_the_same_style_get_panels_of_their_own():
    blocks = [
        {"models": ["a", "b"], "augmentations": [{"label": "none", "pipeline": ""}]},
        {"models": ["a", "b"], "augmentations": [{"label": "mix", "pipeline": "mixup"}]},
    ]
    frame = curves(["a", "b"], ["mix"])
    drawn = draw_curves(frame, arms_of(frame), ArmStyles(blocks), False).decode()
    assert len(re.findall(r'id="axes_\d+"', drawn)) == 6


def test_foreign_text_in_a_figure_is_no_mathematics():
    broken = "$\\frac{$"  # which mathematics could not read
    block = {
        "models": [broken, "m"],
        "augmentations": [{"label": "none", "pipeline": ""}, {"label": broken, "pipeline": "flip"}],
    }
    frame = curves([broken, "m"], ["none", broken])
    drawn = draw_curves(frame, arms_of(frame), ArmStyles([block]), False).decode()
    assert drawn.count(f"<!-- {broken} -->") == 2  # a row's title and an entry of the legend


def test_curves_without_any_finite_value_are_drawn_empty():
    frame = curves(["m"], ["none"], loss=float("inf")).assign(val_accuracy=np.nan)
    block = {"models": ["m"], "augmentations": [{"label": "none", "pipeline": ""}]}
    drawn = draw_curves(frame, arms_of(frame), ArmStyles([block]), True).decode()
    assert "loss:m:none" not in drawn
    assert "test split" in drawn


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
