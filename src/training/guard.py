"""The NaN guard: bad data never move the model, a bad loss or gradient never reaches the weights.

All decisions are made on the device and agreed by all processes; the host reads them later, to count and to give up.
A batch with bad values passes the model in a sanitised form, since the host has not read the flag, but leaves nothing
behind: no gradient, no step, no trace in BatchNorm's running statistics.

Legend: N clips, C coordinates, T frames, V joints, M bodies, P running statistics.
"""

import logging
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from ..models.batchnorm_stats import UNKNOWN_BATCHES, RunningStatistics
from ..runtime.async_reader import DelayedReader
from ..runtime.distributed import World
from ..settings.run import NanGuardConfig
from ..utils.errors import TrainingDiverged

_log = logging.getLogger(__name__)

CAUSES = {
    "inputs": "a stream has values that are not finite, or no clip has a body",
    "losses": "the loss, or a BatchNorm statistic, is not finite",
    "gradients": "the gradient is not finite",
}
_OVERFLOWS = "the gradient overflows, however small its scale"
_RESET = " BatchNorm's running statistics are reset to mean 0 and variance 1; nan_guard.bn_recovery=restore keeps them."
_RECENT_LOSSES = 32
_KEPT_BATCHES = 32  # for the divergence report
# Counts over a whole run, with their values in older checkpoints, which lack them.
TOTALS = {"updates": 1, "batches_since_reset": UNKNOWN_BATCHES}
_SCALE_SEARCH = 24  # overflows in a row, beyond those allowed, that take a GradScaler from its first scale below one


@dataclass(frozen=True)
class BatchId:
    """Identity of a batch: its clips' store indices, the RNG keys of their augmentation, and its strength."""

    indices: Tensor
    rng_keys: Tensor
    strength: float = 1.0


@dataclass(frozen=True)
class SkippedBatch:
    """A skipped batch, and the cause: a key of `CAUSES`."""

    batch: BatchId
    cause: str


@dataclass
class SkipCounts:
    """Counts of skipped batches by cause, and of steps that a GradScaler skipped to find its scale."""

    inputs: int = 0
    losses: int = 0
    gradients: int = 0
    overflows: int = 0

    @property
    def batches(self) -> int:
        """Return the number of skipped batches, without a scaler's search for its scale."""
        return self.inputs + self.losses + self.gradients


@dataclass
class Requests:
    """Requests of processes to all: integers that are summed over processes and read by all at the same step."""

    out_of_time: int = 0
    interrupted: int = 0
    terminated: int = 0
    hung_up: int = 0
    save: int = 0


@dataclass
class _InARow:
    batches: int = 0
    steps: int = 0
    overflows: int = 0


