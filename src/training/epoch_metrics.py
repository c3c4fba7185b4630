"""Loss and accuracy of an epoch, summed on the device and read once."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..evaluation.scoring import has_no_score
from ..runtime.distributed import World


@dataclass(frozen=True)
class Figures:
    """The averages of an epoch; accuracies in percent; NaN where nothing was counted.

    Attributes:
        parts: of the loss.
        unusable: how many clips have values that no model can take; they count in the accuracies, not in the loss.
    """

    loss: float = math.nan
    top1: float = math.nan
    top5: float = math.nan
    grad_norm: float = math.nan
    parts: tuple[float, ...] = ()
    unusable: int = 0


class Meter:
    """Sum over batches without ever waiting for the device; `read` waits once.

    Args:
        device: where the batches are.
        parts: how many parts of the loss are averaged too.
        classes: of how many classes a confusion matrix is counted; 0 for none.
    """

    def __init__(self, device: torch.device, parts: int = 0, classes: int = 0) -> None:
        # clips, loss * clips, top-1 hits, top-5 hits, updates, gradient norms, each part * clips
        kind = torch.float64 if device.type != "mps" else torch.float32
        self._sums = torch.zeros(6 + parts, dtype=kind, device=device)
        self._parts, self._classes = parts, classes
        self._unusable = torch.zeros(1, dtype=kind, device=device)  # clips of a test
        self._confusion = torch.zeros(classes * (classes + 1), dtype=torch.int64, device=device)

    def add(
        self,
        loss: Tensor,
        logits: Tensor,
        labels: Tensor,
        counts: Tensor | None = None,
        parts: Iterable[Tensor] = (),
    ) -> None:
        """Count a batch: its mean loss, its logits (N, classes), its labels (N,), if `counts`, a bool ().

        `parts` are those of the loss, means too. A clip with a logit that is not finite is no hit, whatever its order.
        """
        best = logits.detach().topk(min(5, logits.shape[1]), dim=1).indices
        finite = logits.detach().isfinite().all(dim=1, keepdim=True)
        hits = (best == labels[:, None]) & finite
        clips = torch.full((), len(labels), device=labels.device)
        sums = [clips, loss.detach() * len(labels), hits[:, 0].sum(), hits.any(dim=1).sum()]
        sums += [part.detach() * len(labels) for part in parts]
        added = torch.stack([each.to(self._sums.dtype) for each in sums])
        added = added if counts is None else torch.where(counts, added, 0.0)
        self._sums[:4] += added[:4]
        self._sums[6:] += added[4:]
        if self._classes:
            answers = torch.where(finite[:, 0], best[:, 0], self._classes)
            cells = labels * (self._classes + 1) + answers
            self._confusion.scatter_add_(0, cells, torch.ones_like(cells))  # `bincount` would wait for the device

    def add_scores(self, scores: Tensor, labels: Tensor) -> None:
        """Count a tested batch by its probabilities (N, classes) and its labels (N,).

        NaN makes the loss NaN. A clip that cannot be scored counts as wrong and has no part in the loss.
        """
        unusable = has_no_score(scores)
        logs = scores.clamp(min=torch.finfo(scores.dtype).tiny).log()
        losses = nn.functional.nll_loss(logs, labels, reduction="none")
        self.add(torch.where(unusable, 0.0, losses).sum() / len(labels), scores, labels)
        self._unusable += unusable.sum()

    def add_update(self, grad_norm: Tensor, made: Tensor) -> None:
        """Count an optimizer step and the norm of its gradient before clipping, if it was `made`, a bool ()."""
        self._sums[4] += made
        self._sums[5] += torch.where(made, grad_norm.detach().to(self._sums.dtype), 0.0)

    def state(self, world: World) -> Tensor:
        """Return the sums over all processes, to go on from in one of them."""
        sums = self._sums.clone()
        world.all_reduce_sum(sums)
        return sums

    @property
    def sums(self) -> int:
        """Return how many sums it keeps."""
        return len(self._sums)

    def load_state(self, sums: Tensor) -> None:
        """Take up sums begun earlier."""
        self._sums.copy_(sums)

    def confusion(self, world: World) -> NDArray[np.int64]:
        """Return the counts over all processes, (classes, classes + 1): rows true, columns answered; waits once.

        The last column counts clips without an answer: a score was not finite. Every clip counts, refused or not.
        """
        counts = self._confusion.clone()
        world.all_reduce_sum(counts)
        matrix: NDArray[np.int64] = counts.view(self._classes, self._classes + 1).cpu().numpy()
        return matrix

    def read(self, world: World) -> Figures:
        """Return the averages over all processes; this is where the host waits for the device."""
        sums = torch.cat([self._unusable, self._sums])
        world.all_reduce_sum(sums)
        unusable, clips, loss, top1, top5, updates, norms, *parts = sums.tolist()
        if clips == 0:
            return Figures(parts=(math.nan,) * self._parts)
        return Figures(
            loss=loss / (clips - unusable) if clips > unusable else math.nan,
            top1=100 * top1 / clips,
            top5=100 * top5 / clips,
            grad_norm=norms / updates if updates else math.nan,
            parts=tuple(part / clips for part in parts),
            unusable=int(unusable),
        )
