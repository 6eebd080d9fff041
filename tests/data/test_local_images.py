"""Folders and tables of local images."""

import os
import random
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ablation.data.files_digest import files_digest
from ablation.data.prepare import prepare
from ablation.data.prepared import load
from ablation.errors import InputError

from .conftest import fill, issues_of, paint, settings

SPLITS = ("train", "validation", "test")


@pytest.fixture
def prepared(tmp_path):
    """Prepare a folder or a table; returns description, data and examples."""

    def work(path, source="image_folder", **more):
        description = prepare(settings(source, path, **more), tmp_path / "out")
        return description, load(tmp_path / "out"), pd.read_csv(tmp_path / "out/examples.csv")

    return work


@pytest.fixture
def refused(prepared):
    def work(*words, **more):
        with pytest.raises(InputError) as caught:
            prepared(*words, **more)
        return str(caught.value)

    return work


def test_a_folder_of_class_folders(prepared, tmp_path):
    photos = fill(tmp_path / "photos")
    paint(photos / "dog/deeper/still/x.PNG", 99)
    paint(photos / "dog/.hidden.png", 98)
    paint(photos / ".thumbnails/t.png", 97)
    description, data, examples = prepared(photos)
    assert data.class_names == ["cat", "dog"]
    assert data.images.shape == (21, 8, 10, 3)
    assert examples["name"].tolist() == sorted(examples["name"])
    assert "dog/deeper/still/x.PNG" in set(examples["name"])
    for name, label, image in zip(examples["name"], data.labels, data.images, strict=True):
        value = 99 if name.endswith("x.PNG") else 20 * label + int(name[-6:-4])
        assert name.startswith(data.class_names[label])
        assert (image == (value, 255 - value, 40)).all()
    assert description["source"] == f"image_folder {photos}"
    assert "0.2 of each class" in description["splits"]["test"]
    assert [sum(description["counts"][split]) for split in SPLITS] == [15, 2, 4]


@pytest.mark.parametrize("name", ["validation", "val", "valid", "Val"])
def test_a_folder_of_splits(prepared, tmp_path, name):
    for first, split in ((0, "train"), (50, name), (100, "test")):
        fill(tmp_path / "photos" / split, first=first)
    description, data, _ = prepared(tmp_path / "photos")
    assert description["counts"] == {split: [10, 10] for split in SPLITS}
    for split, first in (("train", 0), ("validation", 50), ("test", 100)):
        values = np.asarray(data.images)[data.indices(split), 0, 0, 0]
        assert sorted(values) == [first + 20 * i + j for i in range(2) for j in range(10)]


def test_what_is_left_out_is_reported(prepared, tmp_path):
    photos = fill(tmp_path / "photos")
    (photos / "cat/notes.txt").write_text("?")
    (photos / "README").write_text("?")
    (photos / "fish").mkdir()
    paint(photos / "preview.jpg", 3)
    description, _, _ = prepared(photos)
    assert {(one["severity"], *one["items"]) for one in issues_of(description, "left-out")} == {
        ("note", "README", "cat/notes.txt"),
        ("warning", "preview.jpg"),
        ("warning", "fish"),
    }
    assert description["class_names"] == ["cat", "dog"]


def test_links_of_classes_and_folders_are_followed_and_loops_end(prepared, tmp_path):
    photos = fill(tmp_path / "photos")
    fill(tmp_path / "elsewhere", ("emu", "more"), first=100)
    (photos / "emu").symlink_to(tmp_path / "elsewhere/emu")
    (photos / "dog/more").symlink_to(tmp_path / "elsewhere/more")
    (photos / "cat/again").symlink_to(photos)
    description, _, _ = prepared(photos)
    assert description["class_names"] == ["cat", "dog", "emu"]
    assert np.sum(list(description["counts"].values()), axis=0).tolist() == [10, 20, 10]


@pytest.mark.parametrize("name", ["Icon\r.png", "two\nlines.png", os.fsdecode(b"caf\xe9.png")])
def test_any_name_that_a_file_system_takes_can_be_loaded_again(prepared, tmp_path, name):
    photos = fill(tmp_path / "photos")
    paint(photos / "cat" / name, 99)
    _, data, _ = prepared(photos)
    assert len(data.labels) == 21
    text = (tmp_path / "out/examples.csv").read_text()
    assert "\r" not in text
    assert len(text.splitlines()) == 22


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            {".": ("train", "car", "bus")},
            "'train' are named like splits, but 'bus', 'car' are not",
        ),
        (
            {"train": ("cat",), "val": ("cat",), "valid": ("cat",)},
            "'val' and 'valid' are both the split validation",
        ),
        ({"test": ("cat", "dog")}, "the folder 'train' is missing"),
        ({".": ("cat",)}, "at least two classes are needed in "),
        ({".": ()}, "found none"),
        ({"train": ("cat", "dog"), "test": ()}, "/test: no images in the split test"),
        (
            {"train": ("cat", "dog"), "test": ("cat", "dog", "emu")},
            "'emu': the test split has images of this class, the training split has none",
        ),
    ],
)
def test_folders_that_do_not_fit_are_refused_by_name(refused, tmp_path, folders, message):
    for first, (folder, classes) in enumerate(folders.items()):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        fill(tmp_path / "photos" / folder, classes, first=70 * first)
    assert message in refused(tmp_path / "photos")


