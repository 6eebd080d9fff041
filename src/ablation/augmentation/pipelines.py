"""What a resolved pipeline does to images and labels, and which images it can take."""

from collections.abc import Iterable, Sequence

from ablation.augmentation.registry import Size, StepCall
from ablation.errors import InputError

NONE = "none"


def format_pipeline(steps: Iterable[StepCall]) -> str:
    """Return the shortest text that parses to the same steps; ``none`` for no steps."""
    return " | ".join(map(str, steps)) or NONE


def mixes_labels(steps: Iterable[StepCall]) -> bool:
    """Return whether a step mixes the labels of several images, so that targets are soft."""
    return any(step.definition.mixes_labels for step in steps)


def needs_colour(steps: Iterable[StepCall]) -> list[str]:
    """Return the names of the steps that need colour images, in order, each once."""
    return list(dict.fromkeys(step.step for step in steps if step.definition.needs_colour))


def crops(steps: Iterable[StepCall]) -> bool:
    """Return whether a step cuts what the network sees out of the stored images.

    Other pipelines are given the centre of the stored images.
    """
    return any(step.definition.crops for step in steps)


def check_channels(steps: Iterable[StepCall], channels: int) -> None:
    """Refuse steps that are not defined on images with this number of channels.

    Raises:
        InputError: a step that needs colour meets images without three channels.
    """
    names = needs_colour(steps)
    if names and channels != 3:
        listed = " and ".join(f"'{name}'" for name in names)
        here = "are grey" if channels == 1 else f"have {channels} channels"
        raise InputError(f"{listed} can be applied to RGB images only; these {here}; leave it out")


def check_size(
    steps: Sequence[StepCall], size: Sequence[int] | None, stored: Sequence[int] | None = None
) -> None:
    """Refuse steps that make no sense on images of this size.

    Args:
        steps: a resolved pipeline.
        size: height and width that the network sees, in pixels; None where they are not known.
        stored: height and width of the stored images; None where they are the network's.

    Raises:
        InputError: a step cannot be applied; the message says why.
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
