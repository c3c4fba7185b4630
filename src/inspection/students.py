"""Students that judge a data set before it is trained on: likely wrong labels, and what more clips would bring.

The clips are divided into folds. A student is trained on all folds but one, and its probabilities for the clips of that
fold tell which labels are likely wrong (`confident_learning`). Further students with a half and a quarter of the same
training clips give a learning curve (`learning_curve`). All students make as many updates, so that those with fewer
clips are not trained for a shorter time.
"""

import logging
import math
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data.store.reader import Store
from ..settings.data import DataConfig, NormalizeConfig
from ..utils.errors import UserError
from ..utils.machine import usable_cores
from ..utils.numbers import counted, percent
from ..utils.program import program
from ..utils.progress import SILENT, Progress
from ..utils.worker_pool import work_in_order
from .confident_learning import LikelyWrong, likely_wrong
from .findings import Evidence, Finding, LearningCurve, Severity
from .learning_curve import Measured, learning_curve
from .student_folds import FOLDS, Division, divide, parts_of

if TYPE_CHECKING:
    from .student_training import Students, Trial

_log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

KIND = "wrong_labels"
SHARES = (0.25, 0.5, 1.0)
LEAST_SCORE = 3.0  # chosen on NW-UCLA with other planted noise than that of the reported figures
_MOST_PROCESSES = 8
_STARTING_S = 6.0  # of a process: importing torch and opening the store
_SLOWER_TOGETHER = 1.3  # a step takes longer beside other processes
_FEWEST_FOR_CURVE = FOLDS + len(SHARES) - 1  # students: one of each fold, and those of one fold with fewer clips
_FEWEST_UPDATES, _UPDATES_FOR_ALL_FOLDS, _MOST_EPOCHS, _MANY_UPDATES = 20, 150, 40, 200
_MOST_EVIDENCE = 200
_LOST_STUDENT = "A process that trained students ended unexpectedly, perhaps because there was not enough memory."


@dataclass(frozen=True)
class Studied:
    """What students found out about a data set.

    Attributes:
        wrong_labels: the clips whose labels are likely wrong; None if there are none, or it could not be done.
        curve: what more clips would bring; None if it was not measured.
        refused: why students could not be trained, a sentence; empty if they could.
        no_curve: why the curve alone was not measured; empty if it was, or was not asked for.
    """

    wrong_labels: Finding | None = None
    curve: LearningCurve | None = None
    refused: str = ""
    no_curve: str = ""


def study(
    store: Store,
    data: DataConfig | None = None,
    *,
    minutes: float = 1.0,
    seed: int = 0,
    progress: Progress = SILENT,
    updates: int = 0,
    repeats: int | None = None,
) -> Studied:
    """Train students on the clips of a store for about a number of minutes and return what they found out.

    If the students that judge labels take longer than planned, those of the learning curve take up to as long again.
    Nothing is written but temporary files, also if it is interrupted.

    Args:
        store: the clips.
        data: how the data set is normalised and augmented; by default for any unit of the coordinates.
        minutes: the time for all students.
        seed: of the folds and of the students.
        progress: the progress display.
        updates: how many updates each student makes; 0 for as many as the time allows. With a number the result does
            not depend on the speed of the machine.
        repeats: for how many folds the curve is measured, up to `FOLDS`; 0 for no curve, None for as many as the time
            allows.
    """
    began = time.monotonic()
    data = data or DataConfig(name=store.name, normalize=NormalizeConfig(scale="unit"))  # in any unit
    labels = store.clips["label"].astype(np.int64)
    try:
        division = divide(store, seed)
        limits = _Limits(began, minutes, updates, repeats)
        probabilities, measured, no_curve = _train(store, data, division, limits, seed, progress)
    except UserError as error:
        return Studied(refused=str(error))
    remarks = " ".join(division.remarks)
    found = likely_wrong(probabilities, division.labels, LEAST_SCORE)
    curve = None if measured is None else learning_curve(measured, store.classes, seed)
    if curve is not None and remarks:
        curve = replace(curve, advice=f"{curve.advice} {remarks}")
    return Studied(_finding(store, division, labels, found, remarks), curve, no_curve=no_curve)