def write_table(file, rows, columns=("path", "label")):
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_table_of_images(prepared, tmp_path):
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
    description, data, examples = prepared(file, "csv")
    assert data.class_names == ["9", "10"]  # numbers in their order
    assert description["counts"] == {"train": [7, 6], "validation": [2, 2], "test": [2, 2]}
    for name, label, image in zip(examples["name"], data.labels, data.images, strict=True):
        value = 200 if name.endswith("x.png") else (0 if label else 20) + int(name[-6:-4])
        assert (image[..., 0] == value).all()


def test_a_table_without_splits_and_with_more_columns(prepared, tmp_path):
    fill(tmp_path)
    rows = [(f'"{n}/{j:02d}.png"', f" {n} ", "x") for n in ("cat", "dog") for j in range(10)]
    file = write_table(tmp_path / "table.csv", rows, ("path", "label", "seen by"))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())  # as Excel saves it
    description, _, _ = prepared(file, "csv")
    assert description["class_names"] == ["cat", "dog"]
    assert description["counts"]["test"] == [2, 2]


def test_a_label_of_many_digits_is_a_name(prepared, tmp_path):
    fill(tmp_path)
    rows = [
        (f"{n}/{j:02d}.png", d * 500) for n, d in (("cat", "1"), ("dog", "2")) for j in range(9)
    ]
    description, _, _ = prepared(write_table(tmp_path / "table.csv", rows), "csv")
    assert description["class_names"] == ["1" * 500, "2" * 500]


def test_a_path_through_a_link_leads_where_the_system_says(prepared, tmp_path):
    fill(tmp_path)
    paint(tmp_path / "far/away/x.png", 150)
    paint(tmp_path / "far/y.png", 151)
    paint(tmp_path / "y.png", 152)
    (tmp_path / "link").symlink_to(tmp_path / "far/away")
    rows = [(f"{n}/{j:02d}.png", n) for n in ("cat", "dog") for j in range(10)]
    file = write_table(tmp_path / "table.csv", [*rows, ("link/../y.png", "cat")])
    _, data, _ = prepared(file, "csv")
    values = set(np.asarray(data.images)[:, 0, 0, 0].tolist())
    assert 151 in values
    assert 152 not in values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label\ncat\n", "table.csv:1: column 'path' is missing"),
        ("Path,label\na.png,cat\n", "column 'path' is missing; did you mean 'Path'?"),
        ("path\na.png\n", "table.csv:1: column 'label' is missing"),
        ("path,label,label\na.png,1,2\n", "table.csv:1: 2 columns are named 'label'"),
        ("", "table.csv:1: column 'path' is missing"),
        ("path,label\ncat/00.png,cat\ncat/01.png,\n", "table.csv:3: label is empty"),
        ("path,label\n,cat\n", "table.csv:2: path is empty"),
        ("path,label\ncat/00.png\n", "table.csv:2: expected 2 values, one for each column, but"),
        ("path,label\ncat/00.png,cat\n\nnone.png,dog\n", "table.csv:4: file none.png not found"),
        (f"path,label\n{'x' * 300}.png,cat\n", "table.csv:2: file xxx"),
        ("path,label\ncat\0.png,cat\n", "table.csv"),
        (f"path,label\n{'x' * 200_000},cat\n", "table.csv"),
        (
            "path,label\ncat/00.png,cat\ndog/00.png,dog\ncat/../cat/00.png,cat\n",
            "table.csv:4: the path cat/../cat/00.png is in line 2 already",
        ),
        ("path,label,split\ncat/00.png,cat,dev\n", "table.csv:2: split: 'dev' is not train"),
        ("path,label,split\ncat/00.png,cat,\n", "table.csv:2: split: '' is not train"),
        ("path,label\ncat/00.png,cat\ncat/01.png,cat\n", "at least two labels needed"),
        ("path,label\n", "found none"),
        (
            "path,label,split\ncat/00.png,cat,test\ndog/00.png,dog,test\n",
            "no images in the split train",
        ),
        ("path,label\nä.png,Bär\n".encode("latin-1"), "cannot be read as CSV in UTF-8"),
    ],
)
def test_mistakes_in_a_table_are_reported_with_their_line(refused, tmp_path, text, message):
    fill(tmp_path)
    file = tmp_path / "table.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in refused(file, "csv")


