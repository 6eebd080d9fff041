"""How far each run of a study is, told from its files, its log and what is at work."""

import re
import statistics
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ablation.analysis.records import OUTPUTS, WEIGHTS, OtherFormatError, read_record, remedy
from ablation.errors import InputError, visible
from ablation.storage import UNREADABLE
from ablation.study.checkpoints import CHECKPOINT, FINISHED, read_about
from ablation.study.grid import Run, identity

MARKS = Path(".snakemake/incomplete")
LOCKS = Path(".snakemake/locks")

# How long a log may be silent while its job is at work: so many of its longest epochs, but at
# least some minutes. Before the first epoch nobody knows how long one takes.
SILENT_EPOCHS = 3
SILENT_SECONDS = 5 * 60
SILENT_SECONDS_AT_FIRST = 60 * 60

LONGEST_REASON = 300
SILENT_END = "stopped without a message (killed?)"
QUEUED_AGAIN = "interrupted; Snakemake waits for it to start again"
OTHER_CODE = "was made by other code"

# What training prints (ablation.training.run).
_RESUMED = re.compile(r"(?:goes on|is evaluated) after epoch (\d+) of \d+ ")
_EPOCH = re.compile(r"epoch (\d+)/(\d+)  .*  val_accuracy (\S+)  (\S+) s  ")
_INTERRUPTED = re.compile(r"stopped by SIG[A-Z]+ ")
_END = re.compile(r"(completed|stopped_early|diverged) after \d+ epochs, ")
_TRACEBACK = "Traceback (most recent call last):"
_FATAL = re.compile(r"F\d{4} [\d:.]+ +\d+ \S+\] (.+)")  # how TensorFlow's own code gives up
_SHELL = re.compile(r"\S*sh: line \d+: (?:\d+ )?(.+)")

