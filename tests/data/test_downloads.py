"""Downloads: what is tried again, what is reported, what is left behind."""

import errno
import hashlib
import http.server
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import requests
import tenacity.nap
import tensorflow_datasets as tfds

from ablation import cli, downloads
from ablation.data import progress
from ablation.data.prepare import prepare
from ablation.data.prepared import load
from ablation.data.progress import Progress
from ablation.data.sources.tfds import KNOWN, is_stored
from ablation.errors import InputError
from ablation.models import pretrained

from .conftest import settings, values_of

BODY = bytes(range(256)) * 4000
NAME = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"


def flawed(body):
    """The same bytes but for one bit."""
    return bytes([body[0] ^ 1]) + body[1:]


@pytest.fixture
def server():
    """A server with a list of ways to answer, one for each request; after them with the body.

    The ways: a status; ``short`` (cut in the middle), ``stall`` (there, until the test is over),
    ``slow``, ``hang up`` (without an answer), ``wrong`` (another content of the same length).
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.requests += 1
            way = server.ways.pop(0) if server.ways else "whole"
            if isinstance(way, int):
                self.send_error(way)
                return
            if way == "hang up":
                self.close_connection = True
                return
            body = flawed(BODY) if way == "wrong" else BODY
            half = len(body) // 2
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:half])
            if way in ("stall", "slow"):
                over.wait(30 if way == "stall" else 0.5)
            if way not in ("short", "stall"):
                self.wfile.write(body[half:])

        def log_message(self, *_):
            pass

    over = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.ways, server.requests = [], 0
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(downloads, "WAITS", (0.01, 0.02))
    monkeypatch.setattr(progress, "SECONDS", 0.1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")


# Which errors are of the network.


def caused_by(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (requests.ConnectionError("no route"), True),
        (requests.exceptions.ChunkedEncodingError("cut"), True),
        (urllib.error.URLError("no such host"), True),
        (urllib.error.ContentTooShortError("cut", None), True),
        (caused_by(RuntimeError("in a builder"), TimeoutError()), True),
        (urllib.error.HTTPError("http://x", 503, "busy", {}, io.BytesIO()), True),
        (urllib.error.HTTPError("http://x", 404, "none", {}, io.BytesIO()), False),
        (tfds.download.DownloadError("Failed to get url x. HTTP code: 429."), True),
        (tfds.download.DownloadError("Failed to get url x. HTTP code: 403."), False),
        (urllib.error.URLError(FileNotFoundError("gone")), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (ValueError("unknown name"), False),
    ],
)
def test_which_errors_are_of_the_network(error, expected):
    assert downloads.is_network_error(error) == expected


def test_attempts_are_announced_and_waited_for(monkeypatch, capsys):
    monkeypatch.setattr(downloads, "WAITS", (5.0, 20.0))
    slept, asked = [], []
    monkeypatch.setattr(tenacity.nap.time, "sleep", slept.append)

    def fail():
        asked.append(1)
        raise requests.ConnectionError("no\nroute")

    with pytest.raises(requests.ConnectionError):
        downloads.with_retries(fail, "digits")
    assert (len(asked), slept) == (3, [5.0, 20.0])
    assert capsys.readouterr().out.splitlines() == [
        "digits: ConnectionError: no route; trying again in 5 s (2 of 3)",
        "digits: ConnectionError: no route; trying again in 20 s (3 of 3)",
    ]


def test_lines_come_at_most_every_ten_seconds(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(progress, "SECONDS", 10)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    shown = Progress("prepared {done} of 100 images", 100)
    for done in range(1, 101):
        now += 0.5
        shown.update(done)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"prepared {n} of 100 images" for n in (20, 40, 60, 80, 100)]


# A data set of TensorFlow Datasets.


class FetchedDigits(tfds.core.GeneratorBasedBuilder):
    """Forty images whose grey comes from a download."""

    VERSION = tfds.core.Version("1.0.0")
    ADDRESS = os.environ.get("FETCHED_DIGITS", "")
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
        grey = Path(path).read_bytes()
        for i in range(40):
            yield i, {"image": np.full((8, 8, 1), grey[i], np.uint8), "label": i % 2}


@pytest.fixture
def digits(server, tfds_dir, monkeypatch):
    """Settings of the data set, whose address and hash are known."""
    address = f"{server.address}/digits.bin"
    info = tfds.download.checksums.UrlInfo(
        size=tfds.core.utils.Size(len(BODY)),
        checksum=hashlib.sha256(BODY).hexdigest(),
        filename="digits.bin",
    )
    monkeypatch.setattr(FetchedDigits, "ADDRESS", address)
    monkeypatch.setattr(FetchedDigits, "url_infos", {address: info})
    return settings("fetched_digits")


def unfinished(folder):
    """What a download has left that is not a whole data set."""
    return [*folder.rglob("incomplete.*"), *folder.rglob("*.tmp.*")]


RETRIED = r"fetched_digits: .*; trying again in 0 s \((\d) of 3\)"


def test_a_download_is_reported_in_lines(server, digits, tfds_dir, tmp_path, capsys):
    server.ways = ["slow"]
    prepare(digits, tmp_path / "out")
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == f"fetched_digits: downloading 1 MB into {tfds_dir}"
    assert re.search(r"fetched_digits: downloaded [01] of 1 MB", out)
    assert "fetched_digits: downloaded and stored" in lines
    assert lines[-1] == "prepared 40 of 40 images"
    assert "\r" not in out  # no bars


@pytest.mark.parametrize("ways", [["short", "short"], [429, "wrong"]])
def test_a_failing_download_is_tried_again(server, digits, tfds_dir, tmp_path, capsys, ways):
    server.ways = list(ways)
    description = prepare(digits, tmp_path / "out")
    assert re.findall(RETRIED, capsys.readouterr().out) == ["2", "3"]
    assert server.requests == 3
    assert description["counts"]["train"] == [14, 14]
    data = load(tmp_path / "out")
    assert values_of(data, "train", "validation", "test") == list(range(40))
    assert not unfinished(tfds_dir)


@pytest.mark.parametrize(
    ("way", "asked", "reason"),
    [
        ("short", 3, "IncompleteRead"),
        (404, 1, r"DownloadError: Failed to get url .*/digits\.bin\. HTTP code: 404\."),
        ("wrong", 3, "NonMatchingChecksumError: .*has wrong checksum"),
    ],
)
def test_a_download_that_fails(server, digits, tfds_dir, tmp_path, way, asked, reason):
    server.ways = [way] * asked
    out = tmp_path / "out"
    words = ["prepare", "--settings", digits.model_dump_json(), "--folder", str(out)]
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    message = str(ended.value)
    text = f"error: 'fetched_digits' could not be downloaded into {tfds_dir}: .*{reason}"
    assert re.match(text, message)
    assert "\n" not in message
    assert ("run snakemake again when the network is back" in message) == (way == "short")
    assert ("upgrade TensorFlow Datasets" in message) != (way == "short")
    assert server.requests == asked
    assert not is_stored("fetched_digits")
    assert not out.exists()
    cli.main(words)  # the server has recovered: the same command succeeds
    assert len(load(out).images) == 40
    assert not unfinished(tfds_dir)


def test_a_full_disk_is_reported_and_not_tried_again(digits, tmp_path, monkeypatch, capsys):
    def fill_up(self, path):
        yield 0, {"image": np.zeros((8, 8, 1), np.uint8), "label": 0}
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FetchedDigits, "_generate_examples", fill_up)
    with pytest.raises(InputError, match=r"could not be downloaded .*No space left on device"):
        prepare(digits, tmp_path / "out")
    assert "trying again" not in capsys.readouterr().out
    assert not is_stored("fetched_digits")


@pytest.mark.slow
def test_what_a_killed_download_left_is_removed_by_the_next_one(server, digits, tfds_dir, tmp_path):
    server.ways = ["stall"]
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.data.test_downloads import FetchedDigits
FetchedDigits(data_dir={str(tfds_dir)!r}).download_and_prepare()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "FETCHED_DIGITS": FetchedDigits.ADDRESS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not any(file.stat().st_size for file in tfds_dir.rglob("*.tmp.*/digits.bin")):
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(unfinished(tfds_dir)) >= 2  # half a download, and where it would have been stored
    assert not is_stored("fetched_digits")
    prepare(digits, tmp_path / "out")
    assert not unfinished(tfds_dir)
    assert is_stored("fetched_digits:1.0.0")
    assert not is_stored("fetched_digits:1.0.1")


def test_what_is_stored_needs_no_network(digits, tmp_path, monkeypatch):
    prepare(digits, tmp_path / "one")

    def refuse(*_, **__):
        raise AssertionError("the network was used")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    other = prepare(settings("fetched_digits", image_size=16), tmp_path / "two")
    assert other["shape"] == [40, 16, 16, 1]


def test_a_second_download_waits_for_the_first(digits, tfds_dir, tmp_path):
    script = f"""
