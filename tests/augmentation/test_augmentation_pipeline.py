"""A pipeline as a whole: its columns, its shapes, and the same run, same batches promise."""

import inspect

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from ablation.augmentation import steps
from ablation.augmentation.draws import epoch_draws
from ablation.augmentation.pipeline import CHANCES, Augmentation, centre
from ablation.augmentation.pipelines import parse_pipeline
from ablation.errors import InputError
from ablation.study import pipelines

COLOUR = "hue(0.1, probability=0.5) | saturation(0.8, 1.2) | grayscale(0.3) | "
PER_IMAGE = (
    "flip | crop(2, reflect) | translation(0.3, 0.2, reflect) | rotation(40, reflect) | "
    "brightness(0.2, 0.7) | " + COLOUR + "contrast(0.8, 1.2) | clip | random-erasing | "
    "label-smoothing"
)
EVERYTHING = (
    PER_IMAGE + " | cutmix(alpha=0.5, box=independent) | mixup(partner=uniform) | cutmix-or-mixup"
)
CROPS = ("random-crop", "random-resized-crop")
# Of a dozen steps with several roundings each, on values around 1.
ROUNDING = 100 * np.finfo("float32").eps


def data(examples, height=9, width=8, channels=3, classes=5):
    rng = np.random.default_rng(1)
    images = rng.random((examples, height, width, channels), np.float32)
    return images, np.eye(classes, dtype=np.float32)[rng.integers(classes, size=examples)]


def test_each_step_of_a_study_has_its_function_and_no_more():
    assert list(steps.STEPS) == list(pipelines.STEPS)
    everything = {step["step"] for step in parse_pipeline(EVERYTHING)}
    assert everything | set(CROPS) == set(steps.STEPS)
    for name, step in steps.STEPS.items():
        parameters = inspect.signature(step.apply).parameters.values()
        own = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        given = {"size"} if pipelines.STEPS[name].crops else set()
        drawn = {"probability"} if step.by_chance else set()
        assert own | drawn == set(pipelines.STEPS[name].model_fields) | given, name
        assert not own & drawn


def test_columns_are_the_steps_columns_in_order():
    assert Augmentation([]).columns == 0
    augmentation = Augmentation(parse_pipeline("flip | clip | crop(4) | cutmix"))
    assert augmentation.columns == 1 + 0 + 2 + 6
    np.testing.assert_array_equal(augmentation.draws(4, 2, 10), epoch_draws(4, 2, 10, range(9)))
    assert augmentation.draws(4, 2, 10).dtype == np.float32


def test_pipelines_that_begin_alike_decide_alike():
    images, targets = data(12)
    short, long = (Augmentation(parse_pipeline(PER_IMAGE + rest)) for rest in ("", " | mixup"))
    np.testing.assert_array_equal(short.draws(1, 0, 12), long.draws(1, 0, 12)[:, : short.columns])
    alone, _ = short(images, targets, short.draws(1, 0, 12))
    draws = long.draws(1, 0, 12)
    draws[:, -2] = 1  # λ: nothing of the partner
    assert short.columns + 3 == long.columns
    both, _ = long(images, targets, draws)
    np.testing.assert_array_equal(alone, both)


def test_a_chance_has_a_column_of_its_own_apart_from_all_others():
    always = Augmentation(parse_pipeline("crop(4) | hue(0.2) | cutmix")).draws(4, 2, 10)
    for chances in ((0.3, 1), (1, 0.3), (0.3, 0.6), (0, 0.6)):
        crop, hue = chances
        text = f"crop(4, probability={crop}) | hue(0.2, {hue}) | cutmix"
        augmentation = Augmentation(parse_pipeline(text))
        drawn = sum(chance != 1 for chance in chances)
        assert augmentation.columns == always.shape[1] + drawn
        table = augmentation.draws(4, 2, 10).T.tolist()
        own = [column for column in table if column not in always.T.tolist()]
        assert len(own) == drawn
        assert [column for column in table if column not in own] == always.T.tolist()
        # The same place in a pipeline, the same draws, whatever the probability.
        expected = [CHANCES + place for place in (0, 1) if chances[place] != 1]
        assert own == epoch_draws(4, 2, 10, expected).T.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "crop(2, reflect)",
        "translation(0.3, 0.3)",
        "rotation(90)",
        "brightness(0.2)",
        "contrast(0.2, 0.5)",
        "hue(0.4)",
        "saturation(0, 0.5)",
        "random-erasing(area_low=0.2)",
        "grayscale",
    ],
)
def test_a_step_is_applied_to_an_image_with_its_probability(text):
    images, targets = data(500)
    (step,) = parse_pipeline(text)
    always = Augmentation([step | {"probability": 1.0}])
    changed, _ = tf.function(always)(images, targets, always.draws(1, 1, 500))
    for probability in (0.0, 0.3):
        sometimes = Augmentation([step | {"probability": probability}])
        draws = sometimes.draws(1, 1, 500)
        result, same = (x.numpy() for x in tf.function(sometimes)(images, targets, draws))
        np.testing.assert_array_equal(same, targets)
        applied = draws[:, -1] < np.float32(probability)
        np.testing.assert_array_equal(result[applied], changed[applied])
        np.testing.assert_array_equal(result[~applied], images[~applied])
        assert stats.binomtest(int(applied.sum()), 500, probability).pvalue > 0.01
    moved = (changed.numpy() != images).any(axis=(1, 2, 3))
    assert moved.mean() > 0.9  # or the test would show nothing


