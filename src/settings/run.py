"""The whole configuration of a run: one dataclass per section, with the limits of every value."""

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from ..utils.errors import UserError
from ..utils.limits import LARGEST_SEED, Interval
from .data import DataConfig, HardwareConfig
from .distillation import DistillationConfig
from .model import ModelConfig
from .optimization import OptimizationSettings


@dataclass
class NanGuardConfig:
    """Settings of the NaN guard: when training stops, and what a bad loss does to BatchNorm's statistics.

    Attributes:
        max_consecutive: the number of skipped batches or steps in a row that ends the training.
        bn_recovery: `reset` sets the running statistics to mean 0 and variance 1, `restore` to what they were.
    """

    max_consecutive: Annotated[int, Interval(ge=1, le=1_000_000)] = 20
    bn_recovery: Literal["reset", "restore"] = "reset"


@dataclass
class CheckpointConfig:
    """Settings for writing and keeping checkpoints besides those at the end of every epoch.

    Attributes:
        every_minutes: the interval between checkpoints within an epoch; 0 saves only at its end.
        keep: the number of newest epochs whose checkpoints are kept.
    """

    every_minutes: Annotated[float, Interval(ge=0.0, le=1_000_000.0)] = 10.0
    keep: Annotated[int, Interval(ge=0, le=1_000_000)] = 0


@dataclass
class EarlyStoppingConfig:
    """Settings of early stopping: the number of epochs without improvement after which training ends; 0 disables it."""

    patience: Annotated[int, Interval(ge=0, le=1_000_000)] = 0


@dataclass(frozen=True)
class EndOfRun:
    """When a run ends. It has no state, so that a resumed run ends where it would have ended.

    Attributes:
        epochs: the planned epochs.
        patience: the number of epochs without improvement after which it ends before; 0 for never.
        test_every: the number of epochs between tests; early stopping decides in tested epochs only.
    """

    epochs: int
    patience: int
    test_every: int

    def is_after(self, epoch: int, best_epoch: int | None) -> bool:
        """Tell whether the run ends with a finished epoch.

        Args:
            epoch: the last finished epoch, counted from 0; -1 before the first.
            best_epoch: the epoch with the best result so far; None if no epoch has had one.
        """
        return epoch + 1 >= self.epochs or self.is_early_after(epoch, best_epoch)

    def is_early_after(self, epoch: int, best_epoch: int | None) -> bool:
        """Tell whether early stopping ends the run with a finished epoch; see `is_after`."""
        is_tested = (epoch + 1) % self.test_every == 0
        return best_epoch is not None and is_tested and 0 < self.patience <= epoch - best_epoch


@dataclass
class EmaConfig:
    """Settings of averaged weights, which are tested and saved beside the trained ones. By default there are none.

    Attributes:
        decay: the weight of the previous average in a step, of an exponential moving average; 0 disables it.
        last_epochs: the number of epochs at the end of the run whose final weights are averaged instead; 0 disables it.
    """

    decay: Annotated[float, Interval(ge=0.0, le=0.999999)] = 0.0
    last_epochs: Annotated[int, Interval(ge=0, le=1_000_000)] = 0

    def __post_init__(self) -> None:
        if self.decay > 0 and self.last_epochs > 0:
            raise UserError(
                f"ema.decay: {self.decay:g} and ema.last_epochs: {self.last_epochs} are two averages of the weights. "
                "Set one of them to 0."
            )

    def first_averaged(self, epochs: int) -> int:
        """Return the first epoch, counted from 0, whose end is in the average of a run of so many epochs."""
        return max(0, epochs - self.last_epochs)

    def warning(self, epochs: int) -> str:
        """Return a warning of an average over all of so many epochs; empty if it is one of the last of them."""
        if not 1 < epochs <= self.last_epochs:
            return ""
        return (
            f"ema.last_epochs: {self.last_epochs} averages the weights of all {epochs} epochs, those of the warm-up "
            "too. A smaller number averages the last ones."
        )