import fcntl, pathlib, time
folder = pathlib.Path({str(tfds_dir)!r})
folder.mkdir()
with (folder / ".downloads.lock").open("w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    time.sleep(0.5)
    (folder / "first").touch()
"""
    first = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"locked\n"
    prepare(digits, tmp_path / "out")
    assert (tfds_dir / "first").exists()
    assert first.wait() == 0


def test_disk_space_is_checked_before_a_download(tfds_dir, tmp_path, monkeypatch):
    usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 10**9))
    with pytest.raises(InputError) as caught:
        prepare(settings("stanford_dogs", image_size=32), tmp_path / "out")
    text = str(caught.value)
    assert text.startswith(f"{tfds_dir}: not enough disk space for 'stanford_dogs'")
    assert "a download of 816 MB" in text
    assert "2.45 GB are needed and 1.00 GB are free" in text
    assert "data_dir in config/config.yaml or TFDS_DATA_DIR" in text


@pytest.mark.parametrize("name", sorted(KNOWN.keys() - {"eurosat"}))
def test_what_is_known_of_a_source_is_what_tfds_says(name):
    builder = tfds.builder(name, data_dir="/nowhere")
    assert KNOWN[name].download == sum(info.size for info in builder.url_infos.values())
    assert KNOWN[name].shape == builder.info.features["image"].shape


# Weights.


@pytest.fixture
def weights(server, monkeypatch):
    monkeypatch.setattr(pretrained, "BASE_WEIGHTS_PATH", f"{server.address}/")
    monkeypatch.setitem(pretrained.WEIGHTS_HASHES, "resnet50", ("", hashlib.md5(BODY).hexdigest()))


@pytest.mark.parametrize("ways", [["short"], ["hang up", 503], ["wrong"]])
def test_a_failing_download_of_weights_is_tried_again(server, weights, tmp_path, capsys, ways):
    server.ways = list(ways)
    file = tmp_path / "weights/ours.h5"
    cli.main(["fetch-weights", str(file)])
    lines = capsys.readouterr().out.splitlines()
    retried = [line for line in lines if line.startswith(f"{NAME}: ")]
    assert len(retried) == len(ways)
    for tried, line in enumerate(retried, 2):
        assert line.endswith(f"; trying again in 0 s ({tried} of 3)")
    assert lines[-1] == "ImageNet weights: downloaded"
    assert file.read_bytes() == BODY
    assert sorted(one.name for one in file.parent.iterdir()) == [".lock", "ours.h5"]


@pytest.mark.parametrize(
    ("way", "asked", "reason"),
    [
        ("short", 3, "retrieval incomplete"),
        ("hang up", 3, "Remote end closed connection"),
        (404, 1, "404"),
        ("wrong", 3, "file hash does not match"),
    ],
)
def test_a_download_of_weights_that_fails(server, weights, tmp_path, way, asked, reason):
    server.ways = [way] * asked
    file = tmp_path / "weights/ours.h5"
    with pytest.raises(SystemExit) as ended:
        cli.main(["fetch-weights", str(file)])
    message = str(ended.value)
    assert message.startswith(f"error: cannot download {server.address}/{NAME} (")
    assert reason in message
    assert "\n" not in message
    assert server.requests == asked
    assert [one.name for one in file.parent.iterdir()] == [".lock"]
    cli.main(["fetch-weights", str(file)])
    assert file.read_bytes() == BODY


def test_a_download_of_weights_is_reported_in_lines(server, weights, tmp_path, capsys):
    server.ways = ["slow"]
    cli.main(["fetch-weights", str(tmp_path / "weights/ours.h5")])
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines
    assert all(re.fullmatch(r"ImageNet weights: downloaded [01] of 95 MB", line) for line in lines)
    assert last == "ImageNet weights: downloaded"


@pytest.mark.slow
def test_what_a_killed_download_of_weights_left_is_removed(server, weights, tmp_path):
    script = f"""
import os, signal
from pathlib import Path
from ablation.models import pretrained
folder = Path({str(tmp_path)!r})
def fetch(name, url, cache_dir, **_):
    (Path(cache_dir) / name).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
pretrained.keras.utils.get_file = fetch
pretrained.imagenet_weights_file(folder, name="ours.h5")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".fetch-*/*"))
    assert not (tmp_path / "ours.h5").exists()
    file = pretrained.imagenet_weights_file(tmp_path, name="ours.h5")
    assert file.read_bytes() == BODY
    assert sorted(one.name for one in tmp_path.iterdir()) == [".lock", "ours.h5"]


def test_weights_that_were_put_there_by_hand_are_used(server, weights, tmp_path):
    file = tmp_path / "ours.h5"
    file.write_bytes(flawed(BODY))
    with pytest.raises(InputError, match=r"ours\.h5: damaged"):
        pretrained.imagenet_weights_file(tmp_path, name="ours.h5")
    file.write_bytes(BODY)
    assert pretrained.imagenet_weights_file(tmp_path, name="ours.h5").read_bytes() == BODY
    assert server.requests == 0
