"""Small TensorFlow functions that steps share."""

from collections.abc import Callable
from typing import Any, TypeAlias

from ablation.lazy import tf

Tensor: TypeAlias = Any


def per_image(values: Tensor) -> Tensor:
    """Reshape ``[batch]`` to ``[batch, 1, 1, 1]``, which broadcasts to images."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]


def between(draws: Tensor, low: float, high: float) -> Tensor:
    """Scale uniform draws to [low, high)."""
    return low + (high - low) * draws


def integer(draws: Tensor, count: Any) -> Tensor:
    """Convert uniform draws to int32 0..count-1, all equally likely."""
    # The result is below count: the largest float32 below 1, times count, rounds to below count.
    return tf.cast(draws * tf.cast(count, tf.float32), tf.int32)


def quotient(values: Tensor, divisor: Any) -> Tensor:
    """Divide by a positive number and return float32."""
    # Inside tf.function, a division by a constant becomes a product with its rounded inverse.
    floats = (tf.cast(each, tf.float32) for each in (values, divisor))
    return tf.math.divide_no_nan(*floats)


def rounded(values: Tensor) -> Tensor:
    """Round to int32."""
    return tf.cast(tf.round(values), tf.int32)


def in_double(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Apply a function in double precision and return float32."""
    # In single precision the last bit depends on the position in the batch.
    return tf.cast(function(tf.cast(values, tf.float64)), tf.float32)


def to_chosen(function: Callable[..., Tensor], chosen: Tensor, *tensors: Tensor) -> Tensor:
    """Replace the chosen rows of a tensor.

    Args:
        function: returns the new rows, from the chosen rows of all tensors.
        chosen: bool ``[batch]``.
        tensors: with ``batch`` rows each; rows of the first are replaced.
    """
    group = tf.cast(chosen, tf.int32)
    parts = [tf.dynamic_partition(each, group, 2) for each in tensors]
    places = tf.dynamic_partition(tf.range(tf.shape(group)[0]), group, 2)
    return tf.dynamic_stitch(places, [parts[0][0], function(*(rows[1] for rows in parts))])


def one_by_one(function: Callable[..., Tensor], images: Tensor, amounts: Tensor) -> Tensor:
    """Apply a function of one image and one amount to each image of a batch."""
    # tf.image takes one amount per call. At 224 pixels on a CPU, its fused kernels in a loop are
    # faster than code for the whole batch: contrast and hue 2.9×, saturation 1.5×.
    return tf.map_fn(
        lambda pair: function(pair[0], pair[1]), (images, amounts), fn_output_signature=tf.float32
    )


def mix(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Return ``(1 - share)·own + share·other``."""
    return (1.0 - share) * own + share * other