Status = Literal["done", "running", "failed", "missing"]


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        status: ``done`` (a diverged run is done, that is its result), ``running``, ``failed``
            (its last attempt ended without a result) or ``missing`` (not begun, or its files are
            of no use any more).
        reason: why it failed, or why something is missing that had been there; otherwise None.
        log: its log, if there is one.
        epoch: the last epoch that its log tells of, if it is running or failed; otherwise 0.
        epochs: epochs that are asked for.
        val_accuracy: after the last of these epochs, 0 to 1 or not-a-number; None before any.
        epoch_seconds: median time in seconds of the epochs of its last attempt, without the
            first if there are more; None before any.
        updated: when the last sign of it was written, in seconds since 1970; None without any,
            or if it is done.
        resumed: epochs of earlier attempts that its last one has gone on from.
        kept: epochs that the next attempt need not train again, if it is failed or missing; all
            that are asked for where only the evaluation is left.
    """

    status: Status
    reason: str | None
    log: Path | None
    epoch: int
    epochs: int
    val_accuracy: float | None
    epoch_seconds: float | None
    updated: float | None
    resumed: int = 0
    kept: int = 0


@dataclass(frozen=True)
class AtWork:
    """Signs of jobs at work.

    Attributes:
        marked: for each output file of an unfinished job, when Snakemake marked it as incomplete,
            in seconds since 1970. The mark goes when the job ends, but stays if Snakemake is
            interrupted or killed.
        locked: output files that a Snakemake at work is going to make. The lock goes when it ends
            in any way, but stays if it is killed.
        training: record files that a training process of this machine, started in this folder,
            is going to write.
        now: when this was looked up, in seconds since 1970.
    """

    marked: dict[str, float]
    locked: frozenset[str]
    training: frozenset[str]
    now: float


@dataclass(frozen=True)
class LogTail:
    """What a training log tells.

    Attributes:
        resumed: epochs of earlier attempts that this one has gone on from.
        epochs: number and validation accuracy of each of its own epochs, in order.
        seconds: how long each took.
        ended: whether training said that it was through.
        error: the message that it ended with, if any.
    """

    resumed: int
    epochs: list[tuple[int, float]]
    seconds: list[float]
    ended: bool
    error: str | None


def run_states(
    runs: Iterable[Run], *, code: str | None = None, weights: Iterable[str] = ()
) -> dict[str, RunState]:
    """Return the state of each run by its folder.

    Args:
        runs: the runs.
        code: fingerprint of the code that decides results; runs that other code has made are
            ``missing``, because Snakemake makes them again. None: any code will do.
        weights: folders of the runs whose weights are kept; without them they are ``missing``.
    """
    at_work, kept = look(), set(weights)
    return {
        run.folder: run_state(run, at_work, code=code, weights=run.folder in kept) for run in runs
    }


def run_state(
    run: Run, at_work: AtWork | None = None, *, code: str | None = None, weights: bool = False
) -> RunState:
    """Return the state of one run.

    - ``done``: its four files are there and none is empty, and ``run.json`` is of this run and
      as it was written. That the others are as they were written, the analysis checks.
    - ``missing``: its log ends with an interruption by a signal, and Snakemake holds a lock on
      its files and has marked them as incomplete: a cluster has put the job back into its queue.
    - ``failed``: its log ends with an error; or what is in its folder is of no use.
    - ``running``: a training process of this machine is going to write them; or, as training
      may be on another machine that shares the folder, Snakemake holds a lock on them and has
      marked them as incomplete, and the mark or the log was last written to at most three of the
      run's longest epochs ago (at least five minutes; one hour before the end of the first).
    - ``missing``: its log tells that it was through; or it has no log, mark or checkpoint.
    - ``failed``: everything else. It has begun, and nobody has told of its end.

    A log that is older than Snakemake's mark is of an earlier attempt and does not count. So a
    Snakemake that is killed while a run trains on another machine leaves a run that passes for
    running until its log has been silent for long enough. Whether a run is done is not told by
    any time, so that a clock that jumps does not change it.

    Args:
        run: the run.
        at_work: signs of jobs at work, to look them up once for many runs.
        code, weights: as in `run_states`.
    """
    at_work = at_work or look()
    log, result = log_of(run), _result(run, code, weights)
    if result and result[0] != "missing":
        return _state(run, *result)
    record = f"{run.folder}/run.json"
    marked = max(at_work.marked.get(f"{run.folder}/{name}", 0.0) for name in OUTPUTS)
    written = _written(log)
    updated = max(written, marked)
    held = marked > 0 and record in at_work.locked
    tail = read_log(log) if written and written >= marked else None
    kept = _kept(run, code)
    status: Status = "failed"
    reason: str | None = SILENT_END
    if record in at_work.training:
        status, reason = "running", None
    elif result:
        status, reason = result
    elif tail and tail.error and _INTERRUPTED.match(tail.error) and held:
        status, reason = "missing", QUEUED_AGAIN
    elif tail and tail.error:
        reason = tail.error
    elif held and at_work.now - updated <= _silence(tail):
        status, reason = "running", None
    elif tail and tail.ended:
        status, reason = "missing", "its files are gone"
    elif not updated and not kept:
        status, reason = "missing", None
    return _state(run, status, reason, tail=tail, updated=updated or None, kept=kept)


def log_of(run: Run) -> Path:
    """Return where the log of a run lies, relative to the working directory."""
    return Path("results/logs/train", *Path(run.folder).parts[2:-1], f"{Path(run.folder).name}.log")


def look() -> AtWork:
    """Look for jobs at work in this folder."""
    return AtWork(_marked(MARKS), _locked(LOCKS), _training(Path("/proc")), time.time())


def read_log(file: Path) -> LogTail:
    """Return what a training log tells so far."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    epochs, seconds, last, resumed = [], [], 0, 0
    ended = False
    for number, line in enumerate(lines, start=1):
        if found := _RESUMED.match(line):
            resumed, last = int(found[1]), number
        elif found := _EPOCH.match(line):
            epochs.append((int(found[1]), float(found[3])))
            seconds.append(float(found[4]))
            last = number
        elif _END.match(line):
            ended, last = True, number
    return LogTail(resumed, epochs, seconds, ended, last_error(lines[last:]))


def last_error(lines: list[str]) -> str | None:
    """Return the message that a job's log ends with, in one line; None if it is no error.

    Knows the messages of the command line, uncaught exceptions (of which the last line of the
    message's first paragraph counts), aborts of TensorFlow's own code, and the shell's.

    Args:
        lines: the log from where all was well.
    """
    lines = [line.rstrip() for line in lines if line.strip()]
    starts = [i for i, line in enumerate(lines) if line.startswith(_TRACEBACK)]
    if starts:
        frames = lines[starts[-1] + 1 :]
        message = [line for line in frames if not line.startswith(" ")][:1]
        if not message:
            return None  # still being written
        if message[0].endswith(":") and frames[-1] != message[0]:
            message.append(frames[-1].strip())  # TensorFlow's errors begin with an empty title
        return _short(" ".join(message))
    for line in reversed(lines):
        if fatal := _FATAL.match(line):
            return _short(fatal[1])
    last = lines[-1] if lines else ""
    if " error: " in f" {last}":
        return _short(f" {last}".partition(" error: ")[2])
    if shell := _SHELL.match(last):
        return _short(shell[1])
    return None


