import itertools

import numpy as np
import pytest

from ablation.augmentation.pipeline import Augmentation
from ablation.study.pipelines import parse_pipeline
from ablation.training.batches import epoch_order, evaluation_batches, training_batches

IMAGES = np.arange(50, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
LABELS = np.arange(50) % 5
INDICES = np.arange(3, 50, 2)  # 24 of the 50


def batches(text="", *, seed=0, size=5, parallel=1, first=1, count=8):
    data = training_batches(
        IMAGES,
        LABELS,
        INDICES,
        5,
        Augmentation(parse_pipeline(text)),
        seed=seed,
        batch_size=size,
        parallel=parallel,
        first_epoch=first,
    )
    return [(x.numpy(), y.numpy()) for x, y in itertools.islice(data, count)]


def examples_of(part):
    return [round(float(x[0, 0, 0]) * 255) for images, _ in part for x in images]


def test_an_epoch_holds_whole_batches_of_different_examples():
    epoch = examples_of(batches(count=4))
    assert len(epoch) == 20 == len(set(epoch))
    assert set(epoch) <= set(INDICES)


def test_every_epoch_and_every_seed_has_an_order_of_its_own():
    two = batches(count=8)
    first, second = examples_of(two[:4]), examples_of(two[4:])
    other = examples_of(batches(seed=1, count=4))
    assert first != second
    assert first != other
    assert set(first) != set(second)  # what is left out changes as well


def test_orders_are_permutations_and_stay_the_same_for_ever():
    assert sorted(epoch_order(0, 1, 1000)) == list(range(1000))
    assert epoch_order(0, 1, 8).tolist() == KNOWN_ORDER


# Recorded: a change would silently change every run.
KNOWN_ORDER = [3, 0, 1, 6, 7, 2, 5, 4]


def test_labels_stay_with_their_images():
    for images, targets in batches():
        examples = np.rint(images[:, 0, 0, 0] * 255).astype(int)
        assert (targets.argmax(axis=1) == LABELS[examples]).all()
        assert (targets.sum(axis=1) == 1).all()


@pytest.mark.parametrize("text", ["", "flip | crop(2) | brightness(0.2) | cutmix", "mixup"])
def test_batches_are_the_same_whatever_the_parallelism(text):
    for one, four in zip(batches(text), batches(text, parallel=4), strict=True):
        assert one[0].tobytes() == four[0].tobytes()
        assert one[1].tobytes() == four[1].tobytes()


def test_starting_later_gives_the_later_batches():
    text = "crop(2) | cutmix"
    for late, usual in zip(batches(text, first=2, count=4), batches(text)[4:], strict=True):
        assert late[0].tobytes() == usual[0].tobytes()


def test_an_example_meets_other_draws_in_another_epoch():
    text = "brightness(0.5)"
    shifts = {}
    for step, (images, _) in enumerate(batches(text, size=24, count=2)):
        order = epoch_order(0, step + 1, 24)
        for image, position in zip(images, order, strict=True):
            original = INDICES[position] / 255
            shifts.setdefault(int(position), []).append(float(image[0, 0, 0]) - original)
    assert all(abs(first - second) > 1e-6 for first, second in shifts.values())
    assert len({round(first, 6) for first, _ in shifts.values()}) == 24


def test_evaluation_meets_every_example_once_in_order():
    data = list(evaluation_batches(IMAGES, LABELS, INDICES, 5, 10))
    assert [len(x) for x, _ in data] == [10, 10, 4]
    assert examples_of([(x.numpy(), y) for x, y in data]) == INDICES.tolist()