def test_the_content_does_not_depend_on_the_file_system(tmp_path):
    photos = fill(tmp_path / "photos")
    files = sorted(photos.rglob("*.png"))
    random.Random(3).shuffle(files)
    for file in files:  # made in another order, at another place
        copy = tmp_path / "copy" / file.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    one = prepare(settings("image_folder", photos), tmp_path / "one")
    two = prepare(settings("image_folder", tmp_path / "copy"), tmp_path / "two")
    assert one["hash"] == two["hash"]
    for name in ("images.npy", "examples.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_grey_unless_some_image_has_colour(prepared, tmp_path):
    photos = fill(tmp_path / "photos", mode="L")
    assert prepared(photos)[0]["shape"][3] == 1
    paint(photos / "dog/red.png", 100)
    mixed, _, _ = prepared(photos)
    assert mixed["shape"][3] == 3
    assert mixed["conversions"] == {"grey repeated as three channels": 20}
    grey, _, _ = prepared(photos, channels=1)
    assert grey["shape"][3] == 1
    assert grey["conversions"] == {"colour turned into grey (luma of ITU-R 601)": 1}


def test_images_of_different_sizes_need_a_size(prepared, refused, tmp_path):
    photos = fill(tmp_path / "photos")
    paint(photos / "dog/large.png", 100, size=(30, 40))
    assert "give image_size" in refused(photos)
    for way in ("stretch", "crop", "pad"):
        description, data, _ = prepared(photos, image_size=16, stored_size=20, resize=way)
        assert description["shape"] == [21, 20, 20, 3]
        assert data.input_shape == (16, 16, 3)


@pytest.fixture
def broken(tmp_path):
    """Photos of which twelve of one class cannot be read."""
    folder = fill(tmp_path / "broken", count=15)
    for j in range(12):
        file = folder / f"dog/{j:02d}.png"
        file.write_bytes(file.read_bytes()[: 40 + j])
    (folder / "dog/11.png").write_bytes(b"")
    return folder


def test_unreadable_images_are_named_in_one_message(broken, refused, tmp_path):
    text = refused(broken)
    assert text.startswith(f"{broken}: 12 images cannot be read: dog/00.png: ")
    assert "dog/09.png: " in text
    assert "dog/10.png" not in text
    assert "and 2 more" in text
    assert "unreadable: skip" in text
    assert not list((tmp_path / "out").glob("*"))


def test_unreadable_images_are_skipped_if_asked(broken, prepared, capsys):
    description, data, examples = prepared(broken, unreadable="skip")
    counts = np.sum([description["counts"][split] for split in SPLITS], axis=0)
    assert counts.tolist() == [15, 3]
    (one,) = issues_of(description, "unreadable")
    assert one["count"] == 12
    assert one["items"] == [f"dog/{j:02d}.png" for j in range(12)]
    assert "skipped dog/11.png: the file is empty" in capsys.readouterr().out
    for name, label, image in zip(examples["name"], data.labels, data.images, strict=True):
        assert (image[..., 0] == 20 * label + int(name[-6:-4])).all()


def test_images_that_change_while_they_are_read_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "photos")
    wanted = settings("image_folder", "photos")
    digest = files_digest(wanted)
    prepare(wanted, tmp_path / "data", files_digest=digest)
    before = (tmp_path / "data/images.npy").read_bytes()
    paint(tmp_path / "photos/cat/00.png", 99)  # after the digest was taken
    with pytest.raises(InputError, match="photos: images changed while they were read; run"):
        prepare(wanted, tmp_path / "data", files_digest=digest)
    assert (tmp_path / "data/images.npy").read_bytes() == before
    assert load(tmp_path / "data").description["files_digest"] == digest


def test_copies_in_different_files_come_into_one_split(prepared, tmp_path):
    photos = fill(tmp_path / "photos", count=12)
    for file in list(photos.rglob("*.png")):
        Image.open(file).save(file.with_suffix(".bmp"))  # another file, the same pixels
    description, _, examples = prepared(photos)
    stems = examples["name"].str.removesuffix(".png").str.removesuffix(".bmp")
    assert examples.groupby(stems)["split"].nunique().max() == 1
    assert not issues_of(description, "copies-between-splits")
    assert sum(one["count"] for one in issues_of(description, "copies-in-split")) == 24
    assert set(examples["split"]) == set(SPLITS)


def test_preparing_again_gives_the_same_bytes(prepared, tmp_path):
    photos = fill(tmp_path / "photos")
    contents = []
    for _ in range(2):
        description, _, _ = prepared(photos)
        files = sorted((tmp_path / "out").iterdir())
        contents.append({file.name: file.read_bytes() for file in files})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"images.npy", "examples.csv", "description.json"}
    assert description["settings"] == settings("image_folder", photos).model_dump(mode="json")
