"""The results of a sweep, read from its run folders: means, spread, and paired differences with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...evaluation.intervals import LEVEL
from ...evaluation.paired import Difference, paired_difference
from ...evaluation.predictions_file import FILE, evaluation_folder, read_recognised
from ...runs.folder import SWEEP_FILE, RunFolder
from ...runs.history import newest_run
from ...tasks.measures import CLASSIFICATION
from ...utils.dotted_keys import value_at
from ...utils.errors import UserError
from ...utils.files import write_json, write_text
from ...utils.markdown import markdown_table
from ...utils.numbers import counted
from ...utils.spread import MeanDeviation
from .plan import BASELINE, SweepPlan, SweepRun

DONE, STOPPED, PENDING, DIVERGED, FAILED = "done", "stopped", "pending", "diverged", "failed"
METRIC = CLASSIFICATION.primary_metric
_FINAL = f"final_{METRIC.name}"
_MOST_PARTS_SHOWN = 3  # of more parts only what they have together is shown


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
        return Outcome(run, FAILED if reason else DONE, folder.path, config, folder.read_summary((_FINAL,), ()), reason)
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


# --- as a table, and as files


def columns(plan: SweepPlan) -> list[str]:
    """Return the titles of the table's columns."""
    parts = [f"{part} %" for part in shown_parts(plan.parts)]
    together = [f"{METRIC.title} %"] if len(plan.parts) == 1 else ["all parts %", "mean of parts %"]
    return ["variant", *parts, *together, f"difference [{LEVEL:.0%} interval]", "verdict", "runs", "core-hours"]


def row(plan: SweepPlan, result: VariantResult) -> list[str]:
    """Return the cells of a variant."""
    difference = result.difference
    return [
        result.variant,
        *(result.of_parts[part].text() for part in shown_parts(plan.parts)),
        result.together.text(),
        *([result.over_parts.text()] if len(plan.parts) > 1 else []),
        difference.text() if difference else "-" if result.variant != BASELINE else "",
        difference.verdict if difference else "",
        "{} of {}".format(*result.runs),
        f"{result.hours:.2g}",
    ]


def shown_parts(parts: Sequence[str]) -> Sequence[str]:
    """Return the parts that have a column of their own."""
    return parts if 1 < len(parts) <= _MOST_PARTS_SHOWN else []


def compared_clips(plan: SweepPlan) -> str:
    """Return by which clips the variants are compared, as text."""
    return "held-out training clips" if plan.runs[0].subset == "val" else "test clips"


def notes(plan: SweepPlan, results: Sequence[VariantResult]) -> list[str]:
    """Return sentences that say how the table is to be read, and what it cannot tell."""
    found = [each.difference for each in results if each.difference is not None]
    seeds, clips = len(plan.spec.seeds), compared_clips(plan)
    text = [
        f"{METRIC.title} of the last epoch on the {clips}, mean ± standard deviation over {counted(seeds, 'seed')}. "
        "A difference is the variant minus the baseline on the same clips and seeds, in points, with a bootstrap "
        f"interval over clips{' and seeds' if seeds > 1 else ''}."
    ]
    if any(each.agrees for each in found):
        text.append("An interval without width says nothing: the trainings differ on all clips alike, or on none.")
    if len(plan.parts) > 1:
        text.append(
            "All parts: every clip counts the same in each part that tests it, and so it does in the differences; mean "
            "of parts: every part does, as results on folds are usually reported."
        )
    if least := max((each.resolution for each in found), default=0.0):
        text.append(f"Differences below about {least:.1f} points cannot be told from none by these runs.")
    if seeds == 1 and found:
        text.append("One seed: the intervals lack the noise of training. Confirm a result with --seeds 0,1,2.")
    elif lacking := [each.variant for each in results if each.difference is not None and each.difference.seeds == 1]:
        text.append(f"Of one seed so far, so that the interval lacks the noise of training: {', '.join(lacking)}.")
    if len(found) > 1:
        chance = 1 - LEVEL ** len(found)
        text.append(
            f"Of {len(found)} variants without any effect, at least one would look decided with a probability of "
            f"up to {chance:.0%}."
        )
    if plan.reported:
        text.append(
            f"{plan.reported} is the protocol on which results of this data set are reported. A choice made by it is "
            "made on the test clips, and its figures are then too good: sweep over parts of the training clips."
        )
    return text


def write_results(plan: SweepPlan, outcomes: Sequence[Outcome]) -> None:
    """Write `sweep.md` and `sweep.json` into the sweep's folder.

    Raises:
        UserError: they cannot be written, or a run's files cannot be read.
    """
    results = compare(plan, outcomes)
    write_text(plan.folder / "sweep.md", _markdown(plan, results, outcomes))
    write_json(plan.folder / SWEEP_FILE, _facts(plan, results, outcomes))


def _markdown(plan: SweepPlan, results: Sequence[VariantResult], outcomes: Sequence[Outcome]) -> str:
    table = markdown_table(columns(plan), [row(plan, each) for each in results])
    changes = [f"- `{each.variant}`: {', '.join(f'`{text}`' for text in each.changes)}" for each in results[1:]]
    problems = [f"- {each.run.title}: {each.text()}" for each in outcomes if each.status in (DIVERGED, FAILED)]
    title = f"# Sweep of {plan.runs[0].config.title}: {', '.join(plan.parts)}"
    blocks = [title, table, "\n".join(changes), " ".join(notes(plan, results)), "\n".join(problems)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _facts(plan: SweepPlan, results: Sequence[VariantResult], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the content of `sweep.json`; an unknown number is None."""
    return {
        "settings": asdict(plan.spec),
        "parts": plan.parts,
        "variants": [
            {
                "variant": each.variant,
                "changes": list(each.changes),
                "parts": {part: spread.facts() for part, spread in each.of_parts.items()},
                "together": each.together.facts(),
                "over_parts": each.over_parts.facts(),
                "difference": None if each.difference is None else asdict(each.difference),
                "core_hours": each.hours,
            }
            for each in results
        ],
        "runs": [
            {
                "variant": each.run.variant,
                "part": each.run.part,
                "seed": each.run.seed,
                "status": each.status,
                "reason": each.reason,
                "run": None if each.folder is None else each.folder.relative_to(plan.folder).as_posix(),
                _FINAL: each.accuracy if each.measured else None,
                "core_hours": each.hours if each.status == DONE else None,
            }
            for each in outcomes
        ],
    }