def _state(
    run: Run,
    status: Status,
    reason: str | None,
    *,
    tail: LogTail | None = None,
    updated: float | None = None,
    kept: int = 0,
) -> RunState:
    log = log_of(run)
    told = tail if status in ("running", "failed") else None
    resumed = told.resumed if told else 0
    return RunState(
        status=status,
        reason=reason,
        log=log if log.is_file() else None,
        epoch=told.epochs[-1][0] if told and told.epochs else resumed,
        epochs=run.settings.training.epochs,
        val_accuracy=told.epochs[-1][1] if told and told.epochs else None,
        epoch_seconds=statistics.median(told.seconds[1:] or told.seconds)
        if told and told.seconds
        else None,
        updated=updated,
        resumed=resumed,
        kept=0 if status == "running" else kept,
    )


def _result(run: Run, code: str | None, weights: bool) -> tuple[Status, str | None] | None:
    """Status and reason as far as the run's files tell; None where they are not all there."""
    folder = Path(run.folder)
    try:
        sizes = {name: (folder / name).stat().st_size for name in OUTPUTS}
    except OSError:
        return None
    try:
        record = read_record(folder, run.id)
    except OtherFormatError as error:
        other = code is not None and error.record.get("code") != code
        return ("missing", OTHER_CODE) if other else ("failed", str(error))
    except InputError as error:
        return "failed", str(error)
    empty = [folder / name for name, size in sizes.items() if not size]
    if empty:
        return "failed", f"{empty[0]} is empty; {remedy(folder)}"
    reason = None
    if code is not None and record.get("code") != code:
        reason = OTHER_CODE
    elif weights and not (folder / WEIGHTS).is_file():
        reason = "its weights were not kept"
    return ("missing", reason) if reason else ("done", None)


def _kept(run: Run, code: str | None) -> int:
    """How many epochs need not be trained again, as far as the run's checkpoint tells.

    One that training would put aside, because it is of other settings or code or cannot be read,
    does not count.
    """
    folder, epochs = Path(run.checkpoints), run.settings.training.epochs
    for read in (_of_finished, _of_checkpoint):
        try:
            about = read(folder)
            if identity(about["settings"])[:8] == run.id and code in (None, about["code"]):
                return epochs if about["ended"] else int(about["epoch"])
        except (InputError, *UNREADABLE):
            continue  # there is none, or none of use
    return 0


def _of_finished(folder: Path) -> dict[str, Any]:
    """What the files of a run whose training has ended are of, before they are in their place."""
    return {**read_record(folder / FINISHED), "ended": True}


def _of_checkpoint(folder: Path) -> dict[str, Any]:
    about: dict[str, Any] = read_about(folder / CHECKPOINT)
    return about


def _written(file: Path) -> float:
    """When a file was last written, in seconds since 1970; 0 if it is not there."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _silence(tail: LogTail | None) -> float:
    """How many seconds a job at work may be silent."""
    if tail is None or not tail.seconds:
        return SILENT_SECONDS_AT_FIRST
    return max(SILENT_SECONDS, SILENT_EPOCHS * max(tail.seconds))


def _marked(folder: Path) -> dict[str, float]:
    """Output files that Snakemake has marked as incomplete, and since when.

    A mark is a file called as the output in base 64; where that is too long for one name, it is
    cut into folders with a leading ``@``.
    """
    found = {}
    for file in folder.rglob("*"):
        parts = [part.removeprefix("@") for part in file.relative_to(folder).parts]
        try:
            if file.is_file():
                name = urlsafe_b64decode("".join(parts)).decode()
                found[name] = file.stat().st_mtime
        except FileNotFoundError:
            continue  # the job has just ended
        except ValueError:
            continue  # no mark: not base 64, or no text
    return found


def _locked(folder: Path) -> frozenset[str]:
    """Output files on which some Snakemake holds a lock."""
    found = set()
    for file in folder.glob("*.output.lock"):
        try:
            found |= set(file.read_text().splitlines())
        except FileNotFoundError:
            continue  # that Snakemake has just ended
    return frozenset(found)


def _training(processes: Path) -> frozenset[str]:
    """Record files that training processes started in this folder are going to write.

    Known on Linux only, where ``processes`` tells every process; elsewhere none is found.
    """
    here, found = Path.cwd(), set()
    for file in processes.glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace").split("\0")
            if "train" in words and (file.parent / "cwd").readlink() == here:
                found |= {word for word in words if word.endswith("/run.json")}
        except OSError:
            continue  # it has just ended, or belongs to somebody else
    return frozenset(found)


def _short(message: str) -> str:
    text = " ".join(message.split())
    text = visible(text)
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"
