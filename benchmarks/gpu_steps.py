"""Training steps with the switches of a GPU, for the checks that compare them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from last.data.loading.loader import Batch
from last.data.loading.pipeline import InputPipeline
from last.models.classifier import SkeletonClassifier
from last.models.gpu_kernels import trial_kernels
from last.models.multi_body import padded
from last.runtime.cuda_graphs import recorded_steps
from last.settings.run import RunConfig
from last.training.step import seed_step
from last.training.whole_step import WholeStep

from .gpu_plan import Setting
from .steps import Learner, benchmark_config, build_task, moving_batch, note_of

FORMATS = ("float32", "fp16", "bf16")


@dataclass(frozen=True)
class Switches:
    """How steps are made on a GPU.

    Attributes:
        recorded: whether the passes of a step are a CUDA graph.
        kernels: the kernels on trial that are used.
        padding: bodies by which a batch is padded.
        masked: whether they stay out of the statistics.
        whole: whether the whole step is one CUDA graph; its passes are then no graph of their own.
    """

    recorded: bool = True
    kernels: tuple[str, ...] = ()
    padding: int = 0
    masked: bool = True
    whole: bool = False


def step_config(setting: Setting, model: str, batch: int, number_format: str, *overrides: str) -> RunConfig:
    """Return the configuration of steps of `batch` clips, of few with --quick."""
    flags: dict[str, Any] = {}
    if number_format != "float32":
        flags = {"amp": True, "hardware__amp_dtype": number_format}
    frames = 8 if setting.is_quick else 64
    return benchmark_config(
        "nano_e" if setting.is_quick else model,
        overrides=overrides,
        batch_size=min(batch, 4) if setting.is_quick else batch,
        input_frames=frames,
        seed=setting.arguments.seed,
        device=setting.device.type,
        **flags,
    )


class Steps:
    """Training steps of a new model on batches that repeat.

    Args:
        config: the run's configuration.
        device: where they are made.
        switches: how.
        batches: the number of different batches.
        missing: whether the batches have missing joints.
    """

    def __init__(
        self,
        config: RunConfig,
        device: torch.device,
        switches: Switches = Switches(),
        *,
        batches: int = 1,
        missing: bool = False,
    ) -> None:
        self.device, self.switches = device, switches
        self.learner = Learner(config, build_task(config, device), device)
        self.pipeline = InputPipeline(config.data)
        made = [moving_batch(config, device, number) for number in range(batches)]
        made = [_with_gaps(batch) for batch in made] if missing else made
        self.batches = [_with_padding(batch, switches) for batch in made]
        self.notes = [note_of(batch) for batch in self.batches]
        self.whole = WholeStep(self.learner.step, self.pipeline, config.batch_size) if switches.whole else None
        self.seed, self.made = config.seed, 0

    def __call__(self) -> None:
        """Make one step."""
        number = self.made % len(self.batches)
        self.made += 1
        if self.whole is not None:
            seed_step(self.seed, 0, 0, 0)
            self.whole(self.batches[number], self.notes[number], self.learner.metrics)
            self.learner.state.guard.read()
            return
        batch = self.pipeline.prepared(self.batches[number], training=True)
        self.learner.learn(batch.streams, batch, self.notes[number])

    @contextmanager
    def running(self) -> Iterator["Steps"]:
        """Set the switches while the block runs."""
        model = self.learner.state.task.model
        with ExitStack() as stack:
            stack.enter_context(trial_kernels(self.switches.kernels))
            records = self.switches.recorded and not self.switches.whole
            if records and self.device.type == "cuda" and isinstance(model, SkeletonClassifier):
                stack.enter_context(recorded_steps(model))
            yield self

    def losses(self, steps: int) -> list[float]:
        """Make steps and return their losses."""
        found = []
        with self.running():
            for _ in range(steps):
                self()
                found.append(self.learner.last_loss())
        return found

    def weights(self) -> Tensor:
        """Return all weights and statistics as one vector."""
        state = self.learner.state.task.model.state_dict()
        return torch.cat([each.detach().double().flatten() for each in state.values()])


def _with_gaps(batch: Batch) -> Batch:
    """Return a batch in which a fifth of the joints is missing."""
    generator = torch.Generator().manual_seed(len(batch))
    clips, _, frames, joints, bodies = batch.joints.shape
    mask = (torch.rand(clips, bodies, frames, joints, generator=generator) > 0.2).to(batch.joints.device)
    measured = torch.where(mask.permute(0, 2, 3, 1)[:, None], batch.joints, 0.0)
    return replace(batch, joints=measured, joint_mask=mask, absent=torch.zeros_like(batch.frame_mask))


def _with_padding(batch: Batch, switches: Switches) -> Batch:
    if not switches.padding:
        return batch
    slots = padded(batch.body_slots, len(batch), len(batch) + switches.padding)  # of one body per clip
    return replace(batch, body_slots=slots, padded=switches.masked)


def largest_difference(found: Sequence[float], expected: Sequence[float]) -> float:
    """Return the largest relative difference of losses."""
    return max(abs(one - other) / max(abs(other), 1e-9) for one, other in zip(found, expected, strict=True))
