import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from ablation.augmentation.parsing import parse_pipeline
from ablation.augmentation.pipeline import Augmentation, scaled
from ablation.training.batches import (
    ALIGNMENT,
    epoch_batches,
    epoch_order,
    evaluation_batches,
    shared,
    training_batches,
)

from ..augmentation.made import EVERY_CALL

IMAGES = np.arange(50, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
LABELS = np.arange(50) % 5
INDICES = np.arange(3, 50, 2)  # 24 of the 50


def finished(*arguments, parallel=1, **options):
    data, finish = training_batches(*arguments, **options)
    return data.map(finish, num_parallel_calls=parallel, deterministic=True)


def training_data(text="", *, seed=0, size=5, parallel=1, first=1, shuffle="examples"):
    return finished(
        IMAGES,
        LABELS,
        INDICES,
        5,
        Augmentation(parse_pipeline(text)),
        size=(8, 8),
        seed=seed,
        batch_size=size,
        parallel=parallel,
        shuffle=shuffle,
        first_epoch=first,
    )


def batches(text="", *, count=8, **options):
    data = training_data(text, **options)
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


@pytest.mark.parametrize("call", EVERY_CALL, ids=str)
def test_batches_are_the_same_finished_in_a_training_step(call):
    """As on a GPU, where images are scaled first, and in a graph that TensorFlow optimises."""
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 8, 3), np.uint8)
    augmentation = Augmentation([call], (7, 6))
    data, finish = training_batches(
        images, LABELS, INDICES, 5, augmentation, size=(7, 6), seed=0, batch_size=8
    )
    in_step = tf.function(lambda pixels, *others: finish(scaled(pixels), *others))
    for batch, expected in zip(data.take(3), data.map(finish).take(3), strict=True):
        assert batch[0].dtype == tf.uint8
        for one, other in zip(in_step(*batch), expected, strict=True):
            assert one.numpy().tobytes() == other.numpy().tobytes()


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
    data = list(evaluation_batches(IMAGES, INDICES, 10, size=(8, 8)))
    assert [len(images) for images in data] == [10, 10, 4]
    assert examples_of([(images.numpy(), None) for images in data]) == INDICES.tolist()


def test_iterators_have_no_autotuning_and_all_threads():
    """At their end they would wait for its thread, up to as long as they ran."""
    options = training_data().options()
    assert options.autotune.enabled is False
    assert options.threading.max_intra_op_parallelism == 0


def at_address(offset):
    """Return an array whose address has a given offset from an aligned one."""
    memory = np.zeros(2 * ALIGNMENT + 12, np.uint8)
    start = (offset - memory.ctypes.data) % ALIGNMENT
    return memory[start : start + 12].reshape(3, 2, 2, 1)


def test_aligned_images_are_not_copied():
    images = at_address(0)
    read_only = images.view()
    read_only.flags.writeable = False
    tensor = shared(read_only)
    images[:] = 7
    del images, read_only  # the tensor keeps the memory
    assert tensor.dtype == tf.uint8
    assert (tensor.numpy() == np.full((3, 2, 2, 1), 7)).all()


def test_other_images_are_copied():
    images = at_address(1)
    tensor = shared(images)
    images[:] = 7
    assert not tensor.numpy().any()


def test_fixed_batches_come_back_in_another_order():
    epochs = [batches(shuffle="batches", first=epoch, count=4) for epoch in (1, 2, 3)]
    held = [[tuple(examples_of([batch])) for batch in epoch] for epoch in epochs]
    assert all(set(epoch) == set(held[0]) for epoch in held)
    assert len({tuple(epoch) for epoch in held}) > 1
    assert len({example for batch in held[0] for example in batch}) == 20
    other_seed = {tuple(examples_of([b])) for b in batches(shuffle="batches", seed=1, count=4)}
    assert not other_seed & set(held[0])
    # One stream over the epochs is the same as each epoch on its own.
    stream = batches(shuffle="batches", count=12)
    assert [tuple(examples_of([batch])) for batch in stream] == [b for epoch in held for b in epoch]


