"""The trainer's training step, and a plain one, for the parts that measure either."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from last.data.loading.counter_rng import clip_keys
from last.data.loading.loader import Batch
from last.data.loading.pipeline import InputPipeline
from last.experiments.config import resolve
from last.models.registry import build_model
from last.runtime.distributed import ALONE
from last.settings.run import RunConfig
from last.training.classification import Classification
from last.training.epoch_metrics import EpochMetrics
from last.training.guard import BatchId
from last.training.optim import split_for_decay
from last.training.schedule import scaled
from last.training.step import LocalBatch, TrainingStep, seed_step
from last.training.train_state import TrainState

from .content import DATASET, moving_body
from .measure import Way


def benchmark_config(model: str, recipe: str = "", overrides: Sequence[str] = (), **flags: Any) -> RunConfig:
    """Return the configuration of a training on clips as those of NTU RGB+D 60; `flags` are values by key.

    Dots in a key are written as two underscores. Values that are None leave a key as it is.
    """
    values = {key.replace("__", "."): value for key, value in flags.items()}
    return resolve(model=model, dataset=DATASET, environment="local", recipe=recipe, overrides=overrides, flags=values)


def config_of(arguments: Namespace, **flags: Any) -> RunConfig:
    """Return the configuration of a training step from the options of `options.add_step`, with more `flags`."""
    return benchmark_config(
        arguments.model,
        batch_size=arguments.batch,
        input_frames=arguments.frames,
        seed=arguments.seed,
        **flags,
    )


def build_task(config: RunConfig, device: torch.device) -> Classification:
    """Return the task of a configuration with weights drawn from its seed."""
    torch.manual_seed(config.seed)
    model = build_model(config.model, len(config.data.classes), config.data.skeleton)
    return Classification(model, config.label_smoothing).to(device)


def moving_batch(config: RunConfig, device: torch.device, number: int = 0) -> Batch:
    """Return a batch of made-up clips of one body, which depend on `number`."""
    clips, frames = config.batch_size, config.input_frames
    random = np.random.default_rng((config.seed, number))
    actions = random.integers(1, len(config.data.classes) + 1, clips)
    bodies = np.stack([moving_body(int(action), frames, random) for action in actions])  # (N, T, V, C)
    indices = torch.arange(clips)
    return Batch(
        joints=torch.from_numpy(bodies).permute(0, 3, 1, 2).unsqueeze(-1).contiguous(),  # (N, C, T, V, M)
        frame_mask=torch.ones(clips, 1, frames, dtype=torch.bool),
        body_slots=indices,
        labels=torch.from_numpy(actions) - 1,
        indices=indices,
        rng_keys=clip_keys(config.seed, number, indices),
    ).to(device)


class Learner:
    """Train a task as the trainer does, without records, checkpoints and evaluation.

    Args:
        config: the run's configuration.
        task: the task to train, on `device`.
        device: where it computes.
    """

    def __init__(self, config: RunConfig, task: Classification, device: torch.device) -> None:
        self.config, self.device = config, device
        # Without a warm-up, so that a plain learner has the same rate.
        self.state = TrainState(replace(config, warmup_epochs=0), task.train(), device, ALONE)
        self.step = TrainingStep(self.state)
        self.metrics = self._new_metrics()

    def learn(self, streams: Mapping[str, Tensor], batch: Batch, note: BatchId) -> None:
        """Make one step on a batch; `note` is its identity on the host."""
        seed_step(self.config.seed, 0, 0, 0)
        clips = len(batch)
        self.step(streams, batch, LocalBatch(clips, clips), closes=True, metrics=self.metrics)
        self.step.note(note)
        self.state.guard.read()

    def last_loss(self) -> float:
        """Return the mean loss since the last call."""
        loss = self.metrics.read(ALONE).loss
        self.metrics = self._new_metrics()
        return loss

    def _new_metrics(self) -> EpochMetrics:
        return EpochMetrics(self.device, terms=len(self.state.task.terms))


def step_from_joints(learner: Learner, batch: Batch) -> Way:
    """Return the trainer's whole step on one batch, from augmentation to update."""
    pipeline, note = InputPipeline(learner.config.data), note_of(batch)
    return lambda: learner.learn(pipeline(batch, training=True), batch, note)


class PlainLearner:
    """Train a plain model in the plain way: no guard, torch's own SGD and clipping, the same settings.

    Args:
        config: the run's configuration.
        model: the model to train, on its device.
    """

    def __init__(self, config: RunConfig, model: nn.Module) -> None:
        self.config, self.model = config, model.train()
        decayed, free = split_for_decay(model)
        self.optimizer = torch.optim.SGD(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": free, "weight_decay": 0.0}],
            lr=scaled(config.learning_rate, config.optimization),
            momentum=config.momentum,
            nesterov=config.nesterov and config.momentum > 0,
        )

    def learn(self, streams: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Make one step on a batch, and return its loss."""
        self.optimizer.zero_grad()
        logits = self.model(streams, batch.bodies)
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self.config.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.grad_clip > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self.optimizer.step()
        return loss.detach()


def note_of(batch: Batch) -> BatchId:
    """Return the identity of a batch on the host, which waits for a batch on a GPU."""
    return BatchId(batch.indices.cpu(), batch.rng_keys.cpu())
