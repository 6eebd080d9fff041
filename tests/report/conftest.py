"""Studies that several tests look at, made and rendered once."""

import json
from functools import partial

import pytest
from jinja2 import FileSystemBytecodeCache

from ablation.report import render

from .made import CROSSED, SPREAD, accuracy_of, arms, made


@pytest.fixture(scope="session", autouse=True)
def compiled_templates(tmp_path_factory):
    """Compile each template once, and not for every report."""
    cache = FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))
    with pytest.MonkeyPatch.context() as patched:
        compiling = partial(render.Environment, bytecode_cache=cache)
        patched.setattr(render, "Environment", compiling)
        yield


@pytest.fixture
def undrawn(monkeypatch):
    """Make the figures of reports, but do not draw them into files."""
    empty = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>'
    monkeypatch.setattr(render, "save", lambda figure, kind: empty)


@pytest.fixture(scope="session")
def crossed(tmp_path_factory):
    """Residual and plain networks of two depths, and augmentations of one network."""
    return made(tmp_path_factory.mktemp("crossed"), CROSSED, accuracy_of, name="sample")


@pytest.fixture(scope="session")
def rendered(crossed):
    """Its report."""
    return crossed.render()


@pytest.fixture(scope="session")
def reports(rendered):
    """The folder of its report."""
    return rendered.folder


@pytest.fixture(scope="session")
def spoilt(tmp_path_factory):
    """A study that shall have more seeds, in which much went wrong, validated on the test split."""
    study = arms(
        "none", "crop", "mix", "chance", models=["resnet8", "plain8"], validation="test",
        seeds=[0, 1, 2, 3],
    )  # fmt: skip

    def options(cell, seed):
        falling = {"loss": [2.0, 1.0, 1.5, 1.0], "val_loss": [2.0, 1.5, 1.0, 0.8]}
        return {"history": falling, "train_accuracy": 0.99} if cell[2] == "crop" else {}

    return made(
        tmp_path_factory.mktemp("spoilt"), study,
        lambda cell, seed: 0.15 if cell[2] == "chance" else 0.9 - 0.03 * seed,
        diverged=lambda cell, seed: cell[1:] == ("plain8", "mix") and seed < 2,
        missing=lambda cell, seed: cell[2] == "mix" and seed == 3,
        options=options, partial=True, name="spoilt",
    )  # fmt: skip


@pytest.fixture(scope="session")
def growing(tmp_path_factory):
    """Two data sets and two seeds, and a comparison by a loss and at an epoch."""
    other = {"name": "other", "source": "mnist5k", "train_share": 0.5}
    pair = {"arm": {"augmentation": "crop"}, "reference": {"augmentation": "none"}}
    study = arms(
        "none", "crop", "mix", datasets=["mnist5k", other], seeds=[0, 1],
        comparisons=[
            {"kind": "arm", **pair, "measure": "nll", "margin": 0.02},
            {"kind": "budget", "arm": pair["arm"], "reference": pair["reference"], "epoch": 2},
        ],
    )  # fmt: skip
    accuracy = {"none": 0.9, "crop": 0.93, "mix": 0.88}
    return made(
        tmp_path_factory.mktemp("growing"), study,
        lambda cell, seed: accuracy[cell[2]] + SPREAD[seed], name="growing",
    )  # fmt: skip


@pytest.fixture
def changed(tmp_path):
    """A function that returns a study of arms whose runs are as given by augmentation."""

    def changed(study, usual=None, **options):
        """Options of `factory.write_run` by augmentation; ``accuracy`` is the mean over seeds."""
        sound = {"accuracy": 0.95, "confidence": 0.95, "train_accuracy": 0.97} | (usual or {})
        count = len(list(tmp_path.iterdir()))

        def of_run(cell, seed):
            own = {**sound, **options.get(cell[2], options.get(cell[1], {}))}
            own["accuracy"] += own.pop("spread", SPREAD)[seed]
            return own

        if isinstance(study, dict):
            study = json.dumps(study)
        return made(tmp_path / str(count), study, lambda cell, seed: 0, options=of_run)

    return changed
