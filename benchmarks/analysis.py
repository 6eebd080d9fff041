"""Time and memory of analysis and report by the number of runs."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

from ablation.study.plan_file import write_plan
from benchmarks.measure import Case, peak_memory
from tests.report.made import arms, made

RUNS = (10, 100, 1000)
SECONDS, GIGABYTES = 60.0, 2.0  # limits for the largest study
ARMS = ("none", "crop", "mix", "flip", "colour")


def analyses(*, quick: bool) -> Iterator[Case]:
    """Measure ``analyse`` and ``report`` of simulated runs, five arms with ever more seeds."""
    before: tuple[int, float] | None = None
    for runs in RUNS[:2] if quick else RUNS:
        seconds, gigabytes = _measure(runs)
        if before is not None:
            fewer, then = before
            yield Case(
                "analysis", f"{runs} runs, against {runs // fewer} times {fewer} runs", [seconds],
                [then * runs / fewer], "s", less=True,
            )  # fmt: skip
        before = runs, seconds
    yield Case(
        "analysis", f"{runs} runs, against {SECONDS:.0f} s", [seconds], [SECONDS], "s",
        less=True,
    )  # fmt: skip
    yield Case(
        "analysis", f"memory of {runs} runs, against {GIGABYTES:.0f} GB", [gigabytes],
        [GIGABYTES], "GB", less=True,
    )  # fmt: skip


def _measure(runs: int) -> tuple[float, float]:
    """Return the seconds and the gigabytes that a study of so many runs takes."""
    with tempfile.TemporaryDirectory() as place:
        study = made(
            Path(place),
            arms(*ARMS, seeds=list(range(runs // len(ARMS)))),
            lambda cell, seed: 0.9 + 0.01 * ARMS.index(cell[2]) + 0.001 * (seed % 7),
        )
        with chdir(study.folder):
            file = Path("results") / study.plan.name / "plan.json"
            write_plan(study.plan, file)
            used = [_command("analyse", file), _command("report", file)]
    return sum(seconds for seconds, _ in used), max(memory for _, memory in used)


def _command(name: str, plan: Path) -> tuple[float, float]:
    """Run a command of the package, and return its seconds and its gigabytes."""
    began = time.perf_counter()
    memory = peak_memory([sys.executable, "-m", "ablation", name, str(plan)])
    return time.perf_counter() - began, memory / 1000
