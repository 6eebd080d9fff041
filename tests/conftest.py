"""What tests of several packages share."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablation.analysis.records import write_record

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).parents[1]


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
    run, label, answer, *, classes=10, validation, confidence=0.91, status="completed",
    loss=(2.0, 1.0, 0.5), clean=0.99,
):  # fmt: skip
    """Write the files of a run that gave each test image an answer, and of its prepared data.

    The last ``validation`` test images serve as validation images too.
    """
    folder = Path(run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    images = len(label)
    probability = np.full((images, classes), (1 - confidence) / (classes - 1), np.float32)
    probability[np.arange(images), answer] = confidence
    if status == "diverged":
        probability[:] = np.nan
    np.savez(
        folder / "predictions.npz",
        label=label,
        probability=probability,
        val_label=label[-validation:],
        val_probability=probability[-validation:],
    )
    epochs = np.arange(1, len(loss) + 1)
    accuracy = [0.90, 0.95, 0.94][: len(loss)]
    pd.DataFrame(
        {
            "epoch": epochs,
            "loss": loss,
            "accuracy": accuracy,
            "val_loss": loss,
            "val_accuracy": accuracy,
            "learning_rate": 0.1,
        }
    ).to_csv(folder / "history.csv", index=False)
    pd.DataFrame({"epoch": epochs, "seconds": 2.0, "images_per_second": 500.0}).to_csv(
        folder / "timing.csv", index=False
    )
    record = {
        "id": run.id,
        "status": status,
        "code": "c",
        "epochs": len(loss),
        "train_accuracy_clean": None if status == "diverged" else clean,
        "class_names": [str(i) for i in range(classes)],
        "data": {
            "source": "mnist5k/1.0.0",
            "hash": "h",
            "shape": [5000, 28, 28, 1],
            "train": 3600,
            "validation": validation,
            "test": images,
        },
        "parameters": 1000,
        "trainable_parameters": 900,
        "threads": {"intra_op": 2, "inter_op": 2},
        "environment": {
            "python": "3.11.7",
            "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
            "git_commit": "abc",
            "system": "Linux",
            "processor": "A processor",
            "gpus": [],
            "variables": {},
        },
        "started": "2026-01-01T00:00:00Z",
        "seconds": 10.0,
    }
    write_record(folder, record)
    data = Path(run.data.folder)
    data.mkdir(parents=True, exist_ok=True)
    counts = {"train": [360] * classes}
    for split, labels in (("validation", label[-validation:]), ("test", label)):
        counts[split] = np.bincount(labels, minlength=classes).tolist()
    (data / "description.json").write_text(
        json.dumps({"hash": "h", "counts": counts, "splits": {}, "citation": ""})
    )


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
