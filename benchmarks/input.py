"""Rates of input pipelines: of this project, of the notebooks, and of timm with PyTorch."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Case, Worker, in_turn
from benchmarks.steps import CLASSES, PRECISIONS, SETUPS, Side

BATCH = {32: 256, 224: 32}  # images of a batch, by their size in pixels
EXAMPLES = {32: 1024, 224: 128}
STORED = 256  # pixels of the stored images of pipelines that crop to 224
STEP = {32: SETUPS[-1], 224: SETUPS[1]}  # the training steps that have to be fed
REPETITIONS = 3
SECONDS = 0.4  # of a measurement
READY = 6  # batches that a side may have ready when a measurement begins


@dataclass(frozen=True)
class Pipeline:
    """A pipeline and what it is compared with.

    Attributes:
        text: as in a study.
        notebook: its name in `benchmarks.input_keras`, if the notebooks have it.
        crops: whether images of 224 px are cut out of stored images of 256 px.
        random: whether images are different in every epoch.
        sizes: of the images.
    """

    text: str
    notebook: str | None = None
    crops: bool = False
    random: bool = True
    sizes: tuple[int, ...] = tuple(BATCH)


PIPELINES = (
    Pipeline("none", notebook="none", random=False),
    Pipeline("flip", notebook="geometric"),
    Pipeline("crop(4)"),
    Pipeline("crop(4, fill=reflect)"),
    Pipeline("random_crop", crops=True, sizes=(224,)),
    Pipeline("random_resized_crop", crops=True),
    Pipeline("translation(0.125, 0.125)"),
    Pipeline("rotation(15)"),
    Pipeline("brightness(0.2)"),
    Pipeline("contrast(0.8, 1.2)"),
    Pipeline("saturation(0.8, 1.2)"),
    Pipeline("hue(0.1)"),
    Pipeline("grayscale"),
    Pipeline("clip", random=False),
    Pipeline("random_erasing"),
    Pipeline("random_erasing(fill=zero)"),
    Pipeline("cutmix(partner=uniform)", notebook="cutmix"),
    Pipeline("mixup(alpha=1, partner=uniform)", notebook="mixup"),
    Pipeline("cutmix_or_mixup"),
    Pipeline("label_smoothing", random=False),
    Pipeline("flip | crop(4)", sizes=(32,)),
    Pipeline("flip | random_resized_crop", crops=True, sizes=(224,)),
    Pipeline("flip | crop(4) | cutmix", sizes=(32,)),
    Pipeline("flip | brightness(0.2) | hue(0.2) | contrast(0.2, 0.5)", notebook="augmentation"),
)
QUICK = (PIPELINES[1], PIPELINES[-4])


def inputs(*, quick: bool) -> Iterator[Case]:
    """Measure pipelines against those of timm and of the notebooks, and against training steps."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        _write_images(folder)
        ours, notebook = (
            stack.enter_context(Worker("benchmarks.input_keras", whose, name))
            for whose in ("ours", "notebook")
        )
        timm = stack.enter_context(Worker("benchmarks.input_torch", name))
        for pixels in list(BATCH)[:1] if quick else BATCH:
            slowest, rates = "", [float("inf")]
            for pipeline in QUICK if quick else PIPELINES:
                if pixels not in pipeline.sizes:
                    continue
                sides = {"ours": ours, "timm": timm}
                if pipeline.notebook:
                    sides["the notebooks"] = notebook
                title = f"{pipeline.text.replace(' | ', ' + ')}, {pixels} px"
                measured = _measured(sides, pipeline, pixels)
                mine = measured.pop("ours")
                for peer, theirs in measured.items():
                    yield Case("input", f"{title}: {peer}", mine, theirs, "images/s")
                if max(mine) < max(rates):
                    slowest, rates = title, mine
            yield _against_step(slowest, rates, pixels)


def _measured(sides: dict[str, Worker], pipeline: Pipeline, pixels: int) -> dict[str, list[float]]:
    stored = STORED if pipeline.crops and pixels == 224 else pixels
    for name, side in sides.items():
        text = pipeline.notebook if name == "the notebooks" else pipeline.text
        side.ask([text, pixels, stored, pipeline.random])
    rates = in_turn([partial(side.ask, None) for side in sides.values()], REPETITIONS)
    return dict(zip(sides, rates, strict=True))


