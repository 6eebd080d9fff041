"""What decides the result of a run: the settings of its training, its data and its network."""

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ablation.augmentation.registry import StepCall
from ablation.data.settings import DataSettings
from ablation.identity import canonical_json, identity
from ablation.models.families import Network


class EarlyStopping(Strict):
    """Stop when a validation measure no longer improves."""

    monitor: Literal["val_loss", "val_accuracy"] = Field(
        default="val_loss", description="The measure that is watched."
    )
    patience: Annotated[int, Field(ge=1)] = Field(
        default=5, description="Epochs without improvement before training stops."
    )
    min_delta: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Smaller improvements do not count."
    )
    restore_best: bool = Field(
        default=False,
        description="Take the weights of the best epoch in the end, stopped early or not.",
    )


class Training(Strict):
    """How a network is trained: stochastic gradient descent and its schedule."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="Passes over the training images (whole batches)."
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = Field(
        default=128, description="Images a step."
    )
    shuffle: Literal["examples", "batches"] = Field(
        default="examples",
        description="`examples` are put in a new order every epoch; `batches` keeps the same "
        "examples together in every epoch and puts only the batches in a new order, as the second "
        "and third notebook did.",
    )
    learning_rate: Annotated[float, Field(gt=0, le=100)] = Field(
        default=0.1, description="The highest learning rate of the schedule."
    )
    schedule: Literal["constant", "step", "cosine"] = Field(
        default="constant",
        description="`step` multiplies by `step_factor` at each of `step_at`; `cosine` falls to "
        "0 at the end (Loshchilov & Hutter 2017, without restarts). Set anew every step.",
    )
    step_at: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[0.5, 0.75],
        description="Where `step` falls, as shares of the training, rising.",
    )
    step_factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="What `step` multiplies by."
    )
    warmup_epochs: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Epochs over which the learning rate first rises linearly from 0."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="Of SGD.")
    nesterov: bool = Field(default=False, description="Nesterov's form of momentum.")
    weight_decay: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="Coefficient of the weight in its own decay; 1e-4 is the residual-network "
        "paper's.",
    )
    weight_decay_kind: Literal["coupled", "decoupled"] = Field(
        default="coupled",
        description="`coupled` adds `weight_decay · w` to the gradient after clipping, as the "
        "papers do; `decoupled` subtracts `learning_rate · weight_decay · w` from the weight.",
    )
    weight_decay_on: Literal["kernels", "all"] = Field(
        default="kernels",
        description="`kernels` leaves out biases and batch norm's scale and offset.",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Gradients longer than this are shortened to it."
    )
    clip_scope: Literal["tensor", "global"] = Field(
        default="tensor",
        description="`tensor` measures each weight's gradient alone (Keras' clipnorm), `global` "
        "all of them together.",
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="Off unless given; `{}` takes its defaults."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="`bfloat16` computes in mixed precision; weights stay float32.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.step_at != sorted(set(self.step_at)) or not self.step_at:
            raise PydanticCustomError("order", "step_at must be rising, for example [0.5, 0.75]")
        if self.warmup_epochs >= self.epochs:
            raise PydanticCustomError("order", "warmup_epochs must be less than epochs")
        if self.nesterov and not self.momentum:
            raise PydanticCustomError("order", "nesterov needs a momentum above 0")
        return self


class RunSettings(BaseModel):
    """Everything that decides the result of a run, resolved: equal settings mean equal runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: DataSettings
    model: Network
    augmentation: tuple[StepCall, ...]
    training: Training
    validation: Literal["held-out", "test"]
    seed: int
    threads: int

    @cached_property
    def json_text(self) -> str:
        """The settings in the form that is hashed."""
        return canonical_json(self)

    @cached_property
    def id(self) -> str:
        """First eight hex digits of the hash of the settings."""
        return identity(self)[:8]
