"""Batches of training and evaluation: their examples, order and draws.

Order and draws are pure functions of (run seed, epoch, example), so the number of threads does not
change a batch.
"""

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Literal, TypeAlias

import numpy as np
import tensorflow as tf

from ablation.augmentation.pipeline import Augmentation, centre, scaled

ALIGNMENT = 64  # bytes, of the memory of a tensor
ORDER_STREAM = 1  # separates these random numbers from those of the augmentation

Shuffle = Literal["examples", "batches"]
Finish: TypeAlias = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


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
    shuffle: Shuffle = "examples",
    first_epoch: int = 1,
) -> tuple[tf.data.Dataset, Finish]:
    """Return the endless stream of training batches: epoch after epoch, whole batches only.

    Args:
        images: uint8 [all examples, height, width, channels], of the stored size.
        labels: int64 [all examples].
        indices: the training examples.
        classes: number of classes.
        augmentation: applied to every batch; made for ``size`` if it crops.
        size: input size of the network, height and width. Unless the pipeline crops, it is cut
            out of the centre of the stored images.
        seed: the run's seed.
        batch_size: examples per batch; the remainder of an epoch is not used.
        shuffle: as in `epoch_batches`.
        first_epoch: epoch to start with, from 1.

    Returns:
        The batches as they are stored: images uint8 [batch_size, height, width, channels], labels
        int64 [batch_size] and draws of the augmentation float32 [batch_size, draws]. And the
        function that makes them images float32 [batch_size, *size, channels], 0..1 before
        augmentation, and targets float32 [batch_size, classes] whose rows sum to one. It can be
        mapped in tf.data and called in the training step.
    """
    stored = images.shape[1:3]
    rows, columns = centre(stored, stored if augmentation.crops else size)
    with tf.device("CPU"):
        # In an Optional, because tf.data copies a tensor that its functions capture.
        stored_images = tf.experimental.Optional.from_value(shared(images))

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        epoch = first_epoch
        while True:
            draws = augmentation.draws(seed, epoch, len(indices))
            for chosen in epoch_batches(seed, epoch, len(indices), batch_size, shuffle):
                examples = indices[chosen]
                yield examples, labels[examples], draws[chosen]
            epoch += 1

    @tf.autograph.experimental.do_not_convert
    def read(examples: tf.Tensor, *others: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tf.gather(stored_images.get_value(), examples)[:, rows, columns], *others

    @tf.autograph.experimental.do_not_convert  # has no Python control flow over tensors
    def finish(
        pixels: tf.Tensor, classes_of: tf.Tensor, draws: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return augmentation(pixels, tf.one_hot(classes_of, classes), draws)

    signature = (
        tf.TensorSpec([batch_size], tf.int64),
        tf.TensorSpec([batch_size], tf.int64),
        tf.TensorSpec([batch_size, augmentation.columns], tf.float32),
    )
    data = tf.data.Dataset.from_generator(batches, output_signature=signature).map(read)
    return data.with_options(input_options()), finish


def evaluation_batches(
    images: np.ndarray, indices: np.ndarray, batch_size: int, *, size: Sequence[int]
) -> Iterator[tf.Tensor]:
    """Yield the centre of every example once, in order; the last batch may be smaller.

    Yields:
        Images float32 [examples of the batch, *size, channels], 0..1, scaled where they are used:
        on the GPU if there is one.
    """
    rows, columns = centre(images.shape[1:3], size)
    for start in range(0, len(indices), batch_size):
        yield scaled(tf.constant(images[indices[start : start + batch_size], rows, columns]))


def shared(images: np.ndarray) -> tf.Tensor:
    """Return images as a tensor that uses their memory, which must not be changed afterwards.

    They are copied if their memory is not aligned as TensorFlow needs it.
    """
    if images.ctypes.data % ALIGNMENT:
        return tf.constant(images)
    # DLPack takes no read-only arrays; TensorFlow does not write to tensors.
    writable = {**images.__array_interface__, "data": (images.ctypes.data, False)}
    view = np.asarray(SimpleNamespace(__array_interface__=writable, owner=images))
    return tf.experimental.dlpack.from_dlpack(view.__dlpack__())


def input_options() -> tf.data.Options:
    """Return the options of the data sets that networks are trained on.

    Without autotuning, because the end of an iterator waits for its sleeping thread. And with all
    threads for one operation: with deterministic operations, tf.data neither maps in parallel nor
    prefetches what comes from Python.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.max_intra_op_parallelism = 0  # no limit but that of the process
    return options
