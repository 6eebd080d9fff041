"""Small TensorFlow functions that steps of all kinds share."""

from collections.abc import Callable
from typing import Any, TypeAlias

from ablation.lazy import tf

Tensor: TypeAlias = Any


def per_image(values: Tensor) -> Tensor:
    """Shape ``[batch]`` as ``[batch, 1, 1, 1]``, to go with images."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]


def between(draws: Tensor, low: float, high: float) -> Tensor:
    """Spread uniform draws over [low, high)."""
    return low + (high - low) * draws


def integer(draws: Tensor, count: Any) -> Tensor:
    """Turn uniform draws into int32 0..count-1, all equally likely."""
    # No draw reaches count: the largest float32 below one, times count, rounds to below count.
    return tf.cast(draws * tf.cast(count, tf.float32), tf.int32)


def rounded(values: Tensor) -> Tensor:
    """Round to int32."""
    return tf.cast(tf.round(values), tf.int32)


def in_double(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Apply a function in double precision, and round to single."""
    # In single precision its last bit depends on where in the batch an example is.
    return tf.cast(function(tf.cast(values, tf.float64)), tf.float32)


def one_by_one(function: Callable[..., Tensor], images: Tensor, amounts: Tensor) -> Tensor:
    """Apply a function of one image and one amount to each image of a batch."""
    # tf.image takes one amount per call. Its fused kernels in a loop are faster at 224 pixels on
    # the CPU than the same written over the batch: contrast and hue 2.9×, saturation 1.5×.
    return tf.map_fn(
        lambda pair: function(pair[0], pair[1]), (images, amounts), fn_output_signature=tf.float32
    )


def mix(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Return the mixture with this share of the other."""
    return (1.0 - share) * own + share * other
