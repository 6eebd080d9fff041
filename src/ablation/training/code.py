"""Digests of the code that a run depends on, for each part."""

from collections.abc import Mapping
from functools import cache

from ablation.code import code_digest
from ablation.data.settings import DataSettings
from ablation.data.sources import source_of
from ablation.errors import InputError
from ablation.identity import identity
from ablation.models.families import FAMILIES
from ablation.training.settings import RunSettings

WITHOUT = ("code", "downloads", "errors", "identity", "lazy", "quiet", "storage", "strict")
"""The modules whose code does not decide the result of a run."""

LOOP = "the training loop"


def data_code(settings: DataSettings) -> str:
    """Return the digest of the code that prepares a data set."""
    return _data_code(source_of(settings.source).module)


def run_code(settings: RunSettings) -> dict[str, str]:
    """Return the digests of the code that decides the result of a run.

    Returns:
        Digests by name of the part: `LOOP`, the family of the network, the source of the data set
        and each step of the pipeline.
    """
    source, family = source_of(settings.dataset.source), FAMILIES[settings.model.family]
    parts = {
        LOOP: _digest("ablation.training.run"),
        source.name: _data_code(source.module),
        settings.model.family: _digest(family.module),
    }
    return parts | {call.step: _digest(call.definition.module) for call in settings.augmentation}


def code_of(parts: Mapping[str, str]) -> str:
    """Return one digest of all parts of a run's code: 16 hex digits."""
    return identity(dict(parts))[:16]


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return which parts differ, such as ``the code of cutmix has changed``; empty if none."""
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if not changed:
        return ""
    *others, last = changed
    names = f"{', '.join(others)} and {last}" if others else last
    return f"the code of {names} has changed"


def require_code(now: str, planned: str | None) -> None:
    """Refuse code with another digest than a job was planned with; None allows any.

    Raises:
        InputError: the digests differ.
    """
    if planned not in (None, now):
        raise InputError("the code was edited while the study ran: run snakemake again")


@cache
def _digest(*modules: str) -> str:
    return code_digest(modules, without=WITHOUT)


@cache
def _data_code(source: str) -> str:
    return _digest("ablation.data.prepare", source)
