"""The optimizer: stochastic gradient descent with schedule, weight decay and clipping."""

import math
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ablation.training.settings import Training


@keras.saving.register_keras_serializable("ablation")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate by step: linear warm-up, then constant, piecewise constant, or a cosine.

    Keras has no piecewise constant schedule with warm-up. The cosine is that of Loshchilov
    & Hutter (2017), Eq. 5, without restarts: ``peak/2 · (1 + cos(π · t))``, ``t`` from 0 after
    the warm-up to 1 at the end.
    """

    def __init__(
        self,
        kind: str,
        peak: float,
        steps: int,
        warmup_steps: int = 0,
        step_at: tuple[float, ...] = (),
        step_factor: float = 1.0,
    ) -> None:
        """Set ``kind`` (constant, step, cosine), peak rate, and lengths in steps.

        ``step_at`` are shares of ``steps`` at which the rate is multiplied by ``step_factor``.
        """
        self.kind, self.peak, self.steps = kind, peak, steps
        self.warmup_steps, self.step_at, self.step_factor = warmup_steps, step_at, step_factor

    def at(self, step: int) -> float:
        """Return the learning rate of a step, from 0, in double precision."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        if self.kind == "cosine":
            done = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
            return self.peak / 2 * (1 + math.cos(math.pi * min(done, 1.0)))
        falls = sum(step >= round(share * self.steps) for share in self.step_at)
        return self.peak * (self.step_factor**falls if self.kind == "step" else 1.0)

    def __call__(self, step: Any) -> tf.Tensor:
        """Return the learning rate of a step given as a tensor, float32."""
        # A table, so that graph and Python agree exactly.
        return tf.gather(self._table, tf.minimum(tf.cast(step, tf.int32), self.steps - 1))

    @cached_property
    def _table(self) -> np.ndarray:
        return np.array([self.at(step) for step in range(self.steps)], np.float32)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "kind": self.kind,
            "peak": self.peak,
            "steps": self.steps,
            "warmup_steps": self.warmup_steps,
            "step_at": list(self.step_at),
            "step_factor": self.step_factor,
        }


@keras.saving.register_keras_serializable("ablation")
class CoupledSGD(keras.optimizers.SGD):
    """SGD whose weight decay is added to the gradient, as in He et al. (2015), Sec. 3.4.

    Keras' own ``weight_decay`` is decoupled from gradient and momentum (Loshchilov & Hutter
    2019); He et al. and others couple them. The decay is added after clipping.
    """

    def __init__(self, coupled_decay: float = 0.0, **options: Any) -> None:
        """Set the coefficient of ``w`` in the gradient, and the options of Keras' SGD."""
        super().__init__(**options)
        self.coupled_decay = coupled_decay

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Add the decay to the gradient of a decayed variable, then update it as SGD does."""
        if self.coupled_decay and self._use_weight_decay(variable):
            gradient = gradient + self.coupled_decay * keras.ops.cast(variable, gradient.dtype)
        if not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        # One operation, where Keras' has five: deep networks have a thousand less to trace and run.
        velocity = self.momentums[self._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=velocity.value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "coupled_decay": self.coupled_decay}


def make_schedule(training: Training, steps_per_epoch: int) -> Schedule:
    """Return the schedule of resolved training settings."""
    return Schedule(
        training.schedule,
        training.learning_rate,
        training.epochs * steps_per_epoch,
        round(training.warmup_epochs * steps_per_epoch),
        tuple(training.step_at),
        training.step_factor,
    )


def make_optimizer(
    training: Training, schedule: Schedule, model: keras.Model
) -> keras.optimizers.Optimizer:
    """Return the optimizer of resolved training settings for a model.

    Args:
        training: resolved settings.
        schedule: schedule of the learning rate.
        model: the network, whose weights decide which of them decay.
    """
    decay, coupled = training.weight_decay, training.weight_decay_kind == "coupled"
    clip = {"tensor": "clipnorm", "global": "global_clipnorm"}[training.clip_scope]
    optimizer = CoupledSGD(
        learning_rate=schedule,
        momentum=training.momentum,
        nesterov=training.nesterov,
        weight_decay=None if coupled or not decay else decay,
        coupled_decay=decay if coupled else 0.0,
        **{clip: training.clip_norm},
    )
    if training.weight_decay_on == "kernels":
        # Separable convolutions have a `depthwise_kernel` and a `pointwise_kernel`.
        kernels = {id(w) for w in model.trainable_variables if w.name.endswith("kernel")}
        optimizer.exclude_from_weight_decay(
            var_list=[w for w in model.trainable_variables if id(w) not in kernels]
        )
    return optimizer
