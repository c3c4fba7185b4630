"""Running a sweep: its unfinished runs in several processes, each run followed by its evaluation."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ...data.store.protocols import hold_out, split
from ...data.store.reader import Store
from ...evaluation.evaluate import evaluate
from ...evaluation.predictions_file import evaluation_folder
from ...evaluation.request import EvalRequest
from ...runs.folder import RunFolder, runs_in
from ...runs.resume import HARMLESS
from ...settings.distillation import teachers_in
from ...utils.errors import TimeIsOver, TrainingDiverged, UserError
from ...utils.files import make_folder, write_text
from ...utils.locks import sole_writer
from ...utils.numbers import counted
from ...utils.progress import SILENT, Progress
from ...utils.worker_pool import work_in_order
from ..contradictions import refuse_contradictory
from ..run import EndCallback, store_of, train
from ..series import changed_values
from ..split_check import divided_with_warnings, refuse_too_few_clips
from .plan import BASELINE, SweepPlan, SweepRun
from .report import write_results
from .results import DIVERGED, DONE, PENDING, Outcome, outcome_of, read_outcomes

_log = logging.getLogger(__name__)

# A run with teachers notes their checkpoints, and their fingerprints.
_FILLED_IN = ("distillation.teachers", "distillation.fingerprints")
_LOST = (
    "A process that trained ended unexpectedly, perhaps because there was not enough memory. Run the same command "
    "again with fewer --jobs; finished runs are kept, and begun ones are resumed."
)


@dataclass(frozen=True)
class Job:
    """A run for a process.

    Attributes:
        run: the run.
        started_at: when its hours began to count by `time.monotonic()`, which all processes share.
        on_end: passed to `train`; it is pickled.
        expected_s: how long it is expected to take; it does not begin if that is more than is left of its hours.
        reserved_s: how much of its hours is for others, so that it only begins if it is expected to end before.
    """

    run: SweepRun
    started_at: float
    on_end: EndCallback | None
    expected_s: float = 0.0
    reserved_s: float = 0.0

    @property
    def ends_in_time(self) -> bool:
        """Return whether it is expected to end within its hours, without those that are reserved."""
        end_s = self.started_at + 3600 * self.run.config.max_hours - self.reserved_s
        return not self.run.config.max_hours or time.monotonic() + self.expected_s < end_s


def run_sweep(
    plan: SweepPlan, jobs: int, progress: Progress = SILENT, on_end: EndCallback | None = None
) -> list[Outcome]:
    """Train and evaluate the unfinished runs of a sweep, and return the outcomes of all runs.

    Finished and diverged runs are skipped, begun ones are resumed. A run that diverges or cannot be trained does not
    stop the others. `sweep.md` and `sweep.json` always show the present results.

    Args:
        plan: what is to be trained.
        jobs: how many runs are trained side by side, each in a process of its own.
        progress: counts epochs.
        on_end: passed to `train`; it is pickled.

    Raises:
        UserError: data are missing, runs of the sweep were started with other settings, or another process trains it.
        KeyboardInterrupt: a signal arrived; the runs have saved their states.
    """
    refusal = f"Another process is training the sweep {plan.folder}. Run the same command when that has ended."
    _refuse_impossible(plan)
    with sole_writer(make_folder(plan.folder), refusal):
        try:
            _train_all(plan, jobs, progress, on_end)
        finally:
            outcomes = read_outcomes(plan)
            write_results(plan, outcomes)
    return outcomes


def _refuse_impossible(plan: SweepPlan) -> None:
    """Refuse a sweep whose data or clips are missing or too few, or whose runs were started with other settings."""
    store = store_of(plan.runs[0].config)
    for part in plan.parts:
        baseline = plan.runs_of(BASELINE, part)[0].config
        refuse_too_few_clips(baseline, store, divided_with_warnings(store, baseline.data), part)
        _refuse_other_clips(plan, part, store)
    for run in plan.runs:
        refuse_contradictory(run.title, run.config)
    refuse_other_settings(plan.runs)


def _refuse_other_clips(plan: SweepPlan, part: str, store: Store) -> None:
    """Refuse a variant that is tested on other clips than the baseline, with which it could not be compared.

    Raises:
        UserError: there is such a variant, or a part of it is empty, or has too few clips to hold some out.
    """
    baseline, *others = (plan.runs_of(variant, part)[0] for variant in plan.changes)
    own = _compared_clips(baseline, store)
    for run in others:
        if run.config.data != baseline.config.data and (clips := _compared_clips(run, store)) != own:
            raise UserError(
                f"--variant {run.variant} is tested on {counted(len(clips), 'clip')} of {part} and the baseline on "
                f"{len(own)}, not the same ones, so the two cannot be compared. What chooses clips, such as "
                "data.select, is set for all runs: --set data.select..."
            )


def _compared_clips(run: SweepRun, store: Store) -> list[int]:
    """Return the indices of the clips by which a run is compared."""
    config, parts = run.config, split(store.clips, run.config.data)
    if run.subset == "test":
        return list(parts.test.tolist())
    return list(hold_out(store.clips, parts.train, config.validation_fraction, config.seed)[1].tolist())


def refuse_other_settings(runs: Sequence[SweepRun]) -> None:
    """Refuse runs that were started with other settings.

    Raises:
        UserError: there is such a run; the message names it and the setting.
    """
    for run in runs:
        started_with = outcome_of(run).config
        changed = changed_values(started_with, run.config, (*HARMLESS, *_FILLED_IN))
        if started_with:
            before, now = teachers_in(started_with), [*map(_checkpoint_of, run.config.distillation.teachers)]
            changed |= {"distillation.teachers": (before, now)} if before != now else {}
        if changed:
            key, (old, new) = next(iter(changed.items()))
            raise UserError(
                f"{run.title}: {key} was {old!r} when this run was started in {run.folder}, and is {new!r} now. "
                "Repeat the options of that sweep, or start another one with another --name."
            )


def _checkpoint_of(teacher: str) -> str:
    """Return the checkpoint of a teacher as a run notes it, even if it is gone: the file, or a run's last epoch."""
    path = Path(teacher).absolute()
    run = RunFolder(path)
    if path.suffix == run.last.suffix:
        return str(path)
    return str((RunFolder(path.parent) if path.name == run.checkpoints.name else run).last)


