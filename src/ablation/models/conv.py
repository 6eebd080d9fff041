"""Convolutions that are matrix products on small maps."""

from typing import Any

import keras
import tensorflow as tf

_DENSE = 2  # largest map on which a kernel of more than one pixel becomes one matrix product
_ROWS = 7  # largest map on which a 1×1 convolution becomes a matrix product of its pixels


# On maps of a few pixels oneDNN's convolutions multiply mostly padding, and their weight gradients
# reach a tenth of the processor's speed: ResNet-34 at 32 px trains twice as fast with these
# products (benchmarks/steps.py).
class Convolution(keras.layers.Conv2D):
    """A convolution of channels-last images with zero padding; the same numbers up to rounding.

    The output has ``ceil(size / stride)`` pixels in each direction. It has the weights and the
    arguments of `keras.layers.Conv2D`, of which ``padding`` is fixed, and kernels are square.

    Args:
        filters: channels of the output.
        kernel_size: height and width of the kernel, odd.
        strides: step between output pixels, in both directions.
        symmetric: whether images get ``kernel_size // 2`` zeros on each side, as in PyTorch.
            Otherwise TensorFlow's padding is used, which with strides may put one more right and
            below.
        **options: further arguments of `keras.layers.Conv2D`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        *,
        symmetric: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, padding="same", **options)
        self.symmetric = symmetric

    def call(self, inputs: Any) -> Any:
        """Return the convolved images."""
        size, stride = self.kernel_size[0], self.strides[0]
        if size == 1 and _at_most(inputs, _ROWS * stride):
            if stride > 1:  # taking pixels by a pool is faster than by a slice
                inputs = tf.nn.avg_pool2d(inputs, 1, stride, "VALID")
            outputs = self._by_pixel(inputs)
        elif size > 1 and _at_most(inputs, _DENSE):
            outputs = self._dense(inputs)
        elif self.symmetric and stride > 1 and size > 1:
            before = [[0, 0], [size // 2] * 2, [size // 2] * 2, [0, 0]]
            outputs = tf.nn.conv2d(tf.pad(inputs, before), self.kernel, stride, "VALID")
        else:
            return super().call(inputs)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return outputs if self.activation is None else self.activation(outputs)

    def _by_pixel(self, inputs: Any) -> Any:
        """Return the product of every pixel with a kernel of one pixel."""
        kernel = tf.reshape(self.kernel, self.kernel.shape[2:])
        return tf.reshape(
            tf.matmul(tf.reshape(inputs, (-1, inputs.shape[-1])), kernel),
            (-1, *inputs.shape[1:3], self.filters),
        )

    def _dense(self, inputs: Any) -> Any:
        """Return the product of whole images with a matrix of the kernel's pixels.

        The block of the matrix for an input and an output pixel is the pixel of the kernel that
        lies between them, and zero where the kernel does not reach.
        """
        size, stride = self.kernel_size[0], self.strides[0]
        rows, columns, channels = inputs.shape[1:]
        out = -(-rows // stride), -(-columns // stride)
        top, left = (self._padding_before(pixels, size, stride) for pixels in (rows, columns))
        pixels = tf.unstack(tf.reshape(self.kernel, (size * size, channels, self.filters)))
        zero = tf.zeros_like(pixels[0])

        def block(y: int, x: int, out_y: int, out_x: int) -> Any:
            i, j = y + top - stride * out_y, x + left - stride * out_x
            return pixels[i * size + j] if 0 <= i < size and 0 <= j < size else zero

        matrix = tf.concat(
            [
                tf.concat([block(y, x, v, u) for v in range(out[0]) for u in range(out[1])], 1)
                for y in range(rows)
                for x in range(columns)
            ],
            0,
        )
        product = tf.matmul(tf.reshape(inputs, (-1, rows * columns * channels)), matrix)
        return tf.reshape(product, (-1, *out, self.filters))

    def _padding_before(self, pixels: int, size: int, stride: int) -> int:
        """Return the zeros above or left of an image."""
        if self.symmetric:
            return size // 2
        return max((-(-pixels // stride) - 1) * stride + size - pixels, 0) // 2

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config() | {"symmetric": self.symmetric}
        config |= {"kernel_size": self.kernel_size[0], "strides": self.strides[0]}
        return {name: value for name, value in config.items() if name != "padding"}


def _at_most(images: Any, most: int) -> bool:
    """Return whether height and width of images are known and at most a number of pixels."""
    return all(pixels is not None and pixels <= most for pixels in images.shape[1:3])
