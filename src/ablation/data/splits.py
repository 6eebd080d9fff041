"""Stratified splits with a fixed seed."""

from collections.abc import Sequence

import numpy as np

SPLIT_SEED = 20151210


def stratified_choice(
    labels: np.ndarray,
    share: float,
    seed: int = SPLIT_SEED,
    *,
    groups: np.ndarray | None = None,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """Choose the same share of every class at random.

    Args:
        labels: class of each example, int [examples].
        share: between 0 and 1; of ``n`` examples of a class ``round(n · share)`` are chosen, but
            at least one and never all.
        seed: random seed.
        groups: number of the group of each example, int [examples]. The examples of a group, such
            as copies of one image, are chosen together or not at all, so that the share becomes
            approximate. Groups of one example do not change the choice.
        names: name of each class, for messages.

    Returns:
        bool [examples].

    Raises:
        ValueError: a class has fewer than two examples, or all of its examples are one group.
    """
    # RandomState, because NumPy guarantees that its stream does not change.
    random = np.random.RandomState(seed)
    together = _Groups(np.arange(len(labels)) if groups is None else groups)
    chosen = np.zeros(len(labels), dtype=bool)
    decided = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        name = f"class {label if names is None else names[label]}"
        if len(members) < 2:
            raise ValueError(f"{name} has {len(members)} example(s): too few to set any aside")
        count = min(max(round(len(members) * share), 1), len(members) - 1)
        taken = int(chosen[members].sum())  # in groups with an earlier class
        left = []
        for first in random.permutation(members):
            if decided[first]:
                continue
            group = together.of(first)
            decided[group] = True
            own = int((labels[group] == label).sum())
            if taken + own <= count:
                chosen[group] = True
                taken += own
            else:
                left.append((own, group))
        if not taken and left:  # every group is larger than the share
            own, group = min(left, key=lambda item: item[0])
            chosen[group] = True
        if chosen[members].all() or not chosen[members].any():
            raise ValueError(
                f"{name} has {len(members)} examples that are copies of each other or of another "
                "class: too few different ones to set any aside"
            )
    return chosen


class _Groups:
    """The examples of each group."""

    def __init__(self, groups: np.ndarray) -> None:
        self._groups = groups
        self._order = np.argsort(groups, kind="stable")
        self._sorted = groups[self._order]

    def of(self, example: int) -> np.ndarray:
        """Return all examples of the group of an example."""
        group = self._groups[example]
        first, last = np.searchsorted(self._sorted, [group, group + 1])
        return self._order[first:last]


def stratified_share(labels: np.ndarray, share: float, seed: int = SPLIT_SEED) -> np.ndarray:
    """Keep a share of every class; a smaller share is a subset of a larger one.

    Args:
        labels: class of each example, int [examples].
        share: above 0, at most 1; of ``n`` examples of a class ``round(n · share)`` are kept, but
            at least one.
        seed: random seed.

    Returns:
        bool [examples].
    """
    random = np.random.RandomState(seed)
    keep = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        keep[members[: max(round(len(members) * share), 1)]] = True
    return keep


def stratified_limit(labels: np.ndarray, limit: int, seed: int = SPLIT_SEED) -> np.ndarray:
    """Keep at most ``limit`` examples, stratified by class.

    Args:
        labels: class of each example, int [examples].
        limit: number of examples to keep.
        seed: random seed.

    Returns:
        bool [examples], True for exactly ``min(limit, examples)`` of them.
    """
    keep = np.ones(len(labels), dtype=bool)
    if limit >= len(labels):
        return keep
    random = np.random.RandomState(seed)
    # The relative rank of each example in its class; the smallest ranks are kept.
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    keep[np.argsort(position, kind="stable")[limit:]] = False
    return keep
