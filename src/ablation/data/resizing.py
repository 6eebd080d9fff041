"""Conversion of images to a size and a number of channels."""

import tensorflow as tf

# ITU-R 601 in 16-bit fixed point with rounding, identical to Pillow's conversion of RGB to L.
_LUMA = (19595, 38470, 7471)


def to_channels(image: tf.Tensor, channels: int) -> tf.Tensor:
    """Convert an image to a number of channels.

    Args:
        image: uint8 [h, w, 1 or 3].
        channels: 1 takes the luma of ITU-R 601, 3 repeats grey.

    Returns:
        uint8 [h, w, channels].
    """
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return tf.repeat(image, 3, axis=-1)
    weighted = tf.cast(image, tf.int32) * tf.constant(_LUMA)
    luma = tf.bitwise.right_shift(tf.reduce_sum(weighted, axis=-1, keepdims=True) + 0x8000, 16)
    return tf.cast(luma, tf.uint8)


def to_size(image: tf.Tensor, height: int, width: int, resize: str) -> tf.Tensor:
    """Resize an image.

    Args:
        image: uint8 [h, w, channels].
        height, width: in pixels.
        resize: ``stretch`` changes the aspect ratio; ``crop`` scales until the image covers the
            size and cuts the centre out; ``pad`` scales until it fits and adds black borders.
            All are bilinear without anti-aliasing, as ``tf.image.resize`` is by default.

    Returns:
        uint8 [height, width, channels]; unchanged if the image has this size.
    """
    shape = tf.shape(image)
    if resize == "pad":
        scale = tf.maximum(shape[0] / height, shape[1] / width)
        fitted = tf.cast(tf.cast(shape[:2], tf.float64) / scale, tf.int32)
        # tf.image.resize_with_pad fails if a side would be shorter than a pixel.
        fitted = tf.maximum(fitted, 1)
        resized = tf.image.resize_with_crop_or_pad(tf.image.resize(image, fitted), height, width)
    elif resize == "crop":
        scale = tf.maximum(height / shape[0], width / shape[1])
        covered = tf.cast(tf.math.ceil(tf.cast(shape[:2], tf.float64) * scale - 1e-6), tf.int32)
        covered = tf.maximum(covered, [height, width])
        resized = tf.image.resize_with_crop_or_pad(tf.image.resize(image, covered), height, width)
    else:
        resized = tf.image.resize(image, [height, width])
    result = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    result.set_shape([height, width, image.shape[-1]])
    return result
