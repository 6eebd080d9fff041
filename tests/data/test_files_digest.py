import os

import pytest

from ablation.study.fingerprint import _files_digest, files_digest


def digest(source, path):
    _files_digest.cache_clear()
    return files_digest({"source": source, "path": path})


@pytest.fixture
def photos(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (1, 1))
    return tmp_path


def test_other_sources_have_none():
    assert digest("mnist5k", None) == ""


def test_of_a_folder_every_change_counts(photos):
    seen = [digest("image_folder", str(photos))]

    def changed():
        seen.append(digest("image_folder", str(photos)))
        return len(set(seen)) == len(seen)

    assert digest("image_folder", str(photos)) == seen[0]
    (photos / ".hidden").write_text("x")
    (photos / ".cache").mkdir()
    (photos / ".cache/x.png").write_text("x")
    assert digest("image_folder", str(photos)) == seen[0]
    os.utime(photos / "cat/1.png", (2, 2))
    assert changed()
    (photos / "cat/1.png").write_text("another")
    os.utime(photos / "cat/1.png", (2, 2))
    assert changed()
    (photos / "cat/1.png").rename(photos / "dog/2.png")
    assert changed()
    (photos / "dog/2.png").unlink()
    assert changed()


def test_of_a_table_its_bytes_and_its_images_count(photos):
    table = photos / "table.csv"
    table.write_text("path,label\ncat/1.png,cat\ndog/1.png,dog\n")
    first = digest("csv", str(table))
    os.utime(table, (5, 5))
    os.utime(photos / "cat/2.png", (5, 5))  # not in the table
    assert digest("csv", str(table)) == first
    os.utime(photos / "cat/1.png", (5, 5))
    second = digest("csv", str(table))
    table.write_text("path,label\ncat/1.png,dog\ndog/1.png,cat\n")
    assert len({first, second, digest("csv", str(table))}) == 3
    (photos / "dog/1.png").unlink()
    digest("csv", str(table))  # told when the data is prepared
