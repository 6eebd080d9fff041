"""One run: from its resolved settings to its files."""

import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ablation.augmentation.pipeline import Augmentation
from ablation.data.prepared import Prepared, load
from ablation.data.splits import stratified_share
from ablation.errors import InputError
from ablation.models.build import build
from ablation.models.pretrained import load_weights
from ablation.study.grid import identity
from ablation.study.pipelines import check_channels, check_size
from ablation.training.batches import evaluation_batches, training_batches
from ablation.training.environment import describe_environment, make_deterministic
from ablation.training.optimizer import Schedule, make_optimizer, make_schedule

FORMAT = 1
HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
TIMING_COLUMNS = ("epoch", "seconds", "images_per_second")
EVALUATION_BATCH = (
    256  # at most; evaluation needs less memory than training a batch of the same size
)


class EpochLog(keras.callbacks.Callback):
    """Collects history and timing, and prints one line an epoch.

    Attributes:
        history: a row an epoch, as in ``history.csv``.
        timing: a row an epoch, as in ``timing.csv``.
    """

    def __init__(self, schedule: Schedule, steps: int, batch_size: int, epochs: int) -> None:
        super().__init__()
        self.schedule, self.steps, self.batch_size, self.epochs = (
            schedule,
            steps,
            batch_size,
            epochs,
        )
        self.history: list[dict[str, Any]] = []
        self.timing: list[dict[str, Any]] = []
        self._began = self._trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._began = time.perf_counter()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Stop the training part of the clock: validation has its own share of an epoch."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the epoch's row and tell it."""
        logs = logs or {}
        row = {
            "epoch": epoch + 1,
            **{key: np.float32(logs[key]) for key in HISTORY_COLUMNS[1:5]},
            "learning_rate": self.schedule.at(epoch * self.steps),
        }
        seconds = time.perf_counter() - self._began
        rate = self.steps * self.batch_size / (self._trained - self._began)
        self.history.append(row)
        self.timing.append({"epoch": epoch + 1, "seconds": seconds, "images_per_second": rate})
        spent = sorted(entry["seconds"] for entry in self.timing)[len(self.timing) // 2]
        left = spent * (self.epochs - epoch - 1)
        print(
            f"epoch {epoch + 1}/{self.epochs}  loss {row['loss']:.4f}  "
            f"accuracy {row['accuracy']:.4f}  val_loss {row['val_loss']:.4f}  "
            f"val_accuracy {row['val_accuracy']:.4f}  {seconds:.1f} s  {rate:.0f} images/s  "
            f"{_clock(left)} left",
            flush=True,
        )


def train(
    settings: dict[str, Any],
    data_folder: Path,
    outputs: list[Path],
    *,
    weights_file: Path | None = None,
    code: str = "",
) -> str:
    """Train one run and write its files.

    Args:
        settings: everything that decides the result, resolved (``Run.settings``).
        data_folder: the prepared data.
        outputs: the files to write; what each holds is told by its name: ``history.csv``,
            ``timing.csv``, ``predictions.npz``, ``run.json``, ``model.weights.h5``.
        weights_file: pretrained weights, where the architecture asks for some.
        code: fingerprint of the code that decides results, for the record.

    Returns:
        ``completed``, ``stopped_early`` or ``diverged``.

    Raises:
        InputError: the data is not what was prepared, or does not fit the settings.
    """
    started = time.time()
    training, seed = settings["training"], settings["seed"]
    make_deterministic(seed, settings["threads"])
    data = load(data_folder)
    share = settings["dataset"]["train_share"]
    fitted, validated = _parts(data, settings["validation"], share)
    batch_size = training["batch_size"]
    steps = len(fitted) // batch_size
    if not steps:
        raise InputError(f"batch_size {batch_size} is more than the {len(fitted)} training images")
    *size, channels = data.input_shape
    check_channels(settings["augmentation"], channels)
    check_size(settings["augmentation"], size, data.images.shape[1:3])
    classes = len(data.class_names)
    keras.config.set_dtype_policy("float32")
    model = build(
        settings["model"],
        data.input_shape,
        classes,
        seed=seed,
        dtype="mixed_bfloat16" if training["precision"] == "bfloat16" else "float32",
    )
    if weights_file is not None:
        load_weights(model, weights_file)
    schedule = make_schedule(training, steps)
    model.compile(
        optimizer=make_optimizer(training, schedule, model),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA on the CPU makes training several times slower
    )
    print(
        f"training on {_device()}: {len(fitted)} images, {steps} steps of {batch_size} an epoch, "
        f"{model.count_params():,} parameters",
        flush=True,
    )
    log = EpochLog(schedule, steps, batch_size, training["epochs"])
    callbacks: list[keras.callbacks.Callback] = [keras.callbacks.TerminateOnNaN(), log]
    stopping = _early_stopping(training["early_stopping"])
    if stopping is not None:
        callbacks.append(stopping)

    def evaluated(indices: np.ndarray) -> tf.data.Dataset:
        return evaluation_batches(
            data.images,
            data.labels,
            indices,
            classes,
            min(EVALUATION_BATCH, 4 * batch_size),
            size=size,
        )

    model.fit(
        training_batches(
            data.images,
            data.labels,
            fitted,
            classes,
            Augmentation(settings["augmentation"], size),
            size=size,
            seed=seed,
            batch_size=batch_size,
            parallel=settings["threads"],
            shuffle=training["shuffle"],
        ),
        epochs=training["epochs"],
        steps_per_epoch=steps,
        validation_data=evaluated(validated),
        callbacks=callbacks,
        shuffle=False,  # the batches come shuffled
        verbose=0,
    )

    def predicted(indices: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict(evaluated(indices), verbose=0), np.float32)

    tested = data.indices("test")
    probability, val_probability = predicted(tested), predicted(validated)
    clean = predicted(fitted)
    status = _status(log.history, [probability, val_probability], training["epochs"])
    record = {
        "format": FORMAT,
        "id": identity(settings)[:8],
        "status": status,
        "settings": settings,
        "code": code,
        "data": {
            "source": data.description["source"],
            "hash": data.description["hash"],
            "shape": data.description["shape"],
            "train": len(fitted),
            "validation": len(validated),
            "test": len(tested),
        },
        "class_names": data.class_names,
        "parameters": model.count_params(),
        "trainable_parameters": int(sum(math.prod(w.shape) for w in model.trainable_variables)),
        "weights_sha256": None if weights_file is None else _sha256(weights_file),
        "train_accuracy_clean": _accuracy(clean, data.labels[fitted]),
        "epochs": len(log.history),
        "threads": {
            "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
            "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
        },
        "device": _device(),
        "environment": describe_environment(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": time.time() - started,
    }
    writers: dict[str, Callable[[Path], None]] = {
        "history.csv": lambda path: _write_csv(path, HISTORY_COLUMNS, log.history),
        "timing.csv": lambda path: _write_csv(path, TIMING_COLUMNS, log.timing),
        "predictions.npz": lambda path: np.savez_compressed(
            path,
            allow_pickle=False,
            label=data.labels[tested],
            probability=probability,
            val_label=data.labels[validated],
            val_probability=val_probability,
        ),
        "run.json": lambda path: _write_json(path, record),
        "model.weights.h5": model.save_weights,
    }
    for output in sorted(outputs, key=lambda path: path.name == "run.json"):  # the record last
        _atomically(output, writers[output.name])
    print(f"{status} after {len(log.history)} epochs, {_clock(record['seconds'])}", flush=True)
    return status


def _parts(data: Prepared, validation: str, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices that are trained on and validated on."""
    if validation == "test":
        # What would have been held out is trained on as well, as far as the share goes.
        held = data.indices("validation")
        held = held[stratified_share(data.labels[held], share)]
        return np.sort(np.concatenate([data.indices("train"), held])), data.indices("test")
    return data.indices("train"), data.indices("validation")


def _early_stopping(wanted: dict[str, Any] | None) -> keras.callbacks.EarlyStopping | None:
    if wanted is None:
        return None
    return keras.callbacks.EarlyStopping(
        monitor=wanted["monitor"],
        mode={"val_loss": "min", "val_accuracy": "max"}[wanted["monitor"]],
        patience=wanted["patience"],
        min_delta=wanted["min_delta"],
        restore_best_weights=wanted["restore_best"],
    )


def _status(history: list[dict[str, Any]], outputs: list[np.ndarray], epochs: int) -> str:
    if not math.isfinite(history[-1]["loss"]) or not all(np.isfinite(o).all() for o in outputs):
        return "diverged"
    return "completed" if len(history) == epochs else "stopped_early"


def _accuracy(probability: np.ndarray, label: np.ndarray) -> float | None:
    """Share of right answers; None where the network answers with something not finite."""
    if not np.isfinite(probability).all():
        return None
    return float((probability.argmax(axis=1) == label).mean())


def _device() -> str:
    gpus = tf.config.list_logical_devices("GPU")
    return gpus[0].name if gpus else "CPU"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Write rows with the shortest digits that read back as the same number."""
    lines = [",".join(columns), *(",".join(str(row[c]) for c in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def _atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write beside, then rename, so that no reader meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"part-{path.name}")
    write(part)
    part.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
