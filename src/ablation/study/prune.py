"""Pruning: results that no study asks for any more."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from ablation.study.grid import identity
from ablation.study.plan import STUDIES, load_plan, study_names
from ablation.study.schema import Config

RESULTS = Path("results")
# Where runs and prepared data lie, how their folders are called, and the file that tells what
# they are. Nothing else is ever touched.
KINDS = (
    ("runs/*/*/*/*", re.compile(r"seed-\d+-[0-9a-f]{8}"), "run.json"),
    ("data/*/*", re.compile(r"[a-z0-9]+-[a-z]+-[0-9a-f]{8}"), "description.json"),
)


def unwanted(config: Config, studies: Path = STUDIES, results: Path = RESULTS) -> list[Path]:
    """Return the folders of runs and prepared data that none of the studies asks for.

    A run that a study asks for with another number of threads is kept.

    Raises:
        InputError: a study file cannot be read; then nobody knows what it asks for.
    """
    wanted: set[str] = set()
    for name in study_names(studies):
        plan = load_plan(config.model_copy(update={"study": name}), studies)
        wanted |= {identity(_core(run.settings)) for run in plan.runs.values()}
        wanted |= {identity(_core(data.settings)) for data in plan.data.values()}
    found = []
    for pattern, form, record in KINDS:
        for folder in sorted(results.glob(pattern)):
            file = folder / record
            # A link may lead out of the results, to what somebody else owns.
            linked = folder.resolve() != results.resolve() / folder.relative_to(results)
            if form.fullmatch(folder.name) and file.is_file() and not linked:
                settings = json.loads(file.read_text())["settings"]
                if identity(_core(settings)) not in wanted:
                    found.append(folder)
    return found


def _core(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "threads"}


def prune(config: Config) -> None:
    """List what no study asks for, or remove it if the config says so."""
    folders = unwanted(config)
    remove = config.prune == "remove"
    total = 0
    for folder in folders:
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        total += size
        if remove:
            shutil.rmtree(folder)
            for parent in list(folder.parents)[: len(folder.parts) - 2]:
                if any(parent.iterdir()):
                    break
                parent.rmdir()
        print(f"{'removed' if remove else 'unused'}  {size / 1e6:9.1f} MB  {folder}")
    print(f"{len(folders)} folder(s) that no study asks for, {total / 1e6:.1f} MB")
    if folders and not remove:
        print("to remove them: snakemake prune --config prune=remove")
