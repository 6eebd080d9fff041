"""Every step and whole pipelines: draws, shapes, and the same batches for the same run."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from ablation.augmentation.draws import epoch_draws
from ablation.augmentation.parsing import parse_pipeline
from ablation.augmentation.pipeline import CHANCES, Augmentation, centre
from ablation.augmentation.registry import STEPS, StepCall
from ablation.errors import InputError

from .made import EVERY_CALL, PER_IMAGE, WHOLE, data, examples

# Of several roundings each, on values around 1.
ROUNDING = 100 * np.finfo("float32").eps
WITH_PROBABILITY = [step for step in STEPS.values() if step.has_probability]


def test_columns_are_the_steps_draws_in_order():
    assert Augmentation([]).columns == 0
    augmentation = Augmentation(parse_pipeline("flip | clip | crop(4) | cutmix"))
    assert augmentation.columns == 1 + 0 + 2 + 6
    np.testing.assert_array_equal(augmentation.draws(4, 2, 10), epoch_draws(4, 2, 10, range(9)))
    assert augmentation.draws(4, 2, 10).dtype == np.float32


def test_pipelines_that_begin_alike_decide_alike():
    images, targets = data(12)
    text = "flip | crop(2) | hue(0.1, 0.5) | rotation(20)"
    short, long = (Augmentation(parse_pipeline(text + rest)) for rest in ("", " | mixup"))
    np.testing.assert_array_equal(short.draws(1, 0, 12), long.draws(1, 0, 12)[:, : short.columns])
    single, _ = short(images, targets, short.draws(1, 0, 12))
    draws = long.draws(1, 0, 12)
    draws[:, -2] = 1  # λ: nothing of the partner
    assert short.columns + 3 == long.columns
    both, _ = long(images, targets, draws)
    np.testing.assert_array_equal(single, both)


def test_a_chance_has_a_column_of_its_own_apart_from_all_others():
    always = Augmentation(parse_pipeline("crop(4) | hue(0.2) | cutmix")).draws(4, 2, 10)
    for chances in ((0.3, 1), (1, 0.3), (0.3, 0.6), (0, 0.6)):
        crop, hue = chances
        text = f"crop(4, probability={crop}) | hue(0.2, {hue}) | cutmix"
        table = Augmentation(parse_pipeline(text)).draws(4, 2, 10).T.tolist()
        own = [column for column in table if column not in always.T.tolist()]
        assert [column for column in table if column not in own] == always.T.tolist()
        # The same place in a pipeline, the same draws, whatever the probability.
        expected = [CHANCES + place for place in (0, 1) if chances[place] != 1]
        assert own == epoch_draws(4, 2, 10, expected).T.tolist()


@pytest.mark.parametrize("step", WITH_PROBABILITY, ids=lambda step: step.name)
def test_a_step_is_applied_to_an_image_with_its_probability(step):
    images, targets = data(500)
    parameters = examples(step)[0].parameters

    def augmented(probability):
        call = StepCall(step=step.name, parameters=parameters | {"probability": probability})
        augmentation = Augmentation([call])
        draws = augmentation.draws(1, 1, 500)
        result, same = tf.function(augmentation)(images, targets, draws)
        np.testing.assert_array_equal(same, targets)
        return result.numpy(), draws

    changed, _ = augmented(1.0)
    for probability in (0.0, 0.3):
        result, draws = augmented(probability)
        applied = draws[:, -1] < np.float32(probability)
        np.testing.assert_array_equal(result[applied], changed[applied])
        np.testing.assert_array_equal(result[~applied], images[~applied])
        assert stats.binomtest(int(applied.sum()), 500, probability).pvalue > 0.01
    moved = (changed != images).any(axis=(1, 2, 3))
    assert moved.mean() > 0.9  # or the test would show nothing


@pytest.mark.parametrize(
    "step", [step for step in STEPS.values() if step.idle], ids=lambda step: step.name
)
def test_idle_parameters_change_nothing(step):
    certain = {"probability": 1.0} if step.has_probability else {}
    lowest = {low: 0 for low, high in [step.ordered or ("", "")] if high in step.idle}
    call = StepCall(step=step.name, parameters=lowest | dict(step.idle) | certain)
    assert call.changes_nothing
    images, targets = data(40)
    augmentation = Augmentation([call])
    result, labels = augmentation(images, targets, augmentation.draws(0, 0, 40))
    np.testing.assert_allclose(result, images, atol=2e-6)
    np.testing.assert_array_equal(labels, targets)


@pytest.mark.parametrize("call", PER_IMAGE, ids=str)
def test_an_example_is_augmented_alike_wherever_it_is_in_its_batch(call):
    images, targets = data(20)
    augmentation = Augmentation([call], (5, 6) if call.definition.crops else None)
    draws = augmentation.draws(seed=8, epoch=1, examples=20)
    whole, _ = augmentation(images, targets, draws)
    order = np.random.default_rng(2).permutation(20)
    for start in range(0, 20, 6):  # the last batch is a partial one
        rows = order[start : start + 6]
        batch, _ = augmentation(images[rows], targets[rows], draws[rows])
        np.testing.assert_allclose(batch, whole.numpy()[rows], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("call", EVERY_CALL, ids=str)
@pytest.mark.parametrize(("height", "width"), [(7, 11), (5, 3)])
def test_odd_and_grey_images(call, height, width):
    channels = 3 if call.definition.needs_colour else 1
    images, targets = data(6, height, width, channels)
    size = (4, 3) if call.definition.crops else (height, width)
    augmentation = Augmentation([call], size)
    mixed, labels = augmentation(images, targets, augmentation.draws(0, 0, 6))
    assert mixed.shape == (6, *size, channels)
    assert mixed.dtype == labels.dtype == tf.float32
    assert np.isfinite(mixed).all()
    np.testing.assert_allclose(labels.numpy().sum(axis=1), 1, atol=1e-6)


def test_steps_are_applied_in_order():
    images, targets = np.full((1, 2, 2, 1), 0.9, np.float32), np.ones((1, 1), np.float32)
    high = np.float32([[0.75]])
    clipped, _ = Augmentation(parse_pipeline("brightness(0.4) | clip"))(images, targets, high)
    free, _ = Augmentation(parse_pipeline("clip | brightness(0.4)"))(images, targets, high)
    np.testing.assert_allclose(clipped, np.ones((1, 2, 2, 1)))
    np.testing.assert_allclose(free, np.full((1, 2, 2, 1), 1.1), atol=1e-6)


def test_epochs_and_seeds_change_the_augmentation():
    images, targets = data(6)
    augmentation = Augmentation(WHOLE)
    results = {
        augmentation(images, targets, augmentation.draws(seed, epoch, 6))[0].numpy().tobytes()
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(results) == 4


@pytest.mark.slow
def test_the_same_bytes_for_any_number_of_threads():
    images, targets = data(45)
    augmentation = Augmentation(WHOLE)
    draws = augmentation.draws(seed=3, epoch=2, examples=45)

    def batches(threads):
        dataset = tf.data.Dataset.from_tensor_slices((images, targets, draws)).batch(8)
        dataset = dataset.map(augmentation, num_parallel_calls=threads)
        assert dataset.element_spec[0].shape.as_list() == [None, 9, 8, 3]
        assert dataset.element_spec[1].shape.as_list() == [None, 5]
        return [(x.tobytes(), y.tobytes()) for x, y in dataset.as_numpy_iterator()]

    serial = batches(1)
    assert len(serial) == 6
    assert serial == batches(4) == batches(4)


CROP = "hue(0.1) | random_resized_crop | crop(2, reflect) | rotation(20) | cutmix"


@pytest.mark.parametrize(
    ("steps", "size", "shape"),
    [
        (WHOLE, None, (None, None, None, 3)),
        (WHOLE, None, (1, 9, 8, 3)),
        (parse_pipeline(CROP), (5, 6), (None, None, None, 3)),
        (parse_pipeline(CROP), (5, 6), (4, 9, 8, 3)),
    ],
)
def test_static_shapes_are_known_in_graphs(steps, size, shape):
    augmentation = Augmentation(steps, size)
    assert augmentation.crops == (size is not None)
    batch = shape[0]
    graph = tf.function(
        augmentation,
        input_signature=[
            tf.TensorSpec(shape, tf.float32),
            tf.TensorSpec((batch, 5), tf.float32),
            tf.TensorSpec((batch, augmentation.columns), tf.float32),
        ],
    )
    expected = [batch, *(size or shape[1:3]), 3]
    structure = graph.get_concrete_function().structured_outputs
    assert [s.shape.as_list() for s in structure] == [expected, [batch, 5]]
    images, targets = data(batch or 4)
    draws = augmentation.draws(0, 0, batch or 4)
    in_graph, eager = graph(images, targets, draws), augmentation(images, targets, draws)
    for result, wanted in zip(in_graph, eager, strict=True):
        assert result.shape == wanted.shape
        if size:  # of many steps in a row roundings add up
            np.testing.assert_allclose(result, wanted, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    ("stored", "size", "expected"),
    [
        ((8, 9), (8, 9), [(0, 8), (0, 9)]),
        ((8, 9), (4, 5), [(2, 6), (2, 7)]),
        ((9, 8), (4, 5), [(2, 6), (1, 6)]),  # odd differences: rounded down
    ],
)
def test_the_centre_of_a_stored_image(stored, size, expected):
    assert [(part.start, part.stop) for part in centre(stored, size)] == expected


def test_wrong_inputs_are_refused():
    images, targets = data(4)
    augmentation = Augmentation(parse_pipeline("cutmix"))
    draws = augmentation.draws(0, 0, 4)
    with pytest.raises(ValueError, match="targets must be float32 of rank 2, not int64"):
        augmentation(images, targets.argmax(axis=1), draws)
    with pytest.raises(ValueError, match="images must be uint8 or float32 of rank 4, not float64"):
        augmentation(images.astype(np.float64), targets, draws)
    with pytest.raises(ValueError, match=r"draws must be float32 \[batch, 6\]"):
        augmentation(images, targets, draws[:, :5])
    with pytest.raises(ValueError, match=r"Augmentation\(random_crop\) needs the size to cut out"):
        Augmentation(parse_pipeline("random_crop"))
    flip = Augmentation(parse_pipeline("flip"), (5, 6))
    with pytest.raises(ValueError, match=r"images must be \(5, 6\), not \(9, 8\)"):
        flip(images, targets, flip.draws(0, 0, 4))
    with pytest.raises(ValueError, match="no centre"):
        centre((8, 8), (4, 9))
    for text, size, message in (
        ("random_crop", (9, 8), "the crop has no effect"),
        ("crop(8)", None, "at most 7"),
        ("hue(0.1)", None, "grey"),
    ):
        augmentation = Augmentation(parse_pipeline(text), size)
        with pytest.raises(InputError, match=message):
            augmentation(images[..., :1], targets, augmentation.draws(0, 0, 4))


SOMETIMES = [
    StepCall(step=call.step, parameters={**call.parameters, "probability": 0.5})
    for call in EVERY_CALL
    if call.definition.has_probability
]


@pytest.mark.parametrize("call", SOMETIMES, ids=str)
def test_a_batch_without_a_chosen_image_stays_as_it_is(call):
    augmentation = Augmentation([call], (9, 8))
    images, targets = data(4)
    draws = np.full((4, augmentation.columns), 0.999, np.float32)
    source = tf.data.Dataset.from_tensors((images, targets, draws))
    results = [
        augmentation(images, targets, draws),
        tf.function(augmentation)(images, targets, draws),
        next(iter(source.map(augmentation))),
    ]
    for result, _ in results:
        np.testing.assert_array_equal(result, images)
