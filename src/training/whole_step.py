"""A whole training step, from a batch to the update, as one CUDA graph.

Recorded passes leave augmentation, guard, loss and update to single kernels, which the host sends one by one. Here all
of it is one function of tensors: what the host decides from step to step, rates, requests and the share of the weights
in their average, is sent into tensors before it. Without a GPU, and for shapes that are new, the function is called;
otherwise its recording is replayed. Both compute the same.

The first steps of each shape are ordinary ones, so a recording changes nothing that would have to be undone.
"""

import logging
import warnings
from collections import Counter
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ..data.loading.loader import Batch
from ..data.loading.pipeline import InputPipeline
from ..runtime.cuda_graphs import first_line, generator_kept
from ..settings.run import RunConfig
from ..utils.errors import UserError
from .epoch_metrics import EpochMetrics
from .guard import BatchId, Requests
from .optim import rates_as_tensors, skips_on_the_device
from .step import LocalBatch, StepNumbers, TrainingStep
from .train_state import TrainState

_log = logging.getLogger(__name__)

_STEPS_BEFORE = 3  # of a shape, before it is recorded
_MOST_GRAPHS = 8  # of different shapes; further shapes are computed without a graph
_FAILED = (
    "hardware.whole_step_graph: a step cannot be recorded as a CUDA graph on this machine (%s). "
    "Training continues without it, more slowly."
)
Key = tuple[object, ...]


def refuse_contradictions(config: RunConfig, processes: int) -> None:
    """Refuse settings with which a whole step cannot be recorded.

    Raises:
        UserError: names the setting.
    """
    contradictions = {
        f"{processes} processes": processes > 1,
        "--compile": config.compile,
        "teachers": bool(config.distillation.teachers),
        "distillation.peers": config.distillation.peers > 0,
        "model.recompute=true": bool(getattr(config.model, "recompute", False)),
        f"gradient_accumulation_steps={config.gradient_accumulation_steps}": config.gradient_accumulation_steps > 1,
    }
    for what, present in contradictions.items():
        if present:
            raise UserError(
                f"hardware.whole_step_graph cannot be used with {what}. Leave one of them out: "
                "hardware.whole_step_graph=false still records the passes of a step."
            )


