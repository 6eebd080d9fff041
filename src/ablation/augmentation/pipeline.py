"""A pipeline ready to run: its draws, and its steps as one function of a batch."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ablation.augmentation.draws import epoch_draws
from ablation.augmentation.steps import STEPS, Mixed, Step, Tensor
from ablation.errors import InputError, nearest
from ablation.study import pipelines


class Augmentation:
    """The steps of a pipeline, applied to batches.

    Every random decision is a function of the draws that come in beside the batch; nothing here
    has a state. A step that works per image does the same to an example wherever it stands in
    its batch; a mixing step depends on which examples share the batch, and in which order.

    Args:
        steps: canonical steps, as from :func:`ablation.study.pipelines.parse_pipeline`.

    Attributes:
        steps: the same, copied.
        columns: draws an example needs, 0 for no randomness.

    Raises:
        InputError: a step is unknown.
    """

    def __init__(self, steps: Iterable[Mapping[str, Any]]) -> None:
        self.steps = [dict(step) for step in steps]
        self._parts: list[tuple[Step, slice, dict[str, Any]]] = []
        self.columns = 0
        for step in self.steps:
            name = step["step"]
            if name not in STEPS:
                raise InputError(f"unknown step '{name}'{nearest(name, STEPS)}")
            part = STEPS[name]
            parameters = {key: value for key, value in step.items() if key != "step"}
            self._parts.append((part, slice(self.columns, self.columns + part.columns), parameters))
            self.columns += part.columns

    def __repr__(self) -> str:
        """Return the pipeline as a study writes it."""
        return f"Augmentation({pipelines.format_pipeline(self.steps)})"

    def draws(self, seed: int, epoch: int, examples: int) -> npt.NDArray[np.float32]:
        """Return one epoch's draws, as the steps expect them.

        Args:
            seed: the run's seed, 0 to 2**64 - 1.
            epoch: from 0.
            examples: how many examples the data set has; row i belongs to example i.

        Returns:
            float32 ``[examples, columns]`` in 0..1: :func:`epoch_draws`, with those columns that
            mean a λ turned into their Beta distribution.

        Raises:
            ValueError: an argument is negative or too large.
        """
        table = epoch_draws(seed, epoch, examples, self.columns)
        for part, columns, parameters in self._parts:
            if part.prepare is not None:
                table[:, columns] = part.prepare(table[:, columns], **parameters)
        return table

    def __call__(self, images: Tensor, targets: Tensor, draws: Tensor) -> Mixed:
        """Apply the steps in order; usable in ``tf.data`` maps and inside ``tf.function``.

        Args:
            images: float32 ``[batch, height, width, channels]``, 0..1.
            targets: float32 ``[batch, classes]``, one-hot rows.
            draws: float32 ``[batch, columns]``, the rows of :meth:`draws` that belong to the
                images.

        Returns:
            Images and targets of the shapes given, statically too. Without ``clip`` colour steps
            may leave 0..1; mixing steps make targets soft, rows still sum to one.

        Raises:
            InputError: a step makes no sense on images of this size or number of channels.
            ValueError: ranks, types or the number of columns are wrong.
        """
        images, targets, draws = (tf.convert_to_tensor(each) for each in (images, targets, draws))
        self._check(images, targets, draws)
        image_shape, target_shape = images.shape, targets.shape
        for part, columns, parameters in self._parts:
            images, targets = part.apply(images, targets, draws[:, columns], **parameters)
        return tf.ensure_shape(images, image_shape), tf.ensure_shape(targets, target_shape)

    def _check(self, images: Tensor, targets: Tensor, draws: Tensor) -> None:
        """Refuse what can be told from types and static shapes."""
        for name, tensor, rank in (("images", images, 4), ("targets", targets, 2)):
            # Labels of rank 1 would broadcast to batch by batch without a word.
            if tensor.dtype != tf.float32 or tensor.shape.rank != rank:
                raise ValueError(
                    f"{name} have to be float32 of rank {rank}, not {tensor.dtype.name} of shape "
                    f"{tensor.shape}"
                )
        if draws.dtype != tf.float32 or draws.shape.rank != 2 or draws.shape[1] != self.columns:
            raise ValueError(
                f"draws have to be float32 [batch, {self.columns}], not {draws.dtype.name} of "
                f"shape {draws.shape}"
            )
        _, height, width, channels = images.shape
        if channels is not None:
            pipelines.check_channels(self.steps, channels)
        if height is not None and width is not None:
            pipelines.check_size(self.steps, height, width)
