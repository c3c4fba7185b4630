"""How many candidates a search can train within its budget, and for how many epochs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...utils.numbers import counted

REDUCTION = 3  # one of as many candidates is trained further
_SHORTEST = REDUCTION**2  # the first schedule has this share of the epochs of the last
_LEAST_FOR_A_CHOICE = 3  # candidates beside the recipe's own settings, of which at least one is trained further
_MARGIN = 1.1  # for the reports, and for runs that are slower than those before


@dataclass(frozen=True)
class Rung:
    """One stage of successive halving.

    Attributes:
        epochs: of its runs, each with a full schedule of this length.
        candidates: how many are trained, beside the recipe's own settings.
        seeds: with how many seeds.
    """

    epochs: int
    candidates: int
    seeds: int = 1


@dataclass(frozen=True)
class Costs:
    """What the runs of a search take.

    Attributes:
        overhead_s: seconds of one run beside its epochs: the start of its process, its data, its evaluation.
        seconds_per_epoch: of one run, with as many side by side as there are.
        side_by_side: how many runs are trained at the same time.
        parts: on how many parts of the data each candidate is trained.
        done: by the length of the schedule how many runs have ended already, or are not tried again; a part of one for
            each that was begun.
    """

    overhead_s: float
    seconds_per_epoch: float
    side_by_side: int
    parts: int
    done: Mapping[int, float]

    def run_s(self, epochs: int) -> float:
        """Return how long a run with so many epochs takes in seconds."""
        return self.overhead_s + epochs * self.seconds_per_epoch

    def left_s(self, rung: Rung) -> float:
        """Return how long the runs of a stage that are not trained yet take in seconds."""
        runs = (rung.candidates + 1) * rung.seeds * self.parts
        left = max(runs - self.done.get(rung.epochs, 0.0), 0.0)
        return _MARGIN * math.ceil(left / self.side_by_side) * self.run_s(rung.epochs)


def ladder(epochs: int) -> list[int]:
    """Return the lengths of the schedules, shortest first, of which the longest has `epochs`: a ninth, a third, all."""
    return sorted({max(1, round(epochs * REDUCTION**level / _SHORTEST)) for level in range(3)})


def ladder_between(low: int, high: int) -> list[int]:
    """Return the lengths of the schedules from `low` to `high`, each about three times the one before."""
    steps = max(1, round(math.log(high / low, REDUCTION)))
    return sorted({round(low * (high / low) ** (level / steps)) for level in range(steps + 1)})


def plan_rungs(lengths: Sequence[int], seeds: int, most: int, costs: Costs, left_s: float) -> list[Rung]:
    """Return the stages of a search that end within `left_s` seconds; none if not even two runs do.

    Successive halving (Jamieson and Talwalkar, AISTATS 2016): all candidates are trained with the shortest schedule,
    the best third of them with the next, and so on; with the last schedule with all seeds. If a schedule is so long
    that fewer than three candidates were possible with it, the search ends with a shorter one.

    Args:
        lengths: the numbers of epochs of the schedules, shortest first.
        seeds: with how many seeds the last stage is trained.
        most: how many different candidates there are.
        costs: what the runs take.
        left_s: how long the search may still take.
    """
    for levels in range(len(lengths), 0, -1):
        least = min(_LEAST_FOR_A_CHOICE if levels > 1 else 1, most)
        found: list[Rung] = []
        for candidates in range(least, most + 1):
            rungs = _rungs(lengths[:levels], seeds, candidates)
            if sum(costs.left_s(rung) for rung in rungs) > left_s:
                break
            found = rungs
        if found:
            return found
    return []


def described(rungs: Sequence[Rung]) -> str:
    """Return the stages as text: `12 candidates of 8 epochs, 4 of 23, 2 of 70 with 3 seeds`."""
    first, *others = rungs
    texts = [f"{counted(first.candidates, 'candidate')} of {counted(first.epochs, 'epoch')}"]
    texts += [f"{rung.candidates} of {rung.epochs}" for rung in others]
    seeds = rungs[-1].seeds
    return ", ".join(texts) + (f" with {seeds} seeds" if seeds > 1 else "")


def _rungs(lengths: Sequence[int], seeds: int, candidates: int) -> list[Rung]:
    return [
        Rung(epochs, math.ceil(candidates / REDUCTION**level), seeds if level == len(lengths) - 1 else 1)
        for level, epochs in enumerate(lengths)
    ]
