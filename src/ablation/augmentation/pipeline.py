"""A pipeline as a function of batches, and its draws."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ablation.augmentation.draws import epoch_draws
from ablation.augmentation.ops import quotient, to_chosen
from ablation.augmentation.pipelines import check_channels, check_size, crops, format_pipeline
from ablation.augmentation.registry import Augmented, Draws, Images, Step, StepCall, Targets
from ablation.lazy import tf

CHANCES = 2**32  # first column of the draws that decide whether a step is applied


def centre(stored: Sequence[int], size: Sequence[int]) -> tuple[slice, slice]:
    """Return the rows and columns of the centre of a stored image.

    Args:
        stored: height and width of the image.
        size: height and width of the centre, at most those of the image; if a difference is odd,
            the centre is half a pixel up or left.

    Raises:
        ValueError: the size is larger than the image.
    """
    if any(side > full for side, full in zip(size, stored, strict=True)):
        raise ValueError(f"images of {stored} have no centre of {size}")
    top, left = ((full - side) // 2 for side, full in zip(size, stored, strict=True))
    return slice(top, top + size[0]), slice(left, left + size[1])


class Part(NamedTuple):
    """A step at its position in a pipeline.

    Attributes:
        step: the step.
        size: output size of a step that crops; otherwise empty.
        parameters: arguments of its function.
        columns: the columns of its draws.
        chance: the column of the draw that decides whether the step is applied; None if it is
            always applied or its function decides.
        probability: the probability for ``chance``.
    """

    step: Step
    size: tuple[Any, ...]
    parameters: dict[str, Any]
    columns: slice
    chance: int | None
    probability: float

    def apply(self, images: Images, targets: Targets, draws: Draws) -> Augmented:
        """Apply the step to a batch, with the draws of the pipeline."""
        own = draws[:, self.columns]
        return self.step.function(images, targets, own, *self.size, **self.parameters)

    def images_after(self, images: Images, targets: Targets, draws: Draws) -> Images:
        """Return only the images of `apply`."""
        return self.apply(images, targets, draws)[0]


def scaled(images: Images) -> Images:
    """Return uint8 images as float32, 0..1; other images as they are."""
    return quotient(images, 255) if images.dtype == tf.uint8 else images


class Augmentation:
    """The steps of a pipeline, applied to batches.

    Every random decision is a function of the draws of the batch; there is no state. The result of
    a step that works per image does not depend on the position in the batch. That of a mixing step
    depends on the examples of the batch and their order.

    Args:
        steps: a resolved pipeline.
        size: input size of the network, height and width. A pipeline that crops requires it, takes
            images of the stored size and returns images of this size. Other pipelines take and
            return images of this size, or of any size if it is None.

    Attributes:
        steps: as above.
        size: as above.
        crops: whether the pipeline takes images of the stored size.

    Raises:
        ValueError: the pipeline crops, but no size is given.
    """

    def __init__(self, steps: Iterable[StepCall], size: Sequence[int] | None = None) -> None:
        self.steps = tuple(steps)
        self.crops = crops(self.steps)
        if self.crops and size is None:
            raise ValueError(f"{self!r} needs the size to cut out")
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self._parts: list[Part] = []
        self._numbers: list[int] = []  # of the columns, for epoch_draws
        drawn = 0
        for place, call in enumerate(self.steps):
            step, parameters = call.definition, dict(call.parameters)
            probability = parameters.pop("probability") if step.has_probability else 1
            columns = slice(self.columns, self.columns + step.draws)
            self._numbers += range(drawn, drawn + step.draws)
            drawn += step.draws
            chance = None
            if probability != 1:
                chance = self.columns
                self._numbers.append(CHANCES + place)
            cut = (self.size,) if step.crops else ()
            self._parts.append(Part(step, cut, parameters, columns, chance, probability))

    @property
    def columns(self) -> int:
        """Number of draws per example."""
        return len(self._numbers)

    def __repr__(self) -> str:
        """Return the pipeline as text."""
        return f"Augmentation({format_pipeline(self.steps)})"

    def draws(self, seed: int, epoch: int, examples: int) -> npt.NDArray[np.float32]:
        """Return the draws of one epoch.

        Args:
            seed: the run's seed, 0 to 2**64 - 1.
            epoch: from 0.
            examples: number of examples of the data set; row i belongs to example i.

        Returns:
            float32 ``[examples, columns]`` in 0..1: :func:`epoch_draws`, with the columns of a λ
            converted to a Beta distribution. Whether a step is applied is drawn from separate
            columns, so that the probability does not change the draws of other steps.

        Raises:
            ValueError: an argument is out of its range.
        """
        table = epoch_draws(seed, epoch, examples, self._numbers)
        for part in self._parts:
            if part.step.prepare is not None:
                own = table[:, part.columns]
                table[:, part.columns] = part.step.prepare(own, **part.parameters)
        return table

    def __call__(self, images: Images, targets: Targets, draws: Draws) -> Augmented:
        """Apply the steps in order; usable in ``tf.data`` maps and inside ``tf.function``.

        Args:
            images: ``[batch, height, width, channels]``, uint8 or, from 0 to 1, float32; of the
                stored size if the pipeline crops.
            targets: float32 ``[batch, classes]``, one-hot rows.
            draws: float32 ``[batch, columns]``, the rows of :meth:`draws` for these images.

        Returns:
            Images, float32, and targets of the same static shapes; if the pipeline crops, the
            images have the input size of the network. Without ``clip``, colour steps may leave
            0..1. Mixing steps and label smoothing make soft targets, whose rows sum to one.

        Raises:
            InputError: a step cannot be applied to images of this size or number of channels.
            ValueError: ranks, types or the number of columns are wrong.
        """
        images, targets, draws = (tf.convert_to_tensor(each) for each in (images, targets, draws))
        self._check(images, targets, draws)
        shapes = [images.shape.as_list(), targets.shape.as_list()]
        if self.crops:
            shapes[0][1:3] = self.size
        for part in self._parts:
            if not part.step.moves_pixels:
                images = scaled(images)
            if part.chance is None:
                images, targets = part.apply(images, targets, draws)
                continue
            chosen = draws[:, part.chance] < part.probability
            # Steps that loop over images fail without any.
            images = tf.cond(
                tf.reduce_any(chosen),
                partial(to_chosen, part.images_after, chosen, images, targets, draws),
                partial(tf.identity, images),
            )
        images = scaled(images)
        return tf.ensure_shape(images, shapes[0]), tf.ensure_shape(targets, shapes[1])

    def _check(self, images: Images, targets: Targets, draws: Draws) -> None:
        """Check types and static shapes."""
        for name, tensor, rank, types in (
            ("images", images, 4, (tf.uint8, tf.float32)),
            ("targets", targets, 2, (tf.float32,)),
        ):
            # Labels of rank 1 would be broadcast without an error.
            if tensor.dtype not in types or tensor.shape.rank != rank:
                raise ValueError(
                    f"{name} must be {' or '.join(each.name for each in types)} of rank {rank}, "
                    f"not {tensor.dtype.name} of shape {tensor.shape}"
                )
        if draws.dtype != tf.float32 or draws.shape.rank != 2 or draws.shape[1] != self.columns:
            raise ValueError(
                f"draws must be float32 [batch, {self.columns}], not {draws.dtype.name} of "
                f"shape {draws.shape}"
            )
        _, height, width, channels = images.shape
        if channels is not None:
            check_channels(self.steps, channels)
        if height is None or width is None:
            return
        if self.size not in (None, (height, width)) and not self.crops:
            raise ValueError(f"images must be {self.size}, not {(height, width)}")
        check_size(self.steps, self.size or (height, width), (height, width))
