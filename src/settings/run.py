"""The whole configuration of a run: one dataclass a section, with the limits of every value."""

from dataclasses import dataclass, field

from ..utils.schema import LARGEST_SEED, setting
from .data import DataConfig, HardwareConfig
from .distillation import DistillationConfig
from .model import ModelConfig


@dataclass
class NanGuardConfig:
    """Say when training with non-finite numbers gives up, and what a bad loss does to BatchNorm's statistics.

    Attributes:
        max_consecutive: so many skipped batches or steps in a row end the training.
        bn_recovery: `reset` sets the running statistics to mean 0 and variance 1, `restore` to what they were.
    """

    max_consecutive: int = setting(20, minimum=1, maximum=1_000_000)
    bn_recovery: str = setting("reset", choices=("reset", "restore"))


@dataclass
class CheckpointConfig:
    """Say when checkpoints are written, beside those at the end of every epoch, and which are kept.

    Attributes:
        every_minutes: so often the state within an epoch is saved; 0 saves only at its end.
        keep: so many of the newest epochs keep a file of their own.
    """

    every_minutes: float = setting(10.0, minimum=0.0, maximum=1_000_000.0)
    keep: int = setting(0, minimum=0, maximum=1_000_000)


@dataclass
class EmaConfig:
    """Average the weights over time; 0 does not."""

    decay: float = setting(0.0, minimum=0.0, maximum=0.999999)


@dataclass
class DistributedConfig:
    """Say how several processes work together.

    Attributes:
        sync_batchnorm: normalise over the whole batch instead of each process's part of it; needs GPUs.
        timeout_minutes: so long a process waits for the others before it gives up.
    """

    sync_batchnorm: bool = False
    timeout_minutes: float = setting(10.0, above=0.0, maximum=100_000.0)


@dataclass
class RunConfig:
    """Everything a run depends on. `configs/training/default.yaml` explains the training keys one by one."""

    optimizer: str = setting("sgd", choices=("sgd",))
    momentum: float = setting(0.9, minimum=0.0, maximum=1.0)
    nesterov: bool = True
    weight_decay: float = setting(0.0004, minimum=0.0, maximum=1e6)

    learning_rate: float = setting(0.01, above=0.0, maximum=1e6)
    warmup_learning_rate: float = setting(0.001, above=0.0, maximum=1e6)
    min_learning_rate: float = setting(1e-5, minimum=0.0, maximum=1e6)
    warmup_epochs: int = setting(10, minimum=0, maximum=1_000_000)

    epochs: int = setting(70, minimum=1, maximum=1_000_000)
    batch_size: int = setting(16, minimum=1, maximum=1_000_000)
    reference_batch_size: int = setting(0, minimum=0, maximum=1_000_000)
    input_frames: int = setting(64, minimum=4, maximum=4096)
    label_smoothing: float = setting(0.1, minimum=0.0, maximum=0.99)
    grad_clip: float = setting(1.0, minimum=0.0, maximum=1e12)
    gradient_accumulation_steps: int = setting(1, minimum=1, maximum=1_000_000)
    repeat: int = setting(1, minimum=1, maximum=10_000)
    label_share: float = setting(1.0, above=0.0, maximum=1.0)
    amp: bool = False
    compile: bool = False
    seed: int = setting(0, minimum=0, maximum=LARGEST_SEED)
    init_from: str = ""
    device: str = setting("auto", choices=("auto", "cpu", "cuda", "mps"))
    nan_guard: NanGuardConfig = field(default_factory=NanGuardConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    max_hours: float = setting(0.0, minimum=0.0, maximum=1_000_000.0)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)

    validation: str = setting("test", choices=("test", "split"))
    validation_share: float = setting(0.1, above=0.0, maximum=0.5)
    test_every: int = setting(1, minimum=1, maximum=1_000_000)
    tensorboard: bool = True

    environment: str = "local"
    data_root: str = "./data"
    output_root: str = "./runs"
    input_roots: list[str] = field(default_factory=list)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