def test_idle_parameters_change_nothing_and_others_do():
    values = {"padding": 0, "horizontal": 0, "vertical": 0, "degrees": 0, "delta": 0}
    values |= {"low": 1, "high": 1}
    images, targets = data(40)
    idle = 0
    for name, model in pipelines.STEPS.items():
        needed = [key for key, field in model.model_fields.items() if field.is_required()]
        still = ", ".join(f"{key}={values[key]}" for key in needed)
        optional = {k: v for k, v in model.idle.items() if k not in needed}
        optional |= {"area_low": 0} if "area_low" in model.model_fields else {}
        options = ", ".join(f"{key}={value}" for key, value in optional.items())
        text = f"{name}({still}{options})"
        (step,) = parse_pipeline(text)
        assert pipelines.changes_nothing(step) == bool(model.idle), name
        if model.idle:
            idle += 1
            certain = {"probability": 1.0} if "probability" in step else {}
            augmentation = Augmentation([step | certain])
            result, labels = augmentation(images, targets, augmentation.draws(0, 0, 40))
            np.testing.assert_allclose(result, images, atol=2e-6, err_msg=name)
            np.testing.assert_array_equal(labels, targets)
        if "probability" in model.model_fields:
            assert pipelines.changes_nothing(step | {"probability": 0.0})
    assert idle == 9


def test_no_steps_change_nothing():
    images, targets = data(3)
    augmentation = Augmentation([])
    same, labels = augmentation(images, targets, augmentation.draws(0, 0, 3))
    np.testing.assert_array_equal(same, images)
    np.testing.assert_array_equal(labels, targets)


def test_steps_are_applied_in_order():
    images, targets = np.full((1, 2, 2, 1), 0.9, np.float32), np.ones((1, 1), np.float32)
    high = np.float32([[0.75]])
    clipped, _ = Augmentation(parse_pipeline("brightness(0.4) | clip"))(images, targets, high)
    free, _ = Augmentation(parse_pipeline("clip | brightness(0.4)"))(images, targets, high)
    np.testing.assert_allclose(clipped, np.ones((1, 2, 2, 1)))
    np.testing.assert_allclose(free, np.full((1, 2, 2, 1), 1.1), atol=1e-6)


def test_an_example_is_augmented_alike_wherever_it_stands():
    images, targets = data(20)
    augmentation = Augmentation(parse_pipeline(PER_IMAGE))
    draws = augmentation.draws(seed=8, epoch=1, examples=20)
    whole, _ = augmentation(images, targets, draws)
    order = np.random.default_rng(2).permutation(20)
    for start in range(0, 20, 6):  # the last batch is a partial one
        rows = order[start : start + 6]
        batch, _ = augmentation(images[rows], targets[rows], draws[rows])
        np.testing.assert_allclose(batch, whole.numpy()[rows], rtol=0, atol=ROUNDING)


