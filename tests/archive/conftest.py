"""A finished study of made-up runs, and its archive."""

import json
import shutil
from contextlib import chdir, contextmanager

import pytest

from ablation.archive import write
from ablation.archive.files import METADATA, SUMS, pack, sums
from ablation.archive.write import write_archive
from ablation.report import render as rendering
from ablation.storage import file_sha256
from ablation.study.plan_file import write_plan

from ..report.conftest import compiled_templates  # noqa: F401 - saves half of the time
from ..report.made import SPREAD, arms, made

STUDY = arms(
    "none", "crop", comparisons=[{"kind": "arm", "arm": {"augmentation": "crop"},
    "reference": {"augmentation": "none"}, "claim": "better", "says": "better"}],
    claims={"better": {"text": "Crops help.", "source": "A paper"}},
)  # fmt: skip
GRAPH = "digraph { 1 -> 0 }\n"
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt"></svg>'


def finished(folder, options=lambda cell, seed: {}):
    """Write a finished study with its report, logs and workflow into a folder; return its plan."""
    accuracy = {"none": 0.90, "crop": 0.95}
    study = made(
        folder, STUDY, lambda cell, seed: accuracy[cell[2]] + SPREAD[seed], name="sample",
        options=options,
    )  # fmt: skip
    write_plan(study.plan, study.results / "plan.json")
    study.render()
    for run in study.plan.runs.values():
        log = folder / run.log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("completed\n")
    for name in ("workflow/Snakefile", "envs/cpu.lock", "LICENSE"):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{name}\n")
    return study.plan


@contextmanager
def without_drawing():
    """Do not draw figures, which takes the time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rendering, "save", lambda figure, kind: PICTURE)
        patched.setattr(write, "rule_graph", lambda study: GRAPH)
        yield


@pytest.fixture
def undrawn():
    """Reports whose figures are not drawn."""
    with without_drawing():
        yield


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """The folder of the study, and its plan."""
    folder = tmp_path_factory.mktemp("archive") / "project"
    with without_drawing():
        return folder, finished(folder)


@pytest.fixture(scope="session")
def archive(project):
    """The archive of the study."""
    folder, plan = project
    with without_drawing(), chdir(folder):
        return folder / write_archive(plan)


@pytest.fixture
def tree(archive, tmp_path):
    """The unpacked files of the archive."""
    folder = tmp_path / "tree"
    shutil.unpack_archive(archive, folder)
    return folder


@pytest.fixture
def copy(project, tmp_path, monkeypatch):
    """A copy of the study, entered; its plan."""
    folder, plan = project
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return plan


def packed(tree):
    """Pack the files of an archive."""
    file = tree.parent / "changed.zip"
    pack(tree, file)
    return file


def forged(tree):
    """Pack changed files of an archive with the hashes that belong to them."""
    text = (tree / METADATA).read_text()
    metadata = json.loads(text)
    for entity in metadata["@graph"]:
        if "sha256" in entity:
            entity["sha256"] = file_sha256(tree / entity["@id"])
    (tree / METADATA).write_text(json.dumps(metadata))
    (tree / SUMS).write_text(sums(tree))
    return packed(tree)
