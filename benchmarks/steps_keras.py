"""Training steps of this project, as `benchmarks.steps` asks for them."""

import sys
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ablation.augmentation.parsing import parse_pipeline
from ablation.augmentation.pipeline import Augmentation
from ablation.data.settings import DataSettings
from ablation.models.cost import multiply_adds
from ablation.models.families import resolve_network
from ablation.training.batches import input_options, training_batches
from ablation.training.environment import make_deterministic
from ablation.training.run import compiled_model, feed
from ablation.training.settings import RunSettings, Training
from benchmarks.measure import serve
from benchmarks.steps import CLASSES, DECAY, LEARNING_RATE, MOMENTUM, THREADS, random_batch


class Trainer(keras.callbacks.Callback):
    """Trains a network on one batch, or on augmented batches.

    Args:
        network, pixels, batch, precision: as in `benchmarks.steps.Setup`.
        pipeline: of the augmentation; None for one batch.
        place: where it is augmented: ``tf.data`` or ``step``.
    """

    def __init__(
        self,
        network: str,
        pixels: int,
        batch: int,
        precision: str,
        pipeline: str | None = None,
        place: str = "",
    ) -> None:
        super().__init__()
        make_deterministic(0, THREADS)
        training = {
            "epochs": 1,
            "batch_size": batch,
            "learning_rate": LEARNING_RATE,
            "momentum": MOMENTUM,
            "weight_decay": DECAY,
            "precision": precision,
        }
        settings = RunSettings(
            dataset=DataSettings(source="mnist5k"),
            model=resolve_network(network, {}),
            augmentation=(),
            training=Training.model_validate(training),
            validation="held-out",
            seed=0,
            threads=THREADS,
        )
        self._network, _ = compiled_model(settings, (pixels, pixels, 3), CLASSES, 10**6)
        self._before = self._network.get_weights()
        images, labels = random_batch(pixels, batch)
        if pipeline is None:
            targets = np.eye(CLASSES, dtype=np.float32)[labels]
            data = tf.data.Dataset.from_tensors((images, targets)).repeat()
            self._data = data.with_options(input_options())
        else:
            batches, finish = training_batches(
                (255 * images).astype(np.uint8),
                labels,
                np.arange(batch),
                CLASSES,
                Augmentation(parse_pipeline(pipeline), (pixels, pixels)),
                size=(pixels, pixels),
                seed=0,
                batch_size=batch,
            )
            self._data = feed(self._network, batches, finish, in_step=place == "step")
        self._losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Record the loss, the mean since the beginning of the call."""
        self._losses.append(float(logs["loss"]))

    def answer(self, request: Any) -> Any:
        """Train for some steps and return the seconds, or answer another request."""
        network = self._network
        if request == "multiply_adds":
            return multiply_adds(network)
        if request == "check":
            weights = zip(network.weights, self._before, network.get_weights(), strict=True)
            unchanged = [weight.path for weight, old, new in weights if (old == new).all()]
            return self._losses[0], self._losses[-1], unchanged
        began = time.perf_counter()
        network.fit(self._data, steps_per_epoch=request, shuffle=False, verbose=0, callbacks=[self])
        return time.perf_counter() - began


if __name__ == "__main__":
    name, size, images, form, *augmentation = sys.argv[1:]
    serve(Trainer(name, int(size), int(images), form, *augmentation).answer)
