"""Folders and tables of images of one's own."""

import json
import random
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ablation.data.files import csv_table, image_folder
from ablation.data.prepare import prepare
from ablation.data.prepared import load
from ablation.errors import InputError
from ablation.study.grid import prepared_data
from ablation.study.own_images import files_digest
from ablation.study.schema import Dataset


def settings(path, source="image_folder", **more):
    return prepared_data(Dataset(name="mine", source=source, path=str(path), **more)).settings


def paint(file, value, size=(10, 8), mode="RGB"):
    """A uniform image whose value tells it from others."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 255 - value, 40)).save(file)
    return file


def fill(folder, classes=("cat", "dog"), count=10, first=0, **more):
    for i, name in enumerate(classes):
        for j in range(count):
            paint(folder / name / f"{j:02d}.png", first + 20 * i + j, **more)


def message(work, *words, **more):
    with pytest.raises(InputError) as caught:
        work(*words, **more)
    return str(caught.value)


def found(description, kind):
    return [one for one in description["checks"] if one["kind"] == kind]


def test_a_folder_of_class_folders(tmp_path):
    fill(tmp_path / "photos")
    paint(tmp_path / "photos/dog/deeper/still/x.PNG", 99)
    paint(tmp_path / "photos/dog/.hidden.png", 98)
    paint(tmp_path / "photos/.thumbnails/t.png", 97)
    description = prepare(settings(tmp_path / "photos"), tmp_path / "out", None)
    data = load(tmp_path / "out")
    assert data.class_names == ["cat", "dog"]
    assert data.images.shape == (21, 8, 10, 3)
    examples = pd.read_csv(tmp_path / "out/examples.csv")
    assert examples["name"].tolist() == sorted(examples["name"])
    assert "dog/deeper/still/x.PNG" in set(examples["name"])
    for name, label, image in zip(examples["name"], data.labels, data.images, strict=True):
        value = 99 if name.endswith("x.PNG") else 20 * label + int(name[-6:-4])
        assert name.startswith(data.class_names[label])
        assert (image == (value, 255 - value, 40)).all()
    assert description["source"] == f"image_folder {tmp_path / 'photos'}"
    assert "0.2 of each class" in description["splits"]["test"]
    assert [sum(description["counts"][s]) for s in ("train", "validation", "test")] == [15, 2, 4]


@pytest.mark.parametrize("name", ["validation", "val", "valid", "Val"])
def test_a_folder_of_splits(tmp_path, name):
    for first, split in ((0, "train"), (50, name), (100, "test")):
        fill(tmp_path / "photos" / split, first=first)
    description = prepare(settings(tmp_path / "photos"), tmp_path / "out", None)
    assert description["counts"] == {s: [10, 10] for s in ("train", "validation", "test")}
    data = load(tmp_path / "out")
    for split, first in (("train", 0), ("validation", 50), ("test", 100)):
        values = np.asarray(data.images)[data.indices(split), 0, 0, 0]
        assert sorted(values) == [first + 20 * i + j for i in range(2) for j in range(10)]


def test_a_class_too_small_to_hold_out_can_be_validated_on_the_test_split(tmp_path):
    fill(tmp_path / "photos/train", count=1)
    fill(tmp_path / "photos/train", ("cat",), count=10)
    fill(tmp_path / "photos/test", first=50)
    dataset = Dataset(name="mine", source="image_folder", path=str(tmp_path / "photos"))
    refusal = message(prepare, prepared_data(dataset).settings, tmp_path / "out", None)
    assert "class dog has 1 example(s): too few to set any aside" in refusal
    settings = prepared_data(dataset, "test").settings
    description = prepare(settings, tmp_path / "out", None)
    assert description["counts"] == {"train": [10, 1], "validation": [0, 0], "test": [10, 10]}
    (few,) = found(description, "few-images")
    assert few["items"] == ["dog: 1"]  # all ten cats are trained on


def test_what_is_left_out_is_told(tmp_path):
    fill(tmp_path / "photos")
    (tmp_path / "photos/cat/notes.txt").write_text("?")
    (tmp_path / "photos/README").write_text("?")
    (tmp_path / "photos/fish").mkdir()
    paint(tmp_path / "photos/preview.jpg", 3)
    description = prepare(settings(tmp_path / "photos"), tmp_path / "out", None)
    assert {tuple(one["items"]) for one in found(description, "left-out")} == {
        ("README", "cat/notes.txt"),
        ("preview.jpg",),
        ("fish",),
    }
    assert description["class_names"] == ["cat", "dog"]


def test_folders_that_cannot_do_are_refused_by_name(tmp_path):
    fill(tmp_path / "mixed", ("train", "car", "bus"))
    assert "'train' are called like splits and lie beside 'bus', 'car'" in message(
        image_folder, str(tmp_path / "mixed")
    )
    fill(tmp_path / "twice/train")
    fill(tmp_path / "twice/val")
    fill(tmp_path / "twice/valid")
    assert "'val' and 'valid' are both the split validation" in message(
        image_folder, str(tmp_path / "twice")
    )
    fill(tmp_path / "untrained/test")
    assert "no folder 'train'" in message(image_folder, str(tmp_path / "untrained"))
    fill(tmp_path / "one", ("cat",))
    assert "two classes or more" in message(image_folder, str(tmp_path / "one"))
    (tmp_path / "empty").mkdir()
    assert "found none" in message(image_folder, str(tmp_path / "empty"))
    fill(tmp_path / "lost/train")
    fill(tmp_path / "lost/test", ("cat", "dog", "emu"))
    assert "'emu': the test split has images of this class, the training split has none" in message(
        prepare, settings(tmp_path / "lost"), tmp_path / "out", None
    )


def write_table(file, rows, columns=("path", "label")):
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def test_a_table_of_images(tmp_path):
    fill(tmp_path / "images")
    outside = paint(tmp_path / "elsewhere/x.png", 200)
    rows = [
        (f"images/{name}/{j:02d}.png", label, split)
        for label, name in ((10, "cat"), (9, "dog"))
        for j, split in enumerate(["train"] * 6 + ["val"] * 2 + ["test"] * 2)
    ]
    rows.append((outside, 9, "train"))
    random.Random(0).shuffle(rows)
    file = write_table(tmp_path / "table.csv", rows, ("path", "label", "split"))
    description = prepare(settings(file, "csv"), tmp_path / "out", None)
    data = load(tmp_path / "out")
    assert data.class_names == ["9", "10"]  # numbers in their order
    assert description["counts"] == {"train": [7, 6], "validation": [2, 2], "test": [2, 2]}
    examples = pd.read_csv(tmp_path / "out/examples.csv")
    for name, label, image in zip(examples["name"], data.labels, data.images, strict=True):
        value = 200 if name.endswith("x.png") else (0 if label else 20) + int(name[-6:-4])
        assert (image[..., 0] == value).all()


def test_a_table_without_splits_and_with_more_columns(tmp_path):
    fill(tmp_path)
    rows = [(f'"{n}/{j:02d}.png"', f" {n} ", "x") for n in ("cat", "dog") for j in range(10)]
    file = tmp_path / "table.csv"
    write_table(file, rows, ("path", "label", "seen by"))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())  # as Excel saves it
    description = prepare(settings(file, "csv"), tmp_path / "out", None)
    assert description["class_names"] == ["cat", "dog"]
    assert description["counts"]["test"] == [2, 2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("label\ncat\n", "table.csv:1: there is no column 'path'"),
        ("Path,label\na.png,cat\n", "column 'path'; did you mean 'Path'?"),
        ("path\na.png\n", "table.csv:1: there is no column 'label'"),
        ("path,label,label\na.png,1,2\n", "table.csv:1: there are 2 columns 'label'"),
        ("", "table.csv:1: there is no column 'path'"),
        ("path,label\ncat/00.png,cat\ncat/01.png,\n", "table.csv:3: label is empty"),
        ("path,label\n,cat\n", "table.csv:2: path is empty"),
        ("path,label\ncat/00.png\n", "table.csv:2: expected 2 values, one a column, but found 1"),
        ("path,label\ncat/00.png,cat\n\nnone.png,dog\n", "table.csv:4: the path none.png leads"),
        (
            "path,label\ncat/00.png,cat\ndog/00.png,dog\ncat/../cat/00.png,cat\n",
            "table.csv:4: the path cat/../cat/00.png stands in line 2 already",
        ),
        ("path,label,split\ncat/00.png,cat,dev\n", "table.csv:2: split: 'dev' is none of"),
        ("path,label,split\ncat/00.png,cat,\n", "table.csv:2: split: '' is none of"),
        ("path,label\ncat/00.png,cat\ncat/01.png,cat\n", "two labels or more are needed"),
        ("path,label\n", "found none"),
        (
            "path,label,split\ncat/00.png,cat,test\ndog/00.png,dog,test\n",
            "no images in the split train",
        ),
    ],
)
def test_mistakes_in_a_table_are_told_with_their_line(tmp_path, text, told):
    fill(tmp_path)
    file = tmp_path / "table.csv"
    file.write_text(text)
    assert told in message(csv_table, str(file))


def test_a_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "table.csv").write_bytes("path,label\nä.png,Bär\n".encode("latin-1"))
    assert "cannot be read as CSV in UTF-8" in message(csv_table, str(tmp_path / "table.csv"))


def test_the_content_does_not_depend_on_the_file_system(tmp_path):
    fill(tmp_path / "photos")
    files = sorted((tmp_path / "photos").rglob("*.png"))
    random.Random(3).shuffle(files)
    for file in files:  # made in another order, at another place
        copy = tmp_path / "copy" / file.relative_to(tmp_path / "photos")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    one = prepare(settings(tmp_path / "photos"), tmp_path / "one", None)
    two = prepare(settings(tmp_path / "copy"), tmp_path / "two", None)
    assert one["hash"] == two["hash"]
    for name in ("images.npy", "examples.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_grey_unless_some_image_has_colour(tmp_path):
    fill(tmp_path / "photos", mode="L")
    assert prepare(settings(tmp_path / "photos"), tmp_path / "grey", None)["shape"][3] == 1
    paint(tmp_path / "photos/dog/red.png", 100)
    mixed = prepare(settings(tmp_path / "photos"), tmp_path / "mixed", None)
    assert mixed["shape"][3] == 3
    assert mixed["conversions"] == {"grey repeated as three channels": 20}
    made = prepare(settings(tmp_path / "photos", channels=1), tmp_path / "made", None)
    assert made["shape"][3] == 1
    assert made["conversions"] == {"colour turned into grey (luma of ITU-R 601)": 1}


def test_images_of_different_sizes_need_a_size(tmp_path):
    fill(tmp_path / "photos")
    paint(tmp_path / "photos/dog/large.png", 100, size=(30, 40))
    assert "give image_size" in message(
        prepare, settings(tmp_path / "photos"), tmp_path / "out", None
    )
    for way in ("stretch", "crop", "pad"):
        wanted = settings(tmp_path / "photos", image_size=16, stored_size=20, resize=way)
        description = prepare(wanted, tmp_path / way, None)
        assert description["shape"] == [21, 20, 20, 3]
        assert load(tmp_path / way).input_shape == (16, 16, 3)


@pytest.fixture
def broken(tmp_path):
    """Photos of which twelve of one class cannot be read."""
    folder = tmp_path / "broken"
    fill(folder, count=15)
    for j in range(12):
        file = folder / f"dog/{j:02d}.png"
        file.write_bytes(file.read_bytes()[: 40 + j])
    (folder / "dog/11.png").write_bytes(b"")
    return folder


def test_all_broken_images_are_named_at_once(broken, tmp_path):
    text = message(prepare, settings(broken), tmp_path / "out", None)
    assert text.startswith(f"{broken}: 12 images cannot be used: dog/00.png: ")
    assert "dog/09.png: " in text
    assert "dog/10.png" not in text
    assert "and 2 more" in text
    assert "unreadable: skip" in text
    assert not list((tmp_path / "out").glob("*"))


def test_broken_images_are_skipped_if_asked(broken, tmp_path, capsys):
    description = prepare(settings(broken, unreadable="skip"), tmp_path / "out", None)
    counts = np.sum([description["counts"][s] for s in ("train", "validation", "test")], axis=0)
    assert counts.tolist() == [15, 3]
    (one,) = found(description, "unreadable")
    assert one["count"] == 12
    assert one["items"] == [f"dog/{j:02d}.png" for j in range(12)]
    assert "skipped dog/11.png: the file is empty" in capsys.readouterr().out
    data = load(tmp_path / "out")
    examples = pd.read_csv(tmp_path / "out/examples.csv")
    for name, label, image in zip(examples["name"], data.labels, data.images, strict=True):
        assert (image[..., 0] == 20 * label + int(name[-6:-4])).all()


def test_images_that_change_while_they_are_read_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "photos")
    asked = settings("photos")
    digest = files_digest(asked)
    prepare(asked, tmp_path / "data", None, files_digest=digest)
    before = (tmp_path / "data/images.npy").read_bytes()
    paint(tmp_path / "photos/cat/00.png", 99)  # after the digest was taken
    said = message(prepare, asked, tmp_path / "data", None, files_digest=digest)
    assert said == "photos: images changed while they were read; run snakemake again"
    assert (tmp_path / "data/images.npy").read_bytes() == before
    assert load(tmp_path / "data").description["files_digest"] == digest


def test_copies_in_different_files_come_into_one_split(tmp_path):
    fill(tmp_path / "photos", count=12)
    for file in list((tmp_path / "photos").rglob("*.png")):
        copy = file.with_suffix(".bmp")  # another file, the same pixels
        Image.open(file).save(copy)
    description = prepare(settings(tmp_path / "photos"), tmp_path / "out", None)
    examples = pd.read_csv(tmp_path / "out/examples.csv")
    stems = examples["name"].str.removesuffix(".png").str.removesuffix(".bmp")
    assert examples.groupby(stems)["split"].nunique().max() == 1
    assert not found(description, "copies-between-splits")
    assert sum(one["count"] for one in found(description, "copies-in-split")) == 24
    assert set(examples["split"]) == {"train", "validation", "test"}


def test_description_and_settings_are_plain(tmp_path):
    fill(tmp_path / "photos")
    prepare(settings(tmp_path / "photos"), tmp_path / "out", None)
    first = (tmp_path / "out/description.json").read_bytes()
    prepare(settings(tmp_path / "photos"), tmp_path / "out", None)
    assert (tmp_path / "out/description.json").read_bytes() == first
    assert json.loads(first)["settings"] == settings(tmp_path / "photos")
