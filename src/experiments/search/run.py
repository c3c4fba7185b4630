"""Running a search: its stages one after the other, each with the candidates that did best in the stage before."""

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...runs.folder import SEARCH_FILE
from ...runs.logbook import read_rows
from ...utils.errors import TrainingDiverged, UserError
from ...utils.files import make_folder, read_json
from ...utils.locks import sole_writer
from ...utils.numbers import counted, duration
from ...utils.progress import SILENT, Progress
from ..run import EndCallback
from ..sweep.plan import BASELINE, SweepRun
from ..sweep.results import DIVERGED, DONE, PENDING, STOPPED, Outcome, outcome_of
from ..sweep.run import Job, epochs_left, refuse_other_settings, train_jobs
from .budget import Costs, Rung, described, plan_rungs
from .plan import Candidate, Search, refuse_unsuitable_clips
from .report import write_search
from .results import Stage, Standing, read_stages

_log = logging.getLogger(__name__)

_SHORTEST_S = 1.0
_MOST = 1e10  # seconds, some three hundred years; a larger number in a record is damaged
_FIRST_TRIES = 12  # candidates, after which a search ends if no epoch of any was trained
_Tried = tuple[Path, int]  # the folder and seed of a run that this call trained


@dataclass
class _Clock:
    """The time of a search, all calls together.

    Attributes:
        budget_s: how long the search may take in seconds.
        before_s: how long earlier calls took.
        began: when this call began by `time.monotonic()`.
    """

    budget_s: float
    before_s: float
    began: float = field(default_factory=lambda: time.monotonic())

    @property
    def spent_s(self) -> float:
        return self.before_s + time.monotonic() - self.began

    @property
    def left_s(self) -> float:
        return max(self.budget_s - self.spent_s, 0.0)


def run_search(search: Search, jobs: int, progress: Progress = SILENT, on_end: EndCallback | None = None) -> Standing:
    """Train and evaluate candidates within the budget, and return the standing of all.

    Finished runs are kept and begun ones are resumed, so the same call resumes a search, and one with a larger budget
    adds candidates. `search.md` and `search.json` show the present results after each stage.

    Args:
        search: what is searched.
        jobs: how many runs are trained side by side, each in a process of its own.
        progress: counts epochs.
        on_end: passed to `train`; it is pickled.

    Raises:
        UserError: data are missing, candidates would be chosen by reported clips, runs were started with other
            settings, the budget does not suffice for a run, or another process trains the search.
        TrainingDiverged: all runs diverged.
        KeyboardInterrupt: a signal arrived; the runs have saved their states.
    """
    refuse_unsuitable_clips(search)
    refusal = f"Another process is training the search {search.folder}. Run the same command when that has ended."
    with sole_writer(make_folder(search.folder), refusal):
        stages = read_stages(search)
        for stage in stages:
            refuse_other_settings(stage.plan.runs)
        clock = _Clock(3600 * search.budget_hours, _spent_before_s(search, stages, jobs))
        planned, tried = "", set[_Tried]()
        while step := _next_step(search, stages, jobs, clock.left_s, tried):
            if step.planned and step.planned != planned:
                planned = step.planned
                _log.info(
                    f"Within the budget: {planned}, each also with the recipe's own settings: about "
                    f"{duration(step.planned_s)}."
                )
            try:
                _train(step, jobs, clock, progress, on_end)
            finally:
                stages = read_stages(search)
                write_search(search, Standing(stages, planned, clock.spent_s, jobs))
            tried |= {(run.folder, run.seed) for run in step.runs}
        standing = Standing(stages, planned, clock.spent_s, jobs)
        write_search(search, standing)
    _refuse_nothing_trained(search, standing)
    return standing


@dataclass(frozen=True)
class _Step:
    """Runs that are trained next, and what is known of the time that they and the others of the plan take.

    Attributes:
        runs: the runs.
        seconds_per_epoch: how long an epoch of one takes.
        reserved_s: how long the stages after theirs take.
        planned: the plan as text.
        planned_s: how long it takes.
    """

    runs: Sequence[SweepRun]
    seconds_per_epoch: float = 0.0
    reserved_s: float = 0.0
    planned: str = ""
    planned_s: float = 0.0


def _next_step(
    search: Search, stages: Sequence[Stage], jobs: int, left_s: float, tried: Collection[_Tried]
) -> _Step | None:
    """Return the unfinished runs of the first stage that has some; None if there are none, or no time for one.

    Args:
        search: what is searched.
        stages: the present results.
        jobs: how many runs are trained side by side.
        left_s: how long the search may still take.
        tried: runs that this call has trained, which are not tried again.
    """
    ended = {*tried, *_ended(stages)}
    seconds = seconds_per_epoch([each for stage in stages for each in stage.outcomes])
    if seconds is None:
        few = search.candidates.first(min(jobs + len(tried), _FIRST_TRIES))
        runs = search.plan(search.lengths[0], few, search.spec.seeds[:1]).runs
        waiting = [run for run in runs if (run.folder, run.seed) not in ended]
        return _Step(waiting[:jobs]) if waiting and left_s else None
    done = {stage.epochs: _runs_done(stage, ended) for stage in stages}
    costs = Costs(seconds, jobs, len(search.parts), done)
    rungs = _planned(search, costs, left_s)
    chosen: Sequence[Candidate] = search.candidates.first(rungs[0].candidates) if rungs else []
    for number, rung in enumerate(rungs):
        if number:
            chosen = _promoted(search, stages, rungs[number - 1].epochs, rung.candidates)
        runs = search.plan(rung.epochs, chosen, search.spec.seeds[: rung.seeds]).runs
        if waiting := [run for run in runs if (run.folder, run.seed) not in ended]:
            times = [costs.left_s(each) for each in rungs]
            return _Step(waiting, seconds, sum(times[number + 1 :]), described(rungs), sum(times))
    return None


