"""Validation of a state to resume: its structure must be the run's own, and its rates must fit the configuration."""

from dataclasses import asdict, dataclass

import torch
from torch import nn

from ..runs.checkpoint import Checkpoint
from ..runs.checkpoint_check import state_mismatch
from ..utils.errors import UserError
from .guard import TOTALS, SkipCounts
from .schedule import schedule_after


@dataclass(frozen=True)
class Sizes:
    """Sizes of a run: the number of parameters, of clips per epoch, and of sums of its metrics."""

    parameters: int
    clips: int
    sums: int

    @classmethod
    def of(cls, task: nn.Module, clips: int, sums: int) -> "Sizes":
        """Return the sizes of a run with this task."""
        return cls(sum(each.numel() for each in task.parameters()), clips, sums)


def refuse_other_state(checkpoint: Checkpoint, own: Checkpoint, origin: str, sizes: Sizes, *, replay: bool) -> None:
    """Refuse a checkpoint that this run could not have written.

    The learning rates of an epoch are a function of the configuration, so they are compared too.

    Args:
        checkpoint: the state to resume, with the configuration of the run.
        own: the state that the run would write at its start.
        origin: names the checkpoint in errors.
        sizes: the sizes of the run.
        replay: whether the configuration was changed explicitly; the rates are then computed again.

    Raises:
        UserError: it does not fit; the message names the first difference.
    """
    problems = (
        *(_optimizer_problem(checkpoint, own, replay), _guard_problem(checkpoint, own)),
        *(_window_problem(checkpoint, sizes), _within_problem(checkpoint, sizes)),
        state_mismatch(checkpoint.scaler, own.scaler, "scaler") if checkpoint.scaler and own.scaler else "",
        state_mismatch(checkpoint.ema, own.ema, "ema") if own.ema else "",
        state_mismatch(checkpoint.task, own.task, "task") if checkpoint.task else "",
    )
    if problem := next(filter(None, problems), ""):
        raise UserError(
            f"{origin} is not a state of this run: {problem}. Resume from another checkpoint of the run, or start a "
            "new one without --resume."
        )


def _optimizer_problem(checkpoint: Checkpoint, own: Checkpoint, replay: bool) -> str:
    given, mine = checkpoint.optimizer, own.optimizer
    if not given:
        return "it has no state of the optimizer"
    if replay:
        states = {index: state for index, state in given["state"].items() if index in mine["state"]}
        wanted = {index: mine["state"][index] for index in states}
        return state_mismatch(states, wanted, "optimizer.state") or state_mismatch(
            given["param_groups"], mine["param_groups"], "optimizer.param_groups"
        )
    initial = [group["initial_lr"] for group in mine["param_groups"]]
    schedule, rates = schedule_after(checkpoint.epoch + 1, own.config.optimization, initial)
    groups = [{**group, "lr": rate} for group, rate in zip(mine["param_groups"], rates, strict=True)]
    return (
        state_mismatch(given["state"], mine["state"], "optimizer.state")
        or state_mismatch(given["param_groups"], groups, "optimizer.param_groups", exact=True)
        or state_mismatch(checkpoint.scheduler, schedule, "scheduler", exact=True)
    )


def _guard_problem(checkpoint: Checkpoint, own: Checkpoint) -> str:
    older = TOTALS.keys() - checkpoint.guard.keys()
    return state_mismatch(
        checkpoint.guard, {name: each for name, each in own.guard.items() if name not in older}, "guard"
    )


def _window_problem(checkpoint: Checkpoint, sizes: Sizes) -> str:
    wanted = {"clips": torch.zeros(()), "sum": torch.empty(sizes.parameters)}
    given = checkpoint.window
    return state_mismatch(
        given, {name: each for name, each in wanted.items() if name in given or name == "clips"}, "window"
    )


def _within_problem(checkpoint: Checkpoint, sizes: Sizes) -> str:
    within = checkpoint.within
    if not within:
        return ""
    if within["clips"] > sizes.clips:
        return f"within.clips is {within['clips']}, of an epoch of {sizes.clips}"
    sums = torch.zeros(sizes.sums)
    return state_mismatch(within["meter"], sums, "within.meter") or state_mismatch(
        within["skips"], asdict(SkipCounts()), "within.skips"
    )
