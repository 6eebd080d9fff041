"""The gallery shows what a network sees."""

import json

import numpy as np
import pandas as pd
import pytest

from ablation.augmentation.gallery import caption, draw_gallery
from ablation.augmentation.parsing import parse_pipeline
from ablation.data.prepared import FORMAT, content_hash
from ablation.storage import file_sha256, sealed


@pytest.fixture
def stored(tmp_path):
    """Six prepared images of 9×8 pixels, each pixel another value, of which 5×4 are seen."""
    folder = tmp_path / "stored"
    folder.mkdir()
    images = (np.arange(6 * 9 * 8).reshape(6, 9, 8, 1) % 251).astype(np.uint8)
    examples = pd.DataFrame({"label": [0, 1, 0, 1, 0, 1], "split": "train", "name": "x"})
    examples.to_csv(folder / "examples.csv", index=False)
    np.save(folder / "images.npy", images)
    description = {
        "format": FORMAT,
        "settings": {"image_size": [5, 4], "stored_size": [9, 8]},
        "class_names": ["cat", "dog"],
        "shape": list(images.shape),
        "hash": content_hash(images, examples, ["cat", "dog"]),
        "examples_sha256": file_sha256(folder / "examples.csv"),
    }
    (folder / "description.json").write_text(json.dumps(sealed(description)))
    return folder, images


def gallery(request, file):
    draw_gallery(request, file)
    with np.load(file, allow_pickle=False) as content:
        index = json.loads(str(content["index"]))
        return [(entry, content[entry["key"]]) for entry in index]


def test_samples_and_arms_that_do_not_crop_show_the_centre(stored, tmp_path):
    folder, images = stored
    request = [
        {
            "augmentation": text,
            "steps": parse_pipeline(text),
            "dataset": "d",
            "data": str(folder),
        }
        for text in ("flip(1)", "random_crop", "random_resized_crop | label_smoothing")
    ]
    samples, flipped, cut, resized = gallery(request, tmp_path / "gallery.npz")
    shown = {tuple(image[2:7, 2:6].ravel()): image for image in images}
    assert {tuple(image.ravel()) for image in samples[1]} <= set(shown)
    np.testing.assert_array_equal(flipped[1], samples[1][:, :, ::-1])
    assert resized[1].shape == cut[1].shape == samples[1].shape
    places = set()
    for image, sample in zip(cut[1], samples[1], strict=True):
        whole = shown[tuple(sample.ravel())]
        places |= {
            (top, left)
            for top in range(5)
            for left in range(5)
            if (whole[top : top + 5, left : left + 4] == image).all()
        }
    assert len(places) > 2
    assert samples[0]["captions"][0] == "cat"
    assert resized[0]["captions"][0] == "95 % ‘cat’ + 5 % ‘dog’"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ([0, 1, 0, 0], "b"),
        ([0.62, 0, 0, 0.38], "62 % ‘a’ + 38 % ‘d’"),
        ([0.0, 0.996, 0.004, 0.0], "b"),
        ([0.04, 0.88, 0.04, 0.04], "88 % ‘b’, others 4 % each"),
        ([0.04, 0.62, 0.3, 0.04], "62 % ‘b’ + 30 % ‘c’, others 4 % each"),
        ([0.5, 0.5, 0, 0], "50 % ‘a’ + 50 % ‘b’"),
    ],
)
def test_captions_tell_the_target(target, text):
    assert caption(np.float32(target), ["a", "b", "c", "d"]) == text


def test_captions_tell_small_shares_of_many_classes():
    target = np.full(120, 0.1 / 120, np.float32)
    target[7] += 0.9
    names = [f"dog {i}" for i in range(120)]
    assert caption(target, names) == "90 % ‘dog 7’, others 0.1 % each"


def test_mixed_labels_are_drawn_until_most_show_two_classes(stored, tmp_path):
    folder, _ = stored
    (step,) = parse_pipeline("mixup(1)")
    wanted = {"augmentation": "mixup", "steps": (step,)}
    request = [{**wanted, "dataset": "d", "data": str(folder)}]
    _, (entry, _) = gallery(request, tmp_path / "gallery.npz")
    largest = [int(text.split()[0]) for text in entry["captions"] if "+" in text]
    assert sum(share <= 80 for share in largest) >= 3  # of six, half of them with their own class