def _ended(stages: Sequence[Stage]) -> Iterator[_Tried]:
    """Yield the runs that are done and evaluated, or have diverged."""
    for stage in stages:
        for each in stage.outcomes:
            if each.measured or each.status == DIVERGED:
                yield each.run.folder, each.run.seed


def _runs_done(stage: Stage, ended: Collection[_Tried]) -> float:
    """Return how many runs of a stage have ended, also early, and the finished share of those that are begun."""
    begun = [each for each in stage.outcomes if each.status != PENDING]
    return sum(
        1.0 if (each.run.folder, each.run.seed) in ended else 1 - epochs_left(each) / stage.epochs for each in begun
    )


def _planned(search: Search, costs: Costs, left_s: float) -> list[Rung]:
    """Return the stages that end within the time left."""
    while True:
        rungs = plan_rungs(search.lengths, len(search.spec.seeds), search.candidates.most, costs, left_s)
        if not rungs or len(search.candidates.first(rungs[0].candidates)) == rungs[0].candidates:
            return rungs


def _promoted(search: Search, stages: Sequence[Stage], epochs: int, count: int) -> list[Candidate]:
    """Return the best candidates, at most `count`, of all that were trained with schedules of so many epochs."""
    ordered = [result for stage in stages if stage.epochs == epochs for result in stage.ordered]
    best = [each.variant for each in ordered if each.variant != BASELINE and each.together.known]
    return [search.candidate(name) for name in best[:count]]


def _train(step: _Step, jobs: int, clock: _Clock, progress: Progress, on_end: EndCallback | None) -> None:
    """Train runs; those that are not expected to end early enough for the stages after theirs do not begin.

    So a machine that has become slower tries fewer candidates instead of none with the longer schedules.
    """
    began, hours = time.monotonic(), max(clock.left_s, _SHORTEST_S) / 3600  # 0 would be no limit
    runs = [replace(run, config=replace(run.config, max_hours=hours)) for run in step.runs]
    outcomes = [outcome_of(run) for run in runs]
    left_s = [epochs_left(each) * step.seconds_per_epoch for each in outcomes]
    todo = [Job(run, began, on_end, expected, step.reserved_s) for run, expected in zip(runs, left_s, strict=True)]
    total = sum(run.config.epochs for run in runs)
    before = total - sum(map(epochs_left, outcomes))
    with progress.task(f"schedules of {runs[0].config.epochs}", total, "epochs", before=before) as bar:
        for _ in train_jobs(todo, jobs, runs, bar):
            pass


def seconds_per_epoch(outcomes: Sequence[Outcome]) -> float | None:
    """Return how long an epoch of one run takes in seconds on average; None if none was trained yet.

    A run that early stopping ended counts with all epochs of its schedule, since others are expected to end early too.
    """
    seconds = epochs = 0.0
    for each in outcomes:
        rows = _seconds_of_rows(each) if each.status in (STOPPED, DIVERGED) else []
        seconds += float(each.summary.get("train_seconds", 0.0)) or sum(rows)
        epochs += each.run.config.epochs if each.status == DONE else len(rows)
    return seconds / epochs if epochs and seconds else None


def _seconds_of_rows(outcome: Outcome) -> list[float]:
    assert outcome.folder is not None
    rows: Sequence[Mapping[str, object]] = read_rows(outcome.folder / "metrics.jsonl")
    return [float(str(row["seconds"])) for row in rows if "seconds" in row]


def _spent_before_s(search: Search, stages: Sequence[Stage], jobs: int) -> float:
    """Return how long earlier calls took in seconds: as they recorded, at least what their runs took side by side."""
    try:
        recorded = read_json(search.folder / SEARCH_FILE)
    except UserError:
        recorded = {}
    of_runs = sum(float(each.summary.get("train_seconds", 0.0)) for stage in stages for each in stage.outcomes)
    side_by_side = max(jobs, int(_number(recorded, "jobs")), 1)
    return max(_number(recorded, "spent_seconds"), of_runs / side_by_side)


def _number(recorded: Mapping[str, object], key: str) -> float:
    """Return a number above 0 that is recorded; 0 in place of anything else."""
    value = recorded.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 < value <= _MOST else 0.0


def _refuse_nothing_trained(search: Search, standing: Standing) -> None:
    """Refuse a search of which no run was finished."""
    outcomes = [each for stage in standing.stages for each in stage.outcomes if each.status != PENDING]
    if any(each.measured for each in outcomes):
        return
    if outcomes and all(each.status == DIVERGED for each in outcomes):
        raise TrainingDiverged("All runs of the search diverged. Search lower learning rates.")
    if failed := [each for each in outcomes if each.reason]:
        raise UserError(f"No run of the search could be trained. {failed[0].run.title}: {failed[0].reason}")
    seconds, epochs = seconds_per_epoch(outcomes), search.lengths[0]
    took = f"takes about {duration(seconds * epochs)}" if seconds else "did not end in that time"
    shorter = f"; or give schedules of fewer than {epochs} epochs with --search epochs" if epochs > 1 else ""
    raise UserError(
        f"--budget_hours {search.budget_hours:g} is too small: one run of {counted(epochs, 'epoch')} {took}. Give more "
        f"hours, and the same command resumes the search{shorter}."
    )
