"""Removal of results that no study uses."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ablation.storage import remove_empty, try_lock, writing
from ablation.study.plan import load_plan, names
from ablation.study.schema import Config
from ablation.training.checkpoint import LOCK

_RUN = re.compile(r"seed-\d+-[0-9a-f]{8}")
_DATA = re.compile(r"[a-z0-9]+-[a-z]+-[0-9a-f]{8}")
# Folders of runs, checkpoints and prepared data. Nothing else is removed.
_KINDS = (("runs/*/*/*/*", _RUN), ("checkpoints/*/*/*/*", _RUN), ("data/*/*", _DATA))


def unused(config: Config, results: Path) -> list[Path]:
    """Return the folders of runs, checkpoints and prepared data that no study uses.

    Runs with another number of threads than in ``config`` count as unused, as do runs with another
    precision than ``auto`` selects on this machine.

    Args:
        config: the config.
        results: the folder of results, relative to the working directory.

    Raises:
        InputError: a study cannot be read.
    """
    used: set[Path] = set()
    for name in names("studies"):
        plan = load_plan(config.model_copy(update={"study": name}), results=str(results))
        used |= {Path(folder) for folder in plan.data}
        for run in plan.runs.values():
            used |= {Path(run.folder), Path(run.checkpoints)}
    return [
        folder
        for pattern, name in _KINDS
        for folder in sorted(results.glob(pattern))
        if name.fullmatch(folder.name)
        and folder.is_dir()
        and folder.resolve() == results.resolve() / folder.relative_to(results)  # not a link
        and folder not in used
    ]


def prune(config: Config, results: Path) -> None:
    """List or remove folders that no study uses, as configured.

    Folders that another process has locked are not removed.

    Args:
        config: the config.
        results: the folder of results, relative to the working directory.

    Raises:
        InputError: a study cannot be read, or a folder cannot be removed.
    """
    found = unused(config, results)
    total = 0
    for folder in found:
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        total += size
        kind, *below = folder.relative_to(results).parts
        with _locked(folder, results.joinpath("checkpoints", *below)) as locked:
            if not locked:
                state = "in use"
            elif config.prune == "remove":
                state = "removed"
                with writing(folder):
                    shutil.rmtree(folder)
                    remove_empty(folder.parent, results / kind)
            else:
                state = "unused"
        print(f"{state:7}  {size / 1e6:9.1f} MB  {folder}")
    print(f"{len(found)} folder(s) that no study uses, {total / 1e6:.1f} MB")
    if found and config.prune != "remove":
        print("to remove them: snakemake prune --config prune=remove")


@contextmanager
def _locked(folder: Path, checkpoints: Path) -> Iterator[bool]:
    """Hold the lock of a run or data set; yield False if another process holds it."""
    of_run = _RUN.fullmatch(folder.name)
    file = checkpoints / LOCK if of_run else folder.parent / f".{folder.name}.lock"
    if not file.is_file():
        yield True
        return
    with file.open("a") as lock:
        yield try_lock(lock)
