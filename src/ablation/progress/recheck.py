"""Rechecking: a finished run once more, and its bytes compared."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablation.analysis.records import OUTPUTS, check_files, read_record
from ablation.analysis.states import run_states
from ablation.errors import InputError
from ablation.progress.tables import duration
from ablation.study.grid import Run
from ablation.study.plan import Plan

COMPARED = ("history.csv", "predictions.npz")
MACHINE = ("processor", "packages", "python", "variables", "gpus")


def recheck(plan: Plan, code: str, wanted: str | None, machine: Mapping[str, Any]) -> bool:
    """Train a finished run once more, aside, and compare its files byte by byte.

    What was made aside stays if it is not the same.

    Args:
        plan: the study.
        code: fingerprint of the code that decides results.
        wanted: the run's id; None for the one that took least time.
        machine: what to use of it (`ablation.training.job.Machine`).

    Returns:
        Whether all files are the same.

    Raises:
        InputError: there is no such run, it has not been finished by this code, its files have
            changed since, or it could not be trained.
    """
    run, record = _choose(plan, code, wanted)
    check_files(Path(run.folder), record)
    aside = Path("results/recheck") / run.id
    print(
        f"repeating {run.model} on {run.dataset}, {run.augmentation}, seed {run.seed} ({run.id}), "
        f"which took {duration(record['seconds'])}",
        flush=True,
    )
    shutil.rmtree(aside, ignore_errors=True)
    _train(run, code, aside, machine)
    same = True
    for name in COMPARED:
        before, now = (Path(run.folder) / name).read_bytes(), (aside / name).read_bytes()
        if before == now:
            print(f"{name}: the same {len(now):,} bytes")
        else:
            same = False
            print(f"{name}: differs from {run.folder}/{name}")
    if same:
        shutil.rmtree(aside)
        if not any(aside.parent.iterdir()):
            aside.parent.rmdir()
        print(f"{run.folder}: repeated, the same")
        return True
    then = record["environment"]
    now = read_record(aside)["environment"]
    changed = [key for key in MACHINE if then.get(key) != now.get(key)]
    for key in changed:
        print(f"{key}: {then.get(key)} then, {now.get(key)} now")
    if not changed:
        print("processor, versions and variables are those of then")
    print(f"{run.folder}: repeated, NOT the same; see {aside}")
    return False


def _choose(plan: Plan, code: str, wanted: str | None) -> tuple[Run, dict[str, Any]]:
    """The run to repeat, and its record."""
    states = run_states(plan.runs.values(), code=code)
    done = {
        run.id: (run, read_record(Path(run.folder), run.id))
        for run in plan.runs.values()
        if states[run.folder].status == "done"
    }
    if wanted is None:
        if not done:
            raise InputError(
                f"study '{plan.name}': no run has been finished by this code yet, so that there is "
                "nothing to repeat"
            )
        return min(done.values(), key=lambda one: float(one[1]["seconds"]))
    if wanted not in done:
        ids = ", ".join(sorted(done)) or "none"
        raise InputError(
            f"study '{plan.name}': there is no finished run '{wanted}'; finished are {ids}"
        )
    return done[wanted]


def _train(run: Run, code: str, folder: Path, machine: Mapping[str, Any]) -> None:
    command = [
        *(sys.executable, "-m", "ablation", "train", "--settings", run.settings_json),
        *("--data", f"{run.data.folder}/description.json", "--code", code),
        *(["--weights", run.weights_file] if run.weights_file else []),
        *("--machine", json.dumps(dict(machine)), "--"),
        *(str(folder / name) for name in OUTPUTS),
    ]
    done = subprocess.run(command, check=False, stdout=sys.stderr)  # the log's, as all it says
    if done.returncode:
        raise InputError(f"{run.folder}: could not be repeated (exit code {done.returncode})")
