"""Differences between the losses of the fast path and the plain one, step by step from the same weights.

Ours is the trainer's step; the plain path is the plain model with torch's own SGD and clipping. All read
the same batches, without dropout. Training is chaotic: a rounding difference of any cause grows from step to step.
The row of the plain path in float64, which differs from the one in float32 by rounding alone, shows how much.
On CUDA float32 is float32 here: TF32 is off.
"""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from last.data.loading.loader import Batch
from last.data.loading.pipeline import InputPipeline
from last.models.plain import from_fused
from last.runtime.precision import choose_device
from last.settings.run import RunConfig
from last.tasks.task import TaskOutput
from last.training.classification import Classification
from last.utils.progress import Progress

from .report import Result, Table
from .steps import Learner, PlainLearner, build_task, config_of, moving_batch, note_of

_REFERENCE = "plain, float32"
Streams = Mapping[str, Tensor]


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Train every way from the same weights on the same batches, and compare the losses."""
    device = choose_device(arguments.device)
    config = config_of(
        arguments,
        model__dropout=0.0,
        model__block_dropout=0.0,
        hardware__amp_dtype="bf16",
    )
    with _products_in_full():
        losses = compare_losses(config, arguments.steps, device, progress)
    marks = sorted({1, min(10, arguments.steps), arguments.steps})
    rows: list[dict[str, Any]] = [
        {
            "way": way,
            "first_loss": found[0],
            "last_loss": found[-1],
            "differences": {f"step_{mark}": difference(found[:mark], losses[_REFERENCE][:mark]) for mark in marks},
        }
        for way, found in losses.items()
    ]
    columns = {"way": "{way}", "first loss": "{first_loss:.6f}", "last loss": "{last_loss:.6f}"}
    columns |= {f"steps 1 to {mark}": f"{{differences[step_{mark}]:.1e}}" for mark in marks}
    title = f"{arguments.model}, batch {arguments.batch}: largest relative difference of a loss from {_REFERENCE}"
    largest = {row["way"]: row["differences"][f"step_{marks[-1]}"] for row in rows}
    exact = difference(losses["ours, float64"], losses["plain, float64"])
    remarks = [
        f"In float64 the losses of the two paths differ by at most {exact:.1e} relative to each other.",
        "The difference between plain float64 and plain float32 is the effect of rounding alone.",
    ]
    summary = {"largest_relative_difference": largest, "between_the_paths_in_float64": exact}
    return Result([Table("rows", title, columns, rows)], summary, remarks)


def compare_losses(config: RunConfig, steps: int, device: torch.device, progress: Progress) -> dict[str, list[float]]:
    """Return the loss of every step, for each way."""
    task = build_task(config, device)
    plain = from_fused(task.model)
    half = deepcopy(config)
    half.amp = True
    ways: dict[str, Any] = {
        _REFERENCE: _PlainWay(config, plain, torch.float32),
        "plain, float64": _PlainWay(config, plain, torch.float64),
        "ours, float32": _OurWay(config, task, torch.float32, device),
        "ours, float64": _OurWay(config, task, torch.float64, device),
        "ours, bfloat16": _OurWay(half, task, torch.float32, device),
    }
    losses: dict[str, list[float]] = {way: [] for way in ways}
    pipeline = InputPipeline(config.data)
    with progress.task("training", steps * len(ways), "steps"):
        for step in range(steps):
            batch = moving_batch(config, device, step)
            streams = pipeline(batch, training=True)
            for way, learn in ways.items():
                losses[way].append(learn(streams, batch))
                progress.advance()
    return losses


@contextmanager
def _products_in_full() -> Iterator[None]:
    """Disable TF32 in CUDA's convolutions, which torch enables by default, while the block runs."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def difference(losses: Sequence[float], reference: Sequence[float]) -> float:
    """Return the largest relative difference of a loss from its reference."""
    return max(abs(ours - theirs) / abs(theirs) for ours, theirs in zip(losses, reference, strict=True))


class _PlainWay:
    """Learn with a copy of a plain model, and return the loss."""

    def __init__(self, config: RunConfig, model: torch.nn.Module, dtype: torch.dtype) -> None:
        self.learner = PlainLearner(config, deepcopy(model).to(dtype))
        self.dtype = dtype

    def __call__(self, streams: Streams, batch: Batch) -> float:
        return float(self.learner.learn(_as(streams, self.dtype), batch))


class _OurWay:
    """Learn with a copy of a task, and return the loss."""

    def __init__(self, config: RunConfig, task: Classification, dtype: torch.dtype, device: torch.device) -> None:
        copy = deepcopy(task)
        if dtype == torch.float64:
            copy = _ExactClassification(copy.model, copy.label_smoothing)
        self.learner = Learner(config, copy.to(dtype), device)
        self.dtype = dtype

    def __call__(self, streams: Streams, batch: Batch) -> float:
        self.learner.learn(_as(streams, self.dtype), batch, note_of(batch))
        return self.learner.last_loss()


class _ExactClassification(Classification):
    """Classification whose loss is computed in float64; the trainer's is computed in float32."""

    def forward(self, batch: Batch) -> TaskOutput:
        """Return the loss over a batch."""
        logits = self.model(batch.streams, batch.bodies, batch.body_slots)  # (N, classes)
        return TaskOutput(functional.cross_entropy(logits, batch.labels, label_smoothing=self.label_smoothing), logits)


def _as(streams: Streams, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: stream.to(dtype) for name, stream in streams.items()}
