"""Looks (interim analyses) at a growing study, and the significance level of each.

Testing again and again while seeds are added inflates the error probability. Each look at an
experiment therefore spends a part of it: alpha spending (Lan & DeMets 1983, Discrete Sequential
Boundaries for Clinical Trials).
"""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import optimize
from scipy.special import ndtr

from ablation.analysis.testing import SEEDS_FOR_VERDICTS
from ablation.errors import InputError
from ablation.storage import atomically

COLUMNS = ("look", "time", "seeds", "open")
SPENDING_EXPONENT = 3  # of the power family (Kim & DeMets 1987); near O'Brien and Fleming
RESERVED = 0.2  # share of the error probability kept for later looks without `final_seeds`
NODES = 100  # of the numerical integration between the boundaries
LIMIT = 9  # standard deviations from zero; probability beyond is neglected
QUOTED = 40  # characters of an unreadable text in a message
_LOOK = re.compile(
    r"(none|\d+(?: \d+)*)(?: of ([1-9]\d*)( or more)?)?(?: lacking (\d+) of ([1-9]\d*) runs)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Look:
    """A look at an experiment.

    Looks are equal if they include the same seeds and runs. Planning or declaring more seeds
    does not make a new look.

    Attributes:
        seeds: seeds with at least one finished run.
        missing: number of unfinished runs of these seeds, and number of all their runs; None if
            all have finished.
        final: declared final number of seeds, if any.
        planned: number of planned seeds, if no final number is declared and more are planned.
    """

    seeds: tuple[int, ...]
    missing: tuple[int, int] | None = None
    final: int | None = field(default=None, compare=False)
    planned: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """Format the look as in ``looks.csv``.

        Examples: ``0 1 2``, ``0 1 2 of 5``, ``0 1 2 of 5 or more``; with missing runs followed by
        ``lacking 2 of 9 runs``.
        """
        text = " ".join(map(str, self.seeds)) or "none"
        if self.final is not None:
            text += f" of {self.final}"
        elif self.planned is not None:
            text += f" of {self.planned} or more"
        if self.missing is not None:
            text += " lacking {} of {} runs".format(*self.missing)
        return text

    @classmethod
    def parse(cls, text: str) -> "Look":
        """Parse the format of `str`.

        Raises:
            ValueError: the text has another format.
        """
        found = _LOOK.fullmatch(text)
        if found is None:
            raise ValueError(f"'{text[:QUOTED]}' names no seeds")
        seeds, number, more, missing, of = found.groups()
        total = int(number) if number else None
        return cls(
            () if seeds == "none" else tuple(map(int, seeds.split())),
            (int(missing), int(of)) if missing else None,
            None if more else total,
            total if more else None,
        )

    @property
    def complete(self) -> bool:
        """Whether all planned runs have finished and no final number of seeds is declared."""
        return self.missing is None and self.planned is None and self.final is None

    @property
    def share(self) -> float:
        """Value of the spending function at this look, 0 to 1."""
        count = float(len(self.seeds))
        if self.missing is not None:
            count *= 1 - self.missing[0] / self.missing[1]
        information = min(count / (self.final or self.planned or len(self.seeds)), 1.0)
        return information**SPENDING_EXPONENT


class Looks:
    """All looks at a study up to the current one.

    Args:
        file: ``looks.csv`` of the study; it may be missing.
        current: current look at each experiment with comparisons, by name.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, file: Path, current: Mapping[str, Look]) -> None:
        self.file, self.current = file, dict(current)
        self._rows = _read(file)
        self._history = [_parse(row["seeds"]) for row in self._rows]
        same = [i for i, known in enumerate(self._history) if known == self.current]
        self.is_new = bool(self.current) and not same
        if same:
            self._history = self._history[: same[0] + 1]
        else:
            self._history.append(self.current)

    def of(self, experiment: str) -> list[Look]:
        """Return the distinct looks at an experiment in order, up to the current one.

        Looks at fewer than three seeds are left out, because they give no verdicts.
        """
        known = [looks[experiment] for looks in self._history if experiment in looks]
        enough = (look for look in known if len(look.seeds) >= SEEDS_FOR_VERDICTS)
        found = list(dict.fromkeys(enough))
        now = self.current.get(experiment)
        return found[: found.index(now) + 1] if now in found else found

    def is_spent(self, experiment: str) -> bool:
        """Return whether this look spends the last of an experiment's level."""
        looks = self.of(experiment)
        return bool(looks) and _spent(looks)[-1] >= 1

    def level(self, experiment: str, level: float, seeds: int | None = None) -> float:
        """Return the level of a comparison at the current look, or at the next one.

        Args:
            experiment: name of its experiment.
            level: level of the comparison over all looks.
            seeds: number of seeds of the next look; None for the current look. If the level is
                spent, the result is that of a separate study.
        """
        looks = self.of(experiment)
        if seeds is not None:
            if self.is_spent(experiment):
                return level
            final = self.current[experiment].final
            looks = [*looks, Look(tuple(range(seeds)), final=final)]
        return level_of(looks, level) if looks else level

    def record(self, undecided: int) -> None:
        """Append the current look to the file if it is new.

        Args:
            undecided: number of open comparisons of the study.

        Raises:
            InputError: the file cannot be written.
        """
        if not self.is_new:
            return
        row = {
            "look": len(self._rows) + 1,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seeds": _format(self.current),
            "open": undecided,
        }
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*self._rows, row])

        def write(temporary: Path) -> None:
            temporary.write_text(text.getvalue(), encoding="utf-8", newline="\n")

        atomically(self.file, write)


