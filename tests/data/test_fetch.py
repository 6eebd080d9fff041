"""Downloads: what is told, what is left behind, what needs a network and what does not."""

import http.server
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import namedtuple

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ablation.data import disk, told
from ablation.data.prepare import prepare
from ablation.data.prepared import load
from ablation.data.told import Progress
from ablation.errors import InputError
from ablation.study.grid import prepared_data
from ablation.study.schema import Dataset
from ablation.study.sources import KNOWN, is_stored

MEGABYTE = 1_000_000


def settings(source, **more):
    return prepared_data(Dataset(name="mine", source=source, **more)).settings


@pytest.fixture
def slow_server():
    """A server that takes half a second for three megabytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(3 * MEGABYTE))
            self.end_headers()
            for _ in range(30):
                self.wfile.write(b"\0" * (MEGABYTE // 10))
                time.sleep(0.02)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/images.bin"
    server.shutdown()


class SlowDigits(tfds.core.GeneratorBasedBuilder):
    """Forty images from a download."""

    VERSION = tfds.core.Version("1.0.0")
    ADDRESS = ""
    url_infos = None

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(num_classes=2),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, manager):
        return {"train": self._generate_examples(manager.download(self.ADDRESS))}

    def _generate_examples(self, path):
        for i in range(40):
            yield i, {"image": np.full((8, 8, 1), i, np.uint8), "label": i % 2}


@pytest.fixture
def slow(slow_server, monkeypatch):
    info = tfds.download.checksums.UrlInfo(
        size=tfds.core.utils.Size(3 * MEGABYTE), checksum="", filename="images.bin"
    )
    monkeypatch.setattr(SlowDigits, "ADDRESS", slow_server)
    monkeypatch.setattr(SlowDigits, "url_infos", {"elsewhere": info})
    monkeypatch.setattr(told, "SECONDS", 0.1)


def test_a_download_is_told_in_lines(slow, tmp_path, capsys):
    prepare(settings("slow_digits"), tmp_path / "out", str(tmp_path / "tfds"))
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == f"slow_digits: fetching 3 MB into {tmp_path / 'tfds'}"
    told_bytes = [int(n) for n in re.findall(r"slow_digits: fetched (\d) of 3 MB", out)]
    assert told_bytes == sorted(told_bytes)
    assert set(told_bytes) & {1, 2}
    assert "slow_digits: fetched and stored" in lines
    assert lines[-1] == "prepared 40 of 40 images"
    assert "\r" not in out  # no bars


def forbid_network(monkeypatch):
    """Whoever asks for the network gets an error that nothing expects."""

    def refuse(*_, **__):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_what_is_stored_needs_no_network(slow, tmp_path, monkeypatch):
    place = str(tmp_path / "tfds")
    first = prepare(settings("slow_digits"), tmp_path / "one", place)
    forbid_network(monkeypatch)
    other = prepare(settings("slow_digits", image_size=16), tmp_path / "two", place)
    assert (first["shape"], other["shape"]) == ([40, 8, 8, 1], [40, 16, 16, 1])
    assert load(tmp_path / "one").description == first
    with pytest.raises(InputError, match="AssertionError: the network was asked for"):
        prepare(settings("slow_digits"), tmp_path / "three", str(tmp_path / "elsewhere"))
    assert not list((tmp_path / "three").glob("*"))


def test_a_failed_download_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise tfds.download.DownloadError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(InputError, match=r"'cifar10' could not be fetched into .*no route to host"):
        prepare(settings("cifar10"), tmp_path / "out", str(tmp_path / "tfds"))
    assert not list((tmp_path / "out").glob("*"))
    assert not is_stored("cifar10", str(tmp_path / "tfds"))


def test_an_interrupted_one_does_not_count_and_is_made_up_for(slow, tmp_path, monkeypatch):
    def stop(*_):
        yield 0, {"image": np.zeros((8, 8, 1), np.uint8), "label": 0}
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(SlowDigits, "_generate_examples", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(settings("slow_digits"), tmp_path / "out", str(tmp_path / "tfds"))
    assert not list((tmp_path / "out").glob("*"))
    assert not is_stored("slow_digits", str(tmp_path / "tfds"))
    prepare(settings("slow_digits"), tmp_path / "out", str(tmp_path / "tfds"))
    assert is_stored("slow_digits", str(tmp_path / "tfds"))
    assert is_stored("slow_digits:1.0.0", str(tmp_path / "tfds"))
    assert not is_stored("slow_digits:1.0.1", str(tmp_path / "tfds"))
    assert len(load(tmp_path / "out").images) == 40


def test_a_killed_one_does_not_count(tmp_path):
    script = f"""
import os, signal
from ablation.data.mnist5k import Mnist5k
examples = Mnist5k._examples
def killed(self, *words):
    for i, one in enumerate(examples(self, *words)):
        yield one
        if i == 100:
            os.kill(os.getpid(), signal.SIGKILL)
