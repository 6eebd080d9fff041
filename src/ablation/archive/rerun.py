"""Repetition of a run of an archive."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ablation.analysis.runs import read_predictions
from ablation.data.prepared import IMAGES, read_description
from ablation.errors import InputError
from ablation.progress.recheck import COMPARED, machine_changes, train_again
from ablation.study.grid import Run
from ablation.study.plan import Plan
from ablation.training.code import changes, run_code
from ablation.training.records import read_record


def rerun(plan: Plan, tree: Path, wanted: str, folder: Path) -> list[str]:
    """Train a run again and compare it with that of the archive; print how far they agree.

    The prepared data is that of the working directory. If it is missing, it is prepared in
    ``folder``.

    Args:
        plan: the study.
        tree: the files of the archive.
        wanted: id of the run.
        folder: a new folder for the files of the run.

    Returns:
        A line if the data is another, or if a file differs though code, machine and versions are
        the same.

    Raises:
        InputError: there is no such run, TensorFlow is not installed, or the run cannot be trained.
    """
    by_id = {run.id: run for run in plan.runs.values()}
    if wanted not in by_id:
        raise InputError(f"--rerun: the archive has no run '{wanted}'; runs: {', '.join(by_id)}")
    if find_spec("tensorflow") is None:
        raise InputError("--rerun needs TensorFlow: install ablation[train]")
    run = by_id[wanted]
    archived = tree / run.folder
    record = read_record(archived, wanted)
    print(f"training {run.model} on {run.dataset}, {run.augmentation}, seed {run.seed}", flush=True)
    data = _prepared(run, folder / "data")
    if read_description(data)["hash"] != record["data"]["hash"]:
        return [f"{run.folder}: was trained on other images than {run.data.folder} holds here"]
    train_again(run, folder, data)
    different = [
        name for name in COMPARED if (folder / name).read_bytes() != (archived / name).read_bytes()
    ]
    for name in COMPARED:
        print(f"{name}: {'differs' if name in different else 'the same bytes'}")
    if not different:
        return []
    print(_difference(plan, run, tree, folder))
    reasons = machine_changes(record, read_record(folder)["environment"])
    if code := changes(record["code"], run_code(run.settings)):
        reasons.append(code)
    for reason in reasons:
        print(reason)
    names = " and ".join(different)
    return [] if reasons else [f"{run.folder}: {names} differ on a like machine"]


def _prepared(run: Run, folder: Path) -> Path:
    """Return the folder of the prepared data of a run."""
    here = Path(run.data.folder)
    if (here / IMAGES).is_file():
        return here
    settings = run.data.settings.model_dump_json()
    command = [*(sys.executable, "-m", "ablation", "prepare", "--settings", settings)]
    done = subprocess.run([*command, "--folder", str(folder)], check=False, stdout=sys.stderr)
    if done.returncode:
        raise InputError(f"{run.data.folder}: could not be prepared (exit code {done.returncode})")
    return folder


def _difference(plan: Plan, run: Run, tree: Path, folder: Path) -> str:
    """Return a sentence on the difference of the accuracies and the spread over the seeds."""
    seeds = [_accuracy(tree / one.folder) for one in plan.runs.values() if _same_arm(one, run)]
    then, now = _accuracy(tree / run.folder), _accuracy(folder)
    spread = f"{100 * np.std(seeds, ddof=1):.2f}" if seeds[1:] else "unknown"
    return (
        f"test accuracy {100 * now:.2f} %, in the archive {100 * then:.2f} %: "
        f"{100 * (now - then):+.2f} points; standard deviation over {len(seeds)} seeds: {spread}"
    )


def _same_arm(one: Run, other: Run) -> bool:
    settings = [run.settings.model_copy(update={"seed": 0}) for run in (one, other)]
    return one.cell == other.cell and settings[0] == settings[1]


def _accuracy(folder: Path) -> float:
    label, probability, *_ = read_predictions(folder)
    return float((probability.argmax(axis=1) == label).mean())
