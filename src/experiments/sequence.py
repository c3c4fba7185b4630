"""A whole training sequence: the teacher, the students alone, the students distilled, on one data set or two."""

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from pathlib import Path

from ..data.store.find_store import find_store
from ..distillation import resume_rules
from ..runs.folder import SEQUENCE_FILE, RunFolder
from ..runs.resume import HARMLESS, covers
from ..runs.search import read_config_or_warn
from ..runtime.distributed import World, device_index, joined
from ..runtime.precision import choose_device
from ..runtime.stop_requests import Stop, StopWatch
from ..utils.config import flatten
from ..utils.errors import ReportedElsewhere, UserError
from ..utils.files import copy_files, make_folder
from ..utils.locks import sole_writer
from ..utils.places import data_roots, folders_below
from ..utils.progress import SILENT, Progress
from .run import Ending, train
from .sequence_plan import DISTILLED, TEACHER, Plan, Step, teacher_name
from .sequence_table import find_step_run, write_table

_log = logging.getLogger(__name__)

# What a distilled run fills in when it begins, and what follows from the machine.
_FILLED_IN = ("distillation.teachers", "distillation.fingerprints", "hardware.amp_dtype")


def run_sequence(plan: Plan, progress: Progress = SILENT, ending: Ending | None = None) -> Stop | None:
    """Train what is not trained yet of a sequence, and return why it stopped before its end, if it did.

    What is finished is read from the runs' folders: their runs are left alone, and an interrupted one goes on.
    `sequence.md` and `sequence.json` tell at any time how far it is. `max_hours` are those of the whole sequence;
    `ending` is what it is to `train`.

    Raises:
        UserError: data are missing, or runs of the sequence were begun with another configuration; before anything
            is trained. Or what `train` refuses, with the step that it refused.
        TrainingDiverged: a run diverged.
    """
    config, began = plan.steps[0].config, time.monotonic()
    # Several processes come together once for all runs: `torchrun` has a place for one meeting only.
    meeting = joined(choose_device(config.device, device_index()), config.distributed.timeout_minutes)
    with meeting as world, ExitStack() as locks:
        world.agree(lambda: _fetch(plan))
        world.agree(lambda: _refuse_impossible(plan))
        world.agree(lambda: _lock(plan, locks))
        try:
            return _train_all(plan, progress, world, began, ending)
        finally:
            if world.is_first:
                write_table(plan)


def _fetch(plan: Plan) -> None:
    """Copy the sequence from an input folder where the output folder has none: of several the one that is furthest."""
    roots = [Path(root) for root in plan.steps[0].config.input_roots]
    if plan.folder.exists() or not roots:
        return
    same = [each for each in folders_below(roots, SEQUENCE_FILE) if each.name == plan.folder.name]
    fitting = [each for each in same if not _problems(plan.moved_to(each))]
    if fitting:
        source = max(fitting, key=_extent)
        _log.info(f"{source} is copied to {plan.folder} and continued there.")
        with _locked(source, makes=False):
            copy_files(source, plan.folder)
    elif same:
        others = ", ".join(map(str, same))
        _log.warning("Begun with other options, and so not continued: %s. A new sequence starts.", others)


def _lock(plan: Plan, locks: ExitStack) -> None:
    """Lock the sequence until `locks` is closed."""
    locks.enter_context(_locked(make_folder(plan.folder)))


def _locked(folder: Path, makes: bool = True) -> AbstractContextManager[None]:
    refusal = f"Another process is training the sequence {folder}. Give the same command when that has ended."
    return sole_writer(folder, refusal, makes=makes)


def _extent(folder: Path) -> tuple[int, int]:
    """Return how far a sequence has come: its finished runs, and the size of all logbooks."""
    logbooks = sum(path.stat().st_size for path in folder.glob("*/*/run-*/metrics.jsonl"))
    return len(list(folder.glob("*/*/run-*/summary.json"))), logbooks


def _train_all(plan: Plan, progress: Progress, world: World, began: float, ending: Ending | None) -> Stop | None:
    watch = StopWatch(plan.steps[0].config.max_hours, began)
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
            result = train(config, "auto", progress, began=began, search_inputs=False, ending=ending)
        except UserError as error:
            if watch.is_over:  # it ended while data or teachers' outputs were made ready
                _log.warning("%s", error)
                return Stop.TIME
            raise error if isinstance(error, ReportedElsewhere) else UserError(f"{title}: {error}") from error
        if result.stopped is not None:
            return result.stopped
        if step.role == TEACHER:
            teachers.setdefault(step.data, []).append(str(result.run.last))
    return None


def _refuse_impossible(plan: Plan) -> None:
    """Refuse a sequence whose data are missing or whose runs were begun otherwise; the first process tells it."""
    places = {(step.data, step.config.data_root): step.config for step in plan.steps}
    for config in places.values():
        root, *inputs = data_roots(config.environment, config.data_root, config.input_roots)
        find_store(config.data, root, input_roots=inputs)
    if problems := _problems(plan):
        lines = "\n".join(f"  {difference}: {_shortened(titles)}" for difference, titles in problems.items())
        raise UserError(
            f"The sequence in {plan.folder} was begun with other options:\n{lines}\n"
            "Its runs are compared, so they keep them. Give the same options as then, or begin another sequence with "
            "another --output_root."
        )


def _problems(plan: Plan) -> dict[str, list[str]]:
    """Return what is not as it was when the runs of a sequence were begun, each with the steps concerned."""
    problems: dict[str, list[str]] = {}
    for step in plan.steps:
        for seed in step.seeds:
            run = find_step_run(step, seed)
            for difference in [] if run is None else _differences(step, run, seed):
                problems.setdefault(difference, []).append(step.title)
    return problems


def _shortened(titles: Sequence[str]) -> str:
    """Return the first of the runs that have one difference, and how many more there are."""
    more = len(titles) - 1
    return titles[0] + (f", and {more} more run{'s' * (more > 1)}" if more else "")


def _differences(step: Step, run: RunFolder, seed: int) -> list[str]:
    """Return what is no longer as it was when a run was begun, as far as it changes what is computed."""
    before, now = flatten(run.read_config()), flatten(asdict(step.run_config(seed)))
    ignored = (*HARMLESS, *resume_rules.HARMLESS, *_FILLED_IN, *(() if step.role == DISTILLED else ("distillation",)))
    pairs = {key: (before[key], now[key]) for key in sorted(before.keys() & now.keys()) if not covers(ignored, key)}
    if step.role == DISTILLED:
        taught = [_teacher_name(step, path) for path in before.get("distillation.teachers", [])]
        pairs["teachers"] = taught, step.config.distillation.teachers
    return [f"{key} was {old!r}, is {new!r} now" for key, (old, new) in pairs.items() if old != new]


def _teacher_name(step: Step, checkpoint: str) -> str:
    """Return what the plan calls the teacher whose checkpoint a run names: its run lies in the sequence's folder.

    The folder may have been moved since, so only the end of the path counts.
    """
    run = Path(step.config.output_root).parent.joinpath(*Path(checkpoint).parts[-4:-2])
    teacher = flatten(read_config_or_warn(RunFolder(run)))
    if not teacher:
        return checkpoint
    return teacher_name(teacher.get("model.name", ""), teacher.get("seed", 0))
