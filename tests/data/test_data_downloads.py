"""Downloads that fail: what is tried again, what is told, what is left behind."""

import errno
import hashlib
import http.server
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds

from ablation import cli
from ablation.data import network
from ablation.data.prepare import prepare
from ablation.data.prepared import load
from ablation.errors import InputError
from ablation.models import pretrained
from ablation.study.grid import canonical_json, prepared_data
from ablation.study.schema import Dataset
from ablation.study.sources import is_stored

BODY = bytes(range(256)) * 400
NAME = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"


def flawed(body):
    """The same bytes but for one bit."""
    return bytes([body[0] ^ 1]) + body[1:]


@pytest.fixture
def server():
    """A server that answers as it is told to, one way for each request, at last with the body.

    The ways: a status; ``short`` (cut in the middle), ``stall`` (there, until the test is over),
    ``hang up`` (without an answer), ``silent`` (no word, until the test is over), ``wrong``
    (another content of the same length).
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            told.asked += 1
            way = told.ways.pop(0) if told.ways else "whole"
            if isinstance(way, int):
                self.send_error(way)
                return
            if way == "silent":
                over.wait(30)
            if way in ("hang up", "silent"):
                self.close_connection = True
                return
            body = flawed(told.body) if way == "wrong" else told.body
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if way in ("short", "stall") else body)
            if way == "stall":
                over.wait(30)

        def log_message(self, *_):
            pass

    over = threading.Event()
    told = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.ways, told.asked, told.body = [], 0, BODY
    told.address = f"http://127.0.0.1:{told.server_port}"
    threading.Thread(target=told.serve_forever, daemon=True).start()
    yield told
    over.set()
    told.shutdown()
    told.server_close()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    monkeypatch.setattr(network, "WAITS", (0.01, 0.02))


class FetchedDigits(tfds.core.GeneratorBasedBuilder):
    """Forty images whose grey is told by a download."""

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
def digits(server, monkeypatch):
    """The data set, with its address and its hash known."""
    address = f"{server.address}/digits.bin"
    info = tfds.download.checksums.UrlInfo(
        size=tfds.core.utils.Size(len(BODY)),
        checksum=hashlib.sha256(BODY).hexdigest(),
        filename="digits.bin",
    )
    monkeypatch.setattr(FetchedDigits, "ADDRESS", address)
    monkeypatch.setattr(FetchedDigits, "url_infos", {address: info})
    return prepared_data(Dataset(name="mine", source="fetched_digits")).settings


def unfinished(folder):
    """What a fetching has left that is not a whole data set."""
    left = [*folder.rglob("incomplete.*"), *folder.rglob("*.tmp.*")]
    return [str(file.relative_to(folder)) for file in left]


RETRIED = r"fetched_digits: .*; trying again in 0 s \((\d) of 3\)"


@pytest.mark.parametrize("way", [["short", "short"], [429, "wrong"]])
def test_a_failing_download_is_tried_again(server, digits, tmp_path, capsys, way):
    server.ways = list(way)
    description = prepare(digits, tmp_path / "out", str(tmp_path / "tfds"))
    told = re.findall(RETRIED, capsys.readouterr().out)
    assert told == [str(n) for n in range(2, 2 + len(way))]
    assert server.asked == 1 + len(way)
    assert description["counts"]["train"] == [14, 14]
    values = sorted(np.asarray(load(tmp_path / "out").images)[:, 0, 0, 0].tolist())
    assert values == list(range(40))
    assert not unfinished(tmp_path / "tfds")


@pytest.mark.parametrize(
    ("way", "asked", "told"),
    [
        ("short", 3, "IncompleteRead"),
        ("hang up", 9, "ConnectionError: "),  # TFDS asks three times by itself
        (503, 9, "RetryError: .*too many 503 error responses"),
        ("silent", 9, "Read timed out"),
        (404, 1, r"DownloadError: Failed to get url .*/digits\.bin\. HTTP code: 404\."),
        ("wrong", 2, "NonMatchingChecksumError: .*has wrong checksum"),
    ],
)
def test_a_download_that_cannot_be_had(
    server, digits, tmp_path, monkeypatch, capsys, way, asked, told
):
    monkeypatch.setattr(network, "SECONDS", 0.1)
    server.ways = [way] * asked
    place, out = tmp_path / "tfds", tmp_path / "out"
    monkeypatch.setenv("TFDS_DATA_DIR", str(place))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    words = ["prepare", "--settings", canonical_json(digits), "--folder", str(out)]
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    message = str(ended.value)
    assert re.match(f"error: 'fetched_digits' could not be fetched into {place}: .*{told}", message)
    assert "\n" not in message
    passing = way not in (404, "wrong")
    assert ("run snakemake again when the network is back" in message) == passing
    assert ("a newer TensorFlow Datasets may know it" in message) != passing
    assert server.asked == asked
    assert len(re.findall(RETRIED, capsys.readouterr().out)) == {404: 0, "wrong": 1}.get(way, 2)
    assert not unfinished(place)
    assert not is_stored("fetched_digits", str(place))
    assert not (place / "fetched_digits/1.0.0").exists()
    assert not out.exists()
    if way in ("short", "wrong"):  # the server is mended: the same command goes through
        cli.main(words)
        assert len(load(out).images) == 40


def test_what_a_builder_cannot_read_is_told_with_its_folder(server, digits, tmp_path, monkeypatch):
    def unpack(self, manager):
        with zipfile.ZipFile(manager.download(self.ADDRESS)) as archive:
            return {"train": self._generate_examples(archive.extract("digits"))}

    monkeypatch.setattr(FetchedDigits, "_split_generators", unpack)
    place = tmp_path / "tfds"
    with pytest.raises(InputError) as caught:
        prepare(digits, tmp_path / "out", str(place))
    message = str(caught.value)
    assert "BadZipFile: File is not a zip file" in message
    assert f"if a download is damaged, delete {place}/downloads/fetched_digits" in message
    assert server.asked == 1
    assert not unfinished(place)
    assert not is_stored("fetched_digits", str(place))


def test_a_full_disk_is_told_and_not_tried_again(digits, tmp_path, monkeypatch, capsys):
    def fill_up(self, path):
        yield 0, {"image": np.zeros((8, 8, 1), np.uint8), "label": 0}
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FetchedDigits, "_generate_examples", fill_up)
    with pytest.raises(InputError, match=r"No space left on device; make room, or name another"):
        prepare(digits, tmp_path / "out", str(tmp_path / "tfds"))
    assert "trying again" not in capsys.readouterr().out
    assert not unfinished(tmp_path / "tfds")


def test_a_killed_download_is_cleared_away_by_the_next_one(server, digits, tmp_path):
    server.ways = ["stall"]
    place = tmp_path / "tfds"
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from {Path(__file__).stem} import FetchedDigits
FetchedDigits(data_dir={str(place)!r}).download_and_prepare()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "FETCHED_DIGITS": FetchedDigits.ADDRESS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not any(file.stat().st_size for file in place.rglob("*.tmp.*/digits.bin")):
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(unfinished(place)) >= 2  # half a download, and where it would have been stored
    assert not is_stored("fetched_digits", str(place))
    prepare(digits, tmp_path / "out", str(place))
    assert is_stored("fetched_digits", str(place))
    assert not unfinished(place)
    assert len(load(tmp_path / "out").images) == 40


def failed(error, cause=None):
    """The error as it is when it was raised from another one."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (requests.ConnectionError("no route"), True),
        (requests.exceptions.ChunkedEncodingError("cut"), True),
        (urllib.error.URLError("no such host"), True),
        (urllib.error.URLError(ConnectionRefusedError()), True),
        (urllib.error.ContentTooShortError("cut", None), True),
        (failed(RuntimeError("in a builder"), TimeoutError()), True),
        (failed(Exception("fetch failure"), urllib.error.URLError("no such host")), True),
        (urllib.error.HTTPError("http://x", 503, "busy", {}, io.BytesIO()), True),
        (urllib.error.HTTPError("http://x", 404, "none", {}, io.BytesIO()), False),
        (tfds.download.DownloadError("Failed to get url x. HTTP code: 429."), True),
        (tfds.download.DownloadError("Failed to get url x. HTTP code: 403."), False),
        (urllib.error.URLError(FileNotFoundError("gone")), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (PermissionError(13, "Permission denied"), False),
        (ValueError("unknown name"), False),
    ],
)
def test_which_errors_are_of_the_network(error, passing):
    assert network.of_network(error) == passing


