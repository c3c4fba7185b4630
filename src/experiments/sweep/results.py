"""The results of a sweep, read from its run folders: means, spread, and paired differences with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...evaluation.paired import Difference, paired_difference
from ...evaluation.predictions_file import FILE, evaluation_folder, read_recognised
from ...runs.folder import RunFolder
from ...runs.history import newest_run
from ...tasks.measures import CLASSIFICATION
from ...utils.dotted_keys import value_at
from ...utils.errors import UserError
from ...utils.spread import MeanDeviation
from .plan import BASELINE, SweepPlan, SweepRun

DONE, STOPPED, PENDING, DIVERGED, FAILED = "done", "stopped", "pending", "diverged", "failed"
METRIC = CLASSIFICATION.primary_metric
FINAL = f"final_{METRIC.name}"


@dataclass(frozen=True)
class Outcome:
    """What has become of one run.

    Attributes:
        run: the planned run.
        status: `done`, `stopped` (begun, and to be resumed), `pending`, `diverged`, or `failed` with the `reason`.
        folder: its run folder; None before it has begun.
        config: what it was started with; empty before it has begun.
        summary: of a run that is done.
    """

    run: SweepRun
    status: str
    folder: Path | None
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    reason: str = ""

    @property
    def accuracy(self) -> float:
        """Return the accuracy of the last epoch on the compared clips in percent, of a run that is measured.

        Raises:
            UserError: the predictions of the run cannot be read.
        """
        recognised = read_recognised(self.predictions)
        return 100 * sum(recognised.values()) / len(recognised)

    @property
    def measured(self) -> bool:
        """Return whether the run is done and was evaluated."""
        return self.status == DONE and not self.lacks_predictions

    @property
    def hours(self) -> float:
        """Return the core-hours of a run that is done: its training time, times its CPU threads."""
        threads = int(value_at(self.config, "hardware.cpu_threads") or self.run.config.hardware.cpu_threads or 1)
        return float(self.summary.get("train_seconds", 0.0)) * threads / 3600

    @property
    def predictions(self) -> Path:
        """Return the file of the predictions of a run that has begun."""
        assert self.folder is not None
        return evaluation_folder(RunFolder(self.folder), self.run.subset) / FILE

    @property
    def lacks_predictions(self) -> bool:
        """Return whether the run is done but was not evaluated."""
        return self.status == DONE and not self.predictions.exists()

    def text(self) -> str:
        """Return the outcome as text."""
        if self.measured:
            return f"{METRIC.title} {self.accuracy:.2f}, {self.summary['train_seconds']:.0f} s"
        return self.status + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class VariantResult:
    """The results of a variant.

    Attributes:
        variant: its name.
        changes: its settings.
        of_parts: mean and deviation over the seeds on each part, by the part's name.
        together: those of all parts: of each seed the mean over the parts, weighted by their clips.
        over_parts: the same with equal weights, as results on folds are reported.
        difference: to the baseline, on the clips and seeds that both have; None for the baseline, or if there are none.
        runs: how many are done, of how many.
        hours: core-hours of the runs that are done.
    """

    variant: str
    changes: Sequence[str]
    of_parts: Mapping[str, MeanDeviation]
    together: MeanDeviation
    over_parts: MeanDeviation
    difference: Difference | None
    runs: tuple[int, int]
    hours: float


def read_outcomes(plan: SweepPlan) -> list[Outcome]:
    """Return the outcomes of all runs, in the order of the plan."""
    return [outcome_of(run) for run in plan.runs]


def outcome_of(run: SweepRun) -> Outcome:
    """Return what has become of a run, from its folder.

    Raises:
        UserError: its summary is damaged.
    """
    found = newest_run(run.folder, lambda _, config: config.get("seed") == run.seed)
    reason = run.failure.read_text(encoding="utf-8").strip() if run.failure.exists() else ""
    if found is None:
        return Outcome(run, FAILED if reason else PENDING, None, {}, {}, reason)
    folder, config = found
    if folder.finished:
        return Outcome(run, FAILED if reason else DONE, folder.path, config, folder.read_summary((FINAL,), ()), reason)
    status = DIVERGED if folder.divergence.exists() else FAILED if reason else STOPPED
    return Outcome(run, status, folder.path, config, {}, reason)


def compare(plan: SweepPlan, outcomes: Sequence[Outcome]) -> list[VariantResult]:
    """Return the results of all variants, the baseline first.

    Raises:
        UserError: the predictions of a run cannot be read, or two trainings were tested on different clips.
    """
    done = {(each.run.variant, each.run.part, each.run.seed): each for each in outcomes if each.measured}
    correct = {key: read_recognised(each.predictions) for key, each in done.items()}
    return [_variant_result(plan, variant, done, correct) for variant in plan.changes]


_Key = tuple[str, str, int]
_Correct = Mapping[str, bool]  # by the clip's name


def _variant_result(
    plan: SweepPlan, variant: str, done: Mapping[_Key, Outcome], correct: Mapping[_Key, _Correct]
) -> VariantResult:
    mine = [each for key, each in done.items() if key[0] == variant]
    accuracies = {part: {each.run.seed: each.accuracy for each in mine if each.run.part == part} for part in plan.parts}
    clips = {part: len(of_run) for (name, part, _), of_run in correct.items() if name == variant}
    complete = [seed for seed in plan.spec.seeds if all(seed in accuracies[part] for part in plan.parts)]
    together = [
        sum(accuracies[part][seed] * clips[part] for part in plan.parts) / sum(clips.values()) for seed in complete
    ]
    over_parts = [sum(accuracies[part][seed] for part in plan.parts) / len(plan.parts) for seed in complete]
    return VariantResult(
        variant,
        plan.changes[variant],
        {part: MeanDeviation.of(list(of_seeds.values())) for part, of_seeds in accuracies.items()},
        MeanDeviation.of(together),
        MeanDeviation.of(over_parts),
        None if variant == BASELINE else _difference(plan, variant, correct),
        (len(mine), sum(run.variant == variant for run in plan.runs)),
        sum(each.hours for each in mine),
    )


def _difference(plan: SweepPlan, variant: str, correct: Mapping[_Key, _Correct]) -> Difference | None:
    """Return the difference between a variant and the baseline on the same parts, seeds and clips."""
    found = []
    for part in plan.parts:
        pairs = [(correct.get((variant, part, seed)), correct.get((BASELINE, part, seed))) for seed in plan.spec.seeds]
        both = [(mine, own) for mine, own in pairs if mine is not None and own is not None]
        if any(mine.keys() != own.keys() for mine, own in both):
            raise UserError(f"{variant} on {part} was tested on other clips than the baseline. Evaluate both again.")
        found += [both] if both else []
    return paired_difference(found) if found else None
