"""Input pipelines of timm in a DataLoader of PyTorch, as `benchmarks.input` asks for them."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, RandomSampler

from benchmarks.input import BATCH, Inputs, read_images
from benchmarks.measure import serve
from benchmarks.steps import CLASSES, THREADS

if torch.version.cuda is None:
    # torchvision's package on PyPI is built for PyTorch with CUDA. Beside a CPU build its operators
    # are not loaded, and it cannot be imported unless these are declared.
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from timm.data import Mixup, create_transform
from timm.data.transforms import RandomResizedCropAndInterpolation
from torchvision import transforms

BILINEAR = transforms.InterpolationMode.BILINEAR
JITTER = ("brightness", "contrast", "saturation", "hue")

# The counterpart of each step: arguments of `create_transform`, of its ColorJitter or of `Mixup`,
# or a transform of torchvision that takes the place of its crop.
TIMM: dict[str, dict[str, Any]] = {
    "flip": {"hflip": 0.5},
    "random_resized_crop": {"scale": (0.08, 1.0)},
    "grayscale": {"grayscale_prob": 0.1},
    "random_erasing": {"re_prob": 0.5, "re_mode": "pixel"},
    "random_erasing(fill=zero)": {"re_prob": 0.5, "re_mode": "const"},
}
COLOUR: dict[str, dict[str, Any]] = {
    "brightness(0.2)": {"brightness": 0.2},
    "contrast(0.8, 1.2)": {"contrast": (0.8, 1.2)},
    "contrast(0.2, 0.5)": {"contrast": (0.2, 0.5)},
    "saturation(0.8, 1.2)": {"saturation": (0.8, 1.2)},
    "hue(0.1)": {"hue": 0.1},
    "hue(0.2)": {"hue": 0.2},
}
MIXING: dict[str, dict[str, Any]] = {
    "cutmix": {"mixup_alpha": 0, "cutmix_alpha": 1},
    "cutmix(partner=uniform)": {"mixup_alpha": 0, "cutmix_alpha": 1},
    "mixup(alpha=1, partner=uniform)": {"mixup_alpha": 1},
    "cutmix_or_mixup": {"mixup_alpha": 0.2, "cutmix_alpha": 1},
    "label_smoothing": {"prob": 0, "label_smoothing": 0.1},
}


def moved(step: str, pixels: int) -> list[Any]:
    """Return torchvision's counterpart of a step that moves or rotates an image."""
    made = {
        "crop(4)": transforms.RandomCrop(pixels, padding=4),
        "crop(4, fill=reflect)": transforms.RandomCrop(pixels, padding=4, padding_mode="reflect"),
        "random_crop": transforms.RandomCrop(pixels),
        "rotation(15)": transforms.RandomRotation(15, BILINEAR),
        "translation(0.125, 0.125)": transforms.RandomAffine(0, (0.125, 0.125)),
    }
    return [made[step]] if step in made else []


class Examples(Dataset[Any]):
    """Examples in memory."""

    def __init__(self, folder: Path, stored: int, steps: list[str], pixels: int) -> None:
        self._images, self._labels = read_images(folder, stored)
        timm: dict[str, Any] = {"hflip": 0, "color_jitter": None}
        jitter: dict[str, Any] = {}
        first: list[Any] = []
        for step in steps:
            timm |= TIMM.get(step, {})
            jitter |= COLOUR.get(step, {})
            first += moved(step, pixels)
        if jitter:
            timm["color_jitter"] = tuple(jitter.get(name, 0) for name in JITTER)
        left_out: tuple[type, ...] = (transforms.Normalize,)  # networks of this project have it
        if "random_resized_crop" not in steps:
            left_out += (RandomResizedCropAndInterpolation,)
        made = create_transform(pixels, is_training=True, **timm).transforms
        kept = [one for one in made if not isinstance(one, left_out)]
        self._transform = transforms.Compose([*first, *kept])

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return an image, float32 [channels, height, width], and its label."""
        image = Image.fromarray(self._images[index])
        return self._transform(image), int(self._labels[index])


def opened(
    folder: Path, text: str, pixels: int, stored: int
) -> tuple[Iterator[tuple[Any, Any]], tuple[int, ...], int]:
    """Return what `benchmarks.input.Inputs` needs of a pipeline."""
    steps = text.split(" | ")
    examples = Examples(folder, stored, steps, pixels)
    mixing = {name: value for step in steps for name, value in MIXING.get(step, {}).items()}
    return endless(examples, BATCH[pixels], mixing), (3, pixels, pixels), len(examples)


def endless(examples: Examples, batch: int, mixing: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield batches, epoch after epoch, without an end at which the workers would wait."""
    sampler = RandomSampler(examples, num_samples=10**9)
    loader = DataLoader(examples, batch, sampler=sampler, num_workers=THREADS)
    mixup = Mixup(**{"label_smoothing": 0, **mixing}, num_classes=CLASSES) if mixing else None
    for images, labels in loader:
        yield mixup(images, labels) if mixup else (images, labels)


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    np.random.seed(0)
    serve(Inputs(partial(opened, Path(sys.argv[1]))).answer)
