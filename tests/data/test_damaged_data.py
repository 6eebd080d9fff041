"""Prepared data that is damaged, cut short, killed in the making or does not fit on the disk."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from ablation import cli
from ablation.data import prepare as preparing
from ablation.data.disk import existing_folder
from ablation.data.prepare import prepare
from ablation.data.prepared import DESCRIPTION, EXAMPLES, IMAGES, load
from ablation.errors import InputError

from ..conftest import tiny_disk
from .conftest import settings, store

FILES = (IMAGES, EXAMPLES, DESCRIPTION)


def content(folder):
    """Every file below a folder except the locks, and what it holds."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Settings of forty small images of two classes, one of which cannot be read."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.RandomState(0)
    for i in range(40):
        file = folder / f"{'cät' if i % 2 else 'dog'}/{i:02d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(random.randint(0, 256, (8, 8, 3)).astype(np.uint8)).save(file)
    broken = folder / "dog/30.png"
    broken.write_bytes(broken.read_bytes()[:80])
    return settings("image_folder", folder, unreadable="skip")


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """The images, prepared by a process that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "data"
    prepare(photos, folder)
    return folder


# Damaged prepared data.


@pytest.fixture
def copied(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "data")
    return tmp_path / "data"


def refusal(folder, **how):
    """The message about prepared data that cannot be loaded; None if it can be."""
    try:
        load(folder, **how)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("file", FILES)
def test_one_flipped_bit_is_found(whole, copied, file):
    raw = (whole / file).read_bytes()
    for place in {*range(0, 140, 3), *range(140, len(raw), 61), len(raw) - 1}:
        flipped = bytearray(raw)
        flipped[place] ^= 1 << place % 8
        (copied / file).write_bytes(flipped)
        message = refusal(copied)
        assert message, place
        assert message.startswith(str(copied))
        assert message.endswith(f"; delete {copied} and run snakemake again")


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_cut_short_or_missing_is_found(whole, copied, file):
    raw = (whole / file).read_bytes()
    rows = {place for place, byte in enumerate(raw) if byte in b"\n"} if file == EXAMPLES else set()
    for cut in {0, 1, 6, 10, 64, 127, 128, 129, len(raw) // 2, len(raw) - 2, *rows} - {len(raw)}:
        (copied / file).write_bytes(raw[:cut])
        for verify in (True, False):
            assert str(copied) in refusal(copied, verify=verify), cut
    (copied / file).unlink()
    assert refusal(copied) == (
        f"{copied / file}: no such file; prepare the data with 'snakemake data'"
        if file == DESCRIPTION
        else f"{copied / file}: cannot be read (No such file or directory); delete {copied} and "
        "run snakemake again"
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"format": 2}', '{"format": 1, "hash": "x"}', "[" * 100_000]
)
def test_a_description_of_something_else_is_refused(copied, text):
    (copied / DESCRIPTION).write_text(text)
    with pytest.raises(InputError, match=f"{DESCRIPTION}: .*; delete {copied}"):
        load(copied)


def test_an_edited_description_is_refused(copied):
    file = copied / DESCRIPTION
    file.write_text(file.read_text().replace('"stretch"', '"crop"', 1))
    assert refusal(copied) == (
        f"{file}: has changed since it was made; delete {copied} and run snakemake again"
    )


def test_a_pickle_in_place_of_the_images_is_not_opened(copied):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(copied / "trapped"),)

    np.save(copied / IMAGES, np.array([Trap()]), allow_pickle=True)
    with pytest.raises(InputError, match=r"images\.npy: cannot be read"):
        load(copied)
    assert not (copied / "trapped").exists()


# A damaged store of TensorFlow Datasets.

STORED = "stored_one/1.0.0"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A small data set as TFDS stores it."""
    folder = tmp_path_factory.mktemp("stored")
    random = np.random.RandomState(0)

    def rows(count):
        images = random.randint(0, 256, (count, 8, 8, 3)).astype(np.uint8)
        return [{"image": image, "label": i % 2} for i, image in enumerate(images)]

    features = {
        "image": tfds.features.Image(shape=(8, 8, 3), encoding_format="jpeg"),
        "label": tfds.features.ClassLabel(names=["a", "b"]),
    }
    store("stored_one", features, {"train": rows(30), "test": rows(10)}, folder)
    return folder


def records(folder):
    return next(folder.glob("*-train.tfrecord*"))


def flip(file, place):
    raw = bytearray(file.read_bytes())
    raw[place] ^= 4
    file.write_bytes(raw)


