"""Partners and weights, for steps that mix images."""

from collections.abc import Callable
from typing import Any

from ablation.augmentation.ops import Tensor, integer
from ablation.lazy import LazyModule, tf

special: Any = LazyModule("scipy.special")


def partners(draws: Tensor, partner: str) -> Tensor:
    """Return the index of the partner of each image, int32 ``[batch]``."""
    if partner == "permutation":
        return tf.argsort(draws, stable=True)
    return integer(draws, tf.shape(draws)[0])


def beta(**columns: tuple[int, ...]) -> Callable[..., Any]:
    """Return a function that converts columns of uniform draws to Beta(alpha, alpha).

    Args:
        columns: the columns, by name of the parameter alpha.
    """

    def prepare(draws: Any, **parameters: Any) -> Any:
        prepared = draws.copy()
        for name, chosen in columns.items():
            alpha = parameters[name]
            if alpha != 1:  # Beta(1, 1) is uniform
                # TensorFlow has no inverse of the incomplete beta function.
                uniform = draws[:, chosen].astype("float64")
                prepared[:, chosen] = special.betaincinv(alpha, alpha, uniform)
        return prepared

    return prepare
