"""The state of each run of a study, from its files and the status of its training."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablation.errors import InputError
from ablation.progress.slurm import Job, slurm_jobs
from ablation.study.grid import Run
from ablation.training.checkpoint import CHECKPOINT, FINISHED
from ablation.training.code import changes, code_of, run_code
from ablation.training.records import OUTPUTS, WEIGHTS, OtherFormatError, read_record, remedy
from ablation.training.status import KILLED, Status, read_status

WAITING = "waiting for a device"

State = Literal["done", "running", "failed", "missing"]


@dataclass(frozen=True)
class RunState:
    """The state of a run.

    Attributes:
        status: ``done`` (including diverged runs), ``running``, ``failed`` (the last attempt ended
            with an error, or the files cannot be used) or ``missing`` (not started, interrupted, or
            outdated).
        reason: why it failed, why it is outdated, what it waits for, or that its job is in
            Slurm's queue; otherwise None.
        log: its log; None if there is none.
        epoch: last finished epoch of a running or failed run; otherwise 0.
        epochs: number of epochs to train.
        val_accuracy: after the last epoch of the last attempt, 0 to 1; None before the first.
        epoch_seconds: median time in seconds of the epochs of the last attempt, without the
            first if there are more; None before the first.
        updated: when the status was last written, in seconds since 1970; None without a status, or
            if the run is done.
        resumed: epoch after which the last attempt resumed.
        kept: number of epochs of a failed or missing run that the next attempt does not train
            again; all of them if only the evaluation is left.
    """

    status: State
    reason: str | None
    log: Path | None
    epoch: int
    epochs: int
    val_accuracy: float | None
    epoch_seconds: float | None
    updated: float | None
    resumed: int = 0
    kept: int = 0

    @property
    def waiting(self) -> bool:
        """Whether it waits for a device."""
        return self.status == "running" and self.reason is not None


def run_states(runs: Iterable[Run], *, weights: Iterable[str] = ()) -> dict[str, RunState]:
    """Return the state of each run by its folder.

    Args:
        runs: the runs.
        weights: folders of runs whose weights are kept; they are ``missing`` without the weights.
    """
    runs, kept = list(runs), set(weights)
    jobs = slurm_jobs(runs)
    return {
        run.folder: run_state(
            run,
            weights=run.folder in kept,
            job=jobs.of_runs.get(run.folder),
            groups=jobs.groups,
        )
        for run in runs
    }


def run_state(
    run: Run, *, weights: bool = False, job: Job | None = None, groups: bool = False
) -> RunState:
    """Return the state of one run.

    With all four files and an unchanged, current ``run.json`` the run is done; the analysis checks
    the hashes of the other files. Otherwise the status of the last attempt decides.

    Args:
        run: the run.
        weights: whether the weights of the run are kept.
        job: its last job in Slurm, if any.
        groups: whether Slurm has jobs of several runs, of which this run may be one.
    """
    result, attempt = _result(run, weights), read_status(Path(run.checkpoints))
    if result is not None and result[0] == "done":
        attempt = None
    status, reason = result or ("missing", None)
    if attempt is not None and status == "missing":
        if attempt.state in ("waiting", "running"):
            status, reason = "running", WAITING if attempt.state == "waiting" else None
        elif result is None and attempt.state == "failed":
            status, reason = "failed", attempt.reason
        elif result is None and attempt.state == "interrupted":
            reason = "interrupted"
    if result is None or status == "missing":
        status, reason = _in_slurm(status, reason, job, groups, again=attempt is not None)
    shown = attempt if status in ("running", "failed") else None
    log = Path(run.log)
    return RunState(
        status=status,
        reason=reason,
        log=log if log.is_file() else None,
        epoch=shown.epoch if shown else 0,
        epochs=run.settings.training.epochs,
        val_accuracy=shown.val_accuracy if shown else None,
        epoch_seconds=shown.epoch_seconds if shown else None,
        updated=attempt.updated if attempt else None,
        resumed=shown.resumed if shown else 0,
        kept=0 if status in ("done", "running") else _kept(run, attempt),
    )


def _result(run: Run, weights: bool) -> tuple[State, str | None] | None:
    """Return status and reason from the files of a run; None if some are missing."""
    folder = Path(run.folder)
    try:
        sizes = {name: (folder / name).stat().st_size for name in OUTPUTS}
    except OSError:
        return None
    try:
        record = read_record(folder, run.id)
    except InputError as error:
        return "missing" if isinstance(error, OtherFormatError) else "failed", str(error)
    empty = [folder / name for name, size in sizes.items() if not size]
    if empty:
        return "failed", f"{empty[0]} is empty; {remedy(folder)}"
    if changed := changes(record["code"], run_code(run.settings)):
        return "missing", changed
    if weights and not (folder / WEIGHTS).is_file():
        return "missing", "its weights are missing"
    return "done", None


def _in_slurm(
    status: State, reason: str | None, job: Job | None, groups: bool, again: bool
) -> tuple[State, str | None]:
    """Return status and reason of a run that is not done, given what Slurm knows of it."""
    killed = reason == KILLED
    if job is None:
        return ("missing", _queued(again)) if killed and groups else (status, reason)
    if job.queued:
        why = [job.reason] if job.reason != "None" else []
        why += [f"the last attempt failed: {reason}"] if status == "failed" and not killed else []
        return "missing", ": ".join([_queued(again), ", ".join(why)]) if why else _queued(again)
    if not job.ended:  # whether or not this computer sees the lock of its process
        return "running", reason if status == "running" else None
    if status == "missing" and not again and job.state in ("FAILED", "OUT_OF_MEMORY"):
        return "failed", f"its job in Slurm ended: {job.state}"
    if job.state != "FAILED" and (killed or reason == "interrupted"):
        return status, f"{'killed' if killed else reason} (Slurm: {job.state})"
    return status, reason


def _queued(again: bool) -> str:
    return "queued in Slurm again" if again else "queued in Slurm"


def _kept(run: Run, attempt: Status | None) -> int:
    """Return the number of epochs that the next attempt does not train again."""
    folder = Path(run.checkpoints)
    if attempt is None or attempt.code != code_of(run_code(run.settings)):
        return 0
    if not ((folder / CHECKPOINT).is_file() or (folder / FINISHED).is_dir()):
        return 0
    return attempt.epochs if attempt.ended else attempt.epoch
