"""Speed of this project against others, as ratios that are measured in turn.

``make bench`` runs all parts in an environment of its own, prints a table, and writes
``results/bench/bench.csv`` and ``results/bench/bench.md``.

    python -m benchmarks.bench [--part NAME ...] [--quick]
"""

import argparse
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

from ablation.training.hardware import processor_name
from benchmarks.analysis import analyses
from benchmarks.gpu import gpus
from benchmarks.input import inputs
from benchmarks.measure import Case, write_table
from benchmarks.run import runs
from benchmarks.steps import steps
from benchmarks.workflow import workflows

PARTS: dict[str, Callable[..., Iterator[Case]]] = {
    "steps": steps,
    "input": inputs,
    "run": runs,
    "workflow": workflows,
    "analysis": analyses,
    "gpu": gpus,
}
RESULTS = Path("results/bench")


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; repeatable")
    parser.add_argument("--quick", action="store_true", help="few and small cases: a smoke test")
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # for the processes that are measured
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled code is kept, as usual
    machine = f"{processor_name()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    cases: list[Case] = []
    for part in given.part or PARTS:
        for case in PARTS[part](quick=given.quick):
            cases.append(case)
            row = case.row()
            print(f"{row['ratio']:>6}  {part}: {row['case']}", flush=True)
            write_table(cases, RESULTS, machine)  # so that an interruption loses nothing
    print(f"\n{write_table(cases, RESULTS, machine)}")


if __name__ == "__main__":
    main()