@dataclass(frozen=True)
class _Recording:
    """A recorded step: its graph, the batch that it reads, and the guard's decisions that it writes."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    decisions: Tensor


class WholeStep:
    """Make whole steps of full batches.

    Args:
        step: the ordinary step, whose computation this one has.
        pipeline: from batches to streams.
        batch_size: the number of clips in a full batch.

    Raises:
        UserError: the optimizer cannot be recorded.
    """

    def __init__(self, step: TrainingStep, pipeline: InputPipeline, batch_size: int) -> None:
        self.step, self.pipeline, self.batch_size = step, pipeline, batch_size
        state = self.state = step.state
        if not skips_on_the_device(state.optimizer):
            name = type(state.optimizer).__name__
            raise UserError(
                f"hardware.whole_step_graph needs one of torch's fused optimizers, and {name} is not one. Set "
                "hardware.whole_step_graph=false."
            )
        device = state.device
        self.records = device.type == "cuda"
        exact = torch.float32 if self.records else torch.float64  # a GPU's optimizer reads float32
        self._rates = [torch.zeros((), dtype=exact, device=device) for _ in state.optimizer.param_groups]
        self._sent_rates: list[float] = []
        self._share = torch.zeros((), device=device)
        self._requested = torch.zeros(len(fields(Requests)), device=device)
        self._has_requests = False
        self._metrics = EpochMetrics(device, state.task.measures, terms=len(state.task.terms))
        self._seen: Counter[Key] = Counter()
        self._recordings: dict[Key, _Recording] = {}
        self._strength = 1.0  # of the augmentation that they have
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None

    def takes(self, local: LocalBatch) -> bool:
        """Tell whether a batch is a full one, whose shapes are those of most others."""
        return local.clips == local.own == self.batch_size

    def __call__(self, batch: Batch, note: BatchId, metrics: EpochMetrics) -> None:
        """Train on a full batch on the device; `note` is its identity, and `metrics` sum its loss and metrics."""
        self._send_numbers()
        decisions = self._made(batch)
        metrics.include(self._metrics)
        self.state.guard.note(note, decisions)
        self.step.requests = Requests()

    def _send_numbers(self) -> None:
        """Write what the host decides for this step into the tensors that the step reads."""
        rates = [float(group["lr"]) for group in self.state.optimizer.param_groups]
        if rates != self._sent_rates:
            for tensor, rate in zip(self._rates, rates, strict=True):
                tensor.fill_(rate)
            self._sent_rates = rates
        if self.state.average is not None:
            self._share.fill_(self.state.average.count_step())
        requests = [getattr(self.step.requests, item.name) for item in fields(Requests)]
        if any(requests) or self._has_requests:
            self._requested.copy_(self.state.guard.sent(self.step.requests))
        self._has_requests = any(requests)

    def _made(self, batch: Batch) -> Tensor:
        """Replay or compute a step, and return the guard's decisions."""
        if not self.records:
            return self._compute(batch)
        if batch.strength != self._strength:  # annealed from epoch to epoch: the earlier ones are of no more use
            self._recordings.clear()
            self._seen.clear()
            self._strength = batch.strength
        key = _shapes(batch)
        if key not in self._recordings:
            self._seen[key] += 1
            if self._seen[key] <= _STEPS_BEFORE or len(self._recordings) >= _MOST_GRAPHS:
                return self._compute_beside(batch)
            recording = self._recorded(batch)
            if recording is None:
                return self._compute(batch)
            self._recordings[key] = recording
        recording = self._recordings[key]
        for target, source in zip(_tensors(recording.batch), _tensors(batch), strict=True):
            target.copy_(source, non_blocking=True)
        recording.graph.replay()
        return recording.decisions

    def _compute(self, batch: Batch) -> Tensor:
        """Compute a step without reading anything on the host; return the guard's decisions."""
        self._metrics.clear()
        batch = self.pipeline.prepared(batch, training=True)
        numbers = StepNumbers(self._requested, None if self.state.average is None else self._share)
        local = LocalBatch(self.batch_size, self.batch_size)
        with rates_as_tensors(self.state.optimizer, self._rates):
            self.step.compute(batch.streams, batch, local, closes=True, metrics=self._metrics, numbers=numbers)
        return self.state.guard.decisions()

    def _compute_beside(self, batch: Batch) -> Tensor:
        """Compute a step on the stream on which steps are recorded, as torch asks for it."""
        self._stream = self._stream or torch.cuda.Stream(self.state.device)  # type: ignore[no-untyped-call]
        present = torch.cuda.current_stream(self.state.device)
        self._stream.wait_stream(present)
        with torch.cuda.stream(self._stream):
            decisions = self._compute(batch)
        present.wait_stream(self._stream)
        return decisions

    def _recorded(self, batch: Batch) -> _Recording | None:
        """Record a step, which is not made by that; None, after one message, if CUDA cannot record it."""
        warnings.filterwarnings("ignore", "The AccumulateGrad node's stream does not match")
        static = batch._each(torch.clone)
        try:
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            # Threads that pin memory for the loader may go on meanwhile.
            with (
                generator_kept(self.state.device),
                torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"),
            ):
                decisions = self._compute(static)
        except RuntimeError as error:
            _log.warning(_FAILED, first_line(error))
            self.records = False
            self._recordings.clear()
            _forget_step(self.state)
            return None
        return _Recording(graph, static, decisions)


def _forget_step(state: TrainState) -> None:
    """Remove what a step that was begun has left in Python; on the device nothing of it has happened."""
    state.accumulation.reset()
    if state.precision.scaler.is_enabled():
        state.precision.scaler._per_optimizer_states.clear()
    if hasattr(state.optimizer, "found_inf"):
        del state.optimizer.found_inf


def _tensors(batch: Batch) -> list[Tensor]:
    """Return the tensors of a batch that is not prepared yet, in the order of its fields."""
    values = (getattr(batch, item.name) for item in fields(batch))
    return [value for value in values if isinstance(value, Tensor)]


def _shapes(batch: Batch) -> Key:
    """Return what a recording depends on: the shapes and types of tensors, and all values that are not tensors."""
    given = ((item.name, getattr(batch, item.name)) for item in fields(batch) if item.name != "streams")
    return tuple(
        (name, value.shape, value.dtype) if isinstance(value, Tensor) else (name, value) for name, value in given
    )
