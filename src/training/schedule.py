"""The learning rate: a linear warm-up, then a cosine, one step per epoch."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from ..settings.optimization import OptimizationSettings
from ..utils.numbers import counted

_log = logging.getLogger(__name__)


def warmup_length(settings: OptimizationSettings) -> int:
    """Return how many epochs the warm-up takes: at most a seventh of the run, so that short runs work too."""
    return min(settings.warmup_epochs, settings.epochs // 7)


def scaled(rate: float, settings: OptimizationSettings) -> float:
    """Return a learning rate as it is for the batches of this run (linear scaling: Goyal et al., arXiv:1706.02677)."""
    if settings.reference_batch_size == 0:
        return rate
    return rate * settings.batch_size * settings.gradient_accumulation_steps / settings.reference_batch_size


def warn_of_too_few_clips(settings: OptimizationSettings, clips_per_epoch: int) -> None:
    """Warn of rates that are scaled to more clips than an update can have, which ends with its epoch.

    The rates stay: they are a function of the configuration alone, so that a resumed run has those that it began with.
    """
    update = settings.batch_size * settings.gradient_accumulation_steps
    if settings.reference_batch_size and update > clips_per_epoch:
        _log.warning(
            f"The learning rates are scaled to updates of {counted(update, 'clip')} (reference_batch_size: "
            f"{settings.reference_batch_size}), but an epoch has {clips_per_epoch:,}, and no update has more: they "
            "are too high for it. Use a smaller --batch_size, or a larger repeats_per_epoch."
        )


def build_schedule(optimizer: Optimizer, settings: OptimizationSettings) -> SequentialLR:
    """Return the schedule of a run over `optimizer`, whose learning rate is the one after the warm-up.

    With the defaults epoch 0 has 0.001, epoch 9 0.0091, epoch 10 0.01 and epoch 69 1.68e-5.
    """
    warmup = warmup_length(settings)
    lowest = scaled(min(settings.min_learning_rate, settings.learning_rate), settings)
    cosine = CosineAnnealingLR(optimizer, T_max=max(1, settings.epochs - warmup), eta_min=lowest)
    phases: list[LRScheduler] = [cosine]
    if warmup:
        factor = min(1.0, settings.warmup_learning_rate / settings.learning_rate)
        phases.insert(0, LinearLR(optimizer, start_factor=factor, total_iters=warmup))
    return SequentialLR(optimizer, phases, milestones=[warmup] if warmup else [])


def schedule_after(
    epochs: int, settings: OptimizationSettings, rates: Sequence[float] | None = None
) -> tuple[dict[str, Any], list[float]]:
    """Return the state of a run's schedule after `epochs` epochs, and the rates of the groups of parameters then.

    Args:
        epochs: how many are over.
        settings: of the run.
        rates: of each group after the warm-up; two groups with that of `settings` where it is None.
    """
    rates = [scaled(settings.learning_rate, settings)] * 2 if rates is None else rates
    optimizer = SGD([{"params": [torch.zeros(1)], "lr": rate} for rate in rates])
    schedule = build_schedule(optimizer, settings)
    optimizer.step()  # torch warns of a schedule that is stepped before
    for _ in range(epochs):
        schedule.step()
    return schedule.state_dict(), [group["lr"] for group in optimizer.param_groups]
