"""The page on adding a model, followed: its family trains, and reference and schema have it."""

import json
import os
import sys
from pathlib import Path

import jsonschema
import pytest

from ablation.study.loading import read_yaml

from ..conftest import needs_bfloat16

pytestmark = pytest.mark.workflow

NETWORK = """\
import numpy as np
from ablation.models.build import build
from ablation.models.families import FAMILIES, resolve_network

settings = resolve_network("convmixer", {"width": 64, "depth": 2})
one, again, other = (build(settings, (8, 8, 3), 5, seed=seed) for seed in (1, 1, 2))
mixed = build(settings, (8, 8, 3), 5, seed=1, dtype="mixed_bfloat16")
size = FAMILIES["convmixer"].size(settings, (8, 8, 3), 5)
assert (size.weights, size.largest) == (one.count_params(), 4 * 4 * 64)
seen = []
for layer in one.layers:
    for kernel in layer.weights[: hasattr(layer, "kernel")]:
        assert np.array_equal(kernel, again.get_layer(layer.name).weights[0]), layer.name
        assert np.array_equal(kernel, mixed.get_layer(layer.name).weights[0]), layer.name
        assert not np.array_equal(kernel, other.get_layer(layer.name).weights[0]), layer.name
        assert not any(np.array_equal(kernel, before) for before in seen), layer.name
        seen.append(np.asarray(kernel))
assert len(seen) == 6
assert abs(np.var(one.get_layer("stage1_block1_depthwise").kernel) * 81 / 2 - 1) < 0.1
body = [layer.compute_dtype for layer in mixed.layers if layer.name.startswith(("stem", "stage"))]
assert set(body) == {"bfloat16"} and len(body) == 17
images = np.random.default_rng(0).uniform(size=(4, 8, 8, 3)).astype("float32")
assert np.allclose(one(images), mixed(images), atol=0.02)
print("the network is as it should be")
"""


def parameters(width, depth, kernel, patch, channels, classes):
    """All of a ConvMixer's parameters and the trainable ones, by the formula of the page."""
    stem = patch**2 * channels * width + width
    block = kernel**2 * width + width + width**2 + width
    head = width * classes + classes
    norms = 2 * depth + 1
    bare = stem + depth * block + head
    return bare + norms * 4 * width, bare + norms * 2 * width


@pytest.mark.long
@needs_bfloat16
def test_the_network_of_the_page_trains_and_is_counted_right(example, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    example.follow("adding-a-model.md")

    (folder,) = (example.folder / "results/runs/digits/mixer/none").iterdir()
    run = json.loads((folder / "run.json").read_text())
    assert run["status"] == "completed"
    assert (run["parameters"], run["trainable_parameters"]) == parameters(8, 2, 3, 4, 1, 10)
    assert run["settings"]["model"] == {
        "family": "convmixer", "weights": None,
        "width": 8, "depth": 2, "kernel_size": 3, "patch_size": 4,
    }  # fmt: skip
    large = parameters(1536, 20, 9, 7, 3, 1000)[1]
    assert 51.55e6 < large < 51.65e6  # Table 1 of the paper: 51.6 million
    pixels = 32**2
    work = pixels * (1536 * 147 + 20 * (81 * 1536 + 1536**2)) + 1536 * 1000
    page = (Path(__file__).parent.parent.parent / "docs/adding-a-model.md").read_text()
    for number in (f"{large:,}", f"{work:,}"):
        assert number in example.output and number in page

    reference = (example.folder / "config/README.md").read_text()
    assert "### Family `convmixer`" in reference
    assert "| `patch_size` | whole number ≥ 1 and ≤ 64 | `2` | Side of a patch" in reference
    schema = json.loads((example.folder / "workflow/schemas/study.schema.json").read_text())
    study = read_yaml(example.folder / "config/studies/mixers.yaml").data
    jsonschema.validate(study, schema)
    study["experiments"]["mixers"]["models"][1]["patchsize"] = 4
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(study, schema)

    (example.folder / "network.py").write_text(NETWORK)
    assert "the network is as it should be" in example.run("python network.py")
