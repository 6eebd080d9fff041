"""Batches: which examples, in which order, with which draws.

Order and draws are pure functions of (run seed, epoch, example), computed here and carried beside
the indices, so that neither threads nor prefetching can change a batch.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ablation.augmentation.pipeline import Augmentation

ORDER_STREAM = 1  # keeps the order's random numbers apart from the augmentation's


def epoch_order(seed: int, epoch: int, examples: int) -> np.ndarray:
    """Return the order of an epoch: a fresh permutation of ``range(examples)``.

    Args:
        seed: the run's seed.
        epoch: from 1.
        examples: how many there are.
    """
    key = np.random.SeedSequence([seed, epoch, ORDER_STREAM])
    return np.random.Generator(np.random.Philox(key)).permutation(examples)


def training_batches(
    images: np.ndarray,
    labels: np.ndarray,
    indices: np.ndarray,
    classes: int,
    augmentation: Augmentation,
    *,
    seed: int,
    batch_size: int,
    parallel: int,
    first_epoch: int = 1,
) -> tf.data.Dataset:
    """Return the endless stream of training batches: epoch after epoch, whole batches only.

    Args:
        images: uint8 [all examples, height, width, channels].
        labels: int [all examples].
        indices: the examples that are trained on.
        classes: how many there are.
        augmentation: applied to every batch.
        seed: the run's seed.
        batch_size: examples a batch; what is left at an epoch's end is not used in that epoch.
        parallel: batches made at once. Does not change them.
        first_epoch: where to start, from 1.

    Returns:
        Pairs of images float32 [batch_size, height, width, channels], 0..1 before augmentation,
        and targets float32 [batch_size, classes] whose rows sum to one.
    """
    steps = len(indices) // batch_size

    def choose() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        epoch = first_epoch
        while True:
            order = epoch_order(seed, epoch, len(indices))
            draws = augmentation.draws(seed, epoch, len(indices))
            for step in range(steps):
                chosen = order[step * batch_size : (step + 1) * batch_size]
                yield indices[chosen], draws[chosen]
            epoch += 1

    def fetch(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images[chosen], labels[chosen]

    def make(chosen: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, classes_of = tf.numpy_function(
            fetch, [chosen], (tf.uint8, tf.int64), stateful=False
        )
        pixels.set_shape([batch_size, *images.shape[1:]])
        classes_of.set_shape([batch_size])
        return augmentation(
            tf.cast(pixels, tf.float32) / 255.0, tf.one_hot(classes_of, classes), draws
        )

    signature = (
        tf.TensorSpec([batch_size], tf.int64),
        tf.TensorSpec([batch_size, augmentation.columns], tf.float32),
    )
    data = tf.data.Dataset.from_generator(choose, output_signature=signature)
    return data.map(make, num_parallel_calls=parallel, deterministic=True).prefetch(2)


def evaluation_batches(
    images: np.ndarray, labels: np.ndarray, indices: np.ndarray, classes: int, batch_size: int
) -> tf.data.Dataset:
    """Return every example once, in order; the last batch may be smaller.

    Returns:
        Pairs as ``training_batches``, without augmentation.
    """

    def fetch(start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = indices[start : start + batch_size]
        return images[chosen], labels[chosen]

    def make(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, classes_of = tf.numpy_function(fetch, [start], (tf.uint8, tf.int64), stateful=False)
        pixels.set_shape([None, *images.shape[1:]])
        classes_of.set_shape([None])
        return tf.cast(pixels, tf.float32) / 255.0, tf.one_hot(classes_of, classes)

    starts = tf.data.Dataset.range(0, len(indices), batch_size)
    return starts.map(make).prefetch(2)
