"""How far each run of a study is, by its files and the status of its training."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablation.errors import InputError
from ablation.study.grid import Run
from ablation.training.checkpoint import CHECKPOINT, FINISHED
from ablation.training.code import changes, code_of, run_code
from ablation.training.records import OUTPUTS, WEIGHTS, OtherFormatError, read_record, remedy
from ablation.training.status import Status, read_status

WAITING = "waiting for a device"

State = Literal["done", "running", "failed", "missing"]


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        status: ``done`` (a diverged run is done, that is its result), ``running``, ``failed``
            (its last attempt ended with an error, or its files cannot be used) or ``missing``
            (not started, interrupted, or to be made again).
        reason: why it failed, why it has to be made again, or what it waits for; otherwise None.
        log: its log, if there is one.
        epoch: the last epoch that is done, if it is running or failed; otherwise 0.
        epochs: epochs that are asked for.
        val_accuracy: after the last epoch of the last attempt, 0 to 1; None before any.
        epoch_seconds: median time in seconds of the epochs of the last attempt, without the
            first if there are more; None before any.
        updated: when the status was last written, in seconds since 1970; None without any, or if
            the run is done.
        resumed: the epoch after which the last attempt has gone on.
        kept: epochs that the next attempt does not train again, if it is failed or missing; all
            that are asked for where only the evaluation is left.
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
        weights: folders of the runs whose weights are kept; without them they are ``missing``.
    """
    kept = set(weights)
    return {run.folder: run_state(run, weights=run.folder in kept) for run in runs}


def run_state(run: Run, *, weights: bool = False) -> RunState:
    """Return the state of one run.

    Its four files decide first: where ``run.json`` is of this run and as it was written, the run
    is done; that the other files are as they were written, the analysis checks. Without them,
    the status of its last attempt decides.

    Args:
        run: the run.
        weights: whether the run's weights are kept.
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
    """Status and reason by the run's files; None where some are missing."""
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
        return "missing", "its weights were not kept"
    return "done", None


def _kept(run: Run, attempt: Status | None) -> int:
    """How many epochs the next attempt does not train again."""
    folder = Path(run.checkpoints)
    if attempt is None or attempt.code != code_of(run_code(run.settings)):
        return 0
    if not ((folder / CHECKPOINT).is_file() or (folder / FINISHED).is_dir()):
        return 0
    return attempt.epochs if attempt.ended else attempt.epoch
