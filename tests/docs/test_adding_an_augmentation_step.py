"""The page on adding an augmentation step, followed; and what it says of Keras' RandAugment."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

PROBE = """\
import json
import numpy as np
from ablation.augmentation.pipeline import Augmentation
from ablation.augmentation.parsing import parse_pipeline
from ablation.augmentation.pipelines import format_pipeline
from ablation.errors import InputError

rng = np.random.default_rng(0)
images, targets = rng.random((400, 3, 4, 3), np.float32), np.eye(400, dtype=np.float32)


def run(text):
    augmentation = Augmentation(parse_pipeline(text))
    draws = augmentation.draws(1, 1, 400)
    result, same = augmentation(images, targets, draws)
    assert (same.numpy() == targets).all()
    return result.numpy(), draws


inverted = np.where(images >= np.float32(0.7), 1 - images, images)
always, draws = run("solarize(0.7)")
assert draws.shape == (400, 0)
assert np.array_equal(always, inverted)
sometimes, draws = run("solarize(0.7, probability=0.3)")
chosen = draws[:, 0] < np.float32(0.3)
assert 90 < chosen.sum() < 150
assert np.array_equal(sometimes[chosen], inverted[chosen])
assert np.array_equal(sometimes[~chosen], images[~chosen])
assert np.array_equal(run("solarize(1)")[0], images)
assert format_pipeline(parse_pipeline("solarize(probability=1, threshold=0.5)")) == "solarize"
assert parse_pipeline("solarize(probability=0)")[0].changes_nothing
for text in ("solarize(1.5)", "solarise"):
    try:
        parse_pipeline(text)
    except InputError as error:
        print(error)
"""


@pytest.mark.long
@pytest.mark.workflow
def test_the_step_of_the_page_does_what_it_says_and_trains(example, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    example.follow("adding-an-augmentation-step.md")

    assert "solarized: 0.0 0.25 0.5 0.25 0.0" in example.output
    (folder,) = (example.folder / "results/runs/digits/small/solarized").iterdir()
    run = json.loads((folder / "run.json").read_text())
    assert run["status"] == "completed"
    assert run["settings"]["augmentation"][0] == {
        "step": "solarize",
        "parameters": {"threshold": 0.5, "probability": 0.4},
    }
    assert not (example.folder / "reports").exists()  # one training and no more
    reference = (example.folder / "config/README.md").read_text()
    assert "### `solarize`" in reference
    assert (
        "| `threshold` | a number from 0 to 1 | `0.5` | Smallest value that is inverted"
        in reference
    )

    (example.folder / "probe.py").write_text(PROBE)
    said = example.run("python probe.py")
    assert "solarize(1.5): threshold must be a number from 0 to 1, not 1.5" in said
    assert "unknown step 'solarise'; did you mean 'solarize'?" in said


@pytest.mark.slow
def test_keras_randaugment_is_not_the_one_of_its_paper():
    import keras

    layer = keras.layers.RandAugment(value_range=(0, 1), num_ops=1, factor=0.5, seed=0)
    assert len(layer._AUGMENT_LAYERS) == 11
    assert not any("identity" in name for name in layer._AUGMENT_LAYERS)
    # Operations without chance show whether one was drawn for all images or for each.
    image = np.linspace(0.2, 0.6, 12 * 12 * 3, dtype=np.float32).reshape(12, 12, 3)
    batch = np.tile(image, (32, 1, 1, 1))
    contrast = np.asarray(keras.layers.AutoContrast(value_range=(0, 1))(image))
    assert np.abs(contrast - image).max() > 0.1
    hit = [
        np.isclose(np.asarray(layer(batch, training=True)), contrast, atol=1e-3).all(axis=(1, 2, 3))
        for _ in range(60)
    ]
    counts = {int(images.sum()) for images in hit}
    assert counts == {0, 32}  # all or none; each with its own draw would be about 3 of 32
    # Its strength is another for each image, up to the factor.
    strength = layer.random_brightness.get_random_transformation(batch)["rgb_delta"]
    drawn = np.unique(np.asarray(strength))
    assert len(drawn) > 20
    assert 0 <= drawn.min() < 0.2
    assert drawn.max() <= 0.5
    # A state: the same batch is augmented otherwise the next time.
    first, second = (np.asarray(layer.random_rotation(batch, training=True)) for _ in range(2))
    assert not np.allclose(first, second)
