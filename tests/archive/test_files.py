"""Hashes and zip files: any changed byte is found, and its file is named."""

import zipfile

import pytest

from ablation.archive.files import METADATA, SUMS, check_hashes, names, pack, unpack
from ablation.errors import InputError

from .conftest import packed


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_an_archive_agrees_with_its_hashes(archive, tmp_path):
    assert unpack(archive, tmp_path / "tree") == []
    assert check_hashes(tmp_path / "tree") == []


def test_a_changed_byte_in_any_file_is_found(tree):
    for name in names(tree):
        file = tree / name
        content = file.read_bytes()
        file.write_bytes(flipped(content, len(content) // 2))
        found = check_hashes(tree)
        file.write_bytes(content)
        if name == SUMS:  # the changed line names a file
            assert any(SUMS in line for line in found)
        else:
            assert [line.partition(": ")[0] for line in found][:1] == [name], name


@pytest.mark.parametrize("at", ["first", "last"])
def test_a_changed_byte_at_the_end_of_the_list_is_found(tree, at):
    content = (tree / SUMS).read_bytes()
    (tree / SUMS).write_bytes(b"\n" + content if at == "first" else content + b"\n")
    assert len(check_hashes(tree)) == 1
    assert SUMS in check_hashes(tree)[0]


def test_missing_and_further_files_are_found(tree):
    (tree / "LICENSE").unlink()
    (tree / "results/more.csv").write_text("")
    lists = f"({SUMS} and {METADATA})"
    assert check_hashes(tree) == [
        f"LICENSE: is missing {lists}", f"results/more.csv: is not listed {lists}"
    ]  # fmt: skip


@pytest.mark.parametrize("name", [SUMS, METADATA])
def test_a_missing_list_is_found(tree, name):
    (tree / name).unlink()
    assert any(line.startswith(f"{name}: ") for line in check_hashes(tree))


def test_a_changed_byte_anywhere_in_the_zip_file_is_found(archive, tmp_path):
    content = archive.read_bytes()
    file = tmp_path / "changed.zip"
    # Headers, names and times are at the ends, and the files in between.
    step = len(content) // 60
    for count, place in enumerate([*range(0, 60, 2), *range(60, len(content), step)]):
        file.write_bytes(flipped(content, place))
        tree = tmp_path / str(count)
        try:
            found = unpack(file, tree)
        except InputError as error:
            found = [str(error)]
        assert found or check_hashes(tree), place


def test_bytes_outside_the_files_are_found(archive, tmp_path):
    file = tmp_path / "changed.zip"
    file.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(file, "a") as changed:
        changed.comment = b"A remark"
    (found,) = unpack(file, tmp_path / "tree")
    assert "changed.zip: was packed again, or changed outside its files" in found


def test_a_name_outside_the_folder_is_not_unpacked(archive, tmp_path):
    file = tmp_path / "changed.zip"
    file.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(file, "a") as changed:
        changed.writestr("../outside", "")
    (found,) = unpack(file, tmp_path / "tree")
    assert found.startswith("../outside: ")
    assert not (tmp_path / "outside").exists()


def test_the_same_files_give_the_same_bytes(archive, tree):
    for name in reversed(names(tree)):
        (tree / name).touch()
    assert packed(tree).read_bytes() == archive.read_bytes()


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    file = tmp_path / "study.zip"
    with pytest.raises(InputError, match=r"study\.zip: not found"):
        unpack(file, tmp_path / "none")
    file.write_text("not a zip file")
    with pytest.raises(InputError, match=r"study\.zip: cannot be read as an archive"):
        unpack(file, tmp_path / "tree")
    pack(tmp_path / "nothing", file)
    assert unpack(file, tmp_path / "empty") == []
