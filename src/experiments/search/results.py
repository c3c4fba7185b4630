"""The results of a search, read from its run folders: its stages and the best candidate."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...utils.names import file_name
from ..sweep.plan import BASELINE, SweepPlan
from ..sweep.results import (
    DIVERGED,
    FAILED,
    STOPPED,
    Outcome,
    VariantResult,
    compare,
    read_outcomes,
)
from .clock import Times
from .plan import MOST_CANDIDATES, Search


@dataclass(frozen=True)
class Stage:
    """The runs of one length of the schedule.

    Attributes:
        epochs: the length.
        plan: the runs of all candidates that were begun, with all seeds.
        outcomes: what has become of them.
    """

    epochs: int
    plan: SweepPlan
    outcomes: Sequence[Outcome]

    @cached_property
    def results(self) -> list[VariantResult]:
        """Return the results of the candidates, the recipe's own settings first."""
        return compare(self.plan, self.outcomes)

    @property
    def ordered(self) -> list[VariantResult]:
        """Return the results, best first; those that have none come last.

        Candidates are ordered by their differences from the recipe's own settings on the same clips and seeds, since
        they may have been trained with different seeds, whose held-out clips may differ; by their means only if the
        recipe has no result.
        """
        compares = self.results[0].together.known

        def place(result: VariantResult) -> tuple[bool, bool, float]:
            if not result.together.known:
                return True, True, 0.0
            if not compares:
                return False, False, -result.together.mean
            if result.variant == BASELINE:
                return False, False, 0.0
            return False, result.difference is None, -result.difference.mean if result.difference else 0.0

        return sorted(self.results, key=place)

    @property
    def compared(self) -> list[VariantResult]:
        """Return the results of the candidates among which one can be chosen.

        They were compared with the recipe's own settings on the same clips and seeds; only if the recipe has no result
        they are all that there are.
        """
        own, *others = self.results
        return [each for each in others if each.together.known and (each.difference or not own.together.known)]

    def problem(self, name: str) -> str:
        """Return why a candidate has no result: `diverged`, `failed` or `stopped`; empty if no run of it says so."""
        found = {each.status for each in self.outcomes if each.run.variant == name}
        return next((status for status in (DIVERGED, FAILED, STOPPED) if status in found), "")


@dataclass(frozen=True)
class Standing:
    """How far a search has come.

    Attributes:
        stages: those that were begun, shortest schedule first.
        planned: what is trained within the budget, as text; empty if it is not known, or nothing is left to train.
        times: how long all calls together took, and runs beside their epochs.
        jobs: how many runs were trained side by side.
    """

    stages: Sequence[Stage]
    planned: str
    times: Times
    jobs: int

    @property
    def tried(self) -> int:
        """Return how many candidates have a result, beside the recipe's own settings."""
        first = self.stages[0].results if self.stages else []
        return sum(each.together.known and each.variant != BASELINE for each in first)

    def best(self) -> tuple[Stage, VariantResult] | None:
        """Return the best candidate, or the recipe's own settings, and the stage that decided; None without a result.

        It is the longest schedule with which candidates were compared: one of which the time sufficed for the recipe's
        own settings alone decides nothing. Only if none were compared it is the longest one with a result.
        """
        known = [stage for stage in reversed(self.stages) if stage.ordered[0].together.known]
        stage = next((each for each in known if each.compared), known[0] if known else None)
        return None if stage is None else (stage, stage.ordered[0])


def read_stages(search: Search) -> list[Stage]:
    """Return the stages of which runs were begun, shortest schedule first.

    Raises:
        UserError: a summary of a run is damaged.
    """
    stages = []
    for epochs in search.lengths:
        begun = {name for part in search.parts for name in _begun(search.folder / file_name(part), epochs)}
        if not begun:
            continue
        numbers = [int(name[1:]) for name in begun if name != BASELINE]
        candidates = [each for each in search.candidates.first(max(numbers, default=0)) if each.name in begun]
        plan = search.plan(epochs, candidates, search.spec.seeds)
        stages.append(Stage(epochs, plan, read_outcomes(plan)))
    return stages


def _begun(folder: Path, epochs: int) -> Iterator[str]:
    """Yield the names of the candidates that have a folder for a length of the schedule."""
    for path in folder.glob(f"*-{epochs}"):
        name = path.name.removesuffix(f"-{epochs}")
        if name == BASELINE or (re.fullmatch(r"c\d{3}", name) and int(name[1:]) <= MOST_CANDIDATES):
            yield name