def _against_step(title: str, rates: list[float], pixels: int) -> Case:
    """Compare the slowest pipeline with the faster training step, measured afterwards."""
    steps = []
    for precision in PRECISIONS:
        with Side("keras", STEP[pixels], precision) as side:
            steps.append(side.rate())
    what = f"{title} (slowest): training step of {STEP[pixels].title}"
    return Case("input", what, rates, [max(steps)] * len(rates), "images/s")


def _write_images(folder: Path) -> None:
    """Write images, ``{stored size}.npy``, uint8, which JPEG and PNG compress as much as photos."""
    random = np.random.default_rng(0)
    for pixels, examples in (*EXAMPLES.items(), (STORED, EXAMPLES[224])):
        coarse = random.integers(0, 256, (examples, pixels // 32, pixels // 32, 3), np.uint8)
        images = coarse.repeat(32, axis=1).repeat(32, axis=2)
        np.save(folder / f"{pixels}.npy", images ^ random.integers(0, 16, images.shape, np.uint8))


def read_images(folder: Path, stored: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images, uint8 [examples, stored, stored, 3], and labels, int64 [examples]."""
    images = np.load(folder / f"{stored}.npy", mmap_mode="r")
    return images, np.arange(len(images)) % CLASSES


class Source:
    """Endless batches, measured.

    Args:
        batches: pairs of images, float32 [batch, *shape], and labels.
        batch: images of a batch.
        shape: of an image.
        examples: number of examples, a multiple of ``batch``.
        random: whether images have to be different in every epoch.

    Raises:
        RuntimeError: the batches are not as described.
    """

    def __init__(
        self,
        batches: Iterator[tuple[Any, Any]],
        batch: int,
        shape: tuple[int, ...],
        examples: int,
        *,
        random: bool,
    ) -> None:
        self._batches, self._batch = batches, batch
        epochs = []
        for _ in range(2):
            images = [np.asarray(next(batches)[0]) for _ in range(examples // batch)]
            for one in images:
                if one.shape != (batch, *shape) or one.dtype != np.float32:
                    raise RuntimeError(f"a batch is {one.dtype} {one.shape}")
                if not np.isfinite(one).all() or not one.std():
                    raise RuntimeError("a batch has no finite, different values")
            weights = np.linspace(1, 2, images[0][0].size, dtype=np.float32)
            epochs.append(np.concatenate([one.reshape(batch, -1) @ weights for one in images]))
        first, second = epochs
        if np.allclose(first, second, rtol=1e-6):
            raise RuntimeError("two epochs have the same order")
        if random and np.allclose(np.sort(first), np.sort(second), rtol=1e-6):
            raise RuntimeError("two epochs have the same images")

    def rate(self) -> float:
        """Return images per second."""
        for _ in range(READY):
            next(self._batches)
        began, count = time.perf_counter(), 0
        while time.perf_counter() < began + SECONDS:
            next(self._batches)
            count += 1
        return count * self._batch / (time.perf_counter() - began)


class Inputs:
    """Opens pipelines and measures the last one.

    Args:
        opened: called with a pipeline, the pixels of its images and those of the stored images.
            Returns its batches, the shape of an image, and the number of examples.
    """

    def __init__(
        self,
        opened: Callable[[str, int, int], tuple[Iterator[tuple[Any, Any]], tuple[int, ...], int]],
    ) -> None:
        self._opened = opened
        self._source: Source | None = None

    def answer(self, request: tuple[str, int, int, bool] | None) -> float | None:
        """Return the rate of the open pipeline, or open another."""
        if request is None:
            assert self._source is not None
            return self._source.rate()
        text, pixels, stored, random = request
        self._source = None  # ends its threads and processes
        batches, shape, examples = self._opened(text, pixels, stored)
        self._source = Source(batches, BATCH[pixels], shape, examples, random=random)
        return None
