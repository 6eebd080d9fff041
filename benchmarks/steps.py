"""Training steps of this project and of PyTorch: the same networks, optimizer and batches."""

import math
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.measure import Case, Worker, in_turn

CLASSES, THREADS = 10, 2
LEARNING_RATE, MOMENTUM, DECAY = 1e-3, 0.9, 1e-4
PRECISIONS = ("float32", "bfloat16")
REPETITIONS = 5
SECONDS = 2.0  # of a measurement


@dataclass(frozen=True)
class Setup:
    """A network and its batches."""

    network: str
    pixels: int
    batch: int

    @property
    def title(self) -> str:
        """Name in the table."""
        return f"{self.network}, {self.pixels} px, batch {self.batch}"


SETUPS = (
    Setup("resnet50", 32, 256),
    Setup("resnet50", 224, 16),
    Setup("resnet34", 32, 256),
    Setup("resnet56", 32, 128),
    Setup("resnet20", 32, 128),
)


def steps(*, quick: bool) -> Iterator[Case]:
    """Measure each setup, each side in its faster precision."""
    ratios = []
    for setup in SETUPS[-1:] if quick else SETUPS:
        cases = list(_measured(setup, 2 if quick else REPETITIONS))
        ratios.append(float(cases[0].row()["ratio"]))
        yield from cases
    mean = math.prod(ratios) ** (1 / len(ratios))
    yield Case("steps", "geometric mean of the ratios to PyTorch", [mean], [1.0], "times")


def _measured(setup: Setup, repetitions: int) -> Iterator[Case]:
    with ExitStack() as stack:
        ours = [stack.enter_context(Side("keras", setup, form)) for form in PRECISIONS]
        peers = [stack.enter_context(Side("torch", setup, form)) for form in PRECISIONS]
        sides = ours + peers
        rates = dict(zip(sides, in_turn([side.rate for side in sides], repetitions), strict=True))
        for side in sides:
            side.check()
        best = max(ours, key=lambda side: statistics.median(rates[side]))
        peer = max(peers, key=lambda side: statistics.median(rates[side]))
        title = f"{setup.title}, {best.precision}"
        yield Case(
            "steps", f"{title}: PyTorch, {peer.precision}", rates[best], rates[peer], "images/s"
        )
        yield Case("steps", f"{title}: first step", [best.first], [peer.first], "s", less=True)
        compiled = stack.enter_context(Side("torch", setup, peer.precision, "compiled"))
        mine, theirs = in_turn([best.rate, compiled.rate], repetitions)
        compiled.check()
        yield Case("steps", f"{title}: torch.compile, {peer.precision}", mine, theirs, "images/s")
        product = stack.enter_context(Worker("benchmarks.matrix_product", best.precision))
        mine, theirs = in_turn([best.flops, lambda: float(product.ask(None))], repetitions)
        yield Case("steps", f"{title}: rate of a matrix product", mine, theirs, "GFLOP/s")


class Side(Worker):
    """A process that trains.

    Attributes:
        precision: float32 or bfloat16.
        first: seconds of the first step.
    """

    def __init__(
        self, library: str, setup: Setup, precision: str, *options: str, gpu: bool = False
    ) -> None:
        arguments = setup.network, str(setup.pixels), str(setup.batch), precision, *options
        super().__init__(f"benchmarks.steps_{library}", *arguments, gpu=gpu)
        self.precision, self._batch = precision, setup.batch
        self.first = self._train(1)
        self._steps = math.ceil(SECONDS / min(self._train(1) for _ in range(3)))

    def rate(self) -> float:
        """Return images per second."""
        return self._steps * self._batch / self._train(self._steps)

    def flops(self) -> float:
        """Return the useful operations of convolutions and head, in GFLOP/s.

        A multiply-add is two operations, and training does three for one of inference.
        """
        return 6 * int(self.ask("multiply_adds")) * self.rate() / 1e9

    def check(self) -> None:
        """Check that the network learns: the loss has fallen, and all weights have changed.

        Raises:
            RuntimeError: it does not.
        """
        first, last, unchanged = self.ask("check")
        if not last < first or unchanged:
            raise RuntimeError(f"loss {first} to {last}; weights that do not change: {unchanged}")

    def _train(self, count: int) -> float:
        return float(self.ask(count))


def random_batch(pixels: int, batch: int) -> tuple[Any, Any]:
    """Return images, float32 [batch, pixels, pixels, 3], and labels, int64 [batch]."""
    random = np.random.default_rng(0)
    images = random.random((batch, pixels, pixels, 3), np.float32)
    return images, random.integers(0, CLASSES, batch)
