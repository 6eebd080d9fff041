"""The settings of a run: data, network, augmentation, training."""

from functools import cached_property
from hashlib import sha256
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ablation.augmentation.registry import StepCall
from ablation.data.settings import DataSettings
from ablation.identity import canonical_json
from ablation.models.families import Network
from ablation.strict import Strict, refusal


class EarlyStopping(Strict):
    """Stop training when a validation metric no longer improves."""

    monitor: Literal["val_loss", "val_accuracy"] = Field(
        default="val_loss", description="The metric that is monitored."
    )
    patience: Annotated[int, Field(ge=1)] = Field(
        default=5, description="Number of epochs without improvement after which training stops."
    )
    min_delta: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Smallest change that counts as an improvement."
    )
    restore_best: bool = Field(
        default=False,
        description="Whether to restore the weights of the best epoch at the end of training, "
        "stopped early or not.",
    )


class Training(Strict):
    """Training settings: stochastic gradient descent with a learning rate schedule."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="Number of epochs. Each uses whole batches only."
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = Field(
        default=128, description="Number of images per batch."
    )
    shuffle: Literal["examples", "batches"] = Field(
        default="examples",
        description="`examples` shuffles the examples every epoch; `batches` shuffles only the "
        "order of fixed batches, as in the second and third notebook.",
    )
    learning_rate: Annotated[float, Field(gt=0, le=100)] = Field(
        default=0.1, description="Maximum learning rate of the schedule."
    )
    schedule: Literal["constant", "step", "cosine"] = Field(
        default="constant",
        description="Learning rate schedule, updated every step: `step` multiplies the rate by "
        "`step_factor` at each point of `step_at`, `cosine` decays it to 0 (Loshchilov & Hutter "
        "2017, without restarts).",
    )
    step_at: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[0.5, 0.75],
        description="Points at which the schedule `step` lowers the learning rate, as increasing "
        "fractions of the training.",
    )
    step_factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="Factor of the schedule `step`."
    )
    warmup_epochs: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Number of epochs of linear warm-up from 0."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9, description="Momentum of stochastic gradient descent."
    )
    nesterov: bool = Field(default=False, description="Whether to use Nesterov momentum.")
    weight_decay: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="Weight decay coefficient. He et al. (2015) use 1e-4.",
    )
    weight_decay_kind: Literal["coupled", "decoupled"] = Field(
        default="coupled",
        description="`coupled` adds `weight_decay · w` to the gradient after clipping; "
        "`decoupled` subtracts `learning_rate · weight_decay · w` from the weight.",
    )
    weight_decay_on: Literal["kernels", "all"] = Field(
        default="kernels",
        description="Weights that decay: `kernels` excludes biases and the scale and offset of "
        "batch normalisation.",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Maximum norm of the gradients. Default: no clipping."
    )
    clip_scope: Literal["tensor", "global"] = Field(
        default="tensor",
        description="`tensor` clips the gradient of each weight separately (Keras' `clipnorm`), "
        "`global` all gradients by their global norm.",
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="Early stopping. `{}` uses its default settings. Default: off."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="`bfloat16` trains in mixed precision with float32 weights.",
    )
    intra_op_threads: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description="Number of CPU threads that compute one operation; other threads of the run "
        "compute other operations. 1 is faster for small networks on small images. Default: all "
        "threads of the run.",
    )

    @property
    def evaluation_batch(self) -> int:
        """Number of images per batch of evaluation, which needs less memory than training."""
        return min(256, 4 * self.batch_size)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.step_at != sorted(set(self.step_at)) or not self.step_at:
            raise refusal("step_at must be increasing, for example [0.5, 0.75]")
        if self.warmup_epochs >= self.epochs:
            raise refusal("warmup_epochs must be less than epochs")
        if self.nesterov and not self.momentum:
            raise refusal("nesterov needs a momentum above 0")
        return self


class RunSettings(BaseModel):
    """All settings that decide the result of a run, resolved."""

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
        return sha256(self.json_text.encode()).hexdigest()[:8]