def cut_image(folder):
    """Cut the image of a record short, with checksums that hold."""
    file = records(folder)
    rows = [row.numpy() for row in tf.data.TFRecordDataset(str(file))]
    example = tf.train.Example.FromString(rows[7])
    value = example.features.feature["image"].bytes_list.value
    value[0] = value[0][:300]
    rows[7] = example.SerializeToString()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for row in rows:
            writer.write(row)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: os.truncate(records(folder), 0), "expected to contain 30 elements"),
        (lambda folder: os.truncate(records(folder), 2000), "DataLossError: truncated record"),
        (lambda folder: flip(records(folder), 300), "DataLossError: corrupted record"),
        (lambda folder: records(folder).unlink(), "NotFoundError: .*train.tfrecord.*No such file"),
        (cut_image, "InvalidArgumentError: .*Invalid JPEG data"),
    ],
)
def test_a_damaged_store_is_refused_with_its_folder(stored, tfds_dir, tmp_path, harm, message):
    shutil.copytree(stored, tfds_dir)
    harm(tfds_dir / STORED)
    with pytest.raises(InputError, match=message) as caught:
        prepare(settings("stored_one"), tmp_path / "out")
    text = str(caught.value)
    assert text.startswith(f"'stored_one': {tfds_dir / STORED} cannot be read (")
    assert text.endswith("; if it is damaged, delete that folder and run snakemake again")
    assert "{{" not in text  # TensorFlow's names of nodes
    assert not content(tmp_path / "out")


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_a_store_whose_description_is_damaged_is_refused(stored, tfds_dir, tmp_path, name):
    shutil.copytree(stored, tfds_dir)
    file = tfds_dir / STORED / name
    raw = file.read_bytes()
    for length in (0, len(raw) // 2, len(raw) - 3, None):
        if length is None:
            file.unlink()
        else:
            file.write_bytes(raw[:length])
        with pytest.raises(InputError, match=f"if {tfds_dir}/stored_one is damaged, delete that"):
            prepare(settings("stored_one"), tmp_path / "out")


def test_the_command_reports_an_unreadable_photo(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    wanted = photos.model_copy(update={"unreadable": "refuse"}).model_dump_json()
    with pytest.raises(SystemExit) as ended:
        cli.main(["prepare", "--settings", wanted, "--folder", str(tmp_path / "out")])
    message = str(ended.value)
    assert message.startswith(f"error: {photos.path}: 1 image cannot be read: dog/30.png: ")
    assert message.endswith("or leave them out with 'unreadable: skip'")
    assert not content(tmp_path / "out")


# No disk space, no permission.

Usage = namedtuple("Usage", "total used free")


def test_disk_space_is_checked_before_the_images_are_read(tmp_path, monkeypatch):
    assert existing_folder(tmp_path / "not/yet/there") == tmp_path
    need, wanted = 100 * 28 * 28, settings("mnist5k", limit=50)
    for free in (need, need - 1):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: Usage(0, 0, free))
        if free == need:
            prepare(wanted, tmp_path / "fits")
            continue
        message = r"not enough disk space for 100 images of 28×28×1: .* smaller"
        with pytest.raises(InputError, match=message):
            prepare(wanted, tmp_path / "out")
        assert not list((tmp_path / "out").glob("*"))


ON_A_SMALL_DISK = """
    from pathlib import Path
    from ablation import cli
    from ablation.data import prepare as preparing

    preparing.require_disk_space = lambda *_: None  # another process fills the disk after that
    disk, wanted = Path({disk!r}), {wanted!r}
    words = ["prepare", "--settings", wanted, "--folder", str(disk / "name/data")]
    ballast = disk / "ballast"
    ballast.write_bytes(bytes({ballast}))
    try:
        cli.main(words)
    except SystemExit as ended:
        print(ended)
    print("left", [str(f.relative_to(disk)) for f in disk.rglob("*") if f.is_file()])
    ballast.unlink()
    cli.main(words)
    from ablation.data.prepared import load
    print("loaded", len(load(disk / "name/data").images))
"""


# The images take 40 × 40 × 40 × 3 bytes, and as much again while one is left out.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("ballast", "full"), [(400_000, "part-images.npy"), (200_000, "part-images.npy.kept")]
)
def test_a_disk_that_fills_up(photos, tmp_path, ballast, full):
    wanted = photos.model_copy(update={"image_size": (40, 40)}).model_dump_json()
    disk = tmp_path / "disk"
    code = ON_A_SMALL_DISK.format(disk=str(disk), wanted=wanted, ballast=ballast)
    (tmp_path / "run.py").write_text(textwrap.dedent(code))
    words = [*tiny_disk(disk, "512k"), sys.executable, str(tmp_path / "run.py")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    file = disk / "name/data" / full
    assert f"error: {file}: cannot be written: No space left on device" in lines
    assert "left ['ballast', 'name/.data.lock']" in lines
    assert lines[-1] == "loaded 39"


@pytest.mark.parametrize("file", FILES)
def test_a_write_that_fails_leaves_nothing_that_counts(photos, whole, tmp_path, monkeypatch, file):
    """For each file in turn there is no space at the last moment."""
    real, out = os.fsync, tmp_path / "out"

    def full(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == f"part-{file}":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(InputError) as caught:
            prepare(photos, out)
    assert str(caught.value) == f"{out / file}: cannot be written: No space left on device"
    assert not (out / DESCRIPTION).exists()
    assert not [name for name in content(out) if "part" in name]
    prepare(photos, out)
    assert content(out) == content(whole)


def test_a_folder_that_cannot_be_written_is_named(photos, tmp_path):
    (tmp_path / "results").write_text("a file in place of the folder")
    with pytest.raises(InputError, match=r"results/data.*: cannot be written: (Not a dir|File ex)"):
        prepare(photos, tmp_path / "results/data/out")


# Killed, and two at once.

# Every third change of a file or of a name below the folder is an instant.
KILLED_AT = """
    import os, shutil, signal, sys
    from pathlib import Path
    import tensorflow  # once, not in every child
    from ablation.data.prepare import prepare
    from ablation.data.settings import DataSettings

    out, old, wanted = sys.argv[1], sys.argv[2], DataSettings.model_validate_json(sys.argv[3])

    def child(instant):
        seen = 0

        def watch(event, arguments):
            nonlocal seen
            if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate"):
                return
            if out not in str(arguments[0]):
                return
            seen += 1
            if seen == instant:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        sys.stdout = open(os.devnull, "w")
        prepare(wanted, Path(out) / str(instant))
        os._exit(0)

    for instant in range(1, 1000, 3):
        shutil.copytree(old, f"{out}/{instant}")
        pid = os.fork()
        if not pid:
            child(instant)
        end = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(instant, end, flush=True)
        if end == 0:
            break
"""


@pytest.mark.slow
def test_killed_at_any_instant_there_is_whole_data_or_no_description(photos, whole, tmp_path):
    old, out = tmp_path / "old", tmp_path / "out"
    prepare(photos.model_copy(update={"channels": 1}), old)
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(KILLED_AT)),
            *(str(out), str(old), photos.model_dump_json()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ends = dict(map(int, line.split()) for line in done.stdout.splitlines())
    assert set(ends.values()) == {-signal.SIGKILL, 0}
    found = []
    for instant in ends:
        folder = out / str(instant)
        if refusal(folder) is not None:
            found.append("none")
            assert not (folder / DESCRIPTION).exists()
        else:
            data = {name: (folder / name).read_bytes() for name in FILES}
            found.append("old" if data == content(old) else "new")
            assert data == content(old if found[-1] == "old" else whole)
        prepare(photos, folder)
        assert content(folder) == content(whole)
    assert list(dict.fromkeys(found)) == ["old", "none", "new"]
    assert found == sorted(found, key=["old", "none", "new"].index)


def test_two_at_once_wait_for_each_other(photos, whole, tmp_path, monkeypatch):
    """A job of a killed Snakemake may still prepare what the next one begins with."""
    out, place, begun = tmp_path / "data", preparing.put_in_place, []
    reached, go_on = threading.Event(), threading.Event()

    def slowly(part, path):
        begun.append(threading.current_thread())
        reached.set()
        if begun[0] is threading.current_thread():
            go_on.wait(60)
        place(part, path)

    monkeypatch.setattr(preparing, "put_in_place", slowly)
    both = [threading.Thread(target=prepare, args=(photos, out)) for _ in range(2)]
    for thread in both:
        thread.start()
    assert reached.wait(60)
    both[0].join(0.2)
    both[1].join(0.2)
    assert len(set(begun)) == 1  # the other one waits
    assert not (out / DESCRIPTION).exists()
    go_on.set()
    for thread in both:
        thread.join(60)
        assert not thread.is_alive()
    assert len(set(begun)) == 2
    assert content(out) == content(whole)
    assert json.loads((out / DESCRIPTION).read_text())["shape"] == [39, 8, 8, 3]
