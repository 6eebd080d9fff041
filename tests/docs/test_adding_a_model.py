"""The page on adding a model, followed: the family it adds trains and is known everywhere."""

import json
import os
import shlex
import sys
from pathlib import Path

import jsonschema
import pytest

from ablation.study.loading import read_yaml

from ..conftest import needs_bfloat16

pytestmark = pytest.mark.workflow

PROBE = """\
import json
import sys
from pathlib import Path
from ablation.errors import InputError
from ablation.study.plan import load_config, load_plan

study = Path("config/studies/mixers.yaml")
text = study.read_text()
for old, new in json.loads(sys.argv[1]):
    assert old in text
    study.write_text(text.replace(old, new))
    try:
        load_plan(load_config({"study": "mixers"}))
        print("no error")
    except InputError as error:
        print(error)
study.write_text(text)
"""

NETWORK = """\
import numpy as np
from ablation.models.build import build
from ablation.study.architectures import resolve_architecture

settings = resolve_architecture("convmixer", {"width": 64, "depth": 2})
one, again, other = (build(settings, (8, 8, 3), 5, seed=seed) for seed in (1, 1, 2))
mixed = build(settings, (8, 8, 3), 5, seed=1, dtype="mixed_bfloat16")
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
    (example.folder / "probe.py").write_text(PROBE)
    mistakes = {
        ("depth: 2", "dept: 2"): "models[1].dept: unknown option 'dept'; did you mean 'depth'?",
        (
            "depth: 2",
            "depth: 0",
        ): "models[1].depth: Input should be greater than or equal to 1, not 0",
        ("depth: 2", "stem: cifar"): (
            "models[1].stem: 'stem' is an option of resnet networks; convmixer is of the family "
            "convmixer: weights, width, depth, kernel_size, patch_size"
        ),
        ("resnet8, width: 4", "resnet8, patch_size: 4"): (
            "models[0].patch_size: 'patch_size' is an option of convmixer networks; resnet8 is of "
            "the family resnet"
        ),
        ("architecture: convmixer", "architecture: convmixr"): (
            "unknown architecture 'convmixr'; did you mean 'convmixer'?"
        ),
        ("depth: 2", "weights: imagenet"): "no weights 'imagenet' for convmixer networks",
        ("seeds:", "comparisons: [{kind: factor, factors: [depth, shortcut]}]\n    seeds:"): (
            "factor 'shortcut': the model mixer has no shortcut to tell"
        ),
        ("seeds:", "comparisons: [{kind: factor, factors: [depth, model]}]\n    seeds:"): (
            "no cell has depth 2 with model residual"
        ),
    }
    said = example.run(f"python probe.py {shlex.quote(json.dumps(list(mistakes)))}")
    for line, expected in zip(said.splitlines(), mistakes.values(), strict=True):
        assert expected in line
