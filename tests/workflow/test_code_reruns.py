"""Which edits of the code make which jobs run again."""

import pytest

pytestmark = pytest.mark.workflow

AFTERWARDS = {"analyse": 1, "report": 1}
PACKAGE = "src/ablation"
NEW_STEP = '''\
"""Do nothing."""

from ablation.augmentation.registry import step


@step()
def nothing(images, targets, draws):
    """Do nothing."""
    return images, targets
'''
NEW_FAMILY = '''\
"""Linear classifiers."""

from typing import Literal

from ablation.lazy import keras
from ablation.models.families.base import Family, NetworkSettings, Size


class LinearSettings(NetworkSettings):
    """Nothing can be set."""

    family: Literal["linear"] = "linear"


def build(settings, image, classes, parts):
    """Return a linear classifier."""
    return keras.Model(image, parts.head(image, classes))


def size(settings, shape, classes):
    """Return the size."""
    return Size((shape[2] + 1) * classes, classes, classes)


FAMILY = Family({"linear": {}}, "Linear classifiers.", LinearSettings, build, size)
'''


def append(project, name, text):
    file = project.folder / PACKAGE / name
    file.write_text(file.read_text() + text)


def change(name):
    """Return an edit that adds a statement to a module."""
    return lambda project: append(project, name, "\nADDED = 1\n")


def comments_and_docstrings(project):
    for file in sorted((project.folder / PACKAGE).rglob("*.py")):
        text = file.read_text().replace('"""', '"""Edited: ', 1)
        file.write_text(f"# A comment.\n{text}# Another one.\n")


def template(project):
    append(project, "report/templates/report.md.j2", "{# edited #}\n")


def new_modules(project):
    (project.folder / PACKAGE / "augmentation/steps/nothing.py").write_text(NEW_STEP)
    (project.folder / PACKAGE / "models/families/linear.py").write_text(NEW_FAMILY)


def what_no_run_uses(project):
    change("augmentation/steps/flip.py")(project)
    change("progress/overview.py")(project)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (comments_and_docstrings, {}),
        (new_modules, {}),
        (what_no_run_uses, {}),
        # Imported by cutmix.
        (change("augmentation/geometry.py"), {"gallery": 1, "train": 1, **AFTERWARDS}),
        (change("models/families/resnet.py"), {"describe_models": 1, "train": 2, **AFTERWARDS}),
        (change("training/run.py"), {"train": 2, **AFTERWARDS}),
        (change("analysis/verdicts.py"), AFTERWARDS),
        (change("report/text.py"), {"report": 1}),
        (template, {"report": 1}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_edit_of_the_code_runs_what_uses_it(project, edit, expected):
    edit(project)
    assert project.plan() == expected


def test_an_edited_step_trains_its_runs_and_the_plan_gives_the_reason(project):
    change("augmentation/steps/cutmix.py")(project)
    assert project.plan() == {"gallery": 1, "train": 1, **AFTERWARDS}
    assert "1 run: the code of cutmix has changed" in project.snakemake("plan").output
    done = project.snakemake("--until", "train")
    assert done.output.count("Train digits/small/cutmix/") == 1
    assert "Train digits/small/none/" not in done.output
    assert "has changed" not in project.snakemake("plan").output
