"""Looks: how often the results of a growing study have been looked at, and what that costs.

Who adds seeds until something is found finds something in the end. So each look at an experiment
spends a part of its error probability, and the level of a look is such that all looks together
keep to it: alpha spending (Lan & DeMets 1983, Discrete Sequential Boundaries for Clinical Trials).
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import optimize, stats

from ablation.errors import InputError
from ablation.storage import atomically

COLUMNS = ("look", "time", "seeds", "open")
POWER_OF_TIME = 3  # of the spending function (Kim & DeMets 1987), close to O'Brien and Fleming's
RESERVED = 0.2  # of the error probability is left for later looks where no last one is declared
NODES = 400  # of the numerical integration between the boundaries


@dataclass(frozen=True)
class Sight:
    """What there is to see of an experiment.

    Attributes:
        seeds: finished ones.
        partly: whether the last of them lack some runs.
        final: how many seeds it shall have in the end, if that is declared.
    """

    seeds: tuple[int, ...]
    partly: bool = False
    final: int | None = None

    def __str__(self) -> str:
        """Write it as in ``looks.csv``: ``0 1 2``, ``0 1 2 partly``, ``0 1 2 of 5``."""
        text = " ".join(map(str, self.seeds)) or "none"
        text += " partly" if self.partly else ""
        return text if self.final is None else f"{text} of {self.final}"

    @classmethod
    def of_text(cls, text: str) -> "Sight":
        """Read what `str` writes.

        Raises:
            ValueError: it is something else.
        """
        known, _, final = text.partition(" of ")
        seeds = known.removesuffix(" partly")
        return cls(
            () if seeds == "none" else tuple(map(int, seeds.split())),
            known != seeds,
            int(final) if final else None,
        )


Seen = Mapping[str, Sight]  # by experiment


class Looks:
    """The looks at a study so far, and the present one.

    Args:
        file: ``looks.csv`` of the study; it need not exist yet.
        seen: what there is to see now of each experiment that compares anything.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, file: Path, seen: Seen) -> None:
        self.file, self.seen = file, dict(seen)
        self._rows = _read(file)
        self._history = [_of_text(row["seeds"], seen) for row in self._rows]
        same = [i for i, known in enumerate(self._history) if known == self.seen]
        self.is_new = not same
        if same:
            self._history = self._history[: same[0] + 1]
        else:
            self._history.append(self.seen)

    @property
    def number(self) -> int:
        """How many looks there have been, this one included."""
        return len(self._history)

    def of(self, experiment: str) -> list[Sight]:
        """Return what was seen of an experiment, in order, up to now; each sight once."""
        sights = [known[experiment] for known in self._history if experiment in known]
        return list(dict.fromkeys(sight for sight in sights if sight.seeds))

    def level(self, experiment: str, level: float, seeds: int | None = None) -> float:
        """Return the level of a comparison at this look.

        Args:
            experiment: its experiment.
            level: of the comparison over all looks.
            seeds: instead, its level at the next look, with so many seeds.
        """
        sights = self.of(experiment)
        if seeds is not None:
            final = sights[-1].final if sights else None
            sights = [*sights, Sight(tuple(range(seeds)), final=final)]
        return level_of(sights, level) if sights else level

    def record(self, undecided: int) -> None:
        """Add this look to the file, unless it is there.

        Args:
            undecided: how many comparisons of the study are open.

        Raises:
            InputError: the file cannot be written.
        """
        if not self.is_new:
            return
        row = {
            "look": len(self._rows) + 1,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seeds": _text(self.seen),
            "open": undecided,
        }
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*self._rows, row])

        def write(part: Path) -> None:
            part.write_text(text.getvalue(), encoding="utf-8", newline="\n")

        atomically(self.file, write)


def level_of(sights: Sequence[Sight], level: float) -> float:
    """Return the level of the last of several looks at an experiment.

    Args:
        sights: what was seen at each, at least one.
        level: over all looks.
    """
    return nominal_level([len(sight.seeds) for sight in sights], _spent(sights), level)


def nominal_level(seeds: Sequence[int], spent: Sequence[float], level: float) -> float:
    """Return the two-sided level of the last of several looks.

    The sum of the differences over the seeds is taken as Brownian motion; the boundary of each look
    is such that it is crossed for the first time with the probability that is left for it.

    Args:
        seeds: how many there were at each look.
        spent: share of the level that is spent up to each look, 0 to 1, not falling.
        level: over all looks.
    """
    return _nominal_level(tuple(seeds), tuple(spent), level)


@lru_cache(maxsize=4096)
def _nominal_level(seeds: tuple[int, ...], spent: tuple[float, ...], level: float) -> float:
    if len(seeds) == 1:
        return level * spent[0]
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    places, masses = np.zeros(1), np.ones(1)  # of the motion, where no boundary has been crossed
    time = before = 0.0
    boundary = math.inf
    for count, share in zip(seeds, spent, strict=True):
        now = max(float(count), time + 1)  # other seeds, but no more, are new ones as well
        step = math.sqrt(now - time)
        farthest = 12 * math.sqrt(now)
        boundary = _boundary(places, masses, step, level * (share - before), farthest)
        reach = min(boundary, farthest)
        at = reach * nodes
        density = stats.norm.pdf((at[:, None] - places) / step) @ masses / step
        places, masses = at, density * weights * reach
        time, before = now, share
    return float(2 * stats.norm.sf(boundary / math.sqrt(time)))


def _boundary(
    places: np.ndarray, masses: np.ndarray, step: float, probability: float, farthest: float
) -> float:
    """Where the motion crosses with a probability in one step; infinite for none."""

    def beyond(boundary: float) -> float:
        above = stats.norm.sf((boundary - places) / step)
        below = stats.norm.cdf((-boundary - places) / step)
        return float(masses @ (above + below)) - probability

    if probability <= 0 or beyond(farthest) >= 0:
        return math.inf
    return float(optimize.brentq(beyond, 0, farthest))


def _spent(sights: Sequence[Sight]) -> list[float]:
    """Share of the level that is spent up to each look."""
    spent, most = [], 0.0
    for number, sight in enumerate(sights):
        if sight.final is None:
            share = 1 - RESERVED / 2**number
        else:
            share = min(len(sight.seeds) / sight.final, 1.0) ** POWER_OF_TIME
        most = max(most, share)
        spent.append(most)
    return spent


def _text(seen: Seen) -> str:
    if len(seen) == 1:
        return str(next(iter(seen.values())))
    return "; ".join(f"{name}: {sight}" for name, sight in seen.items())


def _of_text(text: str, seen: Seen) -> dict[str, Sight]:
    """Read what `_text` writes; where no experiment is named, it was the only one."""
    if ":" not in text:
        return dict.fromkeys(seen, Sight.of_text(text))
    parts = (part.split(": ", 1) for part in text.split("; "))
    return {name: Sight.of_text(of_name) for name, of_name in parts}


def _read(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
            for row in rows:
                _of_text(row["seeds"], {"": Sight(())})
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(
            f"{file}: this is no record of looks ({error}); move it away, and looks are counted "
            "from now on"
        ) from None
    return rows
