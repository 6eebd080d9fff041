"""Files and folders as they lie about, whose preparation must be right or refused by name."""

import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ablation.data.decoding import decode
from ablation.data.files import csv_table, image_folder
from ablation.data.prepare import prepare
from ablation.data.prepared import load
from ablation.data.resizing import to_size
from ablation.data.source import Unreadable
from ablation.errors import InputError

SETTINGS = {
    "source": "image_folder",
    "image_size": [8, 8],
    "stored_size": None,
    "resize": "stretch",
    "channels": None,
    "held_out": 0.25,
    "test_share": 0.2,
    "limit": None,
    "train_share": 1.0,
    "unreadable": "refuse",
    "duplicates": "keep",
}


def picture(file, number):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(number).randint(0, 256, (8, 8)).astype(np.uint8)
    Image.fromarray(pixels).save(file)


def fill(folder, classes=("cat", "dog"), each=10, start=0):
    for c, name in enumerate(classes):
        for i in range(each):
            picture(folder / name / f"{i}.png", start + 100 * c + i)
    return folder


def prepared(folder, out, **settings):
    description = prepare({**SETTINGS, "path": str(folder), **settings}, out, None)
    return description, load(out)


def refused(folder, out, **settings):
    with pytest.raises(InputError) as caught:
        prepared(folder, out, **settings)
    return str(caught.value)


@pytest.mark.parametrize("name", ["Icon\r.png", "two\nlines.png", os.fsdecode(b"caf\xe9.png")])
def test_any_name_that_a_file_system_takes_can_be_loaded_again(tmp_path, name):
    fill(tmp_path / "own")
    picture(tmp_path / "own/cat" / name, 999)
    _, data = prepared(tmp_path / "own", tmp_path / "out")
    assert len(data.labels) == 21
    text = (tmp_path / "out/examples.csv").read_text()
    assert "\r" not in text
    assert len(text.splitlines()) == 22


def test_a_linked_class_and_a_linked_folder_in_a_class_count(tmp_path):
    fill(tmp_path / "own")
    fill(tmp_path / "elsewhere", ("emu", "more"), start=1000)
    (tmp_path / "own/emu").symlink_to(tmp_path / "elsewhere/emu")
    (tmp_path / "own/dog/more").symlink_to(tmp_path / "elsewhere/more")
    description, _ = prepared(tmp_path / "own", tmp_path / "out")
    assert description["class_names"] == ["cat", "dog", "emu"]
    assert np.sum(list(description["counts"].values()), axis=0).tolist() == [10, 20, 10]


def test_an_empty_split_is_refused_and_not_drawn_instead(tmp_path):
    fill(tmp_path / "own/train")
    (tmp_path / "own/test").mkdir()
    assert "own/test: there are no images in the split test" in refused(
        tmp_path / "own", tmp_path / "out"
    )


def test_a_tiff_turned_by_a_quarter_is_refused_and_others_are_turned(tmp_path):
    pixels = np.arange(200, dtype=np.uint8).reshape(10, 20)
    for orientation in (3, 6):
        turn = Image.Exif()
        turn[0x112] = orientation
        Image.fromarray(pixels).save(tmp_path / f"{orientation}.tif", exif=turn)
    assert (decode(tmp_path / "3.tif", 1).pixels[..., 0] == pixels[::-1, ::-1]).all()
    turned = decode(tmp_path / "6.tif", 1)
    assert isinstance(turned, Unreadable)
    assert "turns by a quarter" in turned.reason


@pytest.mark.parametrize("shape", [(1, 1000), (1000, 1), (4, 640)])
def test_padding_keeps_a_line_of_a_very_long_image(shape):
    image = tf.fill([*shape, 1], tf.constant(200, tf.uint8))
    padded = to_size(image, 16, 16, "pad").numpy()
    assert padded.shape == (16, 16, 1)
    assert (padded == 200).sum() == 16
    assert (padded == 0).sum() == 240


def test_copies_are_dropped_before_anything_is_held_out(tmp_path):
    fill(tmp_path / "own/train", each=8)
    fill(tmp_path / "own/test", each=4)  # the same as the first four of train
    description, _ = prepared(tmp_path / "own", tmp_path / "out", duplicates="drop")
    assert description["counts"] == {"train": [3, 3], "validation": [1, 1], "test": [4, 4]}


def test_a_split_that_dropping_empties_is_refused(tmp_path):
    for split, each in (("train", 8), ("val", 2), ("test", 4)):
        fill(tmp_path / "own" / split, each=each)
    message = refused(tmp_path / "own", tmp_path / "out", duplicates="drop")
    assert "no image is left in the validation split" in message


def test_a_limit_that_is_too_small_is_named(tmp_path):
    fill(tmp_path / "own", [f"class-{i}" for i in range(15)], each=8)
    fill(tmp_path / "with/train", [f"class-{i}" for i in range(15)], each=8)
    fill(tmp_path / "with/test", [f"class-{i}" for i in range(15)], each=2, start=5000)
    message = refused(tmp_path / "with", tmp_path / "out", limit=12)
    assert "'limit: 12' may leave too few of each class" in message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("cat\0.png,cat", "table.csv"),
        (f"{'x' * 300}.png,cat", "leads to no file"),
        ("x" * 200_000 + ",cat", "table.csv"),
    ],
)
def test_rows_that_no_file_can_answer_are_refused(tmp_path, row, message):
    (tmp_path / "table.csv").write_text(f"path,label\n{row}\n")
    with pytest.raises(InputError, match=message):
        csv_table(str(tmp_path / "table.csv"))


def test_a_label_of_many_digits_is_a_name(tmp_path):
    for i in range(4):
        picture(tmp_path / f"{i}.png", i)
    rows = "".join(f"{i}.png,{'12'[i % 2] * 5000}\n" for i in range(4))
    (tmp_path / "table.csv").write_text(f"path,label\n{rows}")
    assert [len(name) for name in csv_table(str(tmp_path / "table.csv")).class_names] == [5000] * 2


def test_a_path_through_a_link_leads_where_the_system_says(tmp_path):
    picture(tmp_path / "far/away/x.png", 1)
    picture(tmp_path / "far/y.png", 2)
    picture(tmp_path / "y.png", 3)
    (tmp_path / "link").symlink_to(tmp_path / "far/away")
    (tmp_path / "table.csv").write_text("path,label\nlink/../y.png,a\nlink/x.png,b\n")
    source = csv_table(str(tmp_path / "table.csv"))
    assert any(file.samefile(tmp_path / "far/y.png") for file in source._files)


def test_the_loop_of_a_link_ends(tmp_path):
    fill(tmp_path / "own")
    (tmp_path / "own/cat/again").symlink_to(tmp_path / "own")
    assert len(image_folder(str(tmp_path / "own")).examples()) == 20