@dataclass(frozen=True)
class _Limits:
    """When the study began, on the clock of `time.monotonic`, how many minutes it may take, and given numbers."""

    began: float
    minutes: float
    updates: int = 0
    repeats: int | None = None

    @property
    def left_s(self) -> float:
        return self.began + 60 * self.minutes - time.monotonic()

    def is_over(self, trained: int) -> bool:
        """Tell whether no further student is trained after a number of them; the first curve may take as long again."""
        if self.updates or trained < FOLDS:
            return False
        return self.left_s < (-60 * self.minutes if trained < _FEWEST_FOR_CURVE else 0)


def _train(
    store: Store, data: DataConfig, division: Division, limits: _Limits, seed: int, progress: Progress
) -> tuple[Floats, Measured | None, str]:
    """Return out-of-fold probabilities (n, K), what students with fewer clips did, and why there were none of these."""
    from .student_training import Students  # torch

    students = Students.of(store, data, store.clips["label"].astype(np.int64))
    repeats, updates, processes = _effort(students, division, limits)
    trials, trained_from = list(_trials(division, updates, repeats, seed)), time.monotonic()
    results: dict[tuple[int, float], Floats] = {}
    with (
        progress.task("training students", len(trials), "students") as task,
        closing(_results(students, [trial for *_, trial in trials], processes)) as found,
    ):
        for (fold, share, _), result in zip(trials, found, strict=True):
            results[fold, share] = result
            task.advance()
            if limits.is_over(len(results)):
                _log.info("The time is over: %s of %d were trained.", counted(len(results), "student"), len(trials))
                break
    probabilities = np.full((len(division.clips), len(store.classes)), np.nan)
    for fold in range(1, FOLDS + 1):
        probabilities[division.of_fold(fold)] = results[fold, 1.0]
    measured = _measured(division, results)
    no_curve = "" if measured is not None or not repeats else _no_time(limits, trained_from, len(results))
    return probabilities, measured, no_curve


def _no_time(limits: _Limits, trained_from: float, trained: int) -> str:
    """Return that no time was left for the curve, and which is enough, given how many students were trained."""
    each_s = (time.monotonic() - trained_from) / trained
    seconds = trained_from - limits.began + _FEWEST_FOR_CURVE * each_s
    enough = max(math.ceil(seconds / 60), math.floor(limits.minutes) + 1)
    return (
        "no time was left to train students with fewer clips; "
        f"`{program()} inspect PATH --minutes {enough}` should be enough"
    )


