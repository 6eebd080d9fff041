"""The builder of residual and plain networks.

The source of the layout is He et al. 2015, "Deep residual learning for image recognition"
(arXiv:1512.03385). Layers are named by their place: ``stem_conv``, ``stage2_block1_conv1``,
``stage2_block1_shortcut_conv``, ``head``. Stage 1 is the first group of blocks: the paper's conv2_x
in the ImageNet form.
"""

from typing import Any

import keras

from ablation.errors import InputError
from ablation.models.parts import Parts
from ablation.study.families.resnet import ResNetSettings


def build_resnet(settings: ResNetSettings, image: Any, classes: int, parts: Parts) -> keras.Model:
    """Build a residual or plain network.

    The two are the same but for the shortcuts and the addition, and a plain network starts from
    the very kernels of its residual twin. Every kernel, the head's included, comes from the
    settings' initializer ("we initialize the weights as in [13]", section 3.4). Batch norm starts
    as the identity (scale 1, offset 0), in the last layer of a block too.

    Raises:
        InputError: ``scaling: caffe`` meets images without three channels.
    """
    channels = image.shape[-1]
    if settings.scaling == "caffe" and channels != 3:
        raise InputError(
            f"scaling 'caffe' needs images with 3 channels, not {channels}; 'unit' takes any number"
        )
    network = _Network(settings, parts)
    x = network.stem(image)
    for stage, blocks in enumerate(settings.blocks, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            filters = settings.width * 2 ** (stage - 1)
            x = network.block(x, filters, stride, f"stage{stage}_block{block}")
    kind = "resnet" if settings.kind == "residual" else "plain"
    probabilities = parts.head(x, classes, settings.initializer)
    return keras.Model(image, probabilities, name=f"{kind}{settings.depth}")


class _Network:
    """Makes the parts of one network from its settings."""

    def __init__(self, settings: ResNetSettings, parts: Parts) -> None:
        self.settings = settings
        self.parts = parts
        self.dtype = parts.dtype

    def stem(self, image: Any) -> Any:
        """Return the features in front of the first block."""
        x = image
        if self.settings.scaling == "caffe":
            x = CaffeScaling(dtype="float32", name="caffe_scaling")(x)
        large = self.settings.stem == "imagenet"
        size, stride = (7, 2) if large else (3, 1)
        x = self._conv(x, self.settings.width, size, stride, "stem_conv")
        x = self._norm(x, "stem_norm")
        x = self._relu(x, "stem_relu")
        if large:
            x, padding = self._padded(x, 3, 2, "stem_pool")
            # Zeros around the image leave the maximum alone, as nothing is negative after a ReLU.
            x = keras.layers.MaxPooling2D(
                3, 2, padding=padding, dtype=self.dtype, name="stem_pool"
            )(x)
        return x

    def block(self, x: Any, filters: int, stride: int, name: str) -> Any:
        """Return the output of a basic or bottleneck block (the paper's figure 5)."""
        if self.settings.bottleneck:
            first, middle = (stride, 1) if self.settings.stride_on == "first" else (1, stride)
            convolutions = [(filters, 1, first), (filters, 3, middle), (4 * filters, 1, 1)]
        else:
            convolutions = [(filters, 3, stride), (filters, 3, 1)]
        y = x
        for number, (channels, size, step) in enumerate(convolutions, start=1):
            y = self._conv(y, channels, size, step, f"{name}_conv{number}")
            y = self._norm(y, f"{name}_norm{number}")
            if number < len(convolutions):
                y = self._relu(y, f"{name}_relu{number}")
        if self.settings.kind == "residual":
            shortcut = self._shortcut(x, y.shape[-1], stride, f"{name}_shortcut")
            y = keras.layers.Add(dtype=self.dtype, name=f"{name}_add")([shortcut, y])
        return self._relu(y, f"{name}_out")

    def _shortcut(self, x: Any, channels: int, stride: int, name: str) -> Any:
        if stride == 1 and x.shape[-1] == channels:
            return x
        if self.settings.projection == "pad":
            return PadShortcut(channels, stride, dtype=self.dtype, name=f"{name}_pad")(x)
        size = 1 if self.settings.projection == "1x1" else 3
        x = self._conv(x, channels, size, stride, f"{name}_conv")
        return self._norm(x, f"{name}_norm")

    def _conv(self, x: Any, filters: int, size: int, stride: int, name: str) -> Any:
        x, padding = self._padded(x, size, stride, name)
        return keras.layers.Conv2D(
            filters,
            size,
            stride,
            padding=padding,
            use_bias=self.settings.bias,
            kernel_initializer=self.parts.initializer(name, self.settings.initializer),
            dtype=self.dtype,
            name=name,
        )(x)

    def _norm(self, x: Any, name: str) -> Any:
        momentum, epsilon = self.settings.norm_momentum, self.settings.norm_epsilon
        return self.parts.norm(x, name, momentum=momentum, epsilon=epsilon)

    def _relu(self, x: Any, name: str) -> Any:
        return keras.layers.Activation("relu", dtype=self.dtype, name=name)(x)

    def _padded(self, x: Any, size: int, stride: int, name: str) -> tuple[Any, str]:
        """Return the features and the padding to ask of a window that slides over them."""
        # Without a stride SAME is symmetric already, and a 1×1 window needs no padding.
        if self.settings.padding == "symmetric" and size > 1 and stride > 1:
            pad = keras.layers.ZeroPadding2D(size // 2, dtype=self.dtype, name=f"{name}_pad")
            return pad(x), "valid"
        return x, "same"


@keras.saving.register_keras_serializable(package="ablation")
class PadShortcut(keras.layers.Layer):
    """The paper's option A: take every ``stride``-th pixel and append channels of zeros.

    From (batch, height, width, channels) to (batch, ceil(height / stride), ceil(width / stride),
    ``channels``); He et al. 2015, sections 3.3 and 4.2.
    """

    multiply_adds = 0

    def __init__(self, channels: int, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels
        self.stride = stride

    def call(self, inputs: Any) -> Any:
        """Return the strided, widened features."""
        x = inputs[:, :: self.stride, :: self.stride, :]
        return keras.ops.pad(x, [(0, 0), (0, 0), (0, 0), (0, self.channels - x.shape[-1])])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape."""
        batch, *sides, _ = input_shape
        sides = [None if side is None else -(-side // self.stride) for side in sides]
        return (batch, *sides, self.channels)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "channels": self.channels, "stride": self.stride}


@keras.saving.register_keras_serializable(package="ablation")
class CaffeScaling(keras.layers.Layer):
    """From RGB values 0 to 1 to what the weights of keras.applications' ResNets expect.

    BGR, 0 to 255, less the ImageNet means: `keras.applications.resnet.preprocess_input` after a
    multiplication by 255. Shape (batch, height, width, 3) in and out.
    """

    multiply_adds = 0

    def call(self, inputs: Any) -> Any:
        """Return the scaled images."""
        return keras.applications.imagenet_utils.preprocess_input(
            inputs * 255.0, data_format="channels_last", mode="caffe"
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape, which is the input's."""
        return input_shape
