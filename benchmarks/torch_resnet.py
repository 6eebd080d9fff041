"""The residual networks of the benchmark in PyTorch: He et al. 2015, as in `ablation.models`."""

import torch
from torch import nn
from torch.nn import functional

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution without bias, and batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class _Block(nn.Module):
    def __init__(
        self, inputs: int, width: int, stride: int, *, bottleneck: bool, projection: bool
    ) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        self.convolutions = nn.ModuleList(
            [
                _convolution(inputs, width, 1),
                _convolution(width, width, 3, stride),
                _convolution(width, outputs, 1),
            ]
            if bottleneck
            else [_convolution(inputs, width, 3, stride), _convolution(width, width, 3)]
        )
        self.stride, self.added = stride, outputs - inputs
        changes = stride > 1 or self.added > 0
        self.projection = (
            _convolution(inputs, outputs, 1, stride) if changes and projection else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        *first, last = self.convolutions
        for convolution in first:
            y = functional.relu(convolution(y), inplace=True)
        y = last(y)
        if self.projection is not None:
            x = self.projection(x)
        elif self.added:
            pixels = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(pixels, (0, 0, 0, 0, 0, self.added))
        return functional.relu(x + y)


class ResNet(nn.Module):
    """A residual network, from images to logits.

    Args:
        name: such as ``resnet50``.
        classes: number of classes.
    """

    def __init__(self, name: str, classes: int) -> None:
        super().__init__()
        depth = int(name.removeprefix("resnet"))
        self.large = depth in _BLOCKS
        bottleneck = self.large and depth >= 50
        width = channels = 64 if self.large else 16
        size, stride = (7, 2) if self.large else (3, 1)
        self.stem = _convolution(3, width, size, stride)
        blocks = []
        for stage, count in enumerate(_BLOCKS.get(depth, ((depth - 2) // 6,) * 3)):
            for block in range(count):
                stride = 2 if stage and not block else 1
                options = {"bottleneck": bottleneck, "projection": self.large}
                blocks.append(_Block(channels, width * 2**stage, stride, **options))
                channels = width * 2**stage * (4 if bottleneck else 1)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of images [batch, 3, height, width]."""
        x = functional.relu(self.stem(images), inplace=True)
        if self.large:
            x = functional.max_pool2d(x, 3, 2, 1)
        return self.head(self.blocks(x).mean((2, 3)))
