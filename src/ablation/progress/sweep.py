"""Sweeping: what finished runs have left where their checkpoints were."""

from collections.abc import Iterable
from pathlib import Path

from ablation.analysis.records import OUTPUTS
from ablation.analysis.states import look
from ablation.storage import clear_folder, remove_empty, try_lock
from ablation.study.checkpoints import FINISHED, LOCK
from ablation.study.grid import Run


def sweep(runs: Iterable[Run]) -> None:
    """Remove the folders of checkpoints of runs that are finished for Snakemake as well.

    A run's files lie there, whole, until Snakemake has taken note of them: killed before that, it
    removes them from their place and asks for them again.

    Args:
        runs: whose folders to look at.
    """
    folders = {run.folder: Path(run.checkpoints) for run in runs}
    left = {run: folder for run, folder in folders.items() if (folder / FINISHED).is_dir()}
    marked = look().marked if left else {}
    for run, folder in left.items():
        files = [f"{run}/{name}" for name in OUTPUTS]
        if all(Path(file).is_file() and file not in marked for file in files):
            _remove(folder)


def _remove(folder: Path) -> None:
    lock = folder / LOCK
    with lock.open("a") as opened:
        if not try_lock(opened):
            return  # a process of another Snakemake is at it
        clear_folder(folder)
    remove_empty(folder, folder.parents[3])
