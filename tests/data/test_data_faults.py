"""Prepared data that is damaged, cut short, killed in the making or has no room."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from ablation import cli
from ablation.data.prepare import prepare
from ablation.data.prepared import DESCRIPTION, EXAMPLES, IMAGES, load
from ablation.errors import InputError
from ablation.study.grid import canonical_json, prepared_data
from ablation.study.schema import Dataset

from ..conftest import tiny_disk

FILES = (IMAGES, EXAMPLES, DESCRIPTION)


def settings(source, path=None, **more):
    path = None if path is None else str(path)
    return prepared_data(Dataset(name="mine", source=source, path=path, **more)).settings


def content(folder):
    """Every file below a folder but the locks, and what it holds."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Forty small images of two classes, one of which cannot be read."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.RandomState(0)
    for i in range(40):
        file = folder / f"{'cät' if i % 2 else 'dog'}/{i:02d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(random.randint(0, 256, (8, 8, 3)).astype(np.uint8)).save(file)
    broken = folder / "dog/30.png"
    broken.write_bytes(broken.read_bytes()[:80])
    wanted = settings("image_folder", folder, unreadable="skip")
    return json.loads(canonical_json(wanted))  # in the order in which a command gets them


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """The images, prepared by a process that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "data"
    prepare(photos, folder, None)
    return folder


# What lies there, damaged.


@pytest.fixture
def copied(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "data")
    return tmp_path / "data"


def places(file, raw):
    """Where a bit is flipped: everywhere in what is small, in the header and here and there."""
    if file != IMAGES:
        return range(len(raw))
    return [*range(140), *range(140, len(raw), 97), len(raw) - 1]


def told(folder, **how):
    """What is told of prepared data that cannot be loaded; None if it is loaded after all."""
    try:
        return load(folder, **how), None
    except InputError as error:
        return None, str(error)


@pytest.mark.parametrize("file", FILES)
def test_one_flipped_bit_is_found(whole, copied, file):
    raw = (whole / file).read_bytes()
    for place in places(file, raw):
        flipped = bytearray(raw)
        flipped[place] ^= 1 << place % 8
        (copied / file).write_bytes(flipped)
        data, message = told(copied)
        assert data is None, place
        assert message.startswith(str(copied))
        assert message.endswith(f"; delete {copied} and run snakemake again")


@pytest.mark.parametrize("file", FILES)
def test_what_is_cut_short_is_found(whole, copied, file):
    raw = (whole / file).read_bytes()
    cuts = {0, 1, 5, 6, 8, 10, 64, 127, 128, 129, len(raw) // 3, len(raw) // 2, len(raw) - 2}
    if file == EXAMPLES:
        cuts |= {place for place, byte in enumerate(raw) if byte in b"\n,"}
    for cut in sorted(cuts):
        (copied / file).write_bytes(raw[:cut])
        for verify in (True, False):
            data, message = told(copied, verify=verify)
            assert data is None, cut
            assert str(copied) in message
    (copied / file).unlink()
    data, message = told(copied)
    reason = "cannot be read (No such file or directory)"
    assert message == (
        f"{copied / file}: no such file; prepare the data with 'snakemake data'"
        if file == DESCRIPTION
        else f"{copied / file}: {reason}; delete {copied} and run snakemake again"
    )


def test_without_the_hash_of_the_images_no_other_error_comes_of_their_header(whole, copied):
    raw, before = (whole / IMAGES).read_bytes(), np.asarray(load(whole).images)
    for place in range(128):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[place] ^= 1 << bit
            (copied / IMAGES).write_bytes(flipped)
            data, message = told(copied, verify=False)
            if data is None:
                assert message.endswith(f"; delete {copied} and run snakemake again")
            else:
                assert (np.asarray(data.images) == before).all()


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"format": 2}', '{"format": 1, "hash": "x"}', "[" * 100_000]
)
def test_a_description_of_something_else_is_refused(copied, text):
    (copied / DESCRIPTION).write_text(text)
    with pytest.raises(InputError, match=f"{DESCRIPTION}: .*; delete {copied}"):
        load(copied)


def test_a_pickle_in_place_of_the_images_is_not_opened(copied):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(copied / "trapped"),)

    np.save(copied / IMAGES, np.array([Trap()]), allow_pickle=True)
    with pytest.raises(InputError, match=r"images\.npy: cannot be read"):
        load(copied)
    assert not (copied / "trapped").exists()


def test_an_edited_description_is_told_by_the_training_command(copied, capsys):
    file = copied / DESCRIPTION
    file.write_text(file.read_text().replace('"stretch"', '"crop"', 1))
    with pytest.raises(InputError) as caught:
        load(copied)
    assert str(caught.value) == (
        f"{file}: has changed since it was made; delete {copied} and run snakemake again"
    )


# A source that is damaged.

FEATURES = tfds.features.FeaturesDict(
    {
        "image": tfds.features.Image(shape=(8, 8, 3), encoding_format="jpeg"),
        "label": tfds.features.ClassLabel(names=["a", "b"]),
    }
)
SIGNATURE = {"image": tf.TensorSpec((8, 8, 3), tf.uint8), "label": tf.TensorSpec((), tf.int64)}
STORED = "stored_one/1.0.0"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A small data set as TFDS stores it."""
    folder = tmp_path_factory.mktemp("stored")
    random = np.random.RandomState(0)

    def rows(count):
        images = random.randint(0, 256, (count, 8, 8, 3)).astype(np.uint8)
        return [{"image": image, "label": i % 2} for i, image in enumerate(images)]

    tfds.dataset_builders.store_as_tfds_dataset(
        name="stored_one",
        version="1.0.0",
        features=FEATURES,
        split_datasets={
            split: tf.data.Dataset.from_generator(
                lambda some=some: iter(some), output_signature=SIGNATURE
            )
            for split, some in (("train", rows(30)), ("test", rows(10)))
        },
        data_dir=str(folder),
    )
    return folder


