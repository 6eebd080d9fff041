"""What a network costs: its summary, shapes, parameters and multiply-adds."""

import contextlib
import io
import math
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from ablation.models.build import build

_STAGE = re.compile(r"(stem|stage\d+|head)(?:_block(\d+))?")
_OTHER = "other"
_KERNELS = (
    (keras.layers.Conv2D, ("kernel",)),
    (keras.layers.DepthwiseConv2D, ("kernel",)),
    (keras.layers.SeparableConv2D, ("depthwise_kernel", "pointwise_kernel")),
    (keras.layers.Dense, ("kernel",)),
)
# Of Keras' layers and operations without kernels, those that multiply features all the same, or
# may do anything.
_UNKNOWN = frozenset({
    "AdditiveAttention", "Attention", "Conv", "ConvTranspose", "DepthwiseConv", "Dot",
    "DotProductAttention", "Einsum", "Inner", "Lambda", "Matmul", "Outer", "SeparableConv",
    "Tensordot", "Vdot",
})  # fmt: skip


def summary(model: keras.Model, width: int = 120) -> str:
    """Return Keras' summary as text whose lines are ``width`` characters wide at most.

    The text depends on the model alone, not on a terminal.
    """
    lines: list[str] = []
    with _columns(width):
        model.summary(line_length=width, print_fn=lines.append)
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def parameters(model: keras.Model) -> dict[str, int]:
    """Count parameters: ``total``, ``trainable`` and those of projection ``shortcuts``.

    The total counts batch norm's moving statistics, which are not trained. The shortcuts' share
    is of the trainable ones; it is what a plain twin lacks.
    """
    return {
        "total": model.count_params(),
        "trainable": _count(model.trainable_weights),
        "shortcuts": sum(
            _count(layer.trainable_weights) for layer in model.layers if "_shortcut" in layer.name
        ),
    }


def multiply_adds(model: keras.Model) -> int | None:
    """Count the multiply-adds of convolutions and dense layers for one image.

    Each kernel weight counts once for each output pixel or position; biases, norms, pooling and
    additions count nothing, as in the FLOPs of He et al. 2015 (arXiv:1512.03385), Table 1.
    Counted are ``Conv2D``, ``DepthwiseConv2D``, ``SeparableConv2D`` and ``Dense``. A layer of
    one's own tells its count in the attribute ``multiply_adds``.

    Returns:
        The count; None where `uncounted` names a layer, as the sum would be too small.
    """
    return _sum(map(_multiply_adds, model.operations))


def uncounted(model: keras.Model) -> list[str]:
    """Return the kinds of layers whose multiply-adds cannot be told, each once, in order."""
    return list(
        dict.fromkeys(type(x).__name__ for x in model.operations if _multiply_adds(x) is None)
    )


def stages(model: keras.Model) -> list[dict[str, Any]]:
    """Describe a network part by part, in order, by the names of its layers.

    Returns:
        A dict each for the stem, every stage and the head: ``stage``, ``output_shape`` (height,
        width, channels; classes for the head), ``blocks`` (0 for stem and head), ``parameters``
        (moving statistics included) and ``multiply_adds`` (None where they cannot be told).
        Whatever else has parameters or multiply-adds comes last, as ``other``.
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


def describe(
    architecture: dict[str, Any], input_shape: tuple[int, int, int], classes: int
) -> dict[str, Any]:
    """Build a network and return what it costs, fit for JSON.

    Args:
        architecture: the settings, as `ablation.study.architectures.resolve_architecture` returns
            them.
        input_shape: height, width and channels of an image.
        classes: number of classes.

    Returns:
        ``name``, ``input_shape``, ``classes``, ``parameters`` (all), ``trainable_parameters``,
        ``shortcut_parameters`` (trainable ones of projections), ``multiply_adds`` (one image
        forward; see `multiply_adds`), ``uncounted`` (see `uncounted`), ``stages`` (see `stages`)
        and ``summary`` (see `summary`).

    Raises:
        InputError: as `ablation.models.build.build` does.
    """
    model = build(architecture, input_shape, classes, seed=0)
    count = parameters(model)
    return {
        "name": model.name,
        "input_shape": list(input_shape),
        "classes": classes,
        "parameters": count["total"],
        "trainable_parameters": count["trainable"],
        "shortcut_parameters": count["shortcuts"],
        "multiply_adds": multiply_adds(model),
        "uncounted": uncounted(model),
        "stages": stages(model),
        "summary": summary(model),
    }


def _multiply_adds(operation: Any) -> int | None:
    """Return the multiply-adds of a layer or operation; None if they cannot be told."""
    told = getattr(operation, "multiply_adds", None)
    if told is not None:
        return int(told)
    # Keras tells only here how often a network calls a layer; its output is that of one call.
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
    """Return the size of kernels times the pixels or positions that a layer puts out."""
    positions = layer.output.shape[1:-1]
    if getattr(layer, "data_format", None) == "channels_first" or None in positions:
        return None
    return sum(math.prod(getattr(layer, kernel).shape) for kernel in kernels) * math.prod(positions)


def _sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum; None if one is."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _count(weights: list[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    """Let the table library see a screen of this width and with Unicode, whatever there is."""
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
