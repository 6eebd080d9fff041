"""Callbacks of training: rows of history, early stopping, checkpoints."""

import random
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

# The random state of layers that have no generator.
from keras.src.random.seed_generator import global_seed_generator

from ablation.training.checkpoint import Checkpoint, numbered, of_prefix
from ablation.training.optimizer import Schedule

HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
TIMING_COLUMNS = ("epoch", "seconds", "images_per_second")

Row = dict[str, Any]


class EpochLog(keras.callbacks.Callback):
    """Validates, and collects history and timing, one row per epoch.

    It must come before callbacks that read validation metrics. Keras' own validation would trace
    the network once more than the predictions at the end of a run do.

    Args:
        schedule: schedule of the learning rate.
        steps: steps of an epoch.
        batch_size: images per step.
        epochs: epochs of the run.
        validate: returns loss and accuracy on the validation split.

    Attributes:
        history: rows as in ``history.csv``.
        timing: rows as in ``timing.csv``.
    """

    def __init__(
        self,
        schedule: Schedule,
        steps: int,
        batch_size: int,
        epochs: int,
        validate: Callable[[], tuple[float, float]],
    ) -> None:
        super().__init__()
        self._validate = validate
        self.schedule, self.steps, self.batch_size, self.epochs = (
            schedule,
            steps,
            batch_size,
            epochs,
        )
        self.history: list[Row] = []
        self.timing: list[Row] = []
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Row | None = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Row | None = None) -> None:
        """Validate, add the metrics to the logs, and add the row of the epoch."""
        logs = {} if logs is None else logs
        trained = time.perf_counter()
        logs["val_loss"], logs["val_accuracy"] = self._validate()
        self.history.append(
            {
                "epoch": epoch + 1,
                **{key: np.float32(logs[key]) for key in HISTORY_COLUMNS[1:5]},
                "learning_rate": self.schedule.at(epoch * self.steps),
            }
        )
        seconds = time.perf_counter() - self._began
        rate = self.steps * self.batch_size / (trained - self._began)
        self.timing.append({"epoch": epoch + 1, "seconds": seconds, "images_per_second": rate})

    def print_epoch(self) -> None:
        """Print a line on the last epoch."""
        row, timing = self.history[-1], self.timing[-1]
        epoch, seconds = row["epoch"], timing["seconds"]
        spent = sorted(entry["seconds"] for entry in self.timing)[len(self.timing) // 2]
        print(
            f"epoch {epoch}/{self.epochs}  loss {row['loss']:.4f}  "
            f"accuracy {row['accuracy']:.4f}  val_loss {row['val_loss']:.4f}  "
            f"val_accuracy {row['val_accuracy']:.4f}  {seconds:.1f} s  "
            f"{timing['images_per_second']:.0f} images/s  "
            f"{clock(spent * (self.epochs - epoch))} left",
            flush=True,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the rows as float64 arrays, which represent every value exactly."""
        return {
            name: np.array([[row[key] for key in columns] for row in rows], np.float64)
            for name, columns, rows in self._tables()
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Set the rows from `arrays`."""
        for name, columns, rows in self._tables():
            rows[:] = [dict(zip(columns, row, strict=True)) for row in arrays[name].tolist()]
            for row in rows:
                row["epoch"] = int(row["epoch"])
                row.update(
                    {key: np.float32(row[key]) for key in HISTORY_COLUMNS[1:5] if key in row}
                )

    def _tables(self) -> list[tuple[str, tuple[str, ...], list[Row]]]:
        return [
            ("history", HISTORY_COLUMNS, self.history),
            ("timing", TIMING_COLUMNS, self.timing),
        ]


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' early stopping, with a state that can be saved and restored."""

    _kept: tuple[Row, list[np.ndarray] | None] | None = None

    def values(self) -> Row:
        """Return the state except for the best weights, as plain values."""
        return {
            "wait": self.wait,
            "stopped_epoch": self.stopped_epoch,
            "best": None if self.best is None else float(self.best),
            "best_epoch": self.best_epoch,
            "has_weights": self.best_weights is not None,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the best weights; empty if they are not kept."""
        return numbered("best", self.best_weights or [])

    def restore(self, values: Row, arrays: dict[str, np.ndarray]) -> None:
        """Set the state in which training begins."""
        state = dict(values)
        self._kept = state, of_prefix("best", arrays) if state.pop("has_weights") else None

    def on_train_begin(self, logs: Row | None = None) -> None:
        """Reset the state, or restore it."""
        super().on_train_begin(logs)
        if self._kept is not None:
            state, self.best_weights = self._kept
            for name, value in state.items():
                setattr(self, name, value)


class StepCheck(keras.callbacks.Callback):
    """Calls a function after each step of training.

    Args:
        check: the function; an error that it raises ends the work.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self._check = check

    def on_train_batch_end(self, batch: int, logs: Row | None = None) -> None:  # noqa: ARG002
        """Call the function."""
        self._check()


class Checkpoints(keras.callbacks.Callback):
    """Writes a checkpoint after every epoch. Must come after the callbacks whose state it saves.

    Args:
        log: log of the epochs.
        stopping: early stopping; None without it.
        write: writes a checkpoint.
    """

    def __init__(
        self,
        log: EpochLog,
        stopping: EarlyStopping | None,
        write: Callable[[Checkpoint], None],
    ) -> None:
        super().__init__()
        self._log, self._stopping, self._write = log, stopping, write

    def on_epoch_end(self, epoch: int, logs: Row | None = None) -> None:  # noqa: ARG002
        """Write the checkpoint, then print the line of the epoch."""
        stopping, done = self._stopping, epoch + 1
        self._write(
            Checkpoint(
                done,
                self.model.stop_training or done == self._log.epochs,
                {"stopping": stopping.values() if stopping else None},
                {
                    **self._log.arrays(),
                    **(stopping.arrays() if stopping else {}),
                    **network_state(self.model),
                    **random_state(),
                },
            )
        )
        self._log.print_epoch()


def restore(
    checkpoint: Checkpoint, model: keras.Model, log: EpochLog, stopping: EarlyStopping | None
) -> None:
    """Restore the state of a checkpoint.

    Raises:
        ValueError: it does not fit the network; then nothing is changed.
    """
    for variables, arrays in _fitting(checkpoint, model):
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
    log.restore(checkpoint.arrays)
    if stopping is not None:
        stopping.restore(checkpoint.values["stopping"], checkpoint.arrays)
    _restore_random(checkpoint.arrays)


def network_state(model: keras.Model) -> dict[str, np.ndarray]:
    """Return weights, random states of layers, and the state of the optimizer."""
    return {
        name: array
        for prefix, variables in _variables(model).items()
        for name, array in numbered(
            prefix, (keras.ops.convert_to_numpy(variable) for variable in variables)
        ).items()
    }


def random_state() -> dict[str, np.ndarray]:
    """Return the states of Python's and NumPy's global random number generators."""
    version, numbers, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "random/python": np.array([version, *numbers], np.uint64),
        "random/python_gauss": np.array([] if gauss is None else [gauss], np.float64),
        "random/numpy": np.asarray(keys),
        "random/numpy_position": np.array([position, has_gauss], np.int64),
        "random/numpy_gauss": np.array(cached, np.float64),
    }


def _restore_random(arrays: dict[str, np.ndarray]) -> None:
    version, *numbers = arrays["random/python"].tolist()
    gauss = arrays["random/python_gauss"].tolist()
    random.setstate((version, tuple(numbers), gauss[0] if gauss else None))
    position, has_gauss = arrays["random/numpy_position"].tolist()
    cached = float(arrays["random/numpy_gauss"])
    np.random.set_state(("MT19937", arrays["random/numpy"], position, has_gauss, cached))


def _variables(model: keras.Model) -> dict[str, list[Any]]:
    metrics = {id(variable) for variable in model.metrics_variables}
    return {
        "model": [variable for variable in model.variables if id(variable) not in metrics],
        "optimizer": model.optimizer.variables,
        "seed": [global_seed_generator().state],
    }


def _fitting(
    checkpoint: Checkpoint, model: keras.Model
) -> list[tuple[list[Any], list[np.ndarray]]]:
    found = []
    for prefix, variables in _variables(model).items():
        arrays = of_prefix(prefix, checkpoint.arrays)
        if [tuple(variable.shape) for variable in variables] != [array.shape for array in arrays]:
            raise ValueError(f"its variables of the {prefix} do not fit the network")
        found.append((variables, arrays))
    return found


def clock(seconds: float) -> str:
    """Return seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
