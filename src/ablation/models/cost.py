"""What a network costs: its summary, shapes, parameters and multiply-adds."""

import contextlib
import io
import math
import os
import re
from collections.abc import Iterator
from typing import Any

import keras

from ablation.models.build import build

_STAGE = re.compile(r"(stem|stage\d+|head)(?:_block(\d+))?")


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


def multiply_adds(model: keras.Model) -> int:
    """Count the multiply-adds of convolutions and dense layers for one image.

    Each kernel weight counts once for each output pixel; biases, batch norm, pooling and additions
    count nothing, as in the FLOPs of He et al. 2015 (arXiv:1512.03385), Table 1.
    """
    return sum(map(_multiply_adds, model.layers))


def stages(model: keras.Model) -> list[dict[str, Any]]:
    """Describe a network of `ablation.models.build` part by part, in order.

    Returns:
        A dict each for the stem, every stage and the head: ``stage``, ``output_shape`` (height,
        width, channels; classes for the head), ``blocks`` (0 for stem and head), ``parameters``
        (moving statistics included) and ``multiply_adds``.
    """
    parts: dict[str, dict[str, Any]] = {}
    for layer in model.layers:
        match = _STAGE.match(layer.name)
        if not match:
            continue
        name, block = match.groups()
        part = parts.setdefault(
            name, {"stage": name, "blocks": 0, "parameters": 0, "multiply_adds": 0}
        )
        part["output_shape"] = list(layer.output.shape[1:])
        part["blocks"] = max(part["blocks"], int(block or 0))
        part["parameters"] += layer.count_params()
        part["multiply_adds"] += _multiply_adds(layer)
    return list(parts.values())


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
        forward), ``stages`` (see `stages`) and ``summary`` (see `summary`).

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
        "stages": stages(model),
        "summary": summary(model),
    }


def _multiply_adds(layer: keras.layers.Layer) -> int:
    if isinstance(layer, keras.layers.Conv2D):
        height, width = layer.output.shape[1:3]
        return math.prod(layer.kernel.shape) * height * width
    if isinstance(layer, keras.layers.Dense):
        return math.prod(layer.kernel.shape)
    return 0


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