class NanGuard:
    """Keep non-finite numbers out of a model.

    A step calls `sanitize_inputs` before the forward pass, `check_loss` after it, `restore_batchnorm` after the
    backward pass, which may need the statistics, `check_gradient` for an update, and `note` at its end. `read` then
    counts the decisions that have reached the host.

    Args:
        model: the model, whose BatchNorm statistics are restored.
        config: when training ends, and what a bad loss does to the statistics.
        device: the device of the model.
        world: the processes that decide together.

    Attributes:
        skips: the counts so far.
        updates: the number of updates of the run.
        batches_since_reset: the number of batches in BatchNorm's statistics since their reset.
        recent: the last skipped batches.
        losses: the losses of the last batches that were not skipped and have reached the host.
    """

    def __init__(self, model: nn.Module, config: NanGuardConfig, device: torch.device, world: World) -> None:
        self.config, self.world = config, world
        self.statistics = RunningStatistics(model)
        self.skips = SkipCounts()
        self.updates = 0
        self.batches_since_reset = 0
        self.recent: deque[SkippedBatch] = deque(maxlen=_KEPT_BATCHES)
        self.losses: deque[float] = deque(maxlen=_RECENT_LOSSES)
        self._in_a_row = _InARow()
        self._reader: DelayedReader[BatchId] = DelayedReader(device)
        self._good = torch.zeros((), device=device)
        self._bad = self._bad_input = self._good
        self._flags: list[Tensor] = []
        self._before = self._restored = self.statistics.neutral

    def sanitize_inputs(self, streams: Mapping[str, Tensor], bodies: Tensor) -> dict[str, Tensor]:
        """Return the streams (N, C, T, V, M) with zeros for non-finite values; such a batch is then skipped.

        So is one without any body: `bodies` (N, M) bool says which are present.
        """
        finite = {name: torch.isfinite(stream) for name, stream in streams.items()}
        self._bad_input = ~torch.stack([bodies.any(), *(each.all() for each in finite.values())]).all()
        self._before = self.statistics.read()
        return {name: torch.where(finite[name], stream, 0.0) for name, stream in streams.items()}

    def sent(self, requests: Requests) -> Tensor:
        """Return the requests of this process as a tensor on the device, (R,)."""
        return torch.stack([torch.full_like(self._good, getattr(requests, item.name)) for item in fields(requests)])

    def check_loss(self, loss: Tensor, share: float, requests: Requests | Tensor) -> Tensor:
        """Return whether a batch may train the model, a bool ().

        Args:
            loss: the loss of this process's part of the batch.
            share: the fraction of the batch's clips in this process, which weights its running statistics in the
                average over processes.
            requests: the requests of this process, or what `sent` made of them.
        """
        bad_loss = ~torch.isfinite(loss.detach())
        requested = requests if isinstance(requests, Tensor) else self.sent(requests)
        flags = torch.cat([torch.stack([self._bad_input.to(self._good), bad_loss.to(self._good)]), requested])
        moved = self.statistics.read()  # (P,)
        if self.world.size > 1:
            message = torch.cat([flags, moved * share])
            self.world.all_reduce_sum(message)
            flags, moved = torch.split(message, [len(flags), len(moved)])
        bad_input = flags[0] > 0
        # Values too large to square give a finite loss, but statistics that no later batch could correct.
        bad = bad_input | (flags[1] > 0) | ~torch.isfinite(moved).all()
        neutral = self.statistics.neutral if self.config.bn_recovery == "reset" else self._before
        self._bad, self._restored = bad, torch.where(bad, torch.where(bad_input, self._before, neutral), moved)
        self._flags = [bad_input.to(flags), (bad & ~bad_input).to(flags), self._good, self._good, self._good]
        self._flags += [*flags[2:], loss.detach().to(self._good)]
        return ~bad

    def restore_batchnorm(self) -> None:
        """Restore the running statistics after a bad batch, and set them to the average over processes after any."""
        self.statistics.write(self._restored)
        self.statistics.uncount(self._bad)

    def check_gradient(self, norm: Tensor, window_clips: Tensor, scaled: bool) -> Tensor:
        """Return whether an optimizer step may be made, a bool ().

        Args:
            norm: the norm of the gradient.
            window_clips: the number of accumulated clips; without any there is no step.
            scaled: whether a GradScaler is used, whose overflows are normal and counted separately.
        """
        bad = ~torch.isfinite(norm) & (window_clips > 0)
        self._flags[3 if scaled else 2] = bad.to(self._good)
        made = ~bad & (window_clips > 0)
        self._flags[4] = made.to(self._good)
        return made

    def decisions(self) -> Tensor:
        """Return the decisions about the last batch, as `note` sends them."""
        return torch.stack(self._flags)

    def note(self, batch: BatchId, decisions: Tensor | None = None) -> None:
        """Send the decisions about a batch, by default the last one, to the host."""
        self._reader.put(self.decisions() if decisions is None else decisions, batch)

    def read(self, everything: bool = False) -> Requests:
        """Count the decisions that have reached the host, or wait for `everything`; return the requests since then.

        Raises:
            TrainingDiverged: `max_consecutive` batches or steps in a row were skipped.
        """
        requested = Requests()
        for values, batch in self._reader.rest() if everything else self._reader.due():
            self._count(values[:5], batch)
            if not any(values[:2]):
                self.losses.append(values[-1])
            for item, value in zip(fields(requested), values[5:-1], strict=True):
                setattr(requested, item.name, getattr(requested, item.name) + int(value))
        return requested

    @property
    def recent_loss(self) -> float:
        """Return the mean loss of the last batches that were not skipped; NaN before the first one."""
        return sum(self.losses) / len(self.losses) if self.losses else math.nan

    def state(self) -> dict[str, int]:
        """Return all counts, including those in a row, as plain numbers."""
        in_a_row = {f"{name}_in_a_row": count for name, count in vars(self._in_a_row).items()}
        return {**vars(self.skips), **in_a_row, **{name: getattr(self, name) for name in TOTALS}}

    def load_state(self, state: Mapping[str, int]) -> None:
        """Load the counts of `state`."""
        self.skips = SkipCounts(**{item.name: state[item.name] for item in fields(SkipCounts)})
        self._in_a_row = _InARow(**{item.name: state[f"{item.name}_in_a_row"] for item in fields(_InARow)})
        for name, unknown in TOTALS.items():
            setattr(self, name, state.get(name, unknown))

    def _count(self, values: list[float], batch: BatchId) -> None:
        bad_input, bad_loss, bad_gradient, overflow, made = (value > 0 for value in values)
        self._in_a_row.batches = self._in_a_row.batches + 1 if bad_input or bad_loss else 0
        self._in_a_row.steps = 0 if made else self._in_a_row.steps + bad_gradient
        self._in_a_row.overflows = 0 if made else self._in_a_row.overflows + overflow
        self.updates += made
        self.batches_since_reset += not (bad_input or bad_loss)
        if bad_loss and self.config.bn_recovery == "reset":
            self.batches_since_reset = 0
        self.skips.overflows += overflow
        for bad, cause in ((bad_input, "inputs"), (bad_loss, "losses"), (bad_gradient, "gradients")):
            if bad:
                setattr(self.skips, cause, getattr(self.skips, cause) + 1)
                self.recent.append(SkippedBatch(batch, cause))
                self._warn_or_end(cause)
        if self._in_a_row.overflows >= self.config.max_consecutive + _SCALE_SEARCH:
            raise TrainingDiverged(f"{self._in_a_row.overflows} steps in a row were skipped: {_OVERFLOWS}.")

    def _warn_or_end(self, cause: str) -> None:
        """Log a warning at the first of several skips in a row, and end training at the maximum."""
        what = "steps" if cause == "gradients" else "batches"
        in_a_row = getattr(self._in_a_row, what)
        if in_a_row == 1:
            resets = cause == "losses" and self.config.bn_recovery == "reset"
            _log.warning("A batch was skipped: %s.%s", CAUSES[cause], _RESET if resets else "")
        if in_a_row >= self.config.max_consecutive:
            raise TrainingDiverged(f"{in_a_row} {what} in a row were skipped, the last because {CAUSES[cause]}.")


def counts_by_cause(now: SkipCounts, before: SkipCounts) -> dict[str, int]:
    """Return the counts since `before`, by the names of the logbook's columns."""
    return {
        "skipped_batches": now.batches - before.batches,
        "skipped_inputs": now.inputs - before.inputs,
        "skipped_losses": now.losses - before.losses,
        "skipped_gradients": now.gradients - before.gradients,
        "scaler_overflows": now.overflows - before.overflows,
    }
