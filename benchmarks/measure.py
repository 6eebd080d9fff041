"""Measurements of two sides in turn, and the table of their ratios."""

import csv
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

Part = Literal["steps", "input", "run", "workflow", "analysis", "gpu"]
COLUMNS = ("part", "case", "ours", "peer", "ratio", "low", "high", "unit")


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        part: part of the benchmark.
        case: what is measured, and against what.
        ours, peer: measurements, taken in turn.
        unit: their unit.
        less: whether the smaller side is ahead.
    """

    part: Part
    case: str
    ours: Sequence[float]
    peer: Sequence[float]
    unit: str
    less: bool = False

    def row(self) -> dict[str, str]:
        """Return medians, their ratio (above 1 if this project is ahead), and its range."""
        pairs = [self._ratio(a, b) for a, b in zip(self.ours, self.peer, strict=True)]
        ours, peer = statistics.median(self.ours), statistics.median(self.peer)
        return {
            "part": self.part,
            "case": self.case,
            "ours": f"{ours:.4g}",
            "peer": f"{peer:.4g}",
            "ratio": f"{self._ratio(ours, peer):.3g}",
            "low": f"{min(pairs):.3g}",
            "high": f"{max(pairs):.3g}",
            "unit": self.unit,
        }

    def _ratio(self, ours: float, peer: float) -> float:
        return peer / ours if self.less else ours / peer


def in_turn(sides: Sequence[Callable[[], float]], repetitions: int) -> list[list[float]]:
    """Measure several sides in turn, so that a change of the machine's speed meets all of them.

    Returns:
        The measurements of each side.
    """
    rounds = [[side() for side in sides] for _ in range(repetitions)]
    return [list(side) for side in zip(*rounds, strict=True)]


_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_memory(words: Sequence[str], **options: Any) -> float:
    """Return the peak of the resident memory of a command in MB.

    A small process starts the command, because the peak of a process includes that of the process
    that started it.

    Args:
        words: the command.
        options: further arguments of `subprocess.run`.
    """
    command = [sys.executable, "-c", _PEAK, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, **options)
    return int(done.stdout) * 1024 / 1e6


class Worker:
    """A process that answers requests, one JSON value a line.

    Args:
        module: module of the worker.
        arguments: its command line.
        gpu: whether it may use a GPU.
    """

    def __init__(self, module: str, *arguments: str, gpu: bool = False) -> None:
        command = [sys.executable, "-m", module, *arguments]
        environment = os.environ if gpu else os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> Self:
        """Return the worker."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def ask(self, request: Any) -> Any:
        """Return the answer to a request.

        Raises:
            RuntimeError: the process has ended.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the worker has no pipes")
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended")
        return json.loads(line)


def serve(answer: Callable[[Any], Any]) -> None:
    """Answer the requests of `Worker.ask` until its end."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def write_table(cases: Sequence[Case], folder: Path, machine: str) -> str:
    """Write ``bench.csv`` and ``bench.md`` into a folder, and return the latter."""
    rows = [case.row() for case in cases]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "bench.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lines = [
        f"{machine}. Medians of measurements in turn; above 1 a ratio favours this project.",
        "",
        "| Part | Case | Ours | Peer | Ratio | Range |",
        "|---|---|---:|---:|---:|---:|",
        *(
            f"| {row['part']} | {row['case']} | {row['ours']} {row['unit']} | "
            f"{row['peer']} {row['unit']} | {row['ratio']} | {row['low']} to {row['high']} |"
            for row in rows
        ),
    ]
    text = "\n".join(lines) + "\n"
    (folder / "bench.md").write_text(text, encoding="utf-8")
    return text
