"""Training steps of this project and of PyTorch: the same networks, optimizer and batches."""

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Case, Worker, in_turn, serve

CLASSES, THREADS, LEARNING_RATE = 10, 2, 0.01
ROUND_SECONDS = 2.0  # length of a measurement
PRECISIONS = ("float32", "bfloat16")
REPETITIONS = 5


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
        repetitions = 2 if quick else REPETITIONS
        with ExitStack() as stack:

            def start(side: str, precision: str) -> "_Side":
                arguments = side, setup.network, str(setup.pixels), str(setup.batch), precision
                return stack.enter_context(_Side(*arguments))

            ours = {precision: start("ours", precision) for precision in PRECISIONS}
            peers = {precision: start("eager", precision) for precision in PRECISIONS}
            sides = [*ours.values(), *peers.values()]
            rates = in_turn([side.rate for side in sides], repetitions)
            by_side = dict(zip(sides, rates, strict=True))
            for side in sides:
                side.check()
            best = max(ours.values(), key=lambda side: statistics.median(by_side[side]))
            peer = max(peers.values(), key=lambda side: statistics.median(by_side[side]))
            formats = f"{best.precision}, PyTorch in {peer.precision}"
            case = Case(
                "steps", f"{setup.title}: {formats}", by_side[best], by_side[peer],
                "images/s", more_is_better=True,
            )  # fmt: skip
            ratios.append(float(case.row()["ratio"]))
            yield case
            yield Case(
                "steps", f"{setup.title}: first step", [best.first], [peer.first], "s",
                more_is_better=False,
            )  # fmt: skip
            compiled = start("compile", peer.precision)
            mine, theirs = in_turn([best.rate, compiled.rate], repetitions)
            compiled.check()
            yield Case(
                "steps", f"{setup.title}: against torch.compile", mine, theirs, "images/s",
                more_is_better=True,
            )  # fmt: skip
            product = stack.enter_context(Worker("benchmarks.steps", "product", best.precision))
            work = 6 * best.multiply_adds / 1e9  # of an image, forwards and backwards
            mine, ceiling = in_turn(
                [lambda: best.rate() * work, lambda: float(product.ask(0))], repetitions
            )
            yield Case(
                "steps", f"{setup.title}: share of a matrix product's rate", mine, ceiling,
                "GFLOP/s", more_is_better=True,
            )  # fmt: skip
    mean = math.prod(ratios) ** (1 / len(ratios))
    yield Case(
        "steps", "geometric mean against PyTorch", [mean], [1.0], "times", more_is_better=True
    )


class _Side(Worker):
    """A process that trains, of either side."""

    def __init__(self, *arguments: str) -> None:
        super().__init__("benchmarks.steps", *arguments)
        self.precision = arguments[-1]
        self.batch = int(arguments[3])
        self.multiply_adds = 0
        self.first = float(self.ask(1))
        self._steps = math.ceil(ROUND_SECONDS / min(float(self.ask(1)) for _ in range(3)))

    def rate(self) -> float:
        """Return images per second."""
        return self._steps * self.batch / float(self.ask(self._steps))

    def check(self) -> None:
        """Check that the loss has fallen and all weights have changed."""
        first, last, still, self.multiply_adds = self.ask(0)
        if not last < first or still:
            raise RuntimeError(f"loss {first} -> {last}; weights that do not change: {still}")


def train_keras(network: str, pixels: int, batch: int, precision: str) -> Callable[[int], Any]:
    """Return a function that trains for some steps and returns the seconds; 0 for the check."""
    from ablation.quiet import import_tensorflow

    import_tensorflow()
    import keras
    import numpy as np
    import tensorflow as tf

    from ablation.data.settings import DataSettings
    from ablation.models.cost import multiply_adds
    from ablation.models.families import resolve_network
    from ablation.training.batches import without_autotuning
    from ablation.training.environment import make_deterministic
    from ablation.training.run import compiled_model
    from ablation.training.settings import RunSettings, Training

    make_deterministic(0, THREADS)
    settings = RunSettings(
        dataset=DataSettings(source="mnist5k"),
        model=resolve_network(network, {}),
        augmentation=(),
        training=Training.model_validate(
            {
                "epochs": 1,
                "batch_size": batch,
                "learning_rate": LEARNING_RATE,
                "weight_decay": 1e-4,
                "precision": precision,
            }  # fmt: skip
        ),
        validation="held-out",
        seed=0,
        threads=THREADS,
    )
    model, _ = compiled_model(settings, (pixels, pixels, 3), CLASSES, 10**6)
    before = model.get_weights()
    images, labels = _batch(pixels, batch)
    data = tf.data.Dataset.from_tensors((images, np.eye(CLASSES, dtype=np.float32)[labels]))
    data = data.repeat().with_options(without_autotuning())
    losses: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            losses.append(float(logs["loss"]))

    def answer(count: int) -> Any:
        if not count:
            pairs = zip(model.weights, before, model.get_weights(), strict=True)
            still = [weight.path for weight, old, new in pairs if (old == new).all()]
            return losses[0], losses[-1], still, multiply_adds(model)
        began = time.perf_counter()
        model.fit(data, steps_per_epoch=count, epochs=1, verbose=0, callbacks=[Clock()])
        return time.perf_counter() - began

    return answer


def train_torch(
    network: str, pixels: int, batch: int, precision: str, *, compiled: bool
) -> Callable[[int], Any]:
    """Return the same for PyTorch."""
    import torch
    from torch.nn import functional

    from benchmarks.torch_resnet import ResNet

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    model = ResNet(network, CLASSES).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=1e-4)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    raw_images, raw_labels = _batch(pixels, batch)
    images = torch.from_numpy(raw_images).permute(0, 3, 1, 2)
    images, labels = images.to(memory_format=torch.channels_last), torch.from_numpy(raw_labels)
    forward = torch.compile(model) if compiled else model
    losses: list[float] = []

    def answer(count: int) -> Any:
        if not count:
            weights = model.named_parameters()
            still = [name for name, weight in weights if torch.equal(weight, before[name])]
            return losses[0], losses[-1], still, 0
        began = time.perf_counter()
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                loss = functional.cross_entropy(forward(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return time.perf_counter() - began

    return answer


def multiply(precision: str) -> Callable[[int], float]:
    """Return a function that returns the rate of a large matrix product in GFLOP/s."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    size, times = 2048, 20
    matrix = tf.cast(tf.ones((size, size)), precision)
    tf.matmul(matrix, matrix)

    def answer(_: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            tf.matmul(matrix, matrix)
        return 2 * size**3 * times / (time.perf_counter() - began) / 1e9

    return answer


def _batch(pixels: int, batch: int) -> tuple[Any, Any]:
    """Return random images, float32 [batch, pixels, pixels, 3], and their labels."""
    import numpy as np

    random = np.random.default_rng(0)
    images = random.random((batch, pixels, pixels, 3), np.float32)
    return images, random.integers(0, CLASSES, batch)


def main(side: str, *rest: str) -> None:
    """Train, or multiply matrices, as the benchmark asks."""
    if side == "product":
        serve(multiply(*rest))
        return
    network, pixels, batch, precision = rest
    setup = network, int(pixels), int(batch), precision
    if side == "ours":
        serve(train_keras(*setup))
    else:
        serve(train_torch(*setup, compiled=side == "compile"))


if __name__ == "__main__":
    main(*sys.argv[1:])
