"""Running a training sequence: the teacher, the students alone and the students distilled, on one or two data sets."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from ...data.store.find_store import find_store
from ...distillation import resume_rules
from ...runs.folder import SEQUENCE_FILE, RunFolder
from ...runs.history import find_runs, read_config_or_warn
from ...runs.resume import HARMLESS
from ...runtime.distributed import World, device_index, joined
from ...runtime.precision import choose_device
from ...runtime.stop_requests import Stop, StopWatch
from ...settings.distillation import teachers_in
from ...utils.dotted_keys import value_at
from ...utils.errors import ReportedElsewhere, TimeIsOver, UserError
from ...utils.files import copy_files, make_folder
from ...utils.locks import sole_writer
from ...utils.progress import SILENT, Progress
from ...utils.root_folders import data_roots, folders_below
from ..contradictions import refuse_contradictory
from ..run import EndCallback, train
from ..series import changed_values
from .plan import DISTILLED, TEACHER, Plan, SequenceStep, teacher_name
from .table import find_step_run, write_table

_log = logging.getLogger(__name__)

# Keys that a distilled run sets at its start, and one that depends on the machine.
_FILLED_IN = ("distillation.teachers", "distillation.fingerprints", "hardware.amp_dtype")


def run_sequence(plan: Plan, progress: Progress = SILENT, on_end: EndCallback | None = None) -> Stop | None:
    """Train the unfinished runs of a sequence, and return why it stopped early, if it did.

    The status of each run is read from its folder: finished runs are skipped, and an interrupted one is resumed.
    `sequence.md` and `sequence.json` always show the present status. `max_hours` limits the whole sequence; `on_end` is
    passed to `train`.

    Raises:
        UserError: data are missing, or runs of the sequence were started with another configuration, which is checked
            before any training. Or `train` raises it; the message names the step.
        TrainingDiverged: a run diverged.
    """
    config, started_at = plan.steps[0].config, time.monotonic()
    # One process group for all runs: `torchrun` allows only one rendezvous.
    process_group = joined(choose_device(config.device, device_index()), config.distributed.timeout_minutes)
    with process_group as world, ExitStack() as locks:
        world.agree(lambda: _copy_from_inputs(plan))
        world.agree(lambda: _refuse_impossible(plan, world.size))
        world.agree(lambda: _lock(plan, locks))
        try:
            return _train_all(plan, progress, world, started_at, on_end)
        finally:
            if world.is_first:
                write_table(plan)


def _copy_from_inputs(plan: Plan) -> None:
    """Copy the most advanced sequence of this name from the input folders if the output folder has none."""
    roots = [Path(root) for root in plan.steps[0].config.input_roots]
    if plan.folder.exists() or not roots:
        return
    same = [each for each in folders_below(roots, SEQUENCE_FILE) if each.name == plan.folder.name]
    fitting = [each for each in same if not _changed_options(plan.moved_to(each))]
    if fitting:
        source = max(fitting, key=_progress_of)
        _log.info(f"{source} is copied to {plan.folder} and continued there.")
        with _locked(source, makes=False):
            copy_files(source, plan.folder)
    elif same:
        others = ", ".join(map(str, same))
        _log.warning("Started with other options, and therefore not continued: %s. A new sequence starts.", others)


def _lock(plan: Plan, locks: ExitStack) -> None:
    """Lock the sequence until `locks` is closed."""
    locks.enter_context(_locked(make_folder(plan.folder)))


def _locked(folder: Path, makes: bool = True) -> AbstractContextManager[None]:
    refusal = f"Another process is training the sequence {folder}. Run the same command when that has ended."
    return sole_writer(folder, refusal, makes=makes)


def _progress_of(folder: Path) -> tuple[int, int]:
    """Return the progress of a sequence: the numbers of finished runs and of finished epochs."""
    runs = find_runs(folder)
    return sum(run.finished for run in runs), sum(run.epochs_done or 0 for run in runs)


def _train_all(
    plan: Plan, progress: Progress, world: World, started_at: float, on_end: EndCallback | None
) -> Stop | None:
    watch = StopWatch(plan.steps[0].config.max_hours, started_at)
    teachers: dict[str, list[str]] = {}
    runs = [(step, seed) for step in plan.steps for seed in step.seeds]
    for number, (step, seed) in enumerate(runs, start=1):
        if world.broadcast(lambda: b"over" if watch.is_over else b""):
            return Stop.TIME
        title = f"[{number}/{len(runs)}] {step.title}" + (f", seed {seed}" if len(step.seeds) > 1 else "")
        if world.is_first:
            _log.info(title)
            write_table(plan, (step, seed))
        try:
            config = step.run_config(seed, teachers.get(step.data, []))
            result = train(config, "auto", progress, started_at=started_at, search_inputs=False, on_end=on_end)
        except TimeIsOver as error:  # while data or teacher outputs were prepared
            if world.is_first:
                _log.warning("%s", error)
            return Stop.TIME
        except UserError as error:
            raise error if isinstance(error, ReportedElsewhere) else UserError(f"{title}: {error}") from error
        if result.stopped is not None:
            return result.stopped
        if step.role == TEACHER:
            teachers.setdefault(step.data, []).append(str(result.run.last))
    return None


def _refuse_impossible(plan: Plan, processes: int) -> None:
    """Refuse a sequence with a run that could not be trained, or with runs that were started with other options."""
    for step in plan.steps:
        refuse_contradictory(step.title, step.planned_config(step.seeds[0]), processes)
    data_sets = {(step.data, step.config.data_root): step.config for step in plan.steps}
    for config in data_sets.values():
        root, *inputs = data_roots(config.environment, config.data_root, config.input_roots)
        find_store(config.data, root, input_roots=inputs)
    _refuse_lost_teachers(plan)
    if problems := _changed_options(plan):
        lines = "\n".join(f"  {difference}: {_shortened(titles)}" for difference, titles in problems.items())
        raise UserError(
            f"The sequence in {plan.folder} was started with other options:\n{lines}\n"
            "Its runs are compared, so their options cannot change. Use the original options, or start another "
            "sequence with another --output_root."
        )


def _refuse_lost_teachers(plan: Plan) -> None:
    """Refuse a sequence in which the run of a teacher is gone from which a run has learned."""
    for step in plan.steps:
        for seed in step.seeds if step.role == DISTILLED else ():
            found = find_step_run(step, seed)
            recorded = teachers_in(found[1]) if found else []
            lost = [run for each in recorded if not (run := _teacher_run(step, each)).is_dir()]
            if lost:
                raise UserError(
                    f"{step.title} learned from the teacher in {lost[0]}, and that folder is gone. Put it back, or "
                    "start another sequence with another --output_root: another teacher would not be the same."
                )


def _changed_options(plan: Plan) -> dict[str, list[str]]:
    """Return the options that have changed since the runs were started, each with the affected steps."""
    problems: dict[str, list[str]] = {}
    for step in plan.steps:
        for seed in step.seeds:
            found = find_step_run(step, seed)
            for difference in [] if found is None else _differences(step, found[1], seed):
                problems.setdefault(difference, []).append(step.title)
    return problems


def _shortened(titles: Sequence[str]) -> str:
    """Return the first title, and the number of further ones."""
    more = len(titles) - 1
    return titles[0] + (f", and {more} more run{'s' * (more > 1)}" if more else "")


def _differences(step: SequenceStep, started_with: Mapping[str, Any], seed: int) -> list[str]:
    """Return the changes since the start of a run that affect what is computed."""
    ignored = (*HARMLESS, *resume_rules.HARMLESS, *_FILLED_IN, *(() if step.role == DISTILLED else ("distillation",)))
    pairs = changed_values(started_with, step.planned_config(seed), ignored)
    if step.role == DISTILLED:
        teachers = [_teacher_name(step, path) for path in teachers_in(started_with)]
        if teachers != step.config.distillation.teachers:
            pairs["teachers"] = teachers, step.config.distillation.teachers
    return [f"{key} was {old!r}, is {new!r} now" for key, (old, new) in pairs.items()]


def _teacher_name(step: SequenceStep, checkpoint: str) -> str:
    """Return the name in the plan of the teacher whose checkpoint a run names, or the checkpoint if it is unknown."""
    teacher = read_config_or_warn(RunFolder(_teacher_run(step, checkpoint)))
    if not teacher:
        return checkpoint
    return teacher_name(value_at(teacher, "model.name") or "", teacher.get("seed", 0))


def _teacher_run(step: SequenceStep, checkpoint: str) -> Path:
    """Return the run of a checkpoint in the sequence; its folder may have been moved, so the path's end is used."""
    return Path(step.config.output_root).parent.joinpath(*Path(checkpoint).parts[-4:-2])
