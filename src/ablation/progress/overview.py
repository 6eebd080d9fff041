"""The output of `snakemake plan` and `snakemake status`."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ablation.progress.disk_space import disk_space_parts, needs
from ablation.progress.estimate import (
    Estimate,
    Past,
    estimate,
    images_of,
    makespan,
    read_past,
    seconds_left,
)
from ablation.progress.machine import Machine, this_machine
from ablation.progress.states import RunState, run_states
from ablation.progress.terminal import Part, count, duration, table
from ablation.study.grid import PreparedData, Run
from ablation.study.plan import Plan

STATES = {"done": "done", "running": "running", "failed": "failed", "missing": "to do"}
STYLES = {"done": "green", "running": "cyan", "failed": "red", "missing": ""}
NOTHING = "-"
BAR = 16
PARALLEL = "at best, because jobs on one machine slow each other down"


@dataclass(frozen=True)
class Standing:
    """A run, its state and the time that it still needs.

    Attributes:
        run: the run.
        experiments: names of the experiments that contain it.
        state: its state.
        expected: estimate for the whole run.
        left: seconds that it still needs; None if unknown.
    """

    run: Run
    experiments: str
    state: RunState
    expected: Estimate
    left: float | None


@dataclass(frozen=True)
class Overview:
    """The state of a study at one time.

    Attributes:
        plan: the study.
        machine: this machine.
        past: the finished runs of all studies.
        standings: its runs in the order of the file.
        now: the time, in seconds since 1970.
    """

    plan: Plan
    machine: Machine
    past: Past
    standings: list[Standing]
    now: float

    def of(self, *states: str) -> list[Standing]:
        """Return the runs with these states."""
        return [one for one in self.standings if one.state.status in states]


def overview_of(plan: Plan) -> Overview:
    """Return the state of a study.

    Args:
        plan: the study.
    """
    machine = this_machine()
    past = read_past(machine, Path(plan.results))
    states = run_states(plan.runs.values(), weights=plan.kept_weights)
    now = time.time()
    asking: dict[str, list[str]] = {}
    for experiment in plan.experiments:
        for run in experiment.runs:
            asking.setdefault(run.folder, []).append(experiment.name)
    standings = []
    for folder, run in plan.runs.items():
        expected = estimate(run.settings, images_of(run, past), past.timed)
        left = seconds_left(states[folder], expected, now)
        names = ", ".join(asking[folder])
        standings.append(Standing(run, names, states[folder], expected, left))
    return Overview(plan, machine, past, standings, now)


def plan_parts(overview: Overview, at_once: int | None) -> list[Part]:
    """Show the runs of a study and the time that they will take.

    Args:
        overview: the study.
        at_once: number of runs that train at once; None if unknown.
    """
    tables = [
        _plan_table(names, alike) for names, alike in _by_experiment(overview.standings).items()
    ]
    parts: list[Part] = [
        _headline(overview),
        *_reasons(overview.of("missing")),
        *tables,
        *_failures(overview.of("failed")),
    ]
    waiting = overview.of("running", "failed", "missing")
    if not waiting:
        return [*parts, "All runs are done."]
    left, unknown = _known(waiting)
    if left:
        parts.append(
            f"Training time still needed, one run at a time: {duration(sum(left))}"
            f"{_and_unknown(unknown)}"
        )
        if at_once is not None and at_once > 1:
            begun, others = (
                _known(overview.of("running"))[0],
                _known(overview.of("failed", "missing"))[0],
            )
            seconds = makespan(begun, others, at_once)
            parts.append(f"With {at_once} runs at a time: {duration(seconds)}, {PARALLEL}")
    else:
        parts.append("Training time still needed: unknown")
    space = disk_space_parts(needs(_data_of(waiting)), Path(overview.plan.results))
    return [*parts, *space, *_notes(overview)]


def _reasons(missing: Sequence[Standing]) -> list[Part]:
    """Return why runs are still to do, as far as known, with the number of runs."""
    reasons = Counter(one.state.reason for one in missing if one.state.reason)
    return [f"{count(number, 'run')}: {reason}" for reason, number in reasons.items()]


def status_parts(overview: Overview, at_once: int | None) -> list[Part]:
    """Show the progress of a study and the expected end of training.

    Args:
        overview: the study.
        at_once: number of runs that train at once; None if unknown. If more are running, their
            number is used.
    """
    running = _by_experiment(overview.of("running"))
    return [
        _headline(overview),
        *(_running_table(names, alike, overview.now) for names, alike in running.items()),
        *_reasons(overview.of("missing")),
        *_failures(overview.of("failed")),
        _prospect(overview, at_once),
        *_notes(overview),
    ]


def _headline(overview: Overview) -> Text:
    numbers: Counter[str] = Counter(one.state.status for one in overview.standings)
    runs = count(len(overview.standings), "run")
    text = Text(f"Study {overview.plan.name}: {runs}")
    for status, name in STATES.items():
        text.append(", ").append(f"{numbers[status]} {name}", STYLES[status])
    return text


def _by_experiment(standings: Sequence[Standing]) -> dict[str, list[Standing]]:
    """Group runs by experiment, because two experiments may train a cell differently."""
    groups: dict[str, list[Standing]] = {}
    for one in standings:
        groups.setdefault(one.experiments, []).append(one)
    return groups


def _plan_table(names: str, standings: Sequence[Standing]) -> Table:
    """Return a table with one row for all seeds of a cell that have equal values."""
    rows: dict[tuple[str, ...], list[Standing]] = {}
    for one in standings:
        status, reason = one.state.status, one.state.reason
        state = ", ".join(
            [
                STATES[status] + (f": {reason}" if status != "failed" and reason else ""),
                *_resumption(one.state),
            ]
        )
        done, own = status == "done", status == "running" and one.state.epoch_seconds
        basis = NOTHING if done else "own epochs" if own else one.expected.text
        # Only running runs of a cell differ in the time left.
        left = NOTHING if done or one.left is None else duration(one.left)
        key = (*one.run.cell, state, str(one.state.epochs), left, basis)
        rows.setdefault(key, []).append(one)
    return table(
        ["dataset", "model", "augmentation", "seeds", "state", "epochs", "time each", "basis"],
        [
            [
                *key[:3],
                " ".join(str(one.run.seed) for one in alike),
                Text(key[3], STYLES[alike[0].state.status]),
                *key[4:],
            ]
            for key, alike in rows.items()
        ],
        right=[5, 6],
        title=f"Experiment {names}:",
    )


def _running_table(names: str, running: Sequence[Standing], now: float) -> Table:
    rows: list[list[RenderableType]] = [
        [
            *one.run.cell,
            str(one.run.seed),
            "waiting" if state.waiting else f"{state.epoch}/{state.epochs}",
            ProgressBar(state.epochs, state.epoch, width=BAR),
            NOTHING if state.val_accuracy is None else f"{100 * state.val_accuracy:.2f} %",
            NOTHING if one.left is None else duration(one.left),
            NOTHING if state.updated is None else f"{duration(max(0.0, now - state.updated))} ago",
        ]
        for one, state in ((one, one.state) for one in running)
    ]
    header = ["dataset", "model", "augmentation", "seed", "epoch", "", "val. acc.", "left"]
    title = f"Experiment {names}:"
    return table([*header, "last sign"], rows, right=[3, 4, 6, 7, 8], title=title)


def _resumption(state: RunState) -> list[str]:
    """Return what the next attempt resumes, if anything."""
    if not state.kept:
        return []
    if state.kept == state.epochs:
        return ["training has ended, only the evaluation is left"]
    return [f"resumes after epoch {state.kept} of {state.epochs}"]


def _failures(failed: Sequence[Standing]) -> list[Text]:
    """Return failed runs with their reasons and the paths of their logs."""
    text = Text("Failed:", STYLES["failed"])
    for one in failed:
        run, state = one.run, one.state
        text.append(
            f"\n  {run.model} on {run.dataset}, {run.augmentation}, seed {run.seed} "
            f"({one.experiments})"
        )
        log = [str(state.log)] if state.log else []
        for line in [str(state.reason), *_resumption(state), *log]:
            text.append(f"\n    {line}", "default")
    return [text] if failed else []


def _prospect(overview: Overview, at_once: int | None) -> str:
    """Return the expected end of training.

    Failed runs are counted only if nothing is running, as a running study does not retry them.
    """
    running = overview.of("running")
    waiting = overview.of("missing") if running else overview.of("missing", "failed")
    if not running and not waiting:
        return "All runs are done."
    begun, unknown = _known(running)
    others, more = _known(waiting)
    unknown += more
    if not begun and not others:
        return f"Training time still needed: unknown{'' if running else '; nothing is training'}"
    lanes = max(at_once or 1, len(running))
    seconds = makespan(begun, others, lanes)
    how = "one run at a time" if lanes == 1 else f"{lanes} runs at a time, {PARALLEL}"
    if not running:
        return (
            f"Nothing is training. Time still needed: {duration(seconds)}{_and_unknown(unknown)} "
            f"({how})"
        )
    end = time.localtime(overview.now + seconds)
    day = "" if time.localtime(overview.now)[:3] == end[:3] else "%Y-%m-%d "
    clock = time.strftime(f"{day}%H:%M", end)
    if unknown:
        return (
            f"Training will end at {clock} at the earliest: {duration(seconds)} more"
            f"{_and_unknown(unknown)} ({how})"
        )
    return f"Training will end in {duration(seconds)}, at {clock} ({how})"


def _known(standings: Iterable[Standing]) -> tuple[list[float], int]:
    """Return the known seconds that runs still need, and the number of runs without an estimate."""
    left = [one.left for one in standings]
    known = [seconds for seconds in left if seconds is not None]
    return known, len(left) - len(known)


def _and_unknown(unknown: int) -> str:
    return f", and {count(unknown, 'run')} without an estimate" if unknown else ""


def _data_of(standings: Iterable[Standing]) -> list[PreparedData]:
    return list({one.run.data.folder: one.run.data for one in standings}.values())


def _notes(overview: Overview) -> list[str]:
    """Return notes on the estimates."""
    waiting = overview.of("running", "failed", "missing")
    past, notes = overview.past, []
    if not waiting:
        return []
    if not past.timed:
        notes.append(f"No finished run was trained on this machine ({overview.machine.name}).")
        notes += [f"Runs of another machine are not used: {other}." for other in past.elsewhere]
    elif any(one.expected.seconds is not None for one in waiting):
        notes.append(
            f"Estimates are from {count(len(past.timed), 'run')} on this machine "
            f"({overview.machine.name}); starting Python takes some seconds more."
        )
        if any(one.run.settings.training.early_stopping for one in waiting):
            notes.append("Runs that stop early take less.")
    notes += _preparation(_data_of(waiting))
    notes += [f"Not used, because its files are damaged: {folder}." for folder in past.unreadable]
    return notes


def _preparation(wanted: Iterable[PreparedData]) -> list[str]:
    """Return notes on data that is not prepared, with the error of a failed preparation."""
    notes = []
    for data in wanted:
        if (Path(data.folder) / "description.json").is_file():
            continue
        note = f"{data.dataset} is not prepared yet; the time for this is not estimated."
        log = Path(data.log)
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        errors = [line for line in lines if line.startswith("error: ")]
        if errors:
            note += f" The last attempt failed: {errors[-1].removeprefix('error: ')} ({log})"
        notes.append(note)
    return notes
