import hashlib
import os

import pytest

from ablation.data.files_digest import files_digest
from ablation.data.local_files import files_below
from ablation.errors import InputError

from .conftest import settings


@pytest.fixture
def digest(tmp_path):
    cache = tmp_path / "cache/files.json"

    def make(source, path):
        return files_digest(settings(source, path), cache)

    make.cache = cache
    return make


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(name)
        os.utime(folder / name, (1, 1))
    return folder


def test_other_sources_have_none(digest):
    assert digest("mnist5k", None) == ""
    assert not digest.cache.exists()


def test_of_a_folder_the_content_of_images_counts_and_nothing_else(digest, photos):
    first = digest("image_folder", photos)
    (photos / ".hidden.png").write_text("x")
    (photos / ".cache").mkdir()
    (photos / ".cache/x.png").write_text("x")
    (photos / "cat/README.txt").write_text("x")
    os.utime(photos / "cat/1.png", (2, 2))
    assert digest("image_folder", photos) == first
    seen = [first]

    def changed():
        seen.append(digest("image_folder", photos))
        return len(set(seen)) == len(seen)

    (photos / "cat/1.png").write_text("another")
    assert changed()
    (photos / "cat/1.png").rename(photos / "dog/2.png")
    assert changed()
    (photos / "dog/2.png").unlink()
    assert changed()


def test_files_that_look_the_same_are_not_read_again(digest, photos, monkeypatch):
    first = digest("image_folder", photos)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", None)
        assert digest("image_folder", photos) == first
    for damaged in ("", "[]", '{"a": 1}', '{"a": [1]}', "[" * 100_000):
        digest.cache.write_text(damaged)
        assert digest("image_folder", photos) == first


def test_files_that_change_places_are_noticed(digest, photos, tmp_path):
    """Of the same size and time, as images of an archive may be."""
    first = digest("image_folder", photos)
    (photos / "cat/1.png").rename(tmp_path / "x")
    (photos / "dog/1.png").rename(photos / "cat/1.png")
    (tmp_path / "x").rename(photos / "dog/1.png")
    assert digest("image_folder", photos) != first


def test_links_are_followed_and_loops_end(digest, photos, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.png").write_text("linked")
    (photos / "emu").symlink_to(elsewhere)
    (photos / "emu/above").symlink_to(photos)
    first = digest("image_folder", photos)
    assert photos / "emu/1.png" in files_below(photos)
    assert len(files_below(photos)) == 4
    (elsewhere / "1.png").write_text("changed")
    assert digest("image_folder", photos) != first


def test_of_a_table_its_rows_and_their_images_count(digest, photos):
    table = photos / "table.csv"
    table.write_text("label, path\ncat, cat/1.png\ndog, dog/1.png\n")
    first = digest("csv", table)
    table.write_bytes(b"\xef\xbb\xbflabel,path,more\r\ndog,dog/1.png,x\r\ncat,cat/1.png,y\r\n")
    (photos / "cat/2.png").write_text("not in the table")
    assert digest("csv", table) == first
    (photos / "cat/1.png").write_text("changed")
    second = digest("csv", table)
    table.write_text("label, path\ndog, cat/1.png\ncat, dog/1.png\n")
    third = digest("csv", table)
    table.write_text("label, path, split\ndog, cat/1.png, test\ncat, dog/1.png, train\n")
    fourth = digest("csv", table)
    (photos / "dog/1.png").unlink()
    assert len({first, second, third, fourth, digest("csv", table)}) == 5


def test_a_table_that_cannot_be_read_is_refused_by_line(digest, photos):
    table = photos / "table.csv"
    table.write_text("path,label\ncat/1.png\n")
    with pytest.raises(InputError, match=r"table.csv:2: expected 2 values"):
        digest("csv", table)
    table.write_text("path,label\nca\0t,x\n")
    with pytest.raises(InputError, match=r"table\.csv"):
        digest("csv", table)
