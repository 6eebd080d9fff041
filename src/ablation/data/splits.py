"""Who trains, who validates, who tests: stratified, with a fixed seed, the same for ever."""

import numpy as np

SPLIT_SEED = 20151210


def stratified_choice(labels: np.ndarray, share: float, seed: int = SPLIT_SEED) -> np.ndarray:
    """Choose the same share of every class, at random with a fixed seed.

    Args:
        labels: class of each example, int [examples].
        share: between 0 and 1; of ``n`` examples of a class ``round(n · share)`` are chosen, but
            at least one and never all.
        seed: of the choice.

    Returns:
        bool [examples], True for the chosen.

    Raises:
        ValueError: a class has fewer than two examples.
    """
    # RandomState, because NumPy guarantees that its stream stays the same for ever.
    random = np.random.RandomState(seed)
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise ValueError(
                f"class {label} has {len(members)} example(s): too few to set any aside"
            )
        count = min(max(round(len(members) * share), 1), len(members) - 1)
        chosen[random.permutation(members)[:count]] = True
    return chosen


def stratified_limit(labels: np.ndarray, limit: int, seed: int = SPLIT_SEED) -> np.ndarray:
    """Keep at most ``limit`` examples, with the classes' shares as equal to the whole as can be.

    Args:
        labels: class of each example, int [examples].
        limit: how many to keep.
        seed: of the choice.

    Returns:
        bool [examples], True for the kept; exactly ``min(limit, examples)`` of them.
    """
    keep = np.ones(len(labels), dtype=bool)
    if limit >= len(labels):
        return keep
    random = np.random.RandomState(seed)
    # Each example's rank in its class as a share of the class; the smallest ranks are kept.
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    keep[np.argsort(position, kind="stable")[limit:]] = False
    return keep
