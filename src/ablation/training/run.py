"""The training of one run, from its resolved settings to its files."""

import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ablation.augmentation.pipeline import Augmentation, scaled
from ablation.augmentation.pipelines import check_channels, check_size
from ablation.data.prepared import Prepared, load
from ablation.data.splits import stratified_share
from ablation.errors import InputError
from ablation.models.build import build
from ablation.models.pretrained import load_weights
from ablation.training import checkpoint as kept
from ablation.training.batches import Finish, evaluation_batches, training_batches
from ablation.training.callbacks import (
    Checkpoints,
    EarlyStopping,
    EpochLog,
    StepCheck,
    clock,
    restore,
)
from ablation.training.checkpoint import CHECKPOINT, FINISHED, Checkpoint, Identity
from ablation.training.environment import describe_environment, make_deterministic
from ablation.training.optimizer import Schedule, make_optimizer, make_schedule
from ablation.training.outputs import accuracy, all_finite, cross_entropy, status_of, write_files
from ablation.training.records import FORMAT
from ablation.training.settings import EarlyStopping as EarlyStoppingSettings
from ablation.training.settings import RunSettings
from ablation.training.signals import StopSignals
from ablation.training.status import Reporter


def train(
    settings: RunSettings,
    identity: Identity,
    data_folder: Path,
    wanted: list[str],
    checkpoints: Path,
    signals: StopSignals,
    *,
    weights_file: Path | None,
    device: str | None,
    reporter: Reporter,
) -> Path:
    """Train one run, starting from its checkpoint if it has one, and write its files.

    Args:
        settings: of the run.
        identity: everything that decides the result.
        data_folder: the prepared data.
        wanted: names of the files to write (`ablation.training.outputs`).
        checkpoints: folder of the run's checkpoints, locked by this process.
        signals: signals that end training.
        weights_file: pretrained weights; None if the architecture needs none.
        device: name of the reserved device; None without one.
        reporter: writes the status of this attempt.

    Returns:
        The folder in ``checkpoints`` that holds the files.

    Raises:
        InputError: the data has changed or does not fit the settings, a file cannot be written, or
            memory is exhausted.
        Interrupted: SIGTERM or SIGINT was received.
    """
    try:
        run = _Run(
            settings, identity, data_folder, checkpoints, signals, weights_file, device, reporter
        )
        signals.check()
        run.fit()
        return run.finish(wanted)
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        reason = str(error).splitlines()[0] if str(error) else "allocation failed"
        raise InputError(
            f"out of memory ({reason}): train fewer runs at once, free the device, or choose a "
            "smaller batch_size, which makes another run"
        ) from error


def compiled_model(
    settings: RunSettings,
    input_shape: tuple[int, int, int],
    classes: int,
    steps: int,
    weights_file: Path | None = None,
) -> tuple[keras.Model, Schedule]:
    """Return the network of a run, ready to train, and its learning rate schedule.

    Args:
        settings: of the run.
        input_shape: height, width and channels of an image.
        classes: number of classes.
        steps: steps of an epoch.
        weights_file: pretrained weights; None for the initial ones.
    """
    training = settings.training
    keras.config.set_dtype_policy("float32")
    model = build(
        settings.model,
        input_shape,
        classes,
        seed=settings.seed,
        dtype="mixed_bfloat16" if training.precision == "bfloat16" else "float32",
    )
    if weights_file is not None:
        load_weights(model, weights_file)
    schedule = make_schedule(training, steps)
    model.compile(
        optimizer=make_optimizer(training, schedule, model),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA makes training on a CPU several times slower
    )
    model.optimizer.build(model.trainable_variables)
    # Otherwise the first step would make the metrics, and TensorFlow would trace it again.
    nothing = np.zeros((1, classes), np.float32)
    model.compute_metrics(None, nothing, nothing)
    model.reset_metrics()
    return model, schedule


def feed(
    model: keras.Model, batches: tf.data.Dataset, finish: Finish, *, in_step: bool
) -> tf.data.Dataset:
    """Return the batches to fit a network with.

    Args:
        model: the compiled network; its training step is changed if ``in_step``.
        batches: of `training_batches`.
        finish: of `training_batches`.
        in_step: whether the training step finishes them, on the device of the network, instead of
            the CPU beside it. Then a few CPU cores are enough for a GPU.
    """
    if not in_step:
        return batches.map(finish)
    # Images are scaled first: tf.gather has no GPU kernel for uint8.
    step = model.train_step
    model.train_step = lambda batch: step(finish(scaled(batch[0]), *batch[1:]))
    return batches