def _train_all(plan: SweepPlan, jobs: int, progress: Progress, on_end: EndCallback | None) -> None:
    outcomes = read_outcomes(plan)
    waiting = [each.run for each in outcomes if each.status not in (DONE, DIVERGED) or each.lacks_predictions]
    write_results(plan, outcomes)
    if done := len(plan.runs) - len(waiting):
        _log.info(f"{counted(done, 'run')} of {len(plan.runs)} {'is' if done == 1 else 'are'} done already.")
    if not waiting:
        return
    began = time.monotonic()
    todo = [Job(run, began, on_end) for run in waiting]
    before = plan.epochs - sum(map(epochs_left, outcomes))
    with progress.task("training", plan.epochs, "epochs", before=before) as bar:
        for _ in train_jobs(todo, jobs, plan.runs, bar):
            write_results(plan, read_outcomes(plan))


def train_jobs(
    todo: Sequence[Job], processes: int, shown: Sequence[SweepRun], bar: Progress
) -> Iterator[tuple[Outcome, float]]:
    """Train and evaluate runs in several processes; yield the outcome of each once it and all before it have ended.

    With each outcome come the seconds that the run took from its start to its end.

    Args:
        todo: the runs.
        processes: how many are trained side by side.
        shown: the runs whose finished epochs advance the `bar`.
        bar: a task that counts epochs.
    """
    advance = _advancing(shown, bar)
    lengths = {(job.run.folder, job.run.seed): _length(outcome_of(job.run)) for job in todo}
    took: dict[tuple[Path, int], float] = {}

    def note(job: Job, seconds: float) -> None:
        took[job.run.folder, job.run.seed] = seconds

    processes = min(processes, len(todo))
    with closing(work_in_order(_train_and_evaluate, todo, processes, _LOST, advance, note)) as finished:
        for job in finished:
            advance()
            outcome = outcome_of(job.run)
            if early := lengths[job.run.folder, job.run.seed] - _length(outcome):
                bar.advance(early)
            if outcome.status != PENDING:  # no time was left for others, which is told at the end
                _log.info(f"{job.run.title}: {outcome.text()}")
            yield outcome, took[job.run.folder, job.run.seed]


def _advancing(runs: Sequence[SweepRun], bar: Progress) -> Callable[[], None]:
    """Return a function that advances the bar by the epochs that were finished since its last call."""
    counted_already = _epochs_done(runs)

    def advance() -> None:
        nonlocal counted_already
        now = _epochs_done(runs)
        if now > counted_already:
            bar.advance(now - counted_already)
            counted_already = now

    return advance


def _epochs_done(runs: Sequence[SweepRun]) -> int:
    """Return the number of finished epochs in the folders of runs, also of other seeds; no configuration is read."""
    return sum(_lines(run.logbook) for folder in {each.folder for each in runs} for run in runs_in(folder))


def _length(outcome: Outcome) -> int:
    """Return with how many epochs a run has ended or is to end."""
    return _epochs_of(outcome) + epochs_left(outcome)


def _epochs_of(outcome: Outcome) -> int:
    """Return the number of finished epochs of one run."""
    return 0 if outcome.folder is None else _lines(RunFolder(outcome.folder).logbook)


def epochs_left(outcome: Outcome) -> int:
    """Return how many epochs of one run are left: none if it has ended, perhaps early, or diverged."""
    return 0 if outcome.status in (DONE, DIVERGED) else outcome.run.config.epochs - _epochs_of(outcome)


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:  # not written yet
        return 0


def _train_and_evaluate(job: Job) -> None:
    """Train a run in this process, and write its predictions; a failure is written beside the run."""
    if hasattr(os, "setpgrp"):  # Ctrl-C on the terminal then reaches the sweep alone, which ends this process
        os.setpgrp()
    logging.getLogger().addHandler(logging.NullHandler())  # the run has a log of its own
    config = job.run.config
    if not job.ends_in_time:
        return
    job.run.failure.unlink(missing_ok=True)
    try:
        result = train(config, "auto", started_at=job.started_at, search_inputs=False, on_end=job.on_end)
        if result.stopped is None:
            request = EvalRequest(result.run.last, job.run.subset, device=config.device, pictures=False)
            evaluate(request, evaluation_folder(result.run, job.run.subset))
    except TrainingDiverged:  # the run's folder says so
        pass
    except TimeIsOver:  # while data were prepared; the run stays pending
        pass
    except UserError as error:
        write_text(make_folder(job.run.folder) / job.run.failure.name, f"{error}\n")
