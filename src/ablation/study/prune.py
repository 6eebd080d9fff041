"""Pruning: results that no study asks for any more."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablation.errors import InputError
from ablation.storage import UNREADABLE, clear_folder, remove_empty, try_lock, writing
from ablation.study.checkpoints import CHECKPOINT, FINISHED, LOCK, PUT_ASIDE, read_about
from ablation.study.grid import PreparedData, Run, identity
from ablation.study.plan import STUDIES, load_plan, study_names
from ablation.study.schema import Config

RESULTS = Path("results")
CHECKPOINTS = "checkpoints"

_RUN = re.compile(r"seed-\d+-[0-9a-f]{8}")
# Where runs, prepared data and checkpoints lie, how their folders are called, and the file that
# tells what they are. Nothing else is ever touched.
KINDS = (
    ("runs/*/*/*/*", _RUN, "run.json"),
    ("data/*/*", re.compile(r"[a-z0-9]+-[a-z]+-[0-9a-f]{8}"), "description.json"),
    (f"{CHECKPOINTS}/*/*/*/*", _RUN, f"{FINISHED}/run.json"),
)


@dataclass(frozen=True)
class Unwanted:
    """Something among the results that is of no use.

    Attributes:
        path: a folder, or the file of a checkpoint that was put aside.
        damaged: whether a study asks for it, but what it tells of itself is damaged; to be
            deleted by hand, because nobody else can say what is in it.
    """

    path: Path
    damaged: bool = False


def unwanted(config: Config, studies: Path = STUDIES, results: Path = RESULTS) -> list[Unwanted]:
    """Return what of the runs, the prepared data and the checkpoints no study asks for.

    Each is known by its settings, as its record tells them; those of checkpoints also by the
    checkpoint itself or the record of the run that they are of. What a study asks for with another
    number of threads is kept. Where the settings cannot be read, or do not fit the id in the
    folder's name, that id tells, with the present number of threads: a run or data set that is
    asked for is damaged, anything else is unwanted. Without a record, runs and data are not
    finished and left alone.

    Raises:
        InputError: a study file cannot be read; then nobody knows what it asks for.
    """
    wanted: set[str] = set()
    ids: set[str] = set()
    for name in study_names(studies):
        plan = load_plan(config.model_copy(update={"study": name}), studies)
        asked_for: list[Run | PreparedData] = [*plan.runs.values(), *plan.data.values()]
        wanted |= {identity(_core(run.settings)) for run in plan.runs.values()}
        wanted |= {identity(data.settings) for data in plan.data.values()}
        ids |= {one.id for one in asked_for}
    found = []
    for pattern, form, record in KINDS:
        checkpoints = pattern.startswith(CHECKPOINTS)
        for folder in sorted(results.glob(pattern)):
            # A link may lead out of the results, to what somebody else owns.
            linked = folder.resolve() != results.resolve() / folder.relative_to(results)
            there = folder.is_dir() if checkpoints else (folder / record).is_file()
            if linked or not form.fullmatch(folder.name) or not there:
                continue
            own_id, damaged = folder.name[-8:], False
            try:
                settings = _settings(folder, record)
                asked = identity(_core(settings)) in wanted
                damaged = identity(settings)[:8] != own_id
            except UNREADABLE:
                damaged = True
            if damaged:
                asked = own_id in ids
            if not asked:
                found.append(Unwanted(folder))
            elif damaged and not checkpoints:  # training puts a damaged checkpoint aside
                found.append(Unwanted(folder, damaged=True))
            elif checkpoints and (folder / PUT_ASIDE).is_file():
                found.append(Unwanted(folder / PUT_ASIDE))
    return found


def _settings(folder: Path, record: str) -> Any:
    """What the settings of a run, of prepared data or of checkpoints are.

    Raises:
        UNREADABLE: they are nowhere, or damaged.
    """
    checkpoint = folder / CHECKPOINT
    if checkpoint.is_file():
        return read_about(checkpoint)["settings"]
    file = folder / record
    if not file.is_file():
        file = _of_kind(folder, "runs") / "run.json"
    return json.loads(file.read_text())["settings"]


def _kind(folder: Path) -> str:
    """Whether a folder lies among runs, data or checkpoints; those of runs are as deep."""
    return folder.parts[-5] if _RUN.fullmatch(folder.name) else "data"


def _of_kind(folder: Path, kind: str) -> Path:
    """The folder of the same run among those of another kind."""
    return Path(*folder.parts[:-5], kind, *folder.parts[-4:])


def _core(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "threads"}


def prune(config: Config) -> None:
    """List what no study asks for, or remove it if the config says so.

    What a process at work has locked stays.

    Raises:
        InputError: a study file cannot be read, or something cannot be removed.
    """
    found = unwanted(config)
    unused = [one.path for one in found if not one.damaged]
    total = 0
    for path in unused:
        size = _size(path)
        total += size
        with _locked(path) as ours:
            if not ours:
                state = "in use"
            elif config.prune == "remove":
                _clear(path)
                state = "removed"
            else:
                state = "unused"
        if state == "removed":
            _remove(path)
        print(f"{state:7}  {size / 1e6:9.1f} MB  {path}")
    print(f"{len(unused)} folder(s) that no study asks for, {total / 1e6:.1f} MB")
    if unused and config.prune != "remove":
        print("to remove them: snakemake prune --config prune=remove")
    for one in found:
        if one.damaged:
            print(f"damaged, but asked for: delete {one.path} and run snakemake again")


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Keep processes off what is removed meanwhile; False if one is at work there."""
    folder = path if path.is_dir() else path.parent
    if _kind(folder) == "runs":
        folder = _of_kind(folder, CHECKPOINTS)  # where the lock of a run lies
    file = folder / LOCK
    if not file.is_file():
        yield True
        return
    with writing(file):
        lock = file.open("a")
    with lock:
        yield try_lock(lock)


def _clear(path: Path) -> None:
    with _removing(path):
        if path.is_dir():
            clear_folder(path)
        else:
            path.unlink()


def _remove(path: Path) -> None:
    """Remove what is empty now, after its lock was closed."""
    with _removing(path):
        path.with_name(f".{path.name}.lock").unlink(missing_ok=True)  # of preparing data
        remove_empty(path if path.is_dir() else path.parent, Path(*path.parts[:2]))


@contextmanager
def _removing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be removed: {error.strerror or error}") from error
