"""Running a search: its stages one after the other, each with the candidates that did best in the stage before."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...runs.logbook import read_rows
from ...utils.errors import TrainingDiverged, UserError
from ...utils.files import make_folder
from ...utils.locks import sole_writer
from ...utils.numbers import counted, duration
from ...utils.progress import SILENT, Progress
from ..run import EndCallback
from ..sweep.plan import BASELINE, SweepRun
from ..sweep.results import DIVERGED, DONE, PENDING, Outcome, outcome_of
from ..sweep.run import Job, epochs_left, refuse_other_settings, train_jobs
from .budget import Costs, Rung, described, plan_rungs
from .clock import Clock, recorded_times
from .plan import Candidate, Search, refuse_unsuitable_clips
from .report import write_search
from .results import Stage, Standing, read_stages

_log = logging.getLogger(__name__)

_SHORTEST_S = 1.0
_FIRST_TRIES = 12  # candidates, after which a search ends if no epoch of any was trained
_Ended = dict[tuple[Path, int], int]  # runs by folder and seed, with the lengths of their schedules


def run_search(search: Search, jobs: int, progress: Progress = SILENT, on_end: EndCallback | None = None) -> Standing:
    """Train and evaluate candidates within the budget, and return the standing of all.

    Finished runs are kept and begun ones are resumed, so the same call resumes a search, and one with a larger budget
    adds candidates. `search.md` and `search.json` show the present results after each stage, and `search.json` the time
    that is spent after each run.

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
        clock = Clock(search.folder, 3600 * search.budget_hours, recorded_times(search.folder, jobs))
        planned, tried = "", _Ended()
        while step := _next_step(search, stages, jobs, clock, tried):
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
                write_search(search, Standing(stages, planned, clock.times(), jobs))
            tried |= {(run.folder, run.seed): run.config.epochs for run in step.runs}
        standing = Standing(stages, planned, clock.times(), jobs)
        write_search(search, standing)
    _refuse_nothing_trained(search, standing)
    return standing


@dataclass(frozen=True)
class _Step:
    """Runs that are trained next, and what is known of the time that they and the others of the plan take.

    Attributes:
        runs: the runs.
        costs: what they take; None if it is not known.
        reserved_s: how long the stages after theirs take.
        planned: the plan as text.
        planned_s: how long it takes.
    """

    runs: Sequence[SweepRun]
    costs: Costs | None = None
    reserved_s: float = 0.0
    planned: str = ""
    planned_s: float = 0.0


def _next_step(search: Search, stages: Sequence[Stage], jobs: int, clock: Clock, tried: _Ended) -> _Step | None:
    """Return the unfinished runs of the first stage that has some; None if there are none, or no time for one.

    Args:
        search: what is searched.
        stages: the present results.
        jobs: how many runs are trained side by side.
        clock: knows how long the search may still take.
        tried: runs that this call has trained, or had no time for, which are not tried again.
    """
    ended, left_s = {**_ended(stages), **tried}, clock.left_s
    seconds = seconds_per_epoch([each for stage in stages for each in stage.outcomes])
    if seconds is None:
        few = search.candidates.first(min(jobs + len(tried), _FIRST_TRIES))
        runs = search.plan(search.lengths[0], few, search.spec.seeds[:1]).runs
        waiting = [run for run in runs if (run.folder, run.seed) not in ended]
        return _Step(waiting[:jobs]) if waiting and left_s else None
    costs = Costs(clock.overhead_s, seconds, jobs, len(search.parts), _runs_done(stages, ended))
    rungs = _planned(search, costs, left_s)
    chosen: Sequence[Candidate] = search.candidates.first(rungs[0].candidates) if rungs else []
    for number, rung in enumerate(rungs):
        if number:
            chosen = _promoted(search, stages, rungs[number - 1].epochs, rung.candidates)
        runs = search.plan(rung.epochs, chosen, search.spec.seeds[: rung.seeds]).runs
        if waiting := [run for run in runs if (run.folder, run.seed) not in ended]:
            times = [costs.left_s(each) for each in rungs]
            return _Step(waiting, costs, sum(times[number + 1 :]), described(rungs), sum(times))
    return None


def _ended(stages: Sequence[Stage]) -> _Ended:
    """Return the runs that are done and evaluated, or have diverged."""
    outcomes = [(stage.epochs, each) for stage in stages for each in stage.outcomes]
    return {
        (each.run.folder, each.run.seed): epochs
        for epochs, each in outcomes
        if each.measured or each.status == DIVERGED
    }


def _runs_done(stages: Sequence[Stage], ended: _Ended) -> dict[int, float]:
    """Return by the length of the schedule how many runs have ended, and the finished share of those that are begun."""
    done: dict[int, float] = dict(Counter(ended.values()))
    for stage in stages:
        for each in stage.outcomes:
            if each.status != PENDING and (each.run.folder, each.run.seed) not in ended:
                done[stage.epochs] = done.get(stage.epochs, 0.0) + 1 - epochs_left(each) / stage.epochs
    return done


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


def _train(step: _Step, jobs: int, clock: Clock, progress: Progress, on_end: EndCallback | None) -> None:
    """Train runs, and note in the clock what those that end take beside their epochs.

    Those that are not expected to end early enough for the stages after theirs do not begin. So a machine that has
    become slower tries fewer candidates instead of none with the longer schedules.
    """
    began, hours = time.monotonic(), max(clock.left_s, _SHORTEST_S) / 3600  # 0 would be no limit
    runs = [replace(run, config=replace(run.config, max_hours=hours)) for run in step.runs]
    outcomes = [outcome_of(run) for run in runs]
    expected_s = [step.costs.run_s(epochs_left(each)) if step.costs else 0.0 for each in outcomes]
    todo = [Job(run, began, on_end, expected, step.reserved_s) for run, expected in zip(runs, expected_s, strict=True)]
    trained_s = {(each.run.folder, each.run.seed): _epochs_s(each) for each in outcomes}
    total = sum(run.config.epochs for run in runs)
    before = total - sum(map(epochs_left, outcomes))
    with progress.task(f"schedules of {runs[0].config.epochs}", total, "epochs", before=before) as bar:
        for outcome, took_s in train_jobs(todo, jobs, runs, bar):
            if outcome.measured:
                epochs_s = _epochs_s(outcome) - trained_s[outcome.run.folder, outcome.run.seed]
                clock.overheads_s.append(max(took_s - epochs_s, 0.0))
            clock.record(jobs)


def seconds_per_epoch(outcomes: Sequence[Outcome]) -> float | None:
    """Return how long an epoch of one run takes in seconds on average; None if none was trained yet.

    A run that early stopping ended counts with all epochs of its schedule, since others are expected to end early too.
    """
    seconds = epochs = 0.0
    for each in outcomes:
        seconds += _epochs_s(each)
        epochs += each.run.config.epochs if each.status == DONE else len(_seconds_of_rows(each))
    return seconds / epochs if epochs and seconds else None


def _epochs_s(outcome: Outcome) -> float:
    """Return how long the finished epochs of a run took in seconds."""
    return float(outcome.summary.get("train_seconds", 0.0)) or sum(_seconds_of_rows(outcome))


def _seconds_of_rows(outcome: Outcome) -> list[float]:
    if outcome.folder is None:
        return []
    rows: Sequence[Mapping[str, object]] = read_rows(outcome.folder / "metrics.jsonl")
    return [float(str(row["seconds"])) for row in rows if "seconds" in row]


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