def records(folder):
    return next(folder.glob("*-train.tfrecord*"))


def cut(where):
    return lambda folder: os.truncate(records(folder), where)


def flip(file, place):
    raw = bytearray(file.read_bytes())
    raw[place] ^= 4
    file.write_bytes(raw)


def rewrite(change):
    """Change the eighth record, with checksums that hold."""

    def harm(folder):
        file = records(folder)
        rows = [row.numpy() for row in tf.data.TFRecordDataset(str(file))]
        example = tf.train.Example.FromString(rows[7])
        change(example.features.feature)
        rows[7] = example.SerializeToString()
        with tf.io.TFRecordWriter(str(file)) as writer:
            for row in rows:
                writer.write(row)

    return harm


def cut_image(feature):
    value = feature["image"].bytes_list.value
    value[0] = value[0][:300]


def drop_record(folder):
    raw = records(folder).read_bytes()
    size = int.from_bytes(raw[:8], "little")
    records(folder).write_bytes(raw[16 + size :])  # a record has a length, its check, and a check


def rename_split(folder):
    file = folder / "dataset_info.json"
    file.write_text(file.read_text().replace('"test"', '"tesu"'))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (cut(0), "FailedPreconditionError: Input dataset was expected to contain 30 elements"),
        (cut(2000), "DataLossError: truncated record"),
        (lambda folder: flip(records(folder), 300), "DataLossError: corrupted record"),
        (lambda folder: records(folder).unlink(), "NotFoundError: .*train.tfrecord.*No such file"),
        (drop_record, "expected to contain 30 elements but contained only 29"),
        (rewrite(cut_image), "InvalidArgumentError: .*Invalid JPEG data"),
        (rewrite(lambda feature: feature.pop("label")), "Feature: label .* is required"),
    ],
)
def test_a_damaged_store_is_told_with_its_folder(stored, tmp_path, harm, told):
    shutil.copytree(stored, tmp_path / "tfds")
    folder = tmp_path / "tfds" / STORED
    harm(folder)
    with pytest.raises(InputError, match=told) as caught:
        prepare(settings("stored_one"), tmp_path / "out", str(tmp_path / "tfds"))
    message = str(caught.value)
    assert message.startswith(f"'stored_one': what lies in {folder} cannot be read (")
    assert message.endswith("; if it is damaged, delete that folder and run snakemake again")
    assert "{{" not in message  # TensorFlow's own names of nodes
    assert not content(tmp_path / "out")


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_a_store_whose_description_is_damaged_is_told_with_its_folder(stored, tmp_path, name):
    raw = (stored / STORED / name).read_bytes()
    shutil.copytree(stored, tmp_path / "tfds")
    file = tmp_path / "tfds" / STORED / name

    def message():
        with pytest.raises(InputError) as caught:
            prepare(settings("stored_one"), tmp_path / "out", str(tmp_path / "tfds"))
        assert f"if {tmp_path}/tfds/stored_one is damaged, delete that" in str(caught.value)

    for length in (0, 1, len(raw) // 3, len(raw) // 2, len(raw) - 3):
        file.write_bytes(raw[:length])
        message()
    for place in (0, 12, len(raw) // 2, len(raw) - 2):
        file.write_bytes(raw)
        flip(file, place)
        if place != len(raw) // 2:
            message()
    file.unlink()
    message()


def test_a_split_that_lost_its_name_is_not_passed_over(stored, tmp_path):
    shutil.copytree(stored, tmp_path / "tfds")
    rename_split(tmp_path / "tfds" / STORED)
    with pytest.raises(InputError, match=r"test\.tfrecord.* is of no split that .*dataset_info"):
        prepare(settings("stored_one"), tmp_path / "out", str(tmp_path / "tfds"))


def test_one_truncated_photo_among_good_ones(photos, tmp_path, monkeypatch):
    wanted = {**photos, "unreadable": "refuse"}
    words = ["prepare", "--settings", canonical_json(wanted), "--folder", str(tmp_path / "out")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    message = str(ended.value)
    assert message.startswith(f"error: {photos['path']}: 1 image cannot be used: dog/30.png: ")
    assert message.endswith("or leave them out with 'unreadable: skip'")
    assert not content(tmp_path / "out")


# No room, no permission.


ON_A_SMALL_DISK = """
    import json, os, sys
    from pathlib import Path
    from ablation import cli
    from ablation.data import prepare as preparing

    preparing.require_room = lambda *_: None  # somebody else fills the disk after it was asked
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


# A disk of 256 KiB; the images take 40 × 40 × 40 × 3 bytes, table and description 4 KB.
def test_a_disk_that_fills_up(photos, tmp_path):
    wanted = {**photos, "image_size": [40, 40], "stored_size": None}
    disk = tmp_path / "disk"
    code = textwrap.dedent(
        ON_A_SMALL_DISK.format(disk=str(disk), wanted=canonical_json(wanted), ballast=150_000)
    )
    (tmp_path / "run.py").write_text(code)
    words = [*tiny_disk(disk, "256k"), sys.executable, str(tmp_path / "run.py")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    target = disk / "name/data" / IMAGES
    assert f"error: {target}: cannot be written: No space left on device" in lines
    assert "left ['ballast', 'name/.data.lock']" in lines
    assert lines[-1] == "loaded 39"


@pytest.mark.parametrize("file", FILES)
def test_a_write_that_fails_leaves_nothing_that_counts(photos, whole, tmp_path, monkeypatch, file):
    """Each file in turn is the one that finds no room, at the last moment."""
    real = os.fsync
    out = tmp_path / "out"

    def full(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == f"part-{file}":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(InputError) as caught:
            prepare(photos, out, None)
    assert str(caught.value) == f"{out / file}: cannot be written: No space left on device"
    assert not (out / DESCRIPTION).exists()
    assert not [name for name in content(out) if "part" in name]
    prepare(photos, out, None)
    assert content(out) == content(whole)


def test_a_file_size_limit_is_told_like_a_full_disk(photos, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ablation", "prepare"),
            *("--settings", canonical_json(photos), "--folder", str(tmp_path / "out")),
        ],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)),
    )
    assert done.returncode == 1
    target = tmp_path / "out" / IMAGES
    assert done.stderr.splitlines()[-1] == f"error: {target}: cannot be written: File too large"
    assert not content(tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_told(photos, tmp_path):
    (tmp_path / "results").write_text("a file in place of the folder")
    with pytest.raises(InputError, match=r"results/data.*: cannot be written: (Not a dir|File ex)"):
        prepare(photos, tmp_path / "results/data/out", None)


# Killed, and two at once.

# Every change of a file or of a name below the folder counts as an instant.
KILLED_AT = """
    import json, os, signal, sys
    from pathlib import Path
    from ablation.data.prepare import prepare

    out, wanted = sys.argv[1], json.loads(sys.argv[2])

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
        prepare(wanted, Path(out) / str(instant), None)
        os._exit(0)

    for instant in range(1, 1000, 2):
        pid = os.fork()
        if not pid:
            child(instant)
        end = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(instant, end, flush=True)
        if end == 0:
            break
"""


def test_killed_at_any_instant_nothing_counts_that_is_not_whole(photos, whole, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(KILLED_AT)),
            *(str(tmp_path), canonical_json(photos)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ends = dict(map(int, line.split()) for line in done.stdout.splitlines())
    *killed, last = ends
    assert len(killed) >= 10
    assert {ends[instant] for instant in killed} == {-signal.SIGKILL}
    assert ends[last] == 0
    counted = []
    for instant in ends:
        out = tmp_path / str(instant)
        data, _ = told(out)
        if data is not None:
            counted.append(instant)
            assert content(out) == content(whole)
        prepare(photos, out, None)
        assert content(out) == content(whole)
    # One may have been killed between its last change and its end.
    assert counted in ([last], [killed[-1], last])


ORPHAN = """
    import json, sys
    from pathlib import Path
    from ablation.data import prepare as preparing

    place = preparing.put_in_place

    def slowly(part, path):
        print("reached", flush=True)
        sys.stdin.readline()
        place(part, path)

    preparing.put_in_place = slowly
    preparing.prepare(json.loads(sys.argv[2]), Path(sys.argv[1]), None)
"""


def test_two_at_once_wait_for_each_other(photos, whole, tmp_path):
    """An orphan of a killed Snakemake still prepares what its successor begins with."""
    out = tmp_path / "data"
    orphan = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ORPHAN), str(out), canonical_json(photos)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while "reached" not in orphan.stdout.readline():
        assert orphan.poll() is None
    successor = threading.Thread(target=prepare, args=(photos, out, None))
    successor.start()
    successor.join(2)
    assert successor.is_alive()  # it waits
    assert not (out / DESCRIPTION).exists()
    orphan.communicate("go on\n")
    assert orphan.returncode == 0
    successor.join(60)
    assert not successor.is_alive()
    assert content(out) == content(whole)
