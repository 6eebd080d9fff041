"""Writing the files of a run."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ablation.errors import InputError
from ablation.storage import atomically, file_sha256, sealed
from ablation.training.callbacks import HISTORY_COLUMNS, TIMING_COLUMNS, EpochLog
from ablation.training.records import RECORD


def write_files(
    folder: Path,
    wanted: Iterable[str],
    log: EpochLog,
    predictions: dict[str, np.ndarray],
    model: keras.Model,
    record: dict[str, Any],
) -> None:
    """Write the files of a run atomically; the record with their hashes comes last.

    Args:
        folder: output folder.
        wanted: names of the files, which decide their content.
        log: history and timing.
        predictions: the arrays of ``predictions.npz``.
        model: the network.
        record: the content of ``run.json`` without hashes and seal.

    Raises:
        InputError: a name is not that of a file of a run, or a file cannot be written.
    """
    writers = {
        "history.csv": lambda path: _write_csv(path, HISTORY_COLUMNS, log.history),
        "timing.csv": lambda path: _write_csv(path, TIMING_COLUMNS, log.timing),
        "predictions.npz": lambda path: np.savez_compressed(
            path, allow_pickle=False, **predictions
        ),
        "model.weights.h5": model.save_weights,
    }
    names = [name for name in wanted if name != RECORD]
    for name in names:
        if name not in writers:
            raise InputError(f"a run has no file '{name}', only {', '.join([*writers, RECORD])}")
        atomically(folder / name, writers[name])
    hashes = {name: file_sha256(folder / name) for name in sorted(names)}
    atomically(folder / RECORD, lambda path: _write_json(path, sealed({**record, "files": hashes})))


def all_finite(arrays: Iterable[np.ndarray]) -> bool:
    """Return whether all numbers of the arrays are finite."""
    return all(bool(np.isfinite(array).all()) for array in arrays)


def status_of(log: EpochLog, results: Iterable[np.ndarray]) -> str:
    """Return how training ended: ``completed``, ``stopped_early`` or ``diverged``.

    Args:
        log: log of the epochs.
        results: weights and predictions.
    """
    if not math.isfinite(log.history[-1]["loss"]) or not all_finite(results):
        return "diverged"
    return "completed" if len(log.history) == log.epochs else "stopped_early"


def accuracy(probability: np.ndarray, label: np.ndarray) -> float:
    """Return the share of examples whose most probable class is their label.

    Args:
        probability: [examples, classes].
        label: int [examples].
    """
    return float((probability.argmax(axis=1) == label).mean())


def cross_entropy(probability: np.ndarray, label: np.ndarray) -> float:
    """Return the mean cross-entropy, with probabilities clipped as in Keras' loss.

    Args:
        probability: [examples, classes].
        label: int [examples].
    """
    correct = probability[np.arange(len(label)), label]
    epsilon = keras.config.epsilon()
    return float(-np.log(np.clip(correct, epsilon, 1 - epsilon), dtype=np.float64).mean())


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Write rows; numbers have the fewest digits that give the same value when read."""
    lines = [",".join(columns), *(",".join(str(row[c]) for c in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
