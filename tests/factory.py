"""Files of runs that were never trained, so that tests know the right answers."""

import json
from collections.abc import Callable, Mapping
from contextlib import chdir
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from ablation.analysis.analyse import analyse
from ablation.analysis.tables import TABLES
from ablation.data.prepared import FORMAT
from ablation.storage import file_sha256, sealed
from ablation.study.plan import Plan, load_config, load_plan
from ablation.training.code import run_code
from ablation.training.records import write_record

DIGITS = tuple(map(str, range(10)))
ENVIRONMENT = {
    "python": "3.11.7",
    "packages": {"tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.3.0"},
    "git_commit": "abc",
    "system": "Linux",
    "processor": "A processor",
    "gpus": [],
    "variables": {},
}

OfRun = Callable[[tuple[str, str, str], int], Any]  # of a cell and a seed


def simulated_study(
    folder: Path,
    study: str,
    accuracy: OfRun,
    *,
    name: str = "tiny",
    diverged: OfRun = lambda cell, seed: False,
    missing: OfRun = lambda cell, seed: False,
    options: OfRun = lambda cell, seed: {},
    names: Mapping[str, str] | None = None,
    images: int = 1000,
) -> Plan:
    """Write a study and the files of its runs into a project folder.

    A run answers the first ``accuracy · images`` test images correctly, and names the next class
    for the others; labels go round the classes. Its curves rise to that accuracy.

    Args:
        folder: the project folder; analysis and report need it as the working directory.
        study: text of the study file.
        accuracy: test accuracy of a run, from its cell (data set, model, augmentation) and seed.
        name: of the study.
        diverged: whether a run diverged.
        missing: whether a run is not there.
        options: further arguments of `write_run` for a run.
        names: texts of the study file that are replaced everywhere in the plan once it is loaded,
            for labels that no study file can hold.
        images: of the test split.

    Returns:
        The plan.
    """
    with chdir(folder):
        file = Path("config/studies") / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(study)
        Path("config/config.yaml").write_text(f"study: {name}\n")
        declared = load_plan(load_config())
        plan = renamed(declared, names or {})
        for known, run in zip(declared.runs.values(), plan.runs.values(), strict=True):
            of = (known.cell, known.seed)
            if not missing(*of):
                given = {"accuracy": accuracy(*of), "images": images, **options(*of)}
                if diverged(*of):
                    given["status"] = "diverged"
                write_run(run, **given)
    return plan


