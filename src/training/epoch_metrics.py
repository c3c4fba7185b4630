"""Loss and metrics of an epoch, summed on the device and read once."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..runtime.distributed import World
from ..tasks.measures import CLASSIFICATION, Measures
from ..tasks.task import TestOutput


@dataclass(frozen=True)
class EpochFigures:
    """Averages over an epoch; NaN if nothing was counted.

    Attributes:
        metrics: the task's metrics, in the order of its measures; empty if nothing was measured.
        terms: the terms of the loss.
        unusable: the number of clips with unusable values; they count in the metrics, not in the loss.
    """

    loss: float = math.nan
    metrics: Sequence[float] = ()
    grad_norm: float = math.nan
    terms: tuple[float, ...] = ()
    unusable: int = 0


class EpochMetrics:
    """Sums over batches on the device; only `read` waits for it, once.

    Args:
        device: the device of the batches.
        measures: the metrics to average.
        terms: the number of loss terms to average.
        classes: the number of classes of a confusion matrix; 0 for none.
    """

    def __init__(
        self, device: torch.device, measures: Measures = CLASSIFICATION, *, terms: int = 0, classes: int = 0
    ) -> None:
        # clips, loss * clips, each metric, updates, gradient norms, each term * clips
        kind = torch.float64 if device.type != "mps" else torch.float32
        self._averaged = 2 + len(measures.metrics)
        self._sums = torch.zeros(self._averaged + 2 + terms, dtype=kind, device=device)
        self._measures, self._terms, self._classes = measures, terms, classes
        self._unusable = torch.zeros(1, dtype=kind, device=device)  # clips of a test
        self._confusion = torch.zeros(classes * (classes + 1), dtype=torch.int64, device=device)

    def add(
        self,
        loss: Tensor,
        clips: int,
        sums: Iterable[Tensor],
        counts: Tensor | None = None,
        terms: Iterable[Tensor] = (),
    ) -> None:
        """Add a batch of `clips` clips, if `counts`, a bool (): mean loss, sums of metrics, mean loss terms."""
        added = [torch.full((), clips, device=loss.device), loss.detach() * clips, *sums]
        added += [term.detach() * clips for term in terms]
        stacked = torch.stack([each.to(self._sums.dtype) for each in added])
        stacked = stacked if counts is None else torch.where(counts, stacked, 0.0)
        self._sums[: self._averaged] += stacked[: self._averaged]
        self._sums[self._averaged + 2 :] += stacked[self._averaged :]

    def clear(self) -> None:
        """Set all sums of training batches to zero."""
        self._sums.zero_()

    def include(self, other: "EpochMetrics") -> None:
        """Add the sums of training batches of `other`, which has the same measures."""
        self._sums += other._sums

    def add_test(self, output: TestOutput, labels: Tensor) -> None:
        """Add a tested batch with the labels (N,), also to the confusion matrix if there is one."""
        self.add(output.loss, len(labels), output.sums)
        self._unusable += output.unusable.sum()
        if self._classes and output.predicted_classes is not None:
            cells = labels * (self._classes + 1) + output.predicted_classes
            # Not `bincount`, which would synchronise with the device.
            self._confusion.scatter_add_(0, cells, torch.ones_like(cells))

    def add_update(self, grad_norm: Tensor, made: Tensor) -> None:
        """Add an optimizer step and the norm of its gradient before clipping, if it was `made`, a bool ()."""
        self._sums[self._averaged] += made
        self._sums[self._averaged + 1] += torch.where(made, grad_norm.detach().to(self._sums.dtype), 0.0)

    def state(self, world: World) -> Tensor:
        """Return the sums over all processes, which one of them loads on resume."""
        sums = self._sums.clone()
        world.all_reduce_sum(sums)
        return sums

    @property
    def sums(self) -> int:
        """Return the number of sums."""
        return len(self._sums)

    def load_state(self, sums: Tensor) -> None:
        """Load the sums of an unfinished epoch."""
        self._sums.copy_(sums)

    def confusion(self, world: World) -> NDArray[np.int64]:
        """Return the counts over all processes, (classes, classes + 1): rows true, columns predicted; it waits once.

        The last column counts clips without a prediction, because a score was not finite.
        """
        counts = self._confusion.clone()
        world.all_reduce_sum(counts)
        matrix: NDArray[np.int64] = counts.view(self._classes, self._classes + 1).cpu().numpy()
        return matrix

    def read(self, world: World) -> EpochFigures:
        """Return the averages over all processes; the host waits for the device here.

        NaN means "not measured", so a metric of counted clips that is NaN becomes the worst value.
        """
        totals = torch.cat([self._unusable, self._sums])
        world.all_reduce_sum(totals)
        unusable, clips, loss, *others = totals.tolist()
        count = len(self._measures.metrics)
        sums, (updates, norms), terms = others[:count], others[count : count + 2], others[count + 2 :]
        if clips == 0:
            return EpochFigures(terms=(math.nan,) * self._terms)
        values = [each.scale * total / clips for each, total in zip(self._measures.metrics, sums, strict=True)]
        return EpochFigures(
            loss=loss / (clips - unusable) if clips > unusable else math.nan,
            metrics=[
                each.worst if math.isnan(value) else value
                for each, value in zip(self._measures.metrics, values, strict=True)
            ],
            grad_norm=norms / updates if updates else math.nan,
            terms=tuple(term / clips for term in terms),
            unusable=int(unusable),
        )
