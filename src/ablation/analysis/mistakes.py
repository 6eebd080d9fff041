"""Pictures of test images that networks get wrong."""

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

SHOWN = 8  # images a row
PAIRS = 4  # rows of pairs for each experiment and data set
LEAST = 2  # images of a pair
SIDE = 96  # pixels of an image that is kept, at most


def write_mistakes(results: StudyResults, file: Path) -> None:
    """Write pictures of test images that networks get wrong, as a network sees them.

    For each experiment and data set a row with the images that at least half of all its runs get
    wrong, and one for each of some compared pairs with the images that most runs of the less
    accurate arm get wrong and most of the other one right. Data whose images have been deleted has
    no rows.

    Args:
        results: the results of a study, with the table of comparisons.
        file: the ``.npz`` to write: ``index``, a JSON list of {key, experiment, dataset,
            true, predicted} and, of a pair, the names of the arm that is wrong (arm, arm_model,
            arm_augmentation) and of the one that is right (reference, …), and for each key uint8
            images [n, height, width, channels].

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
                arrays[key] = _seen(data, data.indices("test")[chosen])
    content = np.array(json.dumps(index))
    atomically(
        file, lambda part: np.savez_compressed(part, allow_pickle=False, index=content, **arrays)
    )


def _opened(folder: Path) -> Prepared | None:
    """The prepared data, if its images are there."""
    return load(folder, verify=False) if (folder / IMAGES).exists() else None


def _rows(
    sound: dict[Cell, list[RunResult]], compared: pd.DataFrame
) -> Iterable[tuple[dict[str, str], np.ndarray, list[RunResult]]]:
    """Which arms it is about, test images and the runs that get them wrong, of each row."""
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
    """The cells of comparisons of test accuracies and their names: the less accurate one first.

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
    """Share of the runs that get each test image wrong."""
    return np.asarray(1 - np.mean([run.correct for run in runs], axis=0))


def _largest(score: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The first of the allowed test images by score, the largest first, then by index."""
    images = np.flatnonzero(allowed)
    # Rounded, as equal counts of runs give shares that may differ in the last digit.
    return np.asarray(images[np.argsort(-score[images].round(9), kind="stable")][:SHOWN])


def _usual_answer(runs: Sequence[RunResult], image: int) -> int:
    """The most frequent wrong class of a test image."""
    answers = [run.answer[image] for run in runs if not run.correct[image]]
    return int(np.bincount(answers).argmax())


def _seen(data: Prepared, chosen: np.ndarray) -> np.ndarray:
    """The centre of some images, which a network sees, no larger than is shown."""
    (height, width), seen = data.images.shape[1:3], data.input_shape[:2]
    top, left = (height - seen[0]) // 2, (width - seen[1]) // 2
    images = data.images[chosen, top : top + seen[0], left : left + seen[1]]
    return images if max(seen) <= SIDE else np.stack([_reduced(image) for image in images])


def _reduced(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(picture.height, picture.width, image.shape[-1])
