"""What tests of several packages share."""

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .factory import write_run

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

gc.set_threshold(50_000, 20, 100)  # as the package does, because it saves time

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items):
    """Put the slow files first, so that at the end no process waits for another."""
    items.sort(key=lambda item: item.path.parent.name not in ("kill", "workflow"))


def tracked(*places):
    """The files that git tracks, sorted; others in the checkout are no part of the repository.

    Places are files, folders and patterns, relative to the root; ``*`` matches ``/`` as well.
    """
    command = ["git", "ls-files", "-z", "--", *places]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    paths = [ROOT / name for name in sorted(listed.stdout.split("\0")) if name]
    return [path for path in paths if path.is_file()]


def copy_tracked(folder, *places):
    """Copy files that git tracks, as `tracked` lists them, to the same places in a folder."""
    for file in tracked(*places):
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)


# oneDNN aborts where the processor has bfloat16 kernels and this variable forbids them.
needs_bfloat16 = pytest.mark.skipif(
    os.environ.get("ONEDNN_MAX_CPU_ISA") in ("SSE41", "AVX", "AVX2", "AVX2_VNNI"),
    reason="ONEDNN_MAX_CPU_ISA allows no kernels for bfloat16",
)


@pytest.fixture(scope="session", autouse=True)
def tfds_folder(tmp_path_factory):
    """A data folder of the tests' own: nothing is read from or written to the user's."""
    folder = tmp_path_factory.mktemp("tfds")
    before = os.environ.get("TFDS_DATA_DIR")
    os.environ["TFDS_DATA_DIR"] = str(folder)
    # Snakemake's rules call `python`; let it be the one that runs the tests.
    path = os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), path])
    yield folder
    os.environ["PATH"] = path
    if before is None:
        del os.environ["TFDS_DATA_DIR"]
    else:
        os.environ["TFDS_DATA_DIR"] = before


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory, worker_id):
    """A folder that the processes of this test run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder if worker_id == "master" else folder.parent


def tiny_disk(folder, size):
    """Words that start a command which sees a disk of so many bytes in the place of a folder.

    Skips the test where this user may not mount one.
    """
    script = f'mount -t tmpfs -o size={size} none "$0" && exec "$@"'
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(folder)]
    folder.mkdir(parents=True, exist_ok=True)
    if not shutil.which("unshare") or subprocess.run([*words, "true"], check=False).returncode:
        pytest.skip("no right to mount a small disk here")
    return words


def write_answers(
    run, label, answer, *, classes=10, validation, loss=(2.0, 1.0, 0.5), clean=0.99, **options
):
    """Write a run that gave each test image an answer, with curves of up to three epochs."""
    accuracy = [0.90, 0.95, 0.94][: len(loss)]
    history = {"loss": loss, "accuracy": accuracy, "val_loss": loss, "val_accuracy": accuracy}
    write_run(
        run, label=label, answer=answer, validation=validation, history=history,
        class_names=tuple(map(str, range(classes))), train_accuracy=clean, **options,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project folder, entered, with a function that writes a study into it."""
    (tmp_path / "config/studies").mkdir(parents=True)
    (tmp_path / "config/config.yaml").write_text("study: tiny\n")
    monkeypatch.chdir(tmp_path)

    def write(text, name="tiny"):
        file = tmp_path / f"config/studies/{name}.yaml"
        file.write_text(text)
        return file

    return write