Mnist5k._examples = killed
Mnist5k(data_dir={str(tmp_path)!r}).download_and_prepare()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -9
    assert any(tmp_path.rglob("*"))
    assert not is_stored("mnist5k", str(tmp_path))
    assert list(tmp_path.rglob("incomplete.*"))
    description = prepare(settings("mnist5k", limit=50), tmp_path / "out", str(tmp_path))
    assert sum(description["counts"]["test"]) == 50
    assert not list(tmp_path.rglob("incomplete.*"))


Usage = namedtuple("Usage", "total used free")


def test_too_little_room_for_a_download_is_told_before_it(tmp_path, monkeypatch):
    forbid_network(monkeypatch)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 10**9))
    with pytest.raises(InputError) as caught:
        prepare(settings("stanford_dogs", image_size=32), tmp_path / "out", str(tmp_path / "tfds"))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'tfds'}: no room for 'stanford_dogs'")
    assert "a download of 816 MB" in text
    assert "2.45 GB are needed and 1.00 GB are free" in text
    assert "data_dir in config/config.yaml or TFDS_DATA_DIR" in text


def test_too_little_room_for_the_images_is_told_before_they_are_read(tmp_path, monkeypatch):
    need = 100 * 28 * 28
    wanted = settings("mnist5k", limit=50)
    for free, fits in ((need, True), (need - 1, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: Usage(0, 0, free))
        if fits:
            prepare(wanted, tmp_path / "fits", None)
            continue
        with pytest.raises(InputError, match=r"no room for 100 images of 28×28×1: .* smaller"):
            prepare(wanted, tmp_path / "out", None)
        assert not list((tmp_path / "out").glob("*"))


def test_room_is_looked_for_where_the_folder_will_be(tmp_path):
    assert disk.nearest_folder(tmp_path / "not/yet/there") == tmp_path
    disk.require_room(tmp_path / "not/yet", 1, "a byte", "")


def test_lines_come_at_most_every_ten_seconds(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress("prepared {done} of 100 images", 100)
    for done in range(1, 101):
        now += 0.5
        progress.tell(done)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"prepared {n} of 100 images" for n in (20, 40, 60, 80, 100)]


@pytest.mark.parametrize(
    "name", [name for name, known in KNOWN.items() if known.download and name != "eurosat"]
)
def test_known_downloads_are_those_of_tfds(name):
    builder = tfds.builder(name, data_dir="/nowhere")
    assert KNOWN[name].download == sum(info.size for info in builder.url_infos.values())
    assert KNOWN[name].shape == builder.info.features["image"].shape


def test_known_builders_are_what_the_table_says(tmp_path):
    import importlib

    for name, known in KNOWN.items():
        if known.builder:
            cls = getattr(importlib.import_module(f"ablation.data.{name}"), known.builder)
            assert cls.name == name
            assert str(cls.VERSION) == known.version
            builder = cls(data_dir=str(tmp_path))
            assert builder.info.features["image"].shape == known.shape


def test_the_table_is_read_without_tensorflow():
    code = "import sys, ablation.progress.room; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_descriptions_are_json_with_plain_values(tmp_path):
    prepare(settings("mnist5k", limit=50), tmp_path, None)
    checks = json.loads((tmp_path / "description.json").read_text())["checks"]
    assert [one["kind"] for one in checks] == ["few-images"]
    assert checks[0]["count"] == 10


def test_the_fetching_of_weights_is_told_in_lines(tmp_path, monkeypatch, capsys):
    from ablation import cli
    from ablation.models import pretrained

    def fetch(folder, *, name):
        part = folder / ".fetch-abc/weights.h5"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"\0" * (4 * MEGABYTE))
        time.sleep(0.5)
        return part.rename(folder / name)

    monkeypatch.setattr(pretrained, "imagenet_weights_file", fetch)
    monkeypatch.setattr(told, "SECONDS", 0.1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    cli.main(["fetch-weights", str(tmp_path / "weights/ours.h5")])
    lines = capsys.readouterr().out.splitlines()
    # Told once, because nothing changed after it.
    assert lines == ["ImageNet weights: fetched 4 of 95 MB", "ImageNet weights: fetched"]
    assert (tmp_path / "weights/ours.h5").stat().st_size == 4 * MEGABYTE


def test_a_second_download_waits_for_the_first(slow, tmp_path):
    place = tmp_path / "tfds"
    script = f"""
import fcntl, pathlib, time
folder = pathlib.Path({str(place)!r})
folder.mkdir()
with (folder / ".downloads.lock").open("w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    time.sleep(2)
    (folder / "first").touch()
"""
    first = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"locked\n"
    prepare(settings("slow_digits"), tmp_path / "out", str(place))
    assert (place / "first").exists()
    assert first.wait() == 0
