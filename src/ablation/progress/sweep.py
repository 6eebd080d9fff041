"""Removal of checkpoint folders of finished runs."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from ablation.storage import remove_empty
from ablation.study.grid import Run
from ablation.training.checkpoint import FINISHED


def sweep(runs: Iterable[Run]) -> None:
    """Remove the folders of checkpoints of finished runs.

    They contain copies of the files of a run, because Snakemake, killed before it records them as
    complete, deletes the originals and repeats the job. Snakemake starts the analysis after it has
    recorded all runs, so this is called after the analysis.

    Args:
        runs: runs whose files are in place.
    """
    for run in runs:
        folder = Path(run.checkpoints)
        if (folder / FINISHED).is_dir():
            shutil.rmtree(folder)
            remove_empty(folder.parent, folder.parents[3])
