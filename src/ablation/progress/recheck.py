"""Repetition of a finished run and comparison of its files."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from ablation.errors import InputError
from ablation.progress.states import run_states
from ablation.progress.terminal import duration
from ablation.storage import clear_folder, exclusive_lock, remove_empty
from ablation.study.grid import Run
from ablation.study.plan import Plan
from ablation.training.checkpoint import LOCK
from ablation.training.records import OUTPUTS, check_files, read_record

COMPARED = ("history.csv", "predictions.npz")
MACHINE = ("processor", "packages", "python", "variables", "gpus")


def recheck(plan: Plan, wanted: str | None) -> bool:
    """Train a finished run again in ``results/recheck`` and compare its files byte by byte.

    The new files stay if they differ.

    Args:
        plan: the study.
        wanted: id of the run; None for the fastest one.

    Returns:
        Whether all files are equal.

    Raises:
        InputError: no such run is finished with the current code, its files have changed, or it
            could not be trained.
    """
    run, record = _choose(plan, wanted)
    check_files(Path(run.folder), record)
    aside = Path(plan.results, "recheck", run.id)
    print(
        f"repeating {run.model} on {run.dataset}, {run.augmentation}, seed {run.seed} ({run.id}), "
        f"which took {duration(record['seconds'])}",
        flush=True,
    )
    waiting = f"waiting for another process that repeats this run ({aside / LOCK})"
    with exclusive_lock(aside / LOCK, waiting):
        clear_folder(aside, keep=LOCK)
        train_again(run, aside, Path(run.data.folder))
        same = _compare(run, record, aside)
        if same:
            clear_folder(aside)
    if same:
        remove_empty(aside, aside.parent)
    return same


def _compare(run: Run, record: dict[str, Any], aside: Path) -> bool:
    """Compare the new files with those of a run, and print the differences."""
    same = True
    for name in COMPARED:
        content = (aside / name).read_bytes()
        if content == (Path(run.folder) / name).read_bytes():
            print(f"{name}: the same {len(content):,} bytes")
        else:
            same = False
            print(f"{name}: differs from {run.folder}/{name}")
    if same:
        print(f"{run.folder}: repeated, the same")
        return True
    changed = machine_changes(record, read_record(aside)["environment"])
    print("\n".join(changed or ["processor, versions and variables have not changed"]))
    print(f"{run.folder}: repeated, NOT the same; see {aside}")
    return False


def machine_changes(record: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return a line for each fact about the machine that was another when a run was trained.

    Args:
        record: of the run.
        now: the present environment, as in a record.
    """
    before = [attempt["environment"] for attempt in record["attempts"]]
    changed = [name for name in MACHINE if any(then[name] != now[name] for then in before)]
    values = {name: "; ".join(dict.fromkeys(str(one[name]) for one in before)) for name in changed}
    return [f"{name}: {then} then, {now[name]} now" for name, then in values.items()]


def _choose(plan: Plan, wanted: str | None) -> tuple[Run, dict[str, Any]]:
    """Return the run to repeat and its record."""
    states = run_states(plan.runs.values())
    done = {
        run.id: (run, read_record(Path(run.folder), run.id))
        for run in plan.runs.values()
        if states[run.folder].status == "done"
    }
    if wanted is None:
        if not done:
            raise InputError(
                f"study '{plan.name}': no run is finished with the current code, so there is "
                "nothing to repeat"
            )
        return min(done.values(), key=lambda one: float(one[1]["seconds"]))
    if wanted not in done:
        ids = ", ".join(sorted(done)) or "none"
        raise InputError(f"study '{plan.name}': no finished run '{wanted}'; finished runs: {ids}")
    return done[wanted]


def train_again(run: Run, folder: Path, data: Path) -> None:
    """Train a run in another folder.

    Args:
        run: the run.
        folder: folder for its files.
        data: folder of its prepared data.

    Raises:
        InputError: training failed.
    """
    command = [
        *(sys.executable, "-m", "ablation", "train", "--settings", run.settings.json_text),
        *("--data", str(data / "description.json")),
        *(["--weights", run.weights_file] if run.weights_file else []),
        *("--checkpoints", str(folder / "checkpoints"), "--"),
        *(str(folder / name) for name in OUTPUTS),
    ]
    done = subprocess.run(command, check=False, stdout=sys.stderr)  # goes to the log
    if done.returncode:
        raise InputError(f"{run.folder}: could not be repeated (exit code {done.returncode})")
