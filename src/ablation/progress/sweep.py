"""Removing what finished runs have left in their folders of checkpoints."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from ablation.storage import remove_empty
from ablation.study.grid import Run
from ablation.training.checkpoint import FINISHED


def sweep(runs: Iterable[Run]) -> None:
    """Remove the folders of checkpoints of finished runs.

    They hold the runs' files until Snakemake has taken note of them: killed before that, it
    deletes them from their place and asks for them again. So this belongs behind the analysis,
    whose job Snakemake starts when it has taken note of all runs.

    Args:
        runs: runs whose files are in their place.
    """
    for run in runs:
        folder = Path(run.checkpoints)
        if (folder / FINISHED).is_dir():
            shutil.rmtree(folder)
            remove_empty(folder.parent, folder.parents[3])
