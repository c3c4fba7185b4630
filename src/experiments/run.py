"""One training run, from its configuration to its summary: a new run or a resumed one."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..data.loading.run_data import training_data
from ..data.store.find_store import find_store
from ..data.store.fingerprints import data_fingerprints
from ..data.store.protocols import split
from ..data.store.reader import Store
from ..distillation.recipe import DistillationRecipe
from ..models.classifier import SkeletonClassifier
from ..models.gpu_kernels import trial_kernels
from ..runs.backbone import load_backbone
from ..runs.checkpoint_model import refuse_other_sizes
from ..runs.folder import RunFolder
from ..runs.log_file import logging_to_file
from ..runs.logbook import Logbook
from ..runs.resume import ResumePoint, find_resume_point
from ..runtime.compilation import compile_where_possible
from ..runtime.cuda_graphs import recorded_steps, records_steps, warn_of_unused_switches
from ..runtime.distributed import World, device_index, joined
from ..runtime.precision import choose_device, has_mixed_precision, refuse_missing_format
from ..runtime.run_context import RunContext
from ..runtime.stop_requests import Stop, StopWatch
from ..settings.model import ModelConfig
from ..settings.run import RunConfig
from ..tasks.measures import CLASSIFICATION, Measures, refuse_taken_names
from ..tasks.recipe import TaskRecipe, get_recipe
from ..training.schedule import warn_of_too_few_clips
from ..training.trainer import Trainer
from ..utils.config import to_yaml
from ..utils.errors import TimeIsOver, TrainingDiverged, UserError, is_out_of_memory
from ..utils.files import write_json, write_text
from ..utils.numbers import counted
from ..utils.progress import SILENT, Progress
from ..utils.root_folders import data_roots
from .resume_check import changes_since, refuse_diverged, refuse_other_data
from .split_check import check_split
from .summary import summarise
from .unused_settings import warn_of_unused

_log = logging.getLogger(__name__)


EndCallback = Callable[[RunFolder], None]


@dataclass(frozen=True)
class Result:
    """The result of a training.

    Attributes:
        run: its folder.
        summary: the content of `summary.json`; empty for an unfinished run.
        stopped: why the run stopped early, if it did: a time limit or a signal. Its state is saved. Of the last run of
            a series, also why the series stopped after it.
    """

    run: RunFolder
    summary: Mapping[str, Any]
    stopped: Stop | None = None


def train(
    config: RunConfig,
    resume: str = "",
    progress: Progress = SILENT,
    *,
    explicit_keys: Collection[str] = (),
    started_at: float | None = None,
    search_inputs: bool = True,
    on_end: EndCallback | None = None,
) -> Result:
    """Train a model with the configuration `config` and return the run's folder and summary.

    Under `torchrun`, each process trains on its part of every batch, and the first one writes the files.

    Args:
        config: the whole configuration.
        resume: the path of a checkpoint or run to resume; `auto` for the newest run of this model, data set, protocol,
            seed and teachers, or a new run if there is none; empty for a new run.
        progress: the progress display.
        explicit_keys: keys that the user set explicitly; a resumed run may change them.
        started_at: the `time.monotonic()` from which `max_hours` count; by default now.
        search_inputs: whether `auto` also searches below the input folders.
        on_end: called by the first process with the run's folder when the run has ended, stopped or diverged.

    Raises:
        UserError: the data are missing, the configuration does not fit them or the run, or a file cannot be written.
        TimeIsOver: `max_hours` passed before the first step.
        TrainingDiverged: losses, gradients or scores are not finite.
        KeyboardInterrupt: a signal arrived before the first step, or a second one before the state was saved.
    """
    watch = StopWatch(config.max_hours, started_at)
    recipe = _recipe(
        config.task,
        config.metrics,
        is_distilled=config.distillation.learns_from_others,
        has_weights=config.class_weights != "none",
    )
    device = choose_device(config.device, device_index())
    refuse_missing_format(config.amp, config.hardware.amp_dtype, device)
    if config.hardware.cpu_threads:
        torch.set_num_threads(config.hardware.cpu_threads)
    process_group = joined(device, config.distributed.timeout_minutes)
    with process_group as world, _quiet_unless_rank_zero(world), ExitStack() as locks:
        _refuse_uneven_batch(config.batch_size, world)
        config = recipe.prepare(config, world)
        resume_point = find_resume_point(
            config, resume, explicit_keys, world, recipe, search_inputs=search_inputs, locks=locks
        )
        if resume_point.finished and resume_point.run is not None:
            refuse_other_data(resume_point, lambda: _present_changes(config, resume_point), world)
            return _finished(resume_point.run, world, None if resume_point.must_copy else on_end)
        refuse_diverged(config.end, resume_point)
        run_context = RunContext(device, world, watch, progress if world.is_first else SILENT)
        return _run(*_build(config, resume_point, recipe, run_context), on_end)


def _finished(run: RunFolder, world: World, on_end: EndCallback | None) -> Result:
    """Return the result of a run that is finished; `on_end` is called if the process that finished it was killed."""
    _log.info(f"The run {run.path} is finished; there is nothing to resume.")
    if not world.is_first:
        return Result(run, {})
    if on_end is not None and not run.curve.exists():
        on_end(run)
    return Result(run, run.read_summary())


def _recipe(task: str, metrics: Collection[str], *, is_distilled: bool, has_weights: bool) -> TaskRecipe:
    """Return the recipe of a task.

    Raises:
        UserError: there is no such task, or it does not support teachers, weights of classes or `metrics`.
    """
    recipe = get_recipe(task)
    if recipe is None:
        return DistillationRecipe()
    if is_distilled:
        raise UserError(
            f"Distillation needs the task {CLASSIFICATION.task}, and the task is {task}. Train it without "
            f"teachers and peers, or set task={CLASSIFICATION.task}."
        )
    if metrics:
        raise UserError(
            f"metrics: {', '.join(metrics)} are of classification, and the task is {task}, which has its "
            "own. Leave them out."
        )
    if has_weights:
        raise UserError(
            f"class_weights are of the task {CLASSIFICATION.task}, and the task is {task}. Set class_weights=none; "
            "class_sampling works with any task."
        )
    return recipe


def _build(
    config: RunConfig, resume_point: ResumePoint, recipe: TaskRecipe, run_context: RunContext
) -> tuple[Trainer, ResumePoint]:
    """Return the trainer of a run and its resume point; no file of the run is changed yet."""
    device, world = run_context.device, run_context.world
    store = store_of(config)
    check_split(config, store, world, is_resumed=resume_point.checkpoint is not None)
    if unused := config.distillation.unused:
        keys = f"{', '.join(unused)} {'has' if len(unused) == 1 else 'have'}"
        _log.warning("%s no effect %s.", keys, config.distillation.circumstances)
    warn_of_unused(config, int(store.clips["bodies"].max()), world.size)
    data = training_data(config, store, world, device)
    warn_of_too_few_clips(config.optimization, data.sampler.num_clips)
    if resume_point.checkpoint is not None:
        refuse_other_data(
            resume_point, lambda: changes_since(config.data, resume_point, store, data.fingerprints), world
        )
        refuse_other_sizes(resume_point.checkpoint, resume_point.origin)
    torch.manual_seed(config.seed)
    model = recipe.build_model(config, data)
    if config.init_from and resume_point.checkpoint is None:
        load_backbone(model, config.model, config.data.skeleton, Path(config.init_from))
    task = recipe.build(model, config, data, run_context)
    refuse_taken_names(task.measures.names, f"The task {task.measures.task}")
    if config.compile:
        compile_where_possible(model, device, bool(config.hardware.cuda_graphs))
    _refuse_expired_time(run_context.watch, world)
    resume_point = resume_point.with_writable_run(Path(config.output_root), world)
    run = resume_point.run or RunFolder(
        Path(world.broadcast(lambda: _new_run(config.output_root, resume_point.locks)).decode())
    )
    trainer = Trainer(config, task, data, run=run, run_context=run_context)
    if resume_point.checkpoint is not None:
        trainer.resume(resume_point.checkpoint, resume_point.origin, resume_point.changed)
    return trainer, resume_point


def store_of(config: RunConfig, verify: bool = True) -> Store:
    """Return the store of a run's data set on this machine; with `verify` its checksums are compared."""
    root, *inputs = data_roots(config.environment, config.data_root, config.input_roots)
    return find_store(config.data, root, verify, inputs)