class _Run:
    """One run in this process."""

    def __init__(
        self,
        settings: RunSettings,
        identity: Identity,
        data_folder: Path,
        checkpoints: Path,
        signals: StopSignals,
        weights_file: Path | None,
        device: str | None,
        reporter: Reporter,
    ) -> None:
        began, self._clock = time.time(), time.monotonic()
        self._identity, self._checkpoints, self._signals = identity, checkpoints, signals
        self._settings = settings
        self._training = training = settings.training
        self._reporter = reporter
        make_deterministic(settings.seed, settings.threads, training.intra_op_threads)
        self._data = data = load(data_folder)
        if data.description["hash"] != identity.data:
            raise InputError(f"{data_folder}: has been prepared again; run snakemake again")
        share = settings.dataset.train_share
        self._fitted, self._validated = _parts(data, settings.validation, share)
        self._batch_size = training.batch_size
        self._steps = len(self._fitted) // self._batch_size
        if not self._steps:
            raise InputError(
                f"batch_size {self._batch_size} is more than the {len(self._fitted)} training "
                "images"
            )
        *self._size, channels = data.input_shape
        check_channels(settings.augmentation, channels)
        check_size(settings.augmentation, self._size, data.images.shape[1:3])
        self._model, schedule = compiled_model(
            settings, data.input_shape, len(data.class_names), self._steps, weights_file
        )
        self._infer = tf.function(
            partial(self._model, training=False),
            input_signature=[tf.TensorSpec((None, *data.input_shape))],
            autograph=False,
        )
        self._log = EpochLog(
            schedule, self._steps, self._batch_size, training.epochs, self._validate
        )
        self._stopping = _early_stopping(training.early_stopping)
        self._print_setup(device)
        self._attempts: list[dict[str, Any]] = []  # one entry for each process
        self._seconds_before, self._ended = 0.0, False
        self._environment = describe_environment()
        found = kept.load(checkpoints, identity)
        if found is not None:
            self._resume(found)
        self._attempts.append(
            {
                "first_epoch": len(self._log.history) + 1,
                "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
                "device": _device(),
                "reserved": device,
                "environment": self._environment,
            }
        )
        self._update_stop_message()
        resumed = len(self._log.history)
        reporter.update(epoch=resumed, resumed=resumed, ended=self._ended)

    def _print_setup(self, device: str | None) -> None:
        taken = f" ({device})" if device else ""
        print(
            f"training on {_device()}{taken}: {len(self._fitted)} images, "
            f"{self._steps} steps of {self._batch_size} an epoch, "
            f"{self._model.count_params():,} parameters",
            flush=True,
        )
        if device is not None and _device() == "CPU":
            print(
                f"warning: GPU {device} is reserved for this job, but TensorFlow does not use it; "
                "install TensorFlow with CUDA (make venv-gpu), and check the driver of the GPU",
                flush=True,
            )

    def _resume(self, found: Checkpoint) -> None:
        try:
            restore(found, self._model, self._log, self._stopping)
        except ValueError as error:
            print(f"{self._checkpoints / CHECKPOINT}: not used ({error})", flush=True)
            return
        self._attempts = found.values["attempts"]
        self._seconds_before = found.values["seconds"]
        self._ended = found.ended
        then, now = self._attempts[-1]["environment"], self._environment
        for name in ("processor", "packages", "gpus", "variables"):
            if then[name] != now[name]:
                print(f"{name} changed from {then[name]} to {now[name]}", flush=True)
        what = "evaluating" if found.ended else "resuming"
        print(
            f"{what} after epoch {found.epoch} of {self._log.epochs} "
            f"({self._checkpoints / CHECKPOINT})",
            flush=True,
        )

    def _update_stop_message(self) -> None:
        """Update the message that an interruption prints."""
        done = len(self._log.history)
        if done:
            self._signals.state = (
                f"after epoch {done} of {self._log.epochs}; the same command resumes it"
            )

    def fit(self) -> None:
        """Train the remaining epochs."""
        if self._ended:
            if self._stopping is not None:  # restores the best weights if configured
                self._stopping.set_model(self._model)
                self._stopping.on_train_begin()
                self._stopping.on_train_end()
            return
        done, data = len(self._log.history), self._data
        checkpoints = Checkpoints(self._log, self._stopping, self._keep)
        batches, finish = training_batches(
            data.images,
            data.labels,
            self._fitted,
            len(data.class_names),
            Augmentation(self._settings.augmentation, self._size),
            size=self._size,
            seed=self._settings.seed,
            batch_size=self._batch_size,
            shuffle=self._training.shuffle,
            first_epoch=done + 1,
        )
        self._model.fit(
            feed(self._model, batches, finish, in_step=_device() != "CPU"),
            initial_epoch=done,
            epochs=self._training.epochs,
            steps_per_epoch=self._steps,
            callbacks=[
                keras.callbacks.TerminateOnNaN(),
                self._log,
                *([self._stopping] if self._stopping is not None else []),
                checkpoints,
                StepCheck(self._signals.check),
            ],
            shuffle=False,  # the batches are shuffled already
            verbose=0,
        )

    def finish(self, wanted: list[str]) -> Path:
        """Evaluate on the test split, once, write the files and remove the checkpoint."""
        data, tested = self._data, self._data.indices("test")
        probability, val_probability = self._predict(tested), self._predict(self._validated)
        clean = self._predict(self._fitted)
        results = [*self._model.get_weights(), probability, val_probability]
        record = {
            "format": FORMAT,
            "id": self._settings.id,
            "status": status_of(self._log, results),
            "settings": self._identity.settings,
            "code": self._identity.code,
            "data": {
                "source": data.description["source"],
                "hash": data.description["hash"],
                "files_digest": data.description["files_digest"],
                "shape": data.description["shape"],
                "train": len(self._fitted),
                "validation": len(self._validated),
                "test": len(tested),
            },
            "class_names": data.class_names,
            "parameters": self._model.count_params(),
            "trainable_parameters": int(
                sum(math.prod(w.shape) for w in self._model.trainable_variables)
            ),
            "weights_sha256": self._identity.weights,
            "train_accuracy_clean": (
                accuracy(clean, data.labels[self._fitted]) if all_finite([clean]) else None
            ),
            "epochs": len(self._log.history),
            "threads": {
                "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
                "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
            },
            "device": _device(),
            "environment": self._environment,
            "attempts": self._attempts,
            "started": self._attempts[0]["started"],
            "seconds": self._seconds(),
        }
        predictions = {
            "label": data.labels[tested],
            "probability": probability,
            "val_label": data.labels[self._validated],
            "val_probability": val_probability,
        }
        place = self._checkpoints / FINISHED
        write_files(place, wanted, self._log, predictions, self._model, record)
        kept.clear(self._checkpoints)
        print(
            f"{record['status']} after {record['epochs']} epochs, {clock(record['seconds'])}",
            flush=True,
        )
        return place

    def _keep(self, checkpoint: Checkpoint) -> None:
        values = {"attempts": self._attempts, "seconds": self._seconds()}
        whole = replace(checkpoint, values=checkpoint.values | values)
        kept.save(self._checkpoints, self._identity, whole)
        self._update_stop_message()
        first = self._attempts[-1]["first_epoch"]
        self._reporter.epoch_done(
            checkpoint.epoch,
            ended=checkpoint.ended,
            val_accuracy=self._log.history[-1]["val_accuracy"],
            seconds=[row["seconds"] for row in self._log.timing if row["epoch"] >= first],
        )

    def _seconds(self) -> float:
        """Seconds of this run, including earlier processes up to their last checkpoint."""
        return self._seconds_before + time.monotonic() - self._clock

    def _validate(self) -> tuple[float, float]:
        """Return loss and accuracy on the validation split."""
        labels, probability = self._data.labels[self._validated], self._predict(self._validated)
        return cross_entropy(probability, labels), accuracy(probability, labels)

    def _predict(self, indices: np.ndarray) -> np.ndarray:
        """Return the probabilities of examples: float32 [examples, classes]."""
        batches = evaluation_batches(
            self._data.images, indices, self._training.evaluation_batch, size=self._size
        )
        predicted = []
        for images in batches:
            predicted.append(self._infer(images).numpy())
            self._signals.check()
        return np.concatenate(predicted)


def _parts(data: Prepared, validation: str, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the training and of the validation examples."""
    if validation == "test":
        # A validation split of the source is also trained on; `train_share` applies to it.
        held = data.indices("validation")
        held = held[stratified_share(data.labels[held], share)]
        return np.sort(np.concatenate([data.indices("train"), held])), data.indices("test")
    return data.indices("train"), data.indices("validation")


def _early_stopping(wanted: EarlyStoppingSettings | None) -> EarlyStopping | None:
    if wanted is None:
        return None
    return EarlyStopping(
        monitor=wanted.monitor,
        mode={"val_loss": "min", "val_accuracy": "max"}[wanted.monitor],
        patience=wanted.patience,
        min_delta=wanted.min_delta,
        restore_best_weights=wanted.restore_best,
    )


def _device() -> str:
    gpus = tf.config.list_logical_devices("GPU")
    return gpus[0].name if gpus else "CPU"
