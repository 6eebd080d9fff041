"""Properties of resolved pipelines, and checks of the images that they accept."""

from collections.abc import Iterable, Sequence

from ablation.augmentation.registry import Size, StepCall
from ablation.errors import InputError

NONE = "none"


def format_pipeline(steps: Iterable[StepCall]) -> str:
    """Return the shortest text of a pipeline; ``none`` for no steps."""
    return " | ".join(map(str, steps)) or NONE


def mixes_labels(steps: Iterable[StepCall]) -> bool:
    """Return whether a step mixes the labels of several images."""
    return any(step.definition.mixes_labels for step in steps)


def needs_colour(steps: Iterable[StepCall]) -> list[str]:
    """Return the names of the steps that need colour images, each once."""
    return list(dict.fromkeys(step.step for step in steps if step.definition.needs_colour))


def crops(steps: Iterable[StepCall]) -> bool:
    """Return whether a step crops stored images to the input size of the network.

    Other pipelines get the centre of the stored images.
    """
    return any(step.definition.crops for step in steps)


def check_channels(steps: Iterable[StepCall], channels: int) -> None:
    """Check that all steps accept images with this number of channels.

    Raises:
        InputError: a step needs colour and the images do not have three channels.
    """
    names = needs_colour(steps)
    if names and channels != 3:
        listed = " and ".join(f"'{name}'" for name in names)
        here = "are grey" if channels == 1 else f"have {channels} channels"
        raise InputError(f"{listed} can be applied to RGB images only; these {here}; leave it out")


def check_size(
    steps: Sequence[StepCall], size: Sequence[int] | None, stored: Sequence[int] | None = None
) -> None:
    """Check that all steps accept images of this size.

    Args:
        steps: a resolved pipeline.
        size: input size of the network, height and width in pixels; None if unknown.
        stored: size of the stored images; None if it is that of the network.

    Raises:
        InputError: a step cannot be applied; the message gives the reason.
    """
    seen = _size(size)
    here = _size(stored) or seen if crops(steps) else seen
    for step in steps:
        given, here = here, seen if step.definition.crops else here
        if step.definition.check_size is not None:
            try:
                step.definition.check_size(given, here, **step.parameters)
            except InputError as error:
                raise InputError(f"{step}: {error}") from None


def _size(size: Sequence[int] | None) -> Size | None:
    return None if size is None else (size[0], size[1])
