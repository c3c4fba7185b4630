"""What a run refuses to continue from: a state that is not of the form of its own, or contradicts its configuration."""

from dataclasses import asdict, dataclass

import torch
from torch import nn

from ..runs.checkpoint import Checkpoint
from ..runs.checkpoint_check import state_mismatch
from ..utils.errors import UserError
from .guard import TOTALS, Skips
from .schedule import schedule_after


@dataclass(frozen=True)
class Sizes:
    """How much of what a run has: numbers of all parameters, clips of an epoch, sums that its meter keeps."""

    parameters: int
    clips: int
    sums: int

    @classmethod
    def of(cls, task: nn.Module, clips: int, sums: int) -> "Sizes":
        """Return those of a run with this task."""
        return cls(sum(each.numel() for each in task.parameters()), clips, sums)


def refuse_other_state(checkpoint: Checkpoint, own: Checkpoint, origin: str, sizes: Sizes, *, replay: bool) -> None:
    """Refuse a checkpoint that this run could not have written.

    The rates of an epoch are a function of the configuration, so they are compared with those.

    Args:
        checkpoint: the state to continue from, whose configuration is the run's.
        own: what the run would write at its beginning.
        origin: names the checkpoint in errors.
        sizes: of the run.
        replay: whether the configuration was changed on purpose: the rates are then computed again.

    Raises:
        UserError: it does not fit; one thing that does not is told.
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
    schedule, rates = schedule_after(checkpoint.epoch + 1, own.config)
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
        within["skips"], asdict(Skips()), "within.skips"
    )