def _run(trainer: Trainer, resume_point: ResumePoint, on_end: EndCallback | None) -> Result:
    """Train until the run ends or stops, and write its files."""
    config, run, first = trainer.config, trainer.run, trainer.world.is_first
    with logging_to_file(run.log) if first else nullcontext(), _calling_at_end(trainer, on_end):
        if resume_point.later:
            archive = trainer.world.broadcast(lambda: str(run.archive(resume_point.later).path).encode()).decode()
            _log.info(f"The later epochs are archived in {archive}. To resume them instead: --resume {archive}")
        trainer.world.agree(lambda: _write_config(run, config, trainer.measures))
        if resume_point.branches_off:
            trainer.branch_off(resume_point.later)
        if resume_point.checkpoint is not None:
            trainer.files.write_missing(resume_point.checkpoint)
        logbook = _open_logbook(trainer, resume_point) if first else None
        if resume_point.checkpoint is not None:
            _log.info(_resume_message(run, resume_point))
        amp_saves = not config.amp and has_mixed_precision(trainer.device)
        explained = _explain_out_of_memory(config.model, config.batch_size, config.input_frames, amp_saves=amp_saves)
        with explained, _switched(trainer):
            stopped = trainer.fit(logbook)
        if stopped is not None:
            _log.info(f"The run stopped: {stopped.value}. Its state is in {run.checkpoints}.")
            return Result(run, {}, stopped)
        summary = summarise(trainer, logbook) if logbook is not None else {}
        if logbook is not None:
            logbook.flush()
            write_json(run.summary, summary)
    return Result(run, summary)