def test_waits_are_told_and_kept(monkeypatch, capsys):
    monkeypatch.setattr(network, "WAITS", (5.0, 20.0))
    slept, asked = [], []
    monkeypatch.setattr(time, "sleep", slept.append)

    def fail():
        asked.append(1)
        raise requests.ConnectionError("no\nroute")

    with pytest.raises(requests.ConnectionError):
        network.patiently(fail, "digits")
    assert (len(asked), slept) == (3, [5.0, 20.0])
    assert capsys.readouterr().out.splitlines() == [
        "digits: ConnectionError: no route; trying again in 5 s (2 of 3)",
        "digits: ConnectionError: no route; trying again in 20 s (3 of 3)",
    ]


# Weights.


@pytest.fixture
def weights(server, monkeypatch):
    monkeypatch.setattr(pretrained, "BASE_WEIGHTS_PATH", f"{server.address}/")
    monkeypatch.setitem(pretrained.WEIGHTS_HASHES, "resnet50", ("", hashlib.md5(BODY).hexdigest()))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")


@pytest.mark.parametrize("way", [["short"], ["hang up", 503], ["wrong"]])
def test_weights_are_asked_for_again(server, weights, tmp_path, capsys, way):
    server.ways = list(way)
    file = tmp_path / "weights/ours.h5"
    cli.main(["fetch-weights", str(file)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(way)
    for tried, line in enumerate(lines[:-1], 2):
        assert line.startswith(f"{NAME}: ")
        assert line.endswith(f"; trying again in 0 s ({tried} of 3)")
    assert file.read_bytes() == BODY
    assert sorted(one.name for one in file.parent.iterdir()) == [".lock", "ours.h5"]


@pytest.mark.parametrize(
    ("way", "asked", "told"),
    [
        ("short", 3, "retrieval incomplete"),
        ("hang up", 3, "Remote end closed connection"),
        ("silent", 3, "timed out"),
        (503, 3, "503"),
        (404, 1, "404"),
        ("wrong", 2, "file hash does not match"),
    ],
)
def test_weights_that_cannot_be_had(server, weights, tmp_path, monkeypatch, way, asked, told):
    monkeypatch.setattr(network, "SECONDS", 0.2)
    server.ways = [way] * asked
    file = tmp_path / "weights/ours.h5"
    with pytest.raises(SystemExit) as ended:
        cli.main(["fetch-weights", str(file)])
    message = str(ended.value)
    assert message.startswith(f"error: cannot fetch {NAME} from {server.address}/{NAME} to ")
    assert told in message
    assert "run snakemake again when it can be had" in message
    assert "\n" not in message
    assert server.asked == asked
    assert [one.name for one in file.parent.iterdir()] == [".lock"]
    cli.main(["fetch-weights", str(file)])
    assert file.read_bytes() == BODY


def test_weights_without_a_network_at_all(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "BASE_WEIGHTS_PATH", "http://127.0.0.1:9/")
    with pytest.raises(InputError, match="Connection refused"):
        pretrained.imagenet_weights_file(tmp_path)


def test_what_a_killed_fetching_of_weights_left_is_cleared_away(server, weights, tmp_path):
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


def test_weights_that_were_put_there_by_hand_are_taken(server, weights, tmp_path):
    (tmp_path / NAME).write_bytes(flawed(BODY))
    with pytest.raises(InputError, match=f"{NAME}: damaged"):
        pretrained.imagenet_weights_file(tmp_path, name="ours.h5")
    (tmp_path / NAME).write_bytes(BODY)
    assert pretrained.imagenet_weights_file(tmp_path, name="ours.h5").read_bytes() == BODY
    assert server.asked == 0
    assert not (tmp_path / NAME).exists()