def test_epochs_and_seeds_change_the_augmentation():
    images, targets = data(6)
    augmentation = Augmentation(parse_pipeline(EVERYTHING))
    results = {
        augmentation(images, targets, augmentation.draws(seed, epoch, 6))[0].numpy().tobytes()
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(results) == 4


def test_the_same_bytes_for_any_number_of_threads():
    images, targets = data(45)
    augmentation = Augmentation(parse_pipeline(EVERYTHING))
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


@pytest.mark.parametrize(
    "shape", [(None, None, None, 3), (None, 9, 8, 3), (4, 9, 8, 3), (1, 9, 8, 3)]
)
def test_static_shapes_are_kept_in_graphs(shape):
    augmentation = Augmentation(parse_pipeline(EVERYTHING))
    batch = shape[0]
    graph = tf.function(
        augmentation,
        input_signature=[
            tf.TensorSpec(shape, tf.float32),
            tf.TensorSpec((batch, 5), tf.float32),
            tf.TensorSpec((batch, augmentation.columns), tf.float32),
        ],
    )
    structure = graph.get_concrete_function().structured_outputs
    assert [s.shape.as_list() for s in structure] == [list(shape), [batch, 5]]
    images, targets = data(batch or 4)
    draws = augmentation.draws(0, 0, batch or 4)
    for in_graph, eager in zip(
        graph(images, targets, draws), augmentation(images, targets, draws), strict=True
    ):
        np.testing.assert_allclose(in_graph, eager, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(("height", "width", "channels"), [(7, 11, 1), (28, 28, 1), (5, 3, 3)])
def test_odd_and_grey_images(height, width, channels):
    text = EVERYTHING if channels == 3 else EVERYTHING.replace(COLOUR, "")
    images, targets = data(6, height, width, channels)
    augmentation = Augmentation(parse_pipeline(text))
    mixed, labels = augmentation(images, targets, augmentation.draws(0, 0, 6))
    assert mixed.shape == images.shape
    assert mixed.dtype == labels.dtype == tf.float32
    assert np.isfinite(mixed).all()
    np.testing.assert_allclose(labels.numpy().sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("shape", [(None, None, None, 3), (4, 9, 8, 3)])
def test_a_pipeline_that_crops_takes_stored_images_and_returns_the_networks(crop, shape):
    augmentation = Augmentation(parse_pipeline(f"hue(0.1) | {crop} | crop(2) | cutmix"), (5, 6))
    assert augmentation.crops
    assert augmentation.size == (5, 6)
    graph = tf.function(
        augmentation,
        input_signature=[
            tf.TensorSpec(shape, tf.float32),
            tf.TensorSpec((shape[0], 5), tf.float32),
            tf.TensorSpec((shape[0], augmentation.columns), tf.float32),
        ],
    )
    structure = graph.get_concrete_function().structured_outputs
    assert structure[0].shape.as_list() == [shape[0], 5, 6, 3]
    images, targets = data(4)
    draws = augmentation.draws(0, 0, 4)
    in_graph, _ = graph(images, targets, draws)
    assert in_graph.shape == (4, 5, 6, 3)
    eager, _ = augmentation(images, targets, draws)
    np.testing.assert_allclose(in_graph, eager, rtol=0, atol=ROUNDING)


def test_a_pipeline_knows_its_sizes():
    with pytest.raises(ValueError, match=r"Augmentation\(random-crop\) needs the size to cut out"):
        Augmentation(parse_pipeline("random-crop"))
    images, targets = data(4)
    flip = Augmentation(parse_pipeline("flip"), (5, 6))
    assert not flip.crops
    with pytest.raises(ValueError, match=r"images have to be \(5, 6\), not \(9, 8\)"):
        flip(images, targets, flip.draws(0, 0, 4))
    crop = Augmentation(parse_pipeline("random-crop"), (9, 8))
    with pytest.raises(InputError, match="the crop would do nothing"):
        crop(images, targets, crop.draws(0, 0, 4))


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


def test_nothing_larger_than_the_image_is_its_centre():
    with pytest.raises(ValueError, match="no centre"):
        centre((8, 8), (4, 9))


def test_wrong_inputs_are_refused():
    images, targets = data(4)
    augmentation = Augmentation(parse_pipeline("cutmix"))
    draws = augmentation.draws(0, 0, 4)
    with pytest.raises(ValueError, match="targets have to be float32 of rank 2, not int64"):
        augmentation(images, targets.argmax(axis=1), draws)
    with pytest.raises(ValueError, match="images have to be float32 of rank 4, not uint8"):
        augmentation(images.astype(np.uint8), targets, draws)
    with pytest.raises(ValueError, match=r"draws have to be float32 \[batch, 6\]"):
        augmentation(images, targets, draws[:, :5])
    with pytest.raises(InputError, match="unknown step 'cutmx'; did you mean 'cutmix'"):
        Augmentation([{"step": "cutmx"}])


def test_it_names_itself_as_a_study_does():
    assert repr(Augmentation(parse_pipeline("notebook3-cutmix"))) == (
        "Augmentation(cutmix(box=independent, partner=uniform))"
    )
