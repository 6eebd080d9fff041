"""Partners and weights, for the steps that mix images."""

from collections.abc import Callable
from typing import Any

from ablation.augmentation.ops import Tensor, integer
from ablation.lazy import LazyModule, tf

special: Any = LazyModule("scipy.special")


def partners(draws: Tensor, partner: str) -> Tensor:
    """Return int32 ``[batch]``: for each image of the batch the place of its partner."""
    if partner == "permutation":
        return tf.argsort(draws, stable=True)
    return integer(draws, tf.shape(draws)[0])


def beta(**columns: tuple[int, ...]) -> Callable[..., Any]:
    """Return a function that turns columns of uniform draws into Beta(alpha, alpha).

    Args:
        columns: by the name of the parameter alpha, the columns that it is for.
    """

    def prepare(draws: Any, **parameters: Any) -> Any:
        prepared = draws.copy()
        for name, chosen in columns.items():
            alpha = parameters[name]
            if alpha != 1:  # uniform already
                # In NumPy because TensorFlow has no inverse of the incomplete beta function.
                uniform = draws[:, chosen].astype("float64")
                prepared[:, chosen] = special.betaincinv(alpha, alpha, uniform)
        return prepared

    return prepare
