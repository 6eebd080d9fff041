"""Batches of training and evaluation: their examples, order and draws.

Order and draws are pure functions of (run seed, epoch, example), so threads and prefetching do not
change a batch.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from ablation.augmentation.pipeline import Augmentation, centre

ORDER_STREAM = 1  # separates these random numbers from those of the augmentation

Shuffle = Literal["examples", "batches"]


def epoch_order(seed: int, epoch: int, examples: int) -> np.ndarray:
    """Return the order of an epoch: a permutation of ``range(examples)``.

    Args:
        seed: the run's seed.
        epoch: from 1; 0 gives an order that no epoch has.
        examples: number of examples.
    """
    key = np.random.SeedSequence([seed, epoch, ORDER_STREAM])
    return np.random.Generator(np.random.Philox(key)).permutation(examples)


def epoch_batches(
    seed: int, epoch: int, examples: int, batch_size: int, shuffle: Shuffle
) -> np.ndarray:
    """Return the examples of the batches of an epoch, in order; whole batches only.

    Args:
        seed: the run's seed.
        epoch: from 1.
        examples: number of examples; the remainder is not used in the epoch.
        batch_size: examples per batch.
        shuffle: ``examples``: a new permutation of the examples in every epoch; ``batches``: the
            batches stay the same, and every epoch has a new order of them.

    Returns:
        int ``[batches, batch_size]``, each from 0 to examples - 1, all different.
    """
    steps = examples // batch_size
    order = epoch_order(seed, epoch if shuffle == "examples" else 0, examples)
    batches = order[: steps * batch_size].reshape(steps, batch_size)
    return batches if shuffle == "examples" else batches[epoch_order(seed, epoch, steps)]


def training_batches(
    images: np.ndarray,
    labels: np.ndarray,
    indices: np.ndarray,
    classes: int,
    augmentation: Augmentation,
    *,
    size: Sequence[int],
    seed: int,
    batch_size: int,
    parallel: int,
    shuffle: Shuffle = "examples",
    first_epoch: int = 1,
) -> tf.data.Dataset:
    """Return the endless stream of training batches: epoch after epoch, whole batches only.

    Args:
        images: uint8 [all examples, height, width, channels], of the stored size.
        labels: int [all examples].
        indices: the training examples.
        classes: number of classes.
        augmentation: applied to every batch; made for ``size`` if it crops.
        size: input size of the network, height and width. Unless the pipeline crops, it is cut
            out of the centre of the stored images.
        seed: the run's seed.
        batch_size: examples per batch; the remainder of an epoch is not used.
        parallel: number of batches made at once; does not change them.
        shuffle: as in `epoch_batches`.
        first_epoch: epoch to start with, from 1.

    Returns:
        Pairs of images float32 [batch_size, *size, channels], 0..1 before augmentation, and
        targets float32 [batch_size, classes] whose rows sum to one.
    """
    stored = images.shape[1:3]
    rows, columns = centre(stored, stored if augmentation.crops else size)
    shape = [rows.stop - rows.start, columns.stop - columns.start, images.shape[3]]

    def choose() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        epoch = first_epoch
        while True:
            draws = augmentation.draws(seed, epoch, len(indices))
            for chosen in epoch_batches(seed, epoch, len(indices), batch_size, shuffle):
                yield indices[chosen], draws[chosen]
            epoch += 1

    def fetch(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images[chosen, rows, columns], labels[chosen]

    @tf.autograph.experimental.do_not_convert  # has no Python control flow over tensors
    def make(chosen: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, classes_of = tf.numpy_function(
            fetch, [chosen], (tf.uint8, tf.int64), stateful=False
        )
        pixels.set_shape([batch_size, *shape])
        classes_of.set_shape([batch_size])
        return augmentation(
            tf.cast(pixels, tf.float32) / 255.0, tf.one_hot(classes_of, classes), draws
        )

    signature = (
        tf.TensorSpec([batch_size], tf.int64),
        tf.TensorSpec([batch_size, augmentation.columns], tf.float32),
    )
    data = tf.data.Dataset.from_generator(choose, output_signature=signature)
    data = data.map(make, num_parallel_calls=parallel, deterministic=True)
    return data.prefetch(2).with_options(without_autotuning())


def evaluation_batches(
    images: np.ndarray, indices: np.ndarray, batch_size: int, *, size: Sequence[int]
) -> tf.data.Dataset:
    """Return the centre of every example once, in order; the last batch may be smaller.

    Returns:
        Images as of `training_batches`, without augmentation.
    """
    rows, columns = centre(images.shape[1:3], size)

    def fetch(start: np.ndarray) -> np.ndarray:
        return images[indices[start : start + batch_size], rows, columns]

    @tf.autograph.experimental.do_not_convert
    def make(start: tf.Tensor) -> tf.Tensor:
        pixels = tf.numpy_function(fetch, [start], tf.uint8, stateful=False)
        pixels.set_shape([None, *size, images.shape[3]])
        return tf.cast(pixels, tf.float32) / 255.0

    starts = tf.data.Dataset.range(0, len(indices), batch_size)
    return starts.map(make).prefetch(2).with_options(without_autotuning())


def without_autotuning() -> tf.data.Options:
    """Return options without autotuning: the end of an iterator waits for its sleeping thread."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
