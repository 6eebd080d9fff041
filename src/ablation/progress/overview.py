"""What `snakemake plan` and `snakemake status` print."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablation.analysis.states import RunState, last_error, run_states
from ablation.progress.disk_space import disk_space_text, needs
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
from ablation.progress.tables import count, duration, table, wrap
from ablation.study.grid import Run
from ablation.study.plan import Plan

STATES = {"done": "done", "running": "running", "failed": "failed", "missing": "to do"}
NOTHING = "-"
PARALLEL = "at best, because jobs that share a machine slow each other"


@dataclass(frozen=True)
class Standing:
    """A run, how far it is, and what it still needs.

    Attributes:
        run: the run.
        experiments: the names of the experiments that ask for it.
        state: how far it is.
        expected: the estimate for all of it.
        left: seconds that it still needs; None where nothing is known.
    """

    run: Run
    experiments: str
    state: RunState
    expected: Estimate
    left: float | None


@dataclass(frozen=True)
class Overview:
    """A study at one moment.

    Attributes:
        plan: the study.
        machine: this machine.
        past: what finished runs tell.
        standings: its runs in the order of the file.
        now: the moment, in seconds since 1970.
    """

    plan: Plan
    machine: Machine
    past: Past
    standings: list[Standing]
    now: float

    def of(self, *states: str) -> list[Standing]:
        """The runs of some states."""
        return [one for one in self.standings if one.state.status in states]


def look_over(plan: Plan, code: str | None = None) -> Overview:
    """Look how far a study is.

    Args:
        plan: the study.
        code: fingerprint of the code that decides results, as in `run_states`.
    """
    machine = this_machine()
    past = read_past(machine)
    states = run_states(plan.runs.values(), code=code, weights=plan.kept_weights)
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


def plan_text(overview: Overview, at_once: int | None) -> str:
    """Tell a study's runs, and the time that they will take.

    Args:
        overview: the study.
        at_once: how many runs train at a time; None if nobody has said.
    """
    standings = overview.standings
    runs = count(len(standings), "run")
    parts = [f"Study {overview.plan.name}: {runs}, {_counts(standings)}"]
    parts += _by_experiment(standings, _plan_table)
    parts += _failures(overview.of("failed"))
    waiting = overview.of("running", "failed", "missing")
    if not waiting:
        return "\n\n".join([*parts, "All runs are done."])
    known = [one.left for one in waiting if one.left is not None]
    unknown = len(waiting) - len(known)
    lines = []
    if known:
        lines.append(
            f"Training time still needed, one run at a time: {duration(sum(known))}"
            f"{_and_unknown(unknown)}"
        )
        if at_once is not None and at_once > 1:
            begun = [one.left for one in overview.of("running") if one.left is not None]
            others = [one.left for one in overview.of("failed", "missing") if one.left is not None]
            lines.append(
                f"With {at_once} runs at a time: {duration(makespan(begun, others, at_once))}, "
                f"{PARALLEL}"
            )
    else:
        lines.append("Training time still needed: not known")
    disk = disk_space_text(needs({one.run.data.folder: one.run.data for one in waiting}.values()))
    return "\n\n".join([*parts, "\n".join(lines), *([disk] if disk else []), *_notes(overview)])


def status_text(overview: Overview, at_once: int | None) -> str:
    """Tell how far a study is, and when its training will be over.

    Args:
        overview: the study.
        at_once: how many runs train at a time; None if nobody has said. More that are seen
            running count as well.
    """
    parts = [
        f"Study {overview.plan.name}: {count(len(overview.standings), 'run')}, "
        f"{_counts(overview.standings)}"
    ]
    running = overview.of("running")
    if running:
        parts += _by_experiment(running, lambda some: _running_table(some, overview.now))
    parts += _failures(overview.of("failed"))
    parts.append(_prospect(overview, at_once))
    return "\n\n".join([*parts, *_notes(overview)])


def _counts(standings: Iterable[Standing]) -> str:
    numbers: Counter[str] = Counter(one.state.status for one in standings)
    return ", ".join(f"{numbers[status]} {name}" for status, name in STATES.items())


def _by_experiment(
    standings: Sequence[Standing], make: Callable[[Sequence[Standing]], str]
) -> list[str]:
    """A table for each experiment, because two of them may train a cell in different ways."""
    groups: dict[str, list[Standing]] = {}
    for one in standings:
        groups.setdefault(one.experiments, []).append(one)
    return [f"Experiment {names}:\n{make(alike)}" for names, alike in groups.items()]


def _plan_table(standings: Sequence[Standing]) -> str:
    """A row for the seeds of a cell that are alike in everything that is shown."""
    rows: dict[tuple[str, ...], list[Standing]] = {}
    for one in standings:
        status, reason = one.state.status, one.state.reason
        state = STATES[status]
        if status == "missing" and reason:
            state += f": {reason}"
        if one.state.kept:
            state += f", {_going_on(one.state)}"
        done, own = status == "done", status == "running" and one.state.epoch_seconds
        basis = NOTHING if done else "own epochs" if own else one.expected.told
        # Running ones have their own time left; estimates are alike within a cell.
        left = NOTHING if done or one.left is None else duration(one.left)
        key = (*one.run.cell, state, str(one.state.epochs), left, basis)
        rows.setdefault(key, []).append(one)
    return table(
        ["dataset", "model", "augmentation", "seeds", "state", "epochs", "time each", "basis"],
        [
            [*key[:3], " ".join(str(one.run.seed) for one in alike), *key[3:]]
            for key, alike in rows.items()
        ],
        right=[5, 6],
        whole=[4, 7],
    )


def _running_table(running: Sequence[Standing], now: float) -> str:
    rows = []
    for one in running:
        state = one.state
        accuracy = state.val_accuracy
        rows.append(
            [
                *one.run.cell,
                str(one.run.seed),
                f"{state.epoch}/{state.epochs}",
                NOTHING if accuracy is None else f"{100 * accuracy:.2f} %",
                NOTHING if one.left is None else duration(one.left),
                NOTHING
                if state.updated is None
                else f"{duration(max(0.0, now - state.updated))} ago",
            ]
        )
    header = ["dataset", "model", "augmentation", "seed", "epoch", "val. acc.", "left", "last sign"]
    return table(header, rows, right=[3, 4, 5, 6, 7])


def _going_on(state: RunState) -> str:
    """From where the next attempt goes on."""
    if state.kept == state.epochs:
        return "training has ended, only its evaluation is left"
    return f"goes on after epoch {state.kept} of {state.epochs}"


def _failures(failed: Sequence[Standing]) -> list[str]:
    """What failed, each with its reason and log in full, because both are there to be copied."""
    if not failed:
        return []
    lines = ["Failed:"]
    for one in failed:
        run = one.run
        lines.append(
            f"  {run.model} on {run.dataset}, {run.augmentation}, seed {run.seed} "
            f"({one.experiments})"
        )
        lines.append(f"    {one.state.reason}")
        if one.state.kept:
            lines.append(f"    {_going_on(one.state)}")
        if one.state.log:
            lines.append(f"    {one.state.log}")
    return ["\n".join(lines)]


def _prospect(overview: Overview, at_once: int | None) -> str:
    """When the training will be over.

    A study under way does not try again what has failed; one that is started anew does.
    """
    running = overview.of("running")
    waiting = overview.of("missing") if running else overview.of("missing", "failed")
    if not running and not waiting:
        return "All runs are done."
    left = [one.left for one in running], [one.left for one in waiting]
    begun, others = ([seconds for seconds in some if seconds is not None] for some in left)
    unknown = len(running) + len(waiting) - len(begun) - len(others)
    if not begun and not others:
        return f"Training time still needed: not known{'' if running else '; nothing is training'}"
    lanes = max(at_once or 1, len(running))
    seconds = makespan(begun, others, lanes)
    lanes_told = "one run at a time" if lanes == 1 else f"{lanes} runs at a time, {PARALLEL}"
    if not running:
        return (
            f"Nothing is training. Time still needed: {duration(seconds)}{_and_unknown(unknown)} "
            f"({lanes_told})"
        )
    end = time.localtime(overview.now + seconds)
    day = "" if time.localtime(overview.now)[:3] == end[:3] else "%Y-%m-%d "
    clock = time.strftime(f"{day}%H:%M", end)
    if unknown:
        return (
            f"Training will not be over before {clock}: {duration(seconds)} more"
            f"{_and_unknown(unknown)} ({lanes_told})"
        )
    return f"Training will be over in {duration(seconds)}, at {clock} ({lanes_told})"


def _and_unknown(unknown: int) -> str:
    return f", and {count(unknown, 'run')} for which nothing is known" if unknown else ""


def _notes(overview: Overview) -> list[str]:
    """What the reader has to know about the times."""
    waiting = overview.of("running", "failed", "missing")
    past, notes = overview.past, []
    if not waiting:
        return []
    if not past.timed:
        notes.append(f"No finished run was trained on this machine ({overview.machine.name}).")
        notes += [f"Runs of another machine do not count: {other}." for other in past.elsewhere]
    elif any(one.expected.seconds is not None for one in waiting):
        notes.append(
            f"Estimates are from {count(len(past.timed), 'run')} that this machine "
            f"({overview.machine.name}) has finished; starting Python takes some seconds more."
        )
        if any(one.run.settings["training"]["early_stopping"] for one in waiting):
            notes.append("Runs that stop early take less.")
    notes += _preparation({one.run.folder: one.run for one in waiting})
    notes += [f"Not read, because its files are damaged: {folder}." for folder in past.unreadable]
    return ["\n".join(map(wrap, notes))] if notes else []


def _preparation(waiting: Mapping[str, Run]) -> list[str]:
    """Data that is still to be prepared, and what went wrong if it was tried."""
    notes = []
    for data in {run.data.folder: run.data for run in waiting.values()}.values():
        if (Path(data.folder) / "description.json").is_file():
            continue
        note = f"{data.dataset} is not prepared yet; the time that this takes is not estimated."
        log = Path("results/logs/prepare", *Path(data.folder).parts[2:]).with_suffix(".log")
        error = last_error(log.read_text(errors="replace").splitlines()) if log.is_file() else None
        notes.append(f"{note} The last try failed: {error} ({log})" if error else note)
    return notes
