"""Looks: how often the results of a growing study have been looked at, and what that costs.

Who adds seeds until something is found finds something in the end. So each look at an experiment
spends a part of its error probability, and the level of a look is such that all looks together
keep to it: alpha spending (Lan & DeMets 1983, Discrete Sequential Boundaries for Clinical Trials).
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
POWER_OF_TIME = 3  # of the spending function (Kim & DeMets 1987), close to O'Brien and Fleming's
RESERVED = 0.2  # of the error probability is left for later looks where no last one is declared
NODES = 100  # of the numerical integration between the boundaries
FARTHEST = 9  # standard deviations from zero, where nothing is
SHOWN = 40  # characters of what cannot be read
_SIGHT = re.compile(
    r"(none|\d+(?: \d+)*)(?: of ([1-9]\d*)( or more)?)?(?: lacking (\d+) of ([1-9]\d*) runs)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Sight:
    """What there is to see of an experiment.

    Two are the same if the same is there, whatever shall come to it: who plans or declares more
    seeds after a look has seen nothing new.

    Attributes:
        seeds: those of which any run has finished.
        lacking: how many of the runs of these seeds are not there, and of how many; None if all
            are.
        final: how many seeds there shall be in the end, if that is declared.
        planned: how many there shall be for now, if that is not declared and more than there are.
    """

    seeds: tuple[int, ...]
    lacking: tuple[int, int] | None = None
    final: int | None = field(default=None, compare=False)
    planned: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """Write it as in ``looks.csv``.

        For example ``0 1 2``, ``0 1 2 of 5``, ``0 1 2 of 5 or more``, each with
        ``lacking 2 of 9 runs`` where some are not there.
        """
        text = " ".join(map(str, self.seeds)) or "none"
        if self.final is not None:
            text += f" of {self.final}"
        elif self.planned is not None:
            text += f" of {self.planned} or more"
        if self.lacking is not None:
            text += " lacking {} of {} runs".format(*self.lacking)
        return text

    @classmethod
    def of_text(cls, text: str) -> "Sight":
        """Read what `str` writes.

        Raises:
            ValueError: it is something else.
        """
        found = _SIGHT.fullmatch(text)
        if found is None:
            raise ValueError(f"'{text[:SHOWN]}' names no seeds")
        seeds, number, more, lacking, of = found.groups()
        in_the_end = int(number) if number else None
        return cls(
            () if seeds == "none" else tuple(map(int, seeds.split())),
            (int(lacking), int(of)) if lacking else None,
            None if more else in_the_end,
            in_the_end if more else None,
        )

    @property
    def whole(self) -> bool:
        """Whether all is there that is planned for now, of a number that is not declared."""
        return self.lacking is None and self.planned is None and self.final is None

    @property
    def share(self) -> float:
        """Share of what may be spent until all is there that may be spent on this."""
        there = float(len(self.seeds))
        if self.lacking is not None:
            there *= 1 - self.lacking[0] / self.lacking[1]
        return min(there / (self.final or self.planned or len(self.seeds)), 1.0) ** POWER_OF_TIME


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
        self._history = [_of_text(row["seeds"]) for row in self._rows]
        same = [i for i, known in enumerate(self._history) if known == self.seen]
        self.is_new = bool(self.seen) and not same
        if same:
            self._history = self._history[: same[0] + 1]
        else:
            self._history.append(self.seen)

    def of(self, experiment: str) -> list[Sight]:
        """Return what was seen of an experiment, in order, up to now; each sight once.

        With fewer than three seeds there is no verdict, so that these are left out.
        """
        known = [sights[experiment] for sights in self._history if experiment in sights]
        enough = (sight for sight in known if len(sight.seeds) >= SEEDS_FOR_VERDICTS)
        found = list(dict.fromkeys(enough))
        now = self.seen.get(experiment)
        return found[: found.index(now) + 1] if now in found else found

    def is_spent(self, experiment: str) -> bool:
        """Whether the whole level of an experiment is spent with this look."""
        sights = self.of(experiment)
        return bool(sights) and _spent(sights)[-1] >= 1

    def level(self, experiment: str, level: float, seeds: int | None = None) -> float:
        """Return the level of a comparison at this look.

        Args:
            experiment: its experiment.
            level: of the comparison over all looks.
            seeds: instead, its level at the next look, with so many seeds; where nothing is left
                for one, that in a study of its own.
        """
        sights = self.of(experiment)
        if seeds is not None:
            if self.is_spent(experiment):
                return level
            final = self.seen[experiment].final
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
    boundary, time = _boundary(tuple(seeds), tuple(spent), level)
    return float(2 * ndtr(-boundary / math.sqrt(time))) if len(seeds) > 1 else level * spent[0]


@lru_cache(maxsize=4096)
def _boundary(seeds: tuple[int, ...], spent: tuple[float, ...], level: float) -> tuple[float, int]:
    """The boundary of the last look, infinite where nothing is left, and the time of it."""
    places, masses, before = _inside(seeds[:-1], spent[:-1], level)
    time = max(seeds[-1], before + 1)  # other seeds, but no more, are new ones as well
    step = math.sqrt(time - before)
    probability = level * (spent[-1] - (spent[-2] if len(spent) > 1 else 0.0))

    def beyond(boundary: float) -> float:
        above, below = ndtr((places - boundary) / step), ndtr((-boundary - places) / step)
        return float(masses @ (above + below)) - probability

    farthest = FARTHEST * math.sqrt(time)
    if probability <= 0 or beyond(farthest) >= 0:
        return math.inf, time
    return float(optimize.brentq(beyond, 0, farthest)), time


@lru_cache(maxsize=512)
def _inside(
    seeds: tuple[int, ...], spent: tuple[float, ...], level: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Where the motion is that has crossed no boundary: places, probabilities, and the time."""
    if not seeds:
        return np.zeros(1), np.ones(1), 0
    boundary, time = _boundary(seeds, spent, level)
    places, masses, before = _inside(seeds[:-1], spent[:-1], level)
    step = math.sqrt(time - before)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    reach = min(boundary, FARTHEST * math.sqrt(time))
    found = reach * nodes
    density = np.exp(-(((found[:, None] - places) / step) ** 2) / 2) @ masses
    return found, density * weights * reach / step / math.sqrt(2 * math.pi), time


def _spent(sights: Sequence[Sight]) -> list[float]:
    """Share of the level that is spent up to each look."""
    spent: list[float] = []
    most = base = 0.0  # up to this look; when the present aim was set
    extended, final = 0, sights[0].final
    for sight in sights:
        if sight.final != final:
            base, final = most, sight.final
        aim = 1.0 if final is not None else 1 - RESERVED / 2**extended
        most = max(most, sight.share * aim + (1 - sight.share) * base)
        spent.append(most)
        if sight.whole:
            extended, base = extended + 1, most
    return spent


def _text(seen: Seen) -> str:
    return "; ".join(f"{name}: {sight}" for name, sight in seen.items())


def _of_text(text: str) -> dict[str, Sight]:
    """Read what `_text` writes."""
    parts = (part.partition(": ") for part in text.split("; "))
    return {name: Sight.of_text(of_name) for name, _, of_name in parts}


def _read(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
            for row in rows:
                _of_text(row["seeds"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
        raise InputError(
            f"{file}: this is no record of looks ({error}); move it away, and looks are counted "
            "from now on"
        ) from None
    return rows
