"""Writing the archive of a finished study."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from importlib.metadata import version
from os.path import normpath
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ablation.analysis.tables import TABLES
from ablation.archive.crate import write_metadata
from ablation.archive.files import ABOUT, FORMAT, GRAPH, MAIN, STUDIES, SUMS, pack, sums
from ablation.archive.recompute import recompute
from ablation.errors import InputError
from ablation.report.render import render
from ablation.storage import atomically
from ablation.study.code import analysis_code, report_code
from ablation.study.plan import CONFIG_FILE, Plan
from ablation.study.plan_file import plan_digest, read_plan
from ablation.training.records import OUTPUTS

FOLDER = Path("results/archive")
IMAGES = ("gallery.npz", "mistakes.npz")  # of the inputs of a report, those that hold images
NAMED = 5  # missing runs named in a message

_OF_STUDY = (
    "plan.json", "analysis.json", "models.json", *IMAGES, "findings.csv", "rubric.csv",
)  # fmt: skip
_OF_CHECKOUT = (
    "Snakefile", "workflow/**/*", "profiles/**/*", "envs/*.lock", "LICENSE", "README.md",
    "CITATION.cff", CONFIG_FILE.as_posix(),
)  # fmt: skip


def write_archive(plan: Plan, *, images: bool = True) -> Path:
    """Write ``results/archive/{study}.zip`` from the files in the working directory.

    Args:
        plan: the study, finished.
        images: whether it contains images of the data. Without them, the report is rendered again
            without the figures that show them.

    Returns:
        The file.

    Raises:
        InputError: this is no checkout, runs are missing, the study was edited since, a file is
            missing, or the tables and the report do not follow from the runs.
    """
    study, results = plan.name, Path("results", plan.name)
    if not Path(MAIN).is_file():
        raise InputError(f"{MAIN} not found: archives are written in the folder of a checkout")
    _require_finished(plan)
    with TemporaryDirectory(prefix="ablation-") as place:
        tree = Path(place, "archive")
        for name in [*_required(plan), *_optional(plan)]:
            copy = tree / _inside(name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, copy)
        if not images:
            _remove_images(study, tree)
        (tree / GRAPH).write_text(rule_graph(study), encoding="utf-8")
        about = {
            "format": FORMAT,
            "study": study,
            "images": images,
            "version": version("ablation"),
            "analysis_code": analysis_code(),
            "report_code": report_code(),
        }
        (tree / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        if differences := recompute(tree, Path(place, "again")):
            raise InputError(
                f"{results} is out of date: {differences[0]}; run `make STUDY={study}` first"
            )
        write_metadata(plan, tree)
        (tree / SUMS).write_text(sums(tree), encoding="utf-8")
        file = FOLDER / f"{study}.zip"
        atomically(file, lambda part: pack(tree, part))
    return file


def rule_graph(study: str) -> str:
    """Return the graph of the workflow's rules in the dot language.

    Raises:
        InputError: Snakemake fails.
    """
    command = [sys.executable, "-m", "snakemake", "--forceall", "--rulegraph", "dot"]
    done = subprocess.run(
        [*command, "--config", f"study={json.dumps(study)}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"snakemake --rulegraph failed: {last}")
    lines = [line.strip() for line in done.stdout.strip().splitlines()]
    # Snakemake's order of the edges changes from call to call.
    edges = sorted(line for line in lines if " -> " in line)
    return "\n".join([*(line for line in lines[:-1] if line not in edges), *edges, "}\n"])


def _require_finished(plan: Plan) -> None:
    missing = [
        folder for folder in plan.runs if not all(Path(folder, name).is_file() for name in OUTPUTS)
    ]
    if missing:
        more = [f"{len(missing) - NAMED} more"] if missing[NAMED:] else []
        raise InputError(
            f"study '{plan.name}' is not finished, {len(missing)} of {len(plan.runs)} runs are "
            f"missing: {', '.join([*missing[:NAMED], *more])}; run `make STUDY={plan.name}` first"
        )
    for name in _required(plan):
        if not Path(name).is_file():
            command = "make data" if name.startswith("results/data/") else "make"
            raise InputError(
                f"study '{plan.name}' is not finished: {name} is missing; run "
                f"`{command} STUDY={plan.name}` first"
            )
    if plan_digest(read_plan(Path("results", plan.name, "plan.json"))) != plan_digest(plan):
        raise InputError(
            f"study '{plan.name}' was edited since it ran; run `make STUDY={plan.name}` first"
        )


def _required(plan: Plan) -> Iterator[str]:
    """Yield the paths of the files that every archive contains."""
    study = plan.name
    yield MAIN
    yield f"{STUDIES}/{study}.yaml"
    yield from (f"{STUDIES}/{name}.yaml" for name in plan.study.include)
    if plan.study.rubric is not None:
        yield f"config/rubrics/{plan.study.rubric}.yaml"
    yield from {one.narrative: None for one in plan.experiments if one.narrative is not None}
    yield from (f"{folder}/description.json" for folder in plan.data)
    yield from (f"{folder}/{name}" for folder in plan.runs for name in OUTPUTS)
    yield from (f"results/{study}/{name}.csv" for name in TABLES)
    yield from (f"results/{study}/{name}" for name in _OF_STUDY)
    yield from (f"reports/{study}.{suffix}" for suffix in ("html", "md"))


def _optional(plan: Plan) -> Iterator[str]:
    """Yield the paths of further files, as far as they exist."""
    logs = (run.log for run in plan.runs.values())
    patterns = (*_OF_CHECKOUT, f"results/logs/{plan.name}/*.log", f"reports/{plan.name}/*")
    found = {path for pattern in patterns for path in Path().glob(pattern)}
    found |= {Path("results", plan.name, "looks.csv"), *map(Path, logs)}
    for path in sorted(found):
        if path.is_file() and not any(part.startswith((".", "__")) for part in path.parts):
            yield path.as_posix()


def _inside(name: str) -> str:
    """Return a path without ``..``.

    Raises:
        InputError: it is outside the working directory.
    """
    inside = normpath(name)
    if inside.startswith(("/", "..")):
        raise InputError(
            f"{name}: is outside this folder, so an archive cannot contain it; move it"
        )
    return inside


def _remove_images(study: str, tree: Path) -> None:
    """Remove all images of the data from an archive, and render its report without them."""
    results = tree / "results" / study
    for name in IMAGES:
        np.savez_compressed(results / name, allow_pickle=False, index=np.array("[]"))
    with chdir(tree):
        render(study, Path("results", study), Path("reports"))