def _effort(students: "Students", division: Division, limits: _Limits) -> tuple[int, int, int]:
    """Return for how many folds the curve is measured, how many updates a student makes, and in how many processes."""
    step_s = students.step_seconds(division.clips)
    batch, train = students.config.batch_size, len(division.clips) * (FOLDS - 1) // FOLDS
    most = max(_MANY_UPDATES, -(-_MOST_EPOCHS * train // batch))
    repeats = FOLDS if limits.repeats is None else limits.repeats
    cores = min(usable_cores(), _MOST_PROCESSES) if students.device.type == "cpu" else 1
    wanted_s = min(limits.left_s, (limits.updates or most) * _runs(repeats) * step_s)
    processes = cores if wanted_s > 3 * _STARTING_S else 1  # others would start too late to help

    def affordable(repeats: int) -> int:
        left_s = limits.left_s - (_STARTING_S if processes > 1 else 0)
        slower = _SLOWER_TOGETHER if processes > 1 else 1.0
        return int(left_s * processes / (_runs(repeats) * step_s * slower))

    if limits.repeats is None and affordable(repeats) < _UPDATES_FOR_ALL_FOLDS:
        repeats = FOLDS // 2
    updates = limits.updates or min(max(affordable(repeats), _FEWEST_UPDATES), most)
    return repeats, updates, min(processes, _runs(repeats))


def _runs(repeats: int) -> int:
    """Return how many students are trained if the curve is measured for a number of folds."""
    return FOLDS + repeats * (len(SHARES) - 1)


def _trials(division: Division, updates: int, repeats: int, seed: int) -> Iterator[tuple[int, float, "Trial"]]:
    """Yield fold, share of its training clips, and trial of each student; first those with all clips."""
    from .student_training import Trial  # torch

    first = [(fold, SHARES[-1]) for fold in range(1, FOLDS + 1)]
    others = [(fold, share) for fold in range(1, repeats + 1) for share in SHARES[:-1]]
    for fold, share in first + others:
        train = parts_of(division.labels, np.flatnonzero(division.folds != fold), share, seed + fold)
        yield fold, share, Trial(division.clips[train], division.clips[division.of_fold(fold)], updates, seed + fold)


def _results(students: "Students", trials: Sequence["Trial"], processes: int) -> Generator[Floats, None, None]:
    """Yield the probabilities of each trial, in order; trials run in several processes if that is faster."""
    from .student_training import TrialJob, run_trial  # torch

    if processes == 1:
        yield from (students.probabilities(trial) for trial in trials)
        return
    with tempfile.TemporaryDirectory(prefix="last-students-") as folder:
        labels = students.labels.numpy()
        jobs = [
            TrialJob(trial, students.store.path, students.config.data, labels, Path(folder) / f"{number}.npy")
            for number, trial in enumerate(trials)
        ]
        with closing(work_in_order(run_trial, jobs, processes, _LOST_STUDENT)) as done:
            for job in done:
                yield np.load(job.result, allow_pickle=False)


def _measured(division: Division, results: dict[tuple[int, float], Floats]) -> Measured | None:
    """Return what students with each share of the clips did in the folds for which all of them were trained."""
    folds = [fold for fold in range(1, FOLDS + 1) if all((fold, share) in results for share in SHARES)]
    if not folds:
        return None
    tested = np.concatenate([division.of_fold(fold) for fold in folds])
    labels = division.labels[tested]
    correct, clips = [], []
    for share in SHARES:
        scores = np.concatenate([results[fold, share] for fold in folds])
        known = np.isfinite(scores).all(axis=1)
        correct.append((known & (np.nan_to_num(scores).argmax(axis=1) == labels)).astype(np.float64))
        sizes = [len(parts_of(division.labels, np.flatnonzero(division.folds != fold), share, 0)) for fold in folds]
        clips.append(round(float(np.mean(sizes))))
    return Measured(SHARES, clips, np.array(correct), division.folds[tested], labels)


def _finding(store: Store, division: Division, labels: Integers, found: LikelyWrong, remarks: str) -> Finding | None:
    """Return the finding of likely wrong labels; None if there are none."""
    if not len(found):
        return None
    evidence = [
        Evidence(
            int(division.clips[position]),
            f"labelled {store.classes[labels[division.clips[position]]]} ({percent(given)}), "
            f"more like {store.classes[suggested]} ({percent(probability)})",
        )
        for position, suggested, given, probability in zip(
            *(found.clips, found.suggested, found.given, found.probability), strict=True
        )
    ]
    judged = len(division.clips)
    look = "looks" if len(found) == 1 else "look"
    return Finding(
        kind=KIND,
        severity=Severity.WARNING,
        title="Labels that are likely wrong",
        message=(
            f"{counted(len(found), 'clip')} of {judged:,} ({percent(len(found) / judged)}) {look} like another class "
            f"to students that were not trained on them. {remarks}".rstrip()
        ),
        remedy=(
            "Look at them, from the first on. Correct wrong labels, or list them in a file for preprocess --ignore."
            f" Correct clips that are merely unusual should stay. To look at one: `{program()} view PATH --clip NAME`."
        ),
        evidence=evidence[:_MOST_EVIDENCE],
        clips=len(found),
    )
