"""One builder for residual and plain networks.

The source of the layout is He et al. 2015, "Deep residual learning for image recognition"
(arXiv:1512.03385). Layers are named by their place: ``stem_conv``, ``stage2_block1_conv1``,
``stage2_block1_shortcut_conv``, ``head``. Stage 1 is the first group of blocks: the paper's conv2_x
in the ImageNet form.
"""

import hashlib
from typing import Any, Literal

import keras

from ablation.errors import InputError
from ablation.models.norm import FusedBatchNormalization
from ablation.study.architectures import Architecture, check_architecture


def build(
    architecture: dict[str, Any],
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    seed: int | None = None,
    dtype: Literal["float32", "mixed_bfloat16"] = "float32",
) -> keras.Model:
    """Build a network with fresh weights, not compiled.

    Residual and plain networks are the same but for the shortcuts and the addition. Every kernel,
    the head's included, comes from the architecture's initializer ("we initialize the weights as
    in [13]", section 3.4); Keras draws he-normal from a normal truncated at two deviations and
    widened to the right variance. The head has a bias, zero at first. Batch norm starts as the
    identity (scale 1, offset 0), in the last layer of a block too.

    Each kernel's seed is made of ``seed`` and the layer's name: two builds with one seed are
    alike, no two layers share their numbers, and a plain network starts from the very kernels of
    its residual twin.

    Weights that the architecture names are not read here: see `ablation.models.pretrained`.

    Args:
        architecture: the settings, as `ablation.study.architectures.resolve_architecture` returns
            them.
        input_shape: height, width and channels of an image.
        classes: number of classes, at least 2.
        seed: decides the initial weights; None draws them afresh.
        dtype: the policy of the layers; weights are float32 in both.

    Returns:
        A model from float images of shape (batch, height, width, channels), values 0 to 1, to
        float32 probabilities of shape (batch, classes).

    Raises:
        InputError: the settings are wrong, the shape is not three positive integers, there are
            fewer than two classes, or ``scaling: caffe`` meets images without three channels.
    """
    settings = check_architecture(architecture)
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise InputError(f"an image has height, width and channels, not shape {input_shape}")
    if classes < 2:
        raise InputError(f"a classifier needs at least 2 classes, not {classes}")
    if settings.scaling == "caffe" and input_shape[-1] != 3:
        raise InputError(
            f"scaling 'caffe' needs images with 3 channels, not {input_shape[-1]}; "
            "'unit' takes any number"
        )
    if dtype not in ("float32", "mixed_bfloat16"):
        raise InputError(f"dtype is float32 or mixed_bfloat16, not {dtype!r}")
    network = _Network(settings, seed, dtype)
    image = keras.Input(tuple(input_shape), dtype="float32", name="image")
    x = network.stem(image)
    for stage, blocks in enumerate(settings.blocks, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            filters = settings.width * 2 ** (stage - 1)
            x = network.block(x, filters, stride, f"stage{stage}_block{block}")
    kind = "resnet" if settings.kind == "residual" else "plain"
    return keras.Model(image, network.head(x, classes), name=f"{kind}{settings.depth}")


class _Network:
    """Makes the parts of one network from its settings."""

    def __init__(self, settings: Architecture, seed: int | None, dtype: str) -> None:
        self.settings = settings
        self.seed = seed
        self.dtype = dtype

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

    def head(self, x: Any, classes: int) -> Any:
        """Return the probabilities."""
        # Averages over many pixels and a softmax lose too much in bfloat16's eight bits.
        x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
        return keras.layers.Dense(
            classes,
            activation="softmax",
            kernel_initializer=self._initializer("head"),
            dtype="float32",
            name="head",
        )(x)

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
            kernel_initializer=self._initializer(name),
            dtype=self.dtype,
            name=name,
        )(x)

    def _norm(self, x: Any, name: str) -> Any:
        return FusedBatchNormalization(
            momentum=self.settings.norm_momentum,
            epsilon=self.settings.norm_epsilon,
            dtype=self.dtype,
            name=name,
        )(x)

    def _relu(self, x: Any, name: str) -> Any:
        return keras.layers.Activation("relu", dtype=self.dtype, name=name)(x)

    def _padded(self, x: Any, size: int, stride: int, name: str) -> tuple[Any, str]:
        """Return the features and the padding to ask of a window that slides over them."""
        # Without a stride SAME is symmetric already, and a 1×1 window needs no padding.
        if self.settings.padding == "symmetric" and size > 1 and stride > 1:
            pad = keras.layers.ZeroPadding2D(size // 2, dtype=self.dtype, name=f"{name}_pad")
            return pad(x), "valid"
        return x, "same"

    def _initializer(self, name: str) -> keras.initializers.Initializer:
        seed = None
        if self.seed is not None:
            digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
            seed = int.from_bytes(digest[:4], "big") >> 1
        if self.settings.initializer == "he_normal":
            return keras.initializers.HeNormal(seed=seed)
        return keras.initializers.GlorotUniform(seed=seed)


@keras.saving.register_keras_serializable(package="ablation")
class PadShortcut(keras.layers.Layer):
    """The paper's option A: take every ``stride``-th pixel and append channels of zeros.

    From (batch, height, width, channels) to (batch, ceil(height / stride), ceil(width / stride),
    ``channels``); He et al. 2015, sections 3.3 and 4.2.
    """

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

    def call(self, inputs: Any) -> Any:
        """Return the scaled images."""
        return keras.applications.imagenet_utils.preprocess_input(
            inputs * 255.0, data_format="channels_last", mode="caffe"
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape, which is the input's."""
        return input_shape
