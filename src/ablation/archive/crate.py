"""The metadata of an archive: a Workflow Run RO-Crate.

https://www.researchobject.org/workflow-run-crate/profiles/workflow_run_crate
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from ablation.archive.files import MAIN, METADATA, STUDIES, SUMS, names
from ablation.identity import identity
from ablation.report.page import TYPES
from ablation.storage import file_sha256
from ablation.study.grid import Run
from ablation.study.plan import Plan
from ablation.training.records import OUTPUTS, read_record

VERSION = "1.1"  # of RO-Crate; the profiles are based on it
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = {
    "sha256": "http://schema.org/sha256",
    "environment": "https://w3id.org/ro/terms/workflow-run#environment",
    "resourceUsage": "https://w3id.org/ro/terms/workflow-run#resourceUsage",
}
FORMATS = TYPES | {
    "html": "text/html", "json": "application/json", "npz": "application/zip",
    "yaml": "application/yaml",
}  # fmt: skip
MACHINE = ("processor", "cores", "gpus", "system", "variables")


def write_metadata(plan: Plan, tree: Path) -> None:
    """Write ``ro-crate-metadata.json``, which describes all files of a folder and all runs.

    Args:
        plan: the study.
        tree: the files of the archive.

    Raises:
        InputError: the record of a run cannot be read.
    """
    crate = ROCrate(version=VERSION)
    crate.metadata.extra_terms |= TERMS
    records = [(run, read_record(tree / run.folder, run.id)) for run in plan.runs.values()]
    for name in names(tree):
        if name not in (METADATA, SUMS):
            _add_file(crate, tree, name, records[0][1]["environment"])
    actions = [_add_run(crate, tree, run, record) for run, record in records]
    starts, ends = ([action[key] for action in actions] for key in ("startTime", "endTime"))
    study = plan.name
    made = [name for name in names(tree) if name.startswith((f"results/{study}/", "reports/"))]
    whole = _add(
        crate, "#workflow", "CreateAction",
        name=f"Run the study {study}",
        description=plan.study.title,
        instrument=crate.get(MAIN),
        object=_references(crate, [f"{STUDIES}/{study}.yaml"]),
        result=_references(crate, made),
        startTime=min(starts),
        endTime=max(ends),
        actionStatus="http://schema.org/CompletedActionStatus",
    )  # fmt: skip
    crate.name = plan.study.title
    crate.description = (
        f"The study {study} in image classification: its report, and all tables, histories and "
        "predictions that the report is made from. `ablation verify` checks it."
    )
    crate.datePublished = datetime.fromisoformat(max(ends))
    crate.license = crate.get("LICENSE") or "no license was declared"
    crate.root_dataset["conformsTo"] = [
        _add(crate, address, "CreativeWork", name=name, version=address.rpartition("/")[2])
        for address, name in PROFILES.items()
    ]
    crate.root_dataset["mentions"] = [whole, *actions]
    text = json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False)
    (tree / METADATA).write_text(f"{text}\n", encoding="utf-8")


def _add(crate: ROCrate, key: str, kind: str, **properties: Any) -> ContextEntity:
    """Return the entity of this id, added if it is new."""
    known = crate.get(key)
    return known or crate.add(ContextEntity(crate, key, {"@type": kind, **properties}))


def _references(crate: ROCrate, files: Iterable[str]) -> list[Any]:
    return [crate.get(name) for name in files]


def _add_file(crate: ROCrate, tree: Path, name: str, environment: Mapping[str, Any]) -> None:
    file = tree / name
    properties = {
        "name": name,
        "contentSize": str(file.stat().st_size),
        "sha256": file_sha256(file),
        "encodingFormat": FORMATS.get(name.rpartition(".")[2], "text/plain"),
        **({"about": {"@id": "./"}} if name == "README.md" else {}),
    }
    if name == MAIN:
        crate.add_workflow(
            dest_path=name, main=True, lang="snakemake",
            lang_version=environment["packages"].get("snakemake"),
            properties={**properties, "version": version("ablation")},
        )  # fmt: skip
    else:
        crate.add_file(dest_path=name, properties=properties)


def _add_run(crate: ROCrate, tree: Path, run: Run, record: Mapping[str, Any]) -> ContextEntity:
    """Add the action that trained a run."""
    attempts = list(_attempts(record, tree / run.folder / "timing.csv"))
    usage = [
        _add(
            crate, f"#run-{run.id}-attempt-{number}", "PropertyValue",
            name=f"attempt {number}", value=f"epochs {first} to {last} on {device}",
            startTime=start, endTime=end,
        )
        for number, (first, last, device, start, end) in enumerate(attempts, 1)
    ]  # fmt: skip
    seconds = _add(
        crate, f"#run-{run.id}-seconds", "PropertyValue",
        name="training time", value=record["seconds"], unitText="s",
    )  # fmt: skip
    return _add(
        crate, f"#run-{run.id}", "CreateAction",
        name=f"Train {run.model} on {run.dataset}, {run.augmentation}, seed {run.seed}",
        description=f"Run {run.id} of the grid: {record['status']}",
        instrument=_software(crate, record["environment"]),
        object=_references(crate, [f"{run.data.folder}/description.json"]),
        result=_references(crate, (f"{run.folder}/{name}" for name in OUTPUTS)),
        startTime=attempts[0][3],
        endTime=attempts[-1][4],
        actionStatus="http://schema.org/CompletedActionStatus",
        environment=list(_machines(crate, record["attempts"])),
        resourceUsage=[*usage, seconds],
    )  # fmt: skip


def _attempts(record: Mapping[str, Any], timing: Path) -> Iterator[tuple[int, int, str, str, str]]:
    """Yield first epoch, last epoch, device, start and end of each attempt to train a run.

    An attempt that was interrupted ends with the last epoch that the next one continued.
    """
    with timing.open(newline="", encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    attempts = record["attempts"]
    firsts = [attempt["first_epoch"] for attempt in attempts]
    for attempt, first, after in zip(
        attempts, firsts, [*firsts[1:], len(seconds) + 1], strict=True
    ):
        start = datetime.fromisoformat(attempt["started"])
        lasted = record["seconds"] if len(attempts) == 1 else sum(seconds[first - 1 : after - 1])
        end = start + timedelta(seconds=lasted)
        yield first, after - 1, attempt["device"], _time(start), _time(end)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _software(crate: ROCrate, environment: Mapping[str, Any]) -> ContextEntity:
    """Add the training program with its packages."""
    versions = {"python": environment["python"], **environment["packages"]}
    commit = environment["git_commit"] or "unknown"
    return _add(
        crate, f"#train-{identity([commit, versions])[:8]}", "SoftwareApplication",
        name="ablation train",
        softwareVersion=f"commit {commit}",
        softwareRequirements=[
            _add(
                crate, f"#{package}-{number}", "SoftwareApplication",
                name=package, softwareVersion=number,
            )
            for package, number in versions.items()
        ],
    )  # fmt: skip


def _machines(crate: ROCrate, attempts: Iterable[Mapping[str, Any]]) -> Iterator[ContextEntity]:
    """Yield a property for each fact about the machines of a run, each once."""
    found = {}
    for environment in (attempt["environment"] for attempt in attempts):
        for name in MACHINE:
            if value := environment.get(name):
                text = value if isinstance(value, str | int) else json.dumps(value, sort_keys=True)
                key = f"#{name}-{identity(value)[:8]}"
                found[key] = _add(crate, key, "PropertyValue", name=name, value=text)
    yield from found.values()
