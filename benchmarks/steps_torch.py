"""Training steps of PyTorch, as `benchmarks.steps` asks for them."""

import sys
import time
from typing import Any

import torch
from torch.nn import functional

from benchmarks.measure import serve
from benchmarks.steps import CLASSES, DECAY, LEARNING_RATE, MOMENTUM, THREADS, random_batch
from benchmarks.torch_resnet import ResNet


class Trainer:
    """Trains a network on one batch."""

    def __init__(
        self, network: str, pixels: int, batch: int, precision: str, *, compiled: bool
    ) -> None:
        torch.set_num_threads(THREADS)
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = ResNet(network, CLASSES).to(self._device, memory_format=torch.channels_last)
        self._forward = torch.compile(self._model) if compiled else self._model
        self._optimizer = torch.optim.SGD(
            self._model.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=DECAY
        )
        weights = self._model.named_parameters()
        self._before = {name: weight.detach().clone() for name, weight in weights}
        images, labels = random_batch(pixels, batch)
        channels_first = torch.from_numpy(images).permute(0, 3, 1, 2)
        self._images = channels_first.to(self._device, memory_format=torch.channels_last)
        self._labels = torch.from_numpy(labels).to(self._device)
        self._mixed = precision == "bfloat16"
        self._losses: list[float] = []

    def answer(self, request: Any) -> Any:
        """Train for some steps and return the seconds, or answer another request."""
        if request == "device":
            return self._device
        if request == "check":
            weights = self._model.named_parameters()
            unchanged = [name for name, weight in weights if weight.equal(self._before[name])]
            return self._losses[0], self._losses[-1], unchanged
        began = time.perf_counter()
        for _ in range(request):
            self._optimizer.zero_grad(set_to_none=True)
            with torch.autocast(self._device, torch.bfloat16, enabled=self._mixed):
                loss = functional.cross_entropy(self._forward(self._images), self._labels)
            loss.backward()
            self._optimizer.step()
            self._losses.append(float(loss.detach()))
        return time.perf_counter() - began


if __name__ == "__main__":
    name, size, images, form, *options = sys.argv[1:]
    trainer = Trainer(name, int(size), int(images), form, compiled="compiled" in options)
    serve(trainer.answer)