@dataclass
class DistributedConfig:
    """Settings for training with several processes.

    Attributes:
        sync_batchnorm: normalise over the whole batch instead of each process's part of it; needs GPUs.
        timeout_minutes: how long a process waits for the others before it gives up.
    """

    sync_batchnorm: bool = False
    timeout_minutes: Annotated[float, Interval(gt=0.0, le=100_000.0)] = 10.0


@dataclass
class RunConfig:
    """All settings of a run. `configs/training/default.yaml` documents every training key."""

    task: str = "classification"
    task_settings: dict[str, Any] = field(default_factory=dict)
    optimizer: str = "sgd"
    optimizer_settings: dict[str, Any] = field(default_factory=dict)
    momentum: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Interval(ge=0.0, le=1e6)] = 0.0004

    learning_rate: Annotated[float, Interval(gt=0.0, le=1e6)] = 0.01
    warmup_learning_rate: Annotated[float, Interval(gt=0.0, le=1e6)] = 0.001
    min_learning_rate: Annotated[float, Interval(ge=0.0, le=1e6)] = 1e-5
    warmup_epochs: Annotated[int, Interval(ge=0, le=1_000_000)] = 10

    epochs: Annotated[int, Interval(ge=1, le=1_000_000)] = 70
    batch_size: Annotated[int, Interval(ge=1, le=1_000_000)] = 16
    reference_batch_size: Annotated[int, Interval(ge=0, le=1_000_000)] = 0
    input_frames: Annotated[int, Interval(ge=4, le=4096)] = 64
    label_smoothing: Annotated[float, Interval(ge=0.0, le=0.99)] = 0.1
    grad_clip: Annotated[float, Interval(ge=0.0, le=1e12)] = 1.0
    gradient_accumulation_steps: Annotated[int, Interval(ge=1, le=1_000_000)] = 1
    repeats_per_epoch: Annotated[int, Interval(ge=1, le=10_000)] = 1
    label_fraction: Annotated[float, Interval(gt=0.0, le=1.0)] = 1.0
    class_sampling: Literal["natural", "square_root", "balanced"] = "natural"
    class_weights: Literal["none", "balanced", "effective"] = "none"
    amp: bool = False
    compile: bool = False
    seed: Annotated[int, Interval(ge=0, le=LARGEST_SEED)] = 0
    init_from: str = ""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    nan_guard: NanGuardConfig = field(default_factory=NanGuardConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    max_hours: Annotated[float, Interval(ge=0.0, le=1_000_000.0)] = 0.0
    distillation: DistillationConfig = field(default_factory=DistillationConfig)

    validation: Literal["test", "split"] = "test"
    validation_fraction: Annotated[float, Interval(gt=0.0, le=0.5)] = 0.1
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    test_every: Annotated[int, Interval(ge=1, le=1_000_000)] = 1
    tensorboard: bool = True

    environment: str = "local"
    data_root: str = "./data"
    output_root: str = "./runs"
    input_roots: list[str] = field(default_factory=list)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)

    @property
    def title(self) -> str:
        """Return the model with its streams and switches, and the data set."""
        return f"{self.model.title} on {self.data.name}"

    @property
    def optimization(self) -> OptimizationSettings:
        """Return the settings of optimizer, learning rates and batches."""
        return OptimizationSettings(**{item.name: getattr(self, item.name) for item in fields(OptimizationSettings)})

    @property
    def fixed_augmentations(self) -> int:
        """Return the number of fixed augmentations per clip in the whole run; 0 for a fresh one every time."""
        return self.distillation.fixed_augmentations if self.distillation.teachers else 0

    @property
    def used_label_smoothing(self) -> float:
        """Return the label smoothing of the cross-entropy: that of distillation, if there is one and it is in use."""
        how = self.distillation
        own = how.label_smoothing if how.learns_from_others else None
        return self.label_smoothing if own is None else own

    @property
    def end(self) -> EndOfRun:
        """Return when the run ends."""
        return EndOfRun(self.epochs, self.early_stopping.patience, self.test_every)

    @property
    def trains_unlabelled(self) -> bool:
        """Tell whether clips without a label are also used for training."""
        return bool(self.distillation.teachers) and self.distillation.unlabelled
