"""The cost of a network: parameters, multiply-adds, stages and Keras' summary."""

import contextlib
import io
import math
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import keras

_STAGE = re.compile(r"(stem|stage\d+|head)(?:_block(\d+))?")
_OTHER = "other"
_KERNELS = (
    (keras.layers.Conv2D, ("kernel",)),
    (keras.layers.DepthwiseConv2D, ("kernel",)),
    (keras.layers.SeparableConv2D, ("depthwise_kernel", "pointwise_kernel")),
    (keras.layers.Dense, ("kernel",)),
)
# Layers and operations of Keras that multiply features without a kernel, or run any code.
_UNKNOWN = frozenset({
    "AdditiveAttention", "Attention", "Conv", "ConvTranspose", "DepthwiseConv", "Dot",
    "DotProductAttention", "Einsum", "Inner", "Lambda", "Matmul", "Outer", "SeparableConv",
    "Tensordot", "Vdot",
})  # fmt: skip


def costs(model: keras.Model) -> dict[str, int | None]:
    """Return the size and the cost of a network.

    Returns:
        ``parameters`` (all, including the moving statistics of batch norm),
        ``trainable_parameters``, ``shortcut_parameters`` (trainable ones of projections) and
        ``multiply_adds`` (see `multiply_adds`).
    """
    shortcuts = [layer for layer in model.layers if "_shortcut" in layer.name]
    return {
        "parameters": model.count_params(),
        "trainable_parameters": _count(model.trainable_weights),
        "shortcut_parameters": sum(_count(layer.trainable_weights) for layer in shortcuts),
        "multiply_adds": multiply_adds(model),
    }


def multiply_adds(model: keras.Model) -> int | None:
    """Count the multiply-adds of convolutions and dense layers for one image.

    Each kernel weight counts once for each output pixel or position; biases, norms, pooling and
    additions do not count, as in the FLOPs of He et al. 2015 (arXiv:1512.03385), Table 1. Supported
    layers are ``Conv2D``, ``DepthwiseConv2D``, ``SeparableConv2D`` and ``Dense``. A custom layer
    gives its count in the attribute ``multiply_adds``.

    Returns:
        The count; None if it is unknown for some layer.
    """
    return _sum(map(_multiply_adds, model.operations))


def stages(model: keras.Model) -> list[dict[str, Any]]:
    """Describe the parts of a network, in order, by the names of the layers.

    Returns:
        A dict each for the stem, every stage and the head: ``stage``, ``output_shape`` (height,
        width, channels; classes for the head), ``blocks`` (0 for stem and head), ``parameters``
        (with moving statistics) and ``multiply_adds`` (None if unknown). All other layers with
        parameters or multiply-adds come last, as ``other``.
    """
    parts: dict[str, dict[str, Any]] = {}
    for layer in model.operations:
        match = _STAGE.match(layer.name)
        cost = _multiply_adds(layer)
        count = layer.count_params() if isinstance(layer, keras.layers.Layer) else 0
        if not match and not count and cost == 0:
            continue
        name, block = match.groups() if match else (_OTHER, None)
        part = parts.setdefault(
            name, {"stage": name, "blocks": 0, "parameters": 0, "multiply_adds": 0}
        )
        part["output_shape"] = list(layer.output.shape[1:])
        part["blocks"] = max(part["blocks"], int(block or 0))
        part["parameters"] += count
        part["multiply_adds"] = _sum((part["multiply_adds"], cost))
    return sorted(parts.values(), key=lambda part: bool(part["stage"] == _OTHER))


def summary(model: keras.Model, width: int = 120) -> str:
    """Return Keras' summary, with lines of at most ``width`` characters."""
    lines: list[str] = []
    with _columns(width):
        model.summary(line_length=width, print_fn=lines.append)
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def _multiply_adds(operation: Any) -> int | None:
    """Return the multiply-adds of a layer or operation; None if they are unknown."""
    own = getattr(operation, "multiply_adds", None)
    if own is not None:
        return int(own)
    # The number of calls of a layer; its output is that of one call.
    if len(operation._inbound_nodes) != 1:
        return None
    if isinstance(operation, keras.Model):
        return multiply_adds(operation)
    for kind, kernels in _KERNELS:
        if isinstance(operation, kind):
            return _at_every_position(operation, kernels)
    known = type(operation).__module__.startswith("keras.")
    has_kernel = any(len(weight.shape) > 1 for weight in getattr(operation, "weights", ()))
    return 0 if known and not has_kernel and type(operation).__name__ not in _UNKNOWN else None


def _at_every_position(layer: keras.layers.Layer, kernels: Iterable[str]) -> int | None:
    """Return the size of kernels times the pixels or positions of a layer's output."""
    positions = layer.output.shape[1:-1]
    if getattr(layer, "data_format", None) == "channels_first" or None in positions:
        return None
    return sum(math.prod(getattr(layer, kernel).shape) for kernel in kernels) * math.prod(positions)


def _sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum; None if a count is None."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)


def _count(weights: list[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    """Set the width of the terminal for the summary."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
