"""A study that is killed, and the table of what came of it."""

import pytest

from ..workflow.conftest import make_project

# Everything that a resumed run could lose: a schedule, early stopping, random augmentation.
STUDY = """\
title: Does a killed study end with the same bytes?
experiments:
  tiny:
    question: Does it?
    datasets: [{name: digits, source: mnist5k, limit: 150}]
    models: [{name: small, architecture: resnet8, width: 4}]
    augmentations: {mixed: crop(2) | cutmix}
    seeds: [0]
    training:
      epochs: 7
      batch_size: 16
      learning_rate: 0.05
      momentum: 0.9
      schedule: cosine
      early_stopping: {monitor: val_loss, patience: 4, min_delta: 0.5, restore_best: true}
"""
TRAIN = ("--until", "train", "--cores", "4", "--resources", "gpu=1")

TABLE = pytest.StashKey[list]()
COLUMNS = ("instant", "signal", "to", "logged", "resumed", "repeated", "bytes")


@pytest.fixture(scope="session")
def table(request):
    """A row for each kill; printed at the end."""
    return request.config.stash.setdefault(TABLE, [])


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(TABLE, [])
    if rows:
        cells = [COLUMNS, *([str(row[column]) for column in COLUMNS] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        terminalreporter.section("kills")
        for row in cells:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            terminalreporter.write_line(line.rstrip())


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """The study with its data prepared and nothing trained; do not change it."""
    project = make_project(tmp_path_factory.mktemp("kill") / "prepared")
    project.study.write_text(STUDY)
    project.snakemake("data", *TRAIN[2:])
    return project


@pytest.fixture(scope="session")
def undisturbed(prepared, tmp_path_factory):
    """The study, trained in one go; do not change it."""
    project = prepared.copy(tmp_path_factory.mktemp("kill") / "undisturbed")
    project.snakemake(*TRAIN)
    return project
