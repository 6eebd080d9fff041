"""Deterministic settings of TensorFlow, and a description of the machine."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ablation.training.hardware import processor_name

RECORDED_PACKAGES = (
    "tensorflow", "keras", "tensorflow-datasets", "numpy", "scipy", "pandas", "snakemake",
)  # fmt: skip

# They also decide which kernels are used, and with it the last bits of a result.
RECORDED_VARIABLES = (
    "NVIDIA_TF32_OVERRIDE", "ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS",
    "XLA_FLAGS",
)  # fmt: skip


def make_deterministic(seed: int, threads: int, intra_op_threads: int | None = None) -> None:
    """Set seeds, deterministic kernels and thread counts.

    Must be called before the first tensor is made, because thread counts are fixed then.

    Args:
        seed: seed of Python, NumPy and TensorFlow.
        threads: number of operations that are computed at once.
        intra_op_threads: number of threads that compute one operation; None for ``threads``.
    """
    tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads or threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def describe_environment() -> dict[str, Any]:
    """Return versions, commit and hardware as plain values."""
    gpus = tf.config.list_physical_devices("GPU")
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in RECORDED_PACKAGES},
        "git_commit": git_commit(),
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "variables": {name: os.environ[name] for name in RECORDED_VARIABLES if name in os.environ},
        "gpus": [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in gpus
        ],
    }


def git_commit() -> str | None:
    """Return the commit of the checkout that this code is part of, with ``-dirty`` if changed.

    None if the package is not in a checkout.
    """
    here = Path(__file__).parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, or no repository
    return f"{commit}-dirty" if changed else commit


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