def level_of(looks: Sequence[Look], level: float) -> float:
    """Return the level of the last of several looks at an experiment.

    Args:
        looks: all looks in order, at least one.
        level: level over all looks.
    """
    return nominal_level([len(look.seeds) for look in looks], _spent(looks), level)


def nominal_level(seeds: Sequence[int], spent: Sequence[float], level: float) -> float:
    """Return the nominal two-sided level of the last of several looks.

    The sum of the differences over the seeds is modelled as Brownian motion. The boundary of each
    look is chosen so that the probability of first crossing it equals what the look spends.

    Args:
        seeds: number of seeds at each look.
        spent: cumulative share of the level spent at each look, 0 to 1, not decreasing.
        level: level over all looks.
    """
    boundary, time = _boundary(tuple(seeds), tuple(spent), level)
    return float(2 * ndtr(-boundary / math.sqrt(time))) if len(seeds) > 1 else level * spent[0]


@lru_cache(maxsize=4096)
def _boundary(seeds: tuple[int, ...], spent: tuple[float, ...], level: float) -> tuple[float, int]:
    """Return the boundary of the last look (infinite if it spends nothing) and its time."""
    places, masses, before = _continuation(seeds[:-1], spent[:-1], level)
    time = max(seeds[-1], before + 1)  # other seeds are new even if they are not more
    step = math.sqrt(time - before)
    probability = level * (spent[-1] - (spent[-2] if len(spent) > 1 else 0.0))

    def excess(boundary: float) -> float:
        above, below = ndtr((places - boundary) / step), ndtr((-boundary - places) / step)
        return float(masses @ (above + below)) - probability

    limit = LIMIT * math.sqrt(time)
    if probability <= 0 or excess(limit) >= 0:
        return math.inf, time
    return float(optimize.brentq(excess, 0, limit)), time


@lru_cache(maxsize=512)
def _continuation(
    seeds: tuple[int, ...], spent: tuple[float, ...], level: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return nodes and probabilities of the motion that crossed no boundary, and the time."""
    if not seeds:
        return np.zeros(1), np.ones(1), 0
    boundary, time = _boundary(seeds, spent, level)
    places, masses, before = _continuation(seeds[:-1], spent[:-1], level)
    step = math.sqrt(time - before)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    reach = min(boundary, LIMIT * math.sqrt(time))
    found = reach * nodes
    density = np.exp(-(((found[:, None] - places) / step) ** 2) / 2) @ masses
    return found, density * weights * reach / step / math.sqrt(2 * math.pi), time


def _spent(looks: Sequence[Look]) -> list[float]:
    """Return the cumulative share of the level that is spent at each look."""
    spent: list[float] = []
    most = base = 0.0  # spent so far; spent when the current target was set
    extensions, final = 0, looks[0].final
    for look in looks:
        if look.final != final:
            base, final = most, look.final
        target = 1.0 if final is not None else 1 - RESERVED / 2**extensions
        most = max(most, look.share * target + (1 - look.share) * base)
        spent.append(most)
        if look.complete:
            extensions, base = extensions + 1, most
    return spent


def _format(looks: Mapping[str, Look]) -> str:
    return "; ".join(f"{name}: {look}" for name, look in looks.items())


def _parse(text: str) -> dict[str, Look]:
    """Parse the output of `_format`."""
    parts = (part.partition(": ") for part in text.split("; "))
    return {name: Look.parse(of_name) for name, _, of_name in parts}


def _read(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
            for row in rows:
                _parse(row["seeds"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
        raise InputError(
            f"{file}: not a record of looks ({error}); move the file away to count looks from now "
            "on"
        ) from None
    return rows