def test_batches_are_told_as_indices():
    for shuffle in ("examples", "batches"):
        epoch = epoch_batches(3, 2, 23, 5, shuffle)
        assert epoch.shape == (4, 5)
        assert len(set(epoch.ravel().tolist())) == 20
        assert epoch.max() < 23
    assert (epoch_batches(3, 2, 23, 5, "examples").ravel() == epoch_order(3, 2, 23)[:20]).all()
    orders = [epoch_batches(0, epoch, 12, 4, "batches")[:, 0].tolist() for epoch in range(1, 200)]
    assert len({tuple(order) for order in orders}) == 6  # all orders of three batches


def test_an_example_s_draws_do_not_depend_on_how_batches_are_shuffled():
    def shifts(shuffle):
        parts = finished(
            np.zeros((24, 1, 1, 1), np.uint8),
            np.arange(24),  # an example is known by its label
            np.arange(24),
            24,
            Augmentation(parse_pipeline("brightness(0.5)")),
            size=(1, 1),
            seed=5,
            batch_size=6,
            parallel=2,
            shuffle=shuffle,
        )
        drawn = np.zeros((2, 24), np.float32)
        for step, (x, y) in enumerate(itertools.islice(parts, 8)):
            drawn[step // 4, y.numpy().argmax(axis=1)] = x.numpy().ravel()
        return drawn

    np.testing.assert_array_equal(shifts("examples"), shifts("batches"))
    assert len(np.unique(shifts("batches"))) == 48


STORED = np.arange(50 * 9 * 8).reshape(50, 9, 8, 1) % 251
SEEN = STORED[:, 2:6, 1:6]  # the centre: 4×5 of 9×8


def stored_batches(text, *, count=4, parallel=1):
    data = finished(
        STORED.astype(np.uint8),
        LABELS,
        INDICES,
        5,
        Augmentation(parse_pipeline(text), (4, 5)),
        size=(4, 5),
        seed=0,
        batch_size=6,
        parallel=parallel,
    )
    assert data.element_spec[0].shape.as_list() == [6, 4, 5, 1]
    return [np.rint(x.numpy() * 255).astype(int) for x, _ in itertools.islice(data, count)]


def test_pipelines_that_do_not_crop_see_the_centre():
    order = INDICES[epoch_order(0, 1, len(INDICES))]
    np.testing.assert_array_equal(np.concatenate(stored_batches("")), SEEN[order])
    flipped = np.concatenate(stored_batches("flip(1)"))
    np.testing.assert_array_equal(flipped, SEEN[order][:, :, ::-1])


def test_evaluation_sees_the_centre():
    data = evaluation_batches(STORED.astype(np.uint8), INDICES, 10, size=(4, 5))
    seen = np.rint(np.concatenate(list(data)) * 255).astype(int)
    np.testing.assert_array_equal(seen, SEEN[INDICES])


def test_pipelines_that_crop_see_the_whole_stored_image():
    crops = np.concatenate(stored_batches("random_crop", count=24, parallel=3))
    order = np.concatenate([INDICES[epoch_order(0, epoch, 24)] for epoch in range(1, 7)])
    places = set()
    for crop, example in zip(crops, order, strict=True):
        (place,) = [
            (top, left)
            for top in range(6)
            for left in range(4)
            if (STORED[example, top : top + 4, left : left + 5] == crop).all()
        ]
        places.add(place)
    assert len(places) == 24  # 6 places down, 4 across


def test_one_choice_of_cutmix_or_mixup_a_batch_whatever_the_order_within():
    text = "cutmix_or_mixup(mixup_alpha=1, partner=uniform)"
    data = finished(
        (np.arange(240, dtype=np.uint8)[:, None, None, None] * np.ones((1, 9, 9, 1), np.uint8)),
        np.arange(240),
        np.arange(240),
        240,
        Augmentation(parse_pipeline(text)),
        size=(9, 9),
        seed=2,
        batch_size=8,
        parallel=2,
    )
    cut = 0
    for images, _ in itertools.islice(data, 300):
        values = images.numpy() * 255
        whole = np.abs(values - np.rint(values)).max(axis=(1, 2, 3)) < 1e-3  # no mixed pixels
        spread = np.ptp(values, axis=(1, 2, 3)) > 0.5  # several values in an image
        assert whole.all() or not spread.any()
        cut += spread.any()
    assert stats.binomtest(int(cut), 300, 0.5).pvalue > 0.01
