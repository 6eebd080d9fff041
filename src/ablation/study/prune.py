"""Pruning: results that no study asks for any more."""

import shutil
from pathlib import Path

from ablation.study.plan import STUDIES, load_plan, study_names
from ablation.study.schema import Config

RESULTS = Path("results")


def unwanted(config: Config, studies: Path = STUDIES, results: Path = RESULTS) -> list[Path]:
    """Return the folders of runs and prepared data that none of the studies asks for.

    Raises:
        InputError: a study file cannot be read; then nobody knows what it asks for.
    """
    wanted: set[Path] = set()
    for name in study_names(studies):
        plan = load_plan(config.model_copy(update={"study": name}), studies)
        wanted |= {Path(folder) for folder in plan.runs} | {Path(folder) for folder in plan.data}
    return sorted(
        folder
        for pattern in ("runs/*/*/*/seed-*", "data/*/*")
        for folder in results.glob(pattern)
        if folder.is_dir() and RESULTS / folder.relative_to(results) not in wanted
    )


def prune(config: Config) -> None:
    """List what no study asks for, or remove it if the config says so."""
    folders = unwanted(config)
    remove = config.prune == "remove"
    total = 0
    for folder in folders:
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        total += size
        print(f"{'removed' if remove else 'unused'}  {size / 1e6:9.1f} MB  {folder}")
        if remove:
            shutil.rmtree(folder)
            for parent in list(folder.parents)[: len(folder.parts) - 2]:
                if any(parent.iterdir()):
                    break
                parent.rmdir()
    print(f"{len(folders)} folder(s) that no study asks for, {total / 1e6:.1f} MB")
    if folders and not remove:
        print("to remove them: snakemake prune --config prune=remove")
