"""The uniform random numbers of a run's augmentation."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Separates these numbers from other uses of Philox with the same key: "augment" in ASCII.
_DOMAIN = 0x6175676D656E74


def epoch_draws(
    seed: int, epoch: int, examples: int, columns: Sequence[int]
) -> npt.NDArray[np.float32]:
    """Return the draws of one epoch, a pure function of the arguments.

    Each number depends only on (seed, epoch, row, column). So the order of reading and the number
    of workers do not matter, a resumed run has the draws of an uninterrupted one, and two pipelines
    that begin with the same steps share the draws of these steps.

    Args:
        seed: the run's seed, 0 to 2**64 - 1.
        epoch: the epoch, from 0.
        examples: number of rows; row i belongs to example i of the data set.
        columns: indices of the numbers of an example, each from 0 to 2**64 - 1.

    Returns:
        float32 ``[examples, len(columns)]`` in [0, 1), multiples of 2**-24, from the counter-based
        generator Philox4x64-10 (Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3,
        section 4.3), keyed by (seed, epoch), with the column in its counter.

    Raises:
        ValueError: an argument is out of its range.
    """
    numbers = (("seed", seed), ("epoch", epoch), *(("a column", column) for column in columns))
    for name, value in numbers:
        if not 0 <= value < 2**64:
            raise ValueError(f"{name} must be from 0 to 2**64 - 1, not {value}")
    if examples < 0:
        raise ValueError(f"examples must be at least 0, not {examples}")
    key = np.array([seed, epoch], dtype=np.uint64)
    table = np.empty((examples, len(columns)), dtype=np.float32)
    for place, column in enumerate(columns):
        counter = np.array([0, 0, _DOMAIN, column], dtype=np.uint64)
        # Raw words, because NumPy guarantees their stability, but not that of Generator.random.
        words = np.random.Philox(key=key, counter=counter).random_raw(examples)
        table[:, place] = (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return table