def analysed(folder: Path, plan: Plan, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Analyse a study of `simulated_study`, and return ``analysis.json`` and its tables."""
    with chdir(folder):
        results = Path("results") / plan.name
        analyse(plan, results, **options)
        analysis = json.loads((results / "analysis.json").read_text())
        return analysis, {name: table.read(results) for name, table in TABLES.items()}


def write_run(
    run: Any,
    *,
    accuracy: float = 0.9,
    label: np.ndarray | None = None,
    answer: np.ndarray | None = None,
    images: int = 1000,
    validation: int = 400,
    class_names: tuple[str, ...] = DIGITS,
    confidence: Any = 0.91,
    status: str = "completed",
    train_accuracy: float = 0.99,
    history: Mapping[str, Any] | None = None,
    epoch_seconds: Any = 2.0,
    description: Mapping[str, Any] | None = None,
    prepared: bool = True,
    **record: Any,
) -> None:
    """Write the files that a run leaves, and the description of its prepared data.

    The last ``validation`` test images serve as validation images too.

    Args:
        run: the run.
        accuracy, images: share of so many test images that are answered correctly.
        label, answer: instead, class and predicted class of each test image.
        validation: how many images validate.
        class_names: name of each class.
        confidence: largest probability, of all images or of each.
        status: as in ``run.json``.
        train_accuracy: on the training images without augmentation.
        history: columns of ``history.csv`` that are not the usual ones; as long as each other.
        epoch_seconds: what each epoch took, of all epochs or of each.
        description: keys of ``description.json`` that are not the usual ones.
        prepared: whether to write that description.
        record: keys of ``run.json`` that are not the usual ones.
    """
    classes = len(class_names)
    if label is None:
        label = np.arange(images) % classes
    if answer is None:
        right = np.arange(len(label)) < round(accuracy * len(label))
        answer = np.where(right, label, (label + 1) % classes)
    rest = (1 - np.asarray(confidence)) / (classes - 1)
    probability = np.empty((len(label), classes), np.float32)
    probability[:] = np.broadcast_to(rest, len(label))[:, None]
    probability[np.arange(len(label)), answer] = confidence
    if status == "diverged":
        probability[:] = np.nan
    folder = Path(run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "predictions.npz",
        label=label,
        probability=probability,
        val_label=label[-validation:],
        val_probability=probability[-validation:],
    )
    curves = usual_history(run, status, float((answer == label).mean()), train_accuracy)
    if history is not None:
        length = len(next(iter(history.values())))
        curves = {key: (list(of) * length)[:length] for key, of in curves.items()} | dict(history)
    epochs = np.arange(1, len(curves["loss"]) + 1)
    pd.DataFrame({"epoch": epochs, **curves}).to_csv(folder / "history.csv", index=False)
    timing = {"epoch": epochs, "seconds": epoch_seconds, "images_per_second": 500.0}
    pd.DataFrame(timing).to_csv(folder / "timing.csv", index=False)
    write_record(
        folder,
        {
            "id": run.id,
            "status": status,
            "settings": run.settings.model_dump(mode="json"),
            "code": run_code(run.settings),
            "epochs": len(epochs),
            "train_accuracy_clean": None if status == "diverged" else train_accuracy,
            "class_names": list(class_names),
            "data": {
                "source": "mnist5k/1.0.0",
                "hash": "h",
                "shape": [28, 28, 1],
                "train": 3600,
                "validation": validation,
                "test": len(label),
            },
            "parameters": 1000,
            "trainable_parameters": 900,
            "threads": {"intra_op": 2, "inter_op": 2},
            "environment": ENVIRONMENT,
            "started": "2026-01-01T00:00:00Z",
            "seconds": 10.0,
            **record,
        },
    )
    if not prepared:
        return
    splits = {"train": 3600 // classes * np.ones(classes, int)}
    for split, labels in (("validation", label[-validation:]), ("test", label)):
        splits[split] = np.bincount(labels, minlength=classes)
    data = Path(run.data.folder)
    data.mkdir(parents=True, exist_ok=True)
    counts = {split: of.tolist() for split, of in splits.items()}
    usual = {"hash": "h", "counts": counts, "splits": {}, "citation": ""}
    (data / "description.json").write_text(json.dumps({**usual, **(description or {})}))


def write_images(run: Any, images: np.ndarray, size: tuple[int, int] | None = None) -> None:
    """Write the prepared data of a run of `write_run`: two training images, then the test split.

    Args:
        run: the run.
        images: its test images, uint8 [n, height, width, channels].
        size: height and width of what a network sees; all by default.
    """
    folder = Path(run.data.folder)
    with np.load(Path(run.folder) / "predictions.npz") as predictions:
        labels = [0, 1, *predictions["label"]]
    record = json.loads((Path(run.folder) / "run.json").read_text())
    stored = np.concatenate([images[:2] ^ 255, images])
    np.save(folder / "images.npy", stored)
    split = ["train"] * 2 + ["test"] * len(images)
    examples = pd.DataFrame({"split": split, "label": labels, "name": "x"})
    examples.to_csv(folder / "examples.csv", index=False)
    description = json.loads((folder / "description.json").read_text()) | {
        "format": FORMAT,
        "settings": {"image_size": size, "stored_size": None},
        "class_names": record["class_names"],
        "shape": list(stored.shape),
        "examples_sha256": file_sha256(folder / "examples.csv"),
    }
    (folder / "description.json").write_text(json.dumps(sealed(description)))


def usual_history(
    run: Any, status: str, accuracy: float, train_accuracy: float
) -> dict[str, list[float]]:
    """Return curves that come to an end: accuracies rise to those given, losses fall."""
    epochs = run.settings.training.epochs
    left = [0.4**epoch for epoch in range(1, epochs)] + [0.0]
    loss = [0.1 + 2 * part for part in left]
    val_loss = [0.2 + 2 * part for part in left]
    if status == "diverged":
        loss[-1] = float("nan")
    return {
        "loss": loss,
        "accuracy": [train_accuracy - 0.5 * part for part in left],
        "val_loss": [*val_loss[:-1], val_loss[max(epochs - 2, 0)]],  # no longer falls
        "val_accuracy": [accuracy * (1 - part / 2) for part in left],
        "learning_rate": [0.1] * epochs,
    }


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return a plan, or a part of one, with texts replaced wherever they occur."""
    if isinstance(value, str):
        for name, other in names.items():
            value = value.replace(name, other)
        return value
    if isinstance(value, dict):
        return {renamed(key, names): renamed(one, names) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(renamed(one, names) for one in value)
    if isinstance(value, BaseModel):
        given = {key: renamed(getattr(value, key), names) for key in value.model_fields_set}
        return value.model_copy(update=given)
    if is_dataclass(value):
        return replace(
            value, **{one.name: renamed(getattr(value, one.name), names) for one in fields(value)}
        )
    return value
