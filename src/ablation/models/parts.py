"""Parts that networks of all families share: convolutions, batch norm and the head."""

import hashlib
from typing import Any, Literal

import keras

from ablation.models.conv import Convolution
from ablation.models.norm import FusedBatchNormalization

Initializer = Literal["he_normal", "glorot_uniform"]


class Parts:
    """Makes the parts of one network.

    Attributes:
        dtype: the policy for the layers of the body, ``float32`` or ``mixed_bfloat16``; pass it to
            every layer.
    """

    def __init__(self, seed: int | None, dtype: str) -> None:
        self._seed = seed
        self.dtype = dtype

    def seed(self, name: str) -> int | None:
        """Return the seed of the kernel of a layer; None for a random one.

        It depends on the seed of the network and the name of the layer only. Layers with the same
        name and shape start equal in different networks.
        """
        if self._seed is None:
            return None
        digest = hashlib.sha256(f"{self._seed}/{name}".encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1

    def initializer(
        self, name: str, kind: Initializer = "he_normal"
    ) -> keras.initializers.Initializer:
        """Return the initializer of the kernel of a layer with this name."""
        if kind == "he_normal":
            return keras.initializers.HeNormal(seed=self.seed(name))
        return keras.initializers.GlorotUniform(seed=self.seed(name))

    def convolution(
        self,
        x: Any,
        filters: int,
        size: int,
        stride: int,
        name: str,
        *,
        symmetric: bool = True,
        bias: bool = False,
        initializer: Initializer = "he_normal",
    ) -> Any:
        """Return convolved features of ``ceil(pixels / stride)`` in each direction.

        Args:
            x: features.
            filters: channels of the output.
            size: height and width of the kernel.
            stride: step between output pixels.
            name: name of the layer.
            symmetric: whether zeros are added on both sides alike, see `Convolution`.
            bias: whether there is a bias.
            initializer: distribution of the initial kernel.
        """
        layer = Convolution(
            filters,
            size,
            stride,
            symmetric=symmetric,
            use_bias=bias,
            kernel_initializer=self.initializer(name, initializer),
            dtype=self.dtype,
            name=name,
        )
        return layer(x)

    def norm(self, x: Any, name: str, *, momentum: float = 0.9, epsilon: float = 1e-5) -> Any:
        """Return batch-normalised features."""
        return FusedBatchNormalization(
            momentum=momentum, epsilon=epsilon, dtype=self.dtype, name=name
        )(x)

    def head(self, x: Any, classes: int, kind: Initializer = "he_normal") -> Any:
        """Return probabilities, (batch, classes), from features averaged over all pixels.

        The layer is named ``head``: weights of a network with other classes load without it. Its
        bias starts at zero.
        """
        # In bfloat16, averages over many pixels and a softmax would be too imprecise.
        x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
        return keras.layers.Dense(
            classes,
            activation="softmax",
            kernel_initializer=self.initializer("head", kind),
            dtype="float32",
            name="head",
        )(x)
