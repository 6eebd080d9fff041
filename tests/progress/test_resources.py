"""Memory and time that jobs request."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ablation.models.families import resolve_network
from ablation.progress import resources
from ablation.progress.resources import (
    analysis_memory,
    gallery_memory,
    models_memory,
    preparation_memory,
    training_memory,
)
from ablation.study.grid import Run, prepared_data
from ablation.study.schema import Dataset
from ablation.training.settings import RunSettings, Training


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    resources._prepared.cache_clear()


def run(network="resnet20", options=None, batch_size=32, precision="float32", **dataset):
    data = prepared_data(Dataset(**{"name": "cifar10", "image_size": 32, **dataset}))
    settings = RunSettings(
        dataset=data.settings,
        model=resolve_network(network, options or {}),
        augmentation=(),
        training=Training(epochs=1, batch_size=batch_size, precision=precision),
        validation="held-out",
        seed=0,
        threads=2,
    )
    return Run("cifar10", network, "none", settings, data)


def describe(one, number, classes=10):
    """Write the description of the data of a run: images of 40×40 pixels, a tenth for the test."""
    folder = Path(one.data.folder)
    folder.mkdir(parents=True)
    description = {
        "shape": [number, 40, 40, 3],
        "settings": {"image_size": [32, 32]},
        "class_names": ["x"] * classes,
        "counts": {"train": [number * 9 // 10], "validation": [0], "test": [number // 10]},
    }
    (folder / "description.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    "more",
    [
        {"batch_size": 33},
        {"image_size": 40},
        {"stored_size": 33},
        {"network": "resnet32"},
        {"options": {"width": 17}},
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_needs_more_memory_for_more_values(more, precision):
    less = training_memory(run(precision=precision), "cpu")
    assert training_memory(run(precision=precision, **more), "cpu") > less


def test_half_the_bytes_of_activations_need_less_memory_but_not_half():
    whole = training_memory(run(batch_size=512), "cpu")
    half = training_memory(run(batch_size=512, precision="bfloat16"), "cpu")
    assert whole / 2 < half < whole


def test_on_a_gpu_activations_are_not_in_the_memory_of_the_host():
    small, large = (
        training_memory(run(name, batch_size=64), "gpu") for name in ("resnet8", "resnet56")
    )
    weights = 8 * 4e-6 * (855_770 - 78_042)
    assert large - small == pytest.approx(weights, rel=0.02)


def test_the_prepared_data_decides_once_it_exists():
    one = run()
    before = training_memory(one, "cpu")
    describe(one, 1_000_000)
    mapped, predictions = 1_000_000 * 40 * 40 * 3, 2 * 4 * 1_000_000 * 10
    expected = 60_000 * 32 * 32 * 3 + 2 * 4 * 60_000 * 100
    after = training_memory(one, "cpu")
    assert after - before == pytest.approx((mapped + predictions - expected) / 1e6, rel=0.01)


@pytest.mark.parametrize("content", ["", "[]", '{"shape": null}', '{"shape": [1, 2, 3, 3]}'])
def test_a_damaged_description_is_one_that_is_missing(content):
    one = run()
    before = training_memory(one, "cpu")
    describe(one, 100)
    (Path(one.data.folder) / "description.json").write_text(content)
    assert training_memory(one, "cpu") == before


def test_other_jobs_need_memory_for_what_they_hold():
    small, large = run("resnet8"), run("resnet152", source="food101", image_size=224)
    for needed in (preparation_memory, lambda data: gallery_memory([data])):
        assert needed(large.data) > needed(small.data)
    assert models_memory([small, large]) == models_memory([large]) > models_memory([small])
    describe(small, 60_000)
    many = analysis_memory([small] * 1000)
    assert many == pytest.approx(480 + 1000 * (0.2 + 6 * 4e-6 * 6_000 * 10))


def test_needs_no_tensorflow():
    code = "import sys, ablation.progress.resources; print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"