@contextmanager
def _switched(trainer: Trainer) -> Iterator[None]:
    """Run training steps as CUDA graphs where that is possible, and with the kernels on trial that were chosen."""
    config, model, processes = trainer.config, trainer.task.model, trainer.world.size
    warn_of_unused_switches(config.hardware, trainer.device)
    records = records_steps(config.model, config.hardware, trainer.device, processes, compiled=config.compile)
    recorded = recorded_steps(model) if records and isinstance(model, SkeletonClassifier) else nullcontext()
    with trial_kernels(config.hardware.trial_kernels), recorded:
        yield


@contextmanager
def _calling_at_end(trainer: Trainer, on_end: EndCallback | None) -> Iterator[None]:
    """Call `on_end` in the first process when the block ends, also after a divergence; the others wait for it.

    If a process exited earlier, `torchrun` would end the first one.
    """

    def end() -> None:
        if on_end is not None:
            on_end(trainer.run)

    try:
        yield
    except TrainingDiverged:
        trainer.world.agree(end)
        raise
    trainer.world.agree(end)


@contextmanager
def _explain_out_of_memory(
    model: ModelConfig, batch_size: int, input_frames: int, *, amp_saves: bool
) -> Iterator[None]:
    """Replace an out-of-memory error by a UserError that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        remedies = [f"--batch_size {max(1, batch_size // 2)} (the same update with gradient_accumulation_steps=2)"]
        remedies += ["--amp"] if amp_saves else []
        remedies += ["--set model.recompute=true"] if not getattr(model, "recompute", True) else []
        raise UserError(
            f"A step of {model.name} with batch_size {batch_size} and {input_frames} frames needs "
            f"more memory than is available. Try {', or '.join(remedies)}."
        ) from error


def _present_changes(config: RunConfig, resume_point: ResumePoint) -> list[str]:
    """Return how the present data differ from those of a run; nothing if the data are not on this machine."""
    try:
        store = store_of(config, verify=False)
        present = data_fingerprints(store, split(store.clips, config.data), config.data.skeleton)
    except UserError:
        return []
    return changes_since(config.data, resume_point, store, present)


def _refuse_uneven_batch(batch_size: int, world: World) -> None:
    """Refuse a batch that cannot be divided equally among the processes; the first process reports it."""

    def refuse() -> None:
        if batch_size % world.size:
            raise UserError(
                f"batch_size {batch_size} cannot be divided among {world.size} processes. It counts the clips "
                f"of a step over all processes: choose a multiple of {world.size}, for example "
                f"--batch_size {batch_size // world.size * world.size + world.size}."
            )

    world.agree(refuse)


def _refuse_expired_time(watch: StopWatch, world: World) -> None:
    """Refuse to start, before anything is written, if the time limit has passed; the first process decides."""

    def refuse() -> None:
        if watch.is_over:
            passed = f"max_hours {watch.max_hours:g} passed before the first step"
            raise TimeIsOver(f"{passed}. Give the run more time; nothing was changed.")

    world.agree(refuse)


def _new_run(output_root: str, locks: ExitStack) -> bytes:
    run = RunFolder.create(Path(output_root))
    locks.enter_context(run.locked())
    return str(run.path).encode()


def _write_config(run: RunFolder, config: RunConfig, measures: Measures) -> None:
    """Write the configuration, and remove the summary and the divergence report of an earlier end."""
    if facts := measures.facts():
        write_json(run.task, facts)
    write_text(run.config, to_yaml(config))
    run.summary.unlink(missing_ok=True)
    run.divergence.unlink(missing_ok=True)


def _open_logbook(trainer: Trainer, resume_point: ResumePoint) -> Logbook:
    """Open the logbook with the rows up to the resumed epoch."""
    logbook = Logbook(trainer.run.path, tensorboard=trainer.config.tensorboard)
    checkpoint = resume_point.checkpoint
    logbook.drop_rows_after(-1 if checkpoint is None else checkpoint.epoch)
    if checkpoint is not None and checkpoint.metrics and len(logbook.rows()) <= checkpoint.epoch:
        logbook.write(dict(checkpoint.metrics))  # the checkpoint was written, but not its row
    return logbook


def _resume_message(run: RunFolder, resume_point: ResumePoint) -> str:
    assert resume_point.checkpoint is not None
    epochs, clips = resume_point.checkpoint.progress
    where = f"in epoch {epochs}, after {counted(clips, 'clip')}" if clips else f"with epoch {epochs}"
    return f"Resuming {run.path} {where}, from {Path(resume_point.origin).name}."


@contextmanager
def _quiet_unless_rank_zero(world: World) -> Iterator[None]:
    """Log only errors in all processes but the first."""
    logger = logging.getLogger(__name__.partition(".")[0])
    level = logger.level
    if not world.is_first:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
