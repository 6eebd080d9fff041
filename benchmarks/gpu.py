"""Training steps on a GPU, against PyTorch, and batches augmented there, against the CPU."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.measure import Case, in_turn
from benchmarks.steps import PRECISIONS, REPETITIONS, SETUPS, THREADS, Setup, Side

FED = (SETUPS[-1], SETUPS[1])
PIPELINES = (
    "flip | crop(4)",
    "flip | crop(4) | cutmix",
    "flip | brightness(0.2) | hue(0.2) | contrast(0.2, 0.5)",
)


def gpus(*, quick: bool) -> Iterator[Case]:
    """Measure on the GPU that TensorFlow sees; nothing without one."""
    if not _has_gpu():
        print("gpu: TensorFlow sees no GPU", flush=True)
        return
    repetitions = 2 if quick else REPETITIONS
    for setup in SETUPS[-1:] if quick else SETUPS:
        for precision in PRECISIONS:
            yield from _steps(setup, precision, repetitions)
    for setup in FED[:1] if quick else FED:
        for pipeline in PIPELINES[:1] if quick else PIPELINES:
            yield _fed(setup, pipeline, repetitions)


def _has_gpu() -> bool:
    code = "import sys, tensorflow as tf; sys.exit(not tf.config.list_physical_devices('GPU'))"
    found = subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False)
    return found.returncode == 0


def _steps(setup: Setup, precision: str, repetitions: int) -> Iterator[Case]:
    with Side("torch", setup, precision, gpu=True) as peer:
        if peer.ask("device") != "cuda":  # a build of PyTorch for the CPU
            return
        with Side("keras", setup, precision, gpu=True) as ours:
            mine, theirs = in_turn([ours.rate, peer.rate], repetitions)
            ours.check()
            peer.check()
    yield Case("gpu", f"{setup.title}, {precision}: PyTorch", mine, theirs, "images/s")


def _fed(setup: Setup, pipeline: str, repetitions: int) -> Case:
    with (
        Side("keras", setup, "bfloat16", pipeline, "step", gpu=True) as step,
        Side("keras", setup, "bfloat16", pipeline, "tf.data", gpu=True) as beside,
    ):
        mine, theirs = in_turn([step.rate, beside.rate], repetitions)
        step.check()
        beside.check()
    title = f"{setup.title}, {pipeline.replace(' | ', ' + ')}"
    return Case("gpu", f"{title}: augmented by {THREADS} threads", mine, theirs, "images/s")
