"""Misclassified test images."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ablation.analysis.results import StudyResults
from ablation.analysis.runs import RunResult
from ablation.data.prepared import IMAGES, Prepared, load
from ablation.storage import atomically
from ablation.study.comparisons import Cell
from ablation.study.metrics import TEST_ACCURACY

SHOWN = 8  # most images in a row
PAIRS = 4  # most rows of pairs for each experiment and data set
LEAST = 2  # fewest images in a row of a pair
SIDE = 96  # largest side of a stored image, in pixels


def write_mistakes(results: StudyResults, file: Path) -> None:
    """Write misclassified test images, cropped to the input of the networks.

    Each experiment and data set has a row of the images that at least half of all runs misclassify,
    and rows for some compared pairs: images that most runs of the less accurate arm misclassify and
    most runs of the other classify correctly. Data without stored images has no rows.

    Args:
        results: the results of a study, with the table of comparisons.
        file: the ``.npz`` file: ``index``, a JSON list of {key, experiment, dataset, true,
            predicted} and, for a pair, the names of the wrong arm (arm, arm_model,
            arm_augmentation) and of the correct one (reference, …); for each key uint8 images [n,
            height, width, channels].

    Raises:
        InputError: the prepared data has changed, or the file cannot be written.
    """
    index: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    opened: dict[str, Prepared | None] = {}
    for experiment, cells in results.cells.items():
        for dataset in dict.fromkeys(cell[0] for cell in cells):
            sound = {
                cell: results.sound[experiment, cell]
                for cell in cells
                if cell[0] == dataset and results.sound[experiment, cell]
            }
            if not sound:
                continue
            folder = next(iter(sound.values()))[0].run.data.folder
            if folder not in opened:
                opened[folder] = _opened(Path(folder))
            data = opened[folder]
            if data is None:
                continue
            compared = results.tables["comparisons"]
            compared = compared[
                (compared["experiment"] == experiment) & (compared["dataset"] == dataset)
            ]
            for names, chosen, runs in _rows(sound, compared):
                key = f"images_{len(index)}"
                true = [data.class_names[label] for label in runs[0].label[chosen]]
                predicted = [data.class_names[_usual_answer(runs, image)] for image in chosen]
                index.append(
                    {
                        "key": key,
                        "experiment": experiment,
                        "dataset": dataset,
                        **names,
                        "true": true,
                        "predicted": predicted,
                    }
                )
                arrays[key] = _cropped(data, data.indices("test")[chosen])
    content = np.array(json.dumps(index))
    atomically(
        file,
        lambda temporary: np.savez_compressed(
            temporary, allow_pickle=False, index=content, **arrays
        ),
    )


def _opened(folder: Path) -> Prepared | None:
    """Return the prepared data; None without stored images."""
    return load(folder, verify=False) if (folder / IMAGES).exists() else None


def _rows(
    sound: dict[Cell, list[RunResult]], compared: pd.DataFrame
) -> Iterable[tuple[dict[str, str], np.ndarray, list[RunResult]]]:
    """Return for each row the names of a pair, the images, and the runs that misclassify them."""
    every = [run for runs in sound.values() for run in runs]
    share = _wrong(every)
    hardest = _largest(share, share >= 0.5)
    if len(hardest):
        yield {}, hardest, every
    shown = 0
    for wrong, right, names in _pairs(compared):
        if shown == PAIRS or not (sound.get(wrong) and sound.get(right)):
            continue
        of_wrong, of_right = _wrong(sound[wrong]), _wrong(sound[right])
        chosen = _largest(of_wrong - of_right, (of_wrong > 0.5) & (of_right < 0.5))
        if len(chosen) >= LEAST:
            shown += 1
            yield names, chosen, sound[wrong]


def _pairs(compared: pd.DataFrame) -> list[tuple[Cell, Cell, dict[str, str]]]:
    """Return less accurate cell, other cell and names of each comparison of test accuracies.

    Decided comparisons come first.
    """
    pairs = compared[
        (compared["measure"] == TEST_ACCURACY)
        & (compared["factors"] == "")
        & (compared["verdict"] != "")
        & (compared["arm_model"] != "")
        & (compared["reference_model"] != "")
    ]
    rows: list[Any] = pairs.to_dict("records")
    found = []
    for row in sorted(rows, key=lambda row: row["verdict"] not in ("better", "worse")):
        sides = ("reference", "arm") if row["difference"] > 0 else ("arm", "reference")
        names = {
            f"{name}{part}": row[f"{side}{part}"]
            for name, side in zip(("arm", "reference"), sides, strict=True)
            for part in ("", "_model", "_augmentation")
        }
        wrong, right = (
            (row["dataset"], row[f"{side}_model"], row[f"{side}_augmentation"]) for side in sides
        )
        found.append((wrong, right, names))
    return found


def _wrong(runs: Sequence[RunResult]) -> np.ndarray:
    """Return the share of the runs that misclassify each test image."""
    return np.asarray(1 - np.mean([run.correct for run in runs], axis=0))


def _largest(score: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the allowed test images with the largest scores; ties are ordered by index."""
    images = np.flatnonzero(allowed)
    # rounded, because equal counts can give shares that differ in the last bit
    return np.asarray(images[np.argsort(-score[images].round(9), kind="stable")][:SHOWN])


def _usual_answer(runs: Sequence[RunResult], image: int) -> int:
    """Return the most frequent wrong class of a test image."""
    answers = [run.answer[image] for run in runs if not run.correct[image]]
    return int(np.bincount(answers).argmax())


def _cropped(data: Prepared, chosen: np.ndarray) -> np.ndarray:
    """Return the centre crops that networks get as input, reduced to at most `SIDE` pixels."""
    (height, width), size = data.images.shape[1:3], data.input_shape[:2]
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    images = data.images[chosen, top : top + size[0], left : left + size[1]]
    return images if max(size) <= SIDE else np.stack([_reduced(image) for image in images])


def _reduced(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(picture.height, picture.width, image.shape[-1])
