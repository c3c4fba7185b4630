"""Resuming an earlier run: which, from which checkpoint, where, and with what configuration."""

import json
import logging
import shlex
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..runtime.distributed import World
from ..settings.run import EmaConfig, RunConfig
from ..tasks.recipe import ResumeRules, TaskRecipe
from ..utils.dotted_keys import flatten, mappings_of_names
from ..utils.errors import Unwritable, UserError
from ..utils.foreign_text import short
from ..utils.numbers import counted
from ..utils.overlay import takes_away, type_at
from ..utils.root_folders import outermost, writable
from ..utils.yaml_text import inline
from .checkpoint import Checkpoint, checkpoint_bytes, parse_checkpoint, read_checkpoint
from .checkpoint_files import most_advanced_checkpoint, readable_checkpoints
from .folder import RunFolder
from .history import find_run

_log = logging.getLogger(__name__)

# Keys that do not change what a run computes, for any task; a resumed run uses their present values.
HARMLESS = (
    "environment",
    "data_root",
    "output_root",
    "input_roots",
    "hardware.data_placement",
    "hardware.num_workers",
    "hardware.pin_memory",
    "hardware.prefetch_factor",
    "hardware.cpu_threads",
    "hardware.cuda_graphs",
    "hardware.trial_kernels",
    "hardware.masked_padding",
    "hardware.whole_step_graph",
    "device",
    "compile",
    "test_every",
    "tensorboard",
    "checkpoint",
    "max_hours",
    "distributed.timeout_minutes",
    "data.how_to_get",
    "data.copies",
    "data.own_layout.extra_edges",
    # They decide what a store holds, and a run is tied to the content of its store.
    *("data.source_layout", "data.own_source_layout", "data.layout_map", "data.fps", "data.source_fps"),
    "data.intervals",
)
# Keys that define the model, the clips or the metrics; a run can never be resumed with other values.
_FIXED = (
    *("task", "optimizer", "model", "data.name", "data.layout", "data.own_layout", "data.classes", "data.bodies"),
    *("data.split", "data.protocols", "data.select"),
    *("ema", "validation", "validation_fraction", "label_fraction", "metrics"),
)


@dataclass(frozen=True)
class ResumePoint:
    """The run and the checkpoint that a training starts from.

    Attributes:
        run: the run to resume; None for a new one.
        checkpoint: its state; None if it has none yet.
        origin: the checkpoint's file.
        finished: whether the run is already complete.
        changed: keys with a new value that changes what is computed.
        later: checkpoints of the run that are later than `checkpoint`.
        must_copy: whether the run has to be copied into the output folder first, because its own is read-only.
        locks: holds the lock of the run that is trained until it is closed.
    """

    run: RunFolder | None = None
    checkpoint: Checkpoint | None = None
    origin: str = ""
    finished: bool = False
    changed: Collection[str] = ()
    later: Sequence[Path] = ()
    must_copy: bool = False
    locks: ExitStack = field(default_factory=ExitStack)

    def with_writable_run(self, output_root: Path, world: World) -> "ResumePoint":
        """Return it with a run that can be written to: the first process copies a read-only run into the output folder.

        Raises:
            UserError: it cannot be copied.
        """
        if self.run is None or not self.must_copy:
            return self
        run = self.run
        copy = RunFolder(Path(world.broadcast(lambda: _copied(run, output_root, self.locks)).decode()))
        _log.info(f"{run.path} is copied to {copy.path} and continued there.")
        origin = str(copy.checkpoints / Path(self.origin).name) if self.origin else ""
        later = [copy.checkpoints / path.name for path in self.later]
        return replace(self, run=copy, origin=origin, later=later, must_copy=False)

    @property
    def branches_off(self) -> bool:
        """Whether the run departs from its recorded history: with changed keys, or from an earlier checkpoint."""
        return bool(self.changed or self.later)


def _copied(run: RunFolder, output_root: Path, locks: ExitStack) -> bytes:
    try:
        copy = run.copy_to(output_root)
        locks.enter_context(copy.locked())
        return str(copy.path).encode()
    except Unwritable as error:
        raise UserError(
            f"{error} The run {run.path} is read-only and continues as a copy in the output folder: choose a writable "
            "one with --output_root DIR."
        ) from error


def find_resume_point(
    config: RunConfig,
    resume: str,
    explicit_keys: Collection[str],
    world: World,
    recipe: TaskRecipe,
    *,
    search_inputs: bool,
    locks: ExitStack,
) -> ResumePoint:
    """Return where a training starts; the first process finds it for all processes.

    Args:
        config: the present configuration.
        resume: the path of a checkpoint, or of a run's folder for its newest readable checkpoint; `auto` for the
            newest matching run, in the output folder or else below the input folders; or empty for a new run.
        explicit_keys: keys that the user set explicitly, which a resumed run may therefore change.
        world: the processes that train together.
        recipe: of the run's task; it says which of the task's keys may change.
        search_inputs: whether `auto` also searches below the input folders.
        locks: receives the lock of a run that is resumed in its own folder.

    Raises:
        UserError: the checkpoint cannot be read or used, the configuration does not fit it, or another process trains
            the run.
    """
    if not resume:
        return ResumePoint(locks=locks)
    roots = [Path(root) for root in config.input_roots] if search_inputs else []

    def find() -> bytes:
        return json.dumps(_find(config, resume, explicit_keys, roots, recipe, locks)).encode()

    facts = json.loads(world.broadcast(find))
    if not facts["run"]:
        return ResumePoint(locks=locks)
    checkpoint = None
    if facts["origin"]:
        content = world.broadcast(lambda: checkpoint_bytes(Path(facts["origin"])))
        checkpoint = parse_checkpoint(content, facts["origin"])
    return ResumePoint(
        RunFolder(Path(facts["run"])),
        checkpoint,
        facts["origin"],
        facts["finished"],
        facts["changed"],
        [Path(path) for path in facts["later"]],
        facts["must_copy"],
        locks,
    )


def _find(
    config: RunConfig,
    resume: str,
    explicit_keys: Collection[str],
    input_roots: Sequence[Path],
    recipe: TaskRecipe,
    locks: ExitStack,
) -> dict[str, Any]:
    """Return the fields of a `ResumePoint` as plain values."""
    facts: dict[str, Any] = {"run": "", "origin": "", "finished": False, "changed": [], "later": [], "must_copy": False}
    run = _automatic(config, input_roots, recipe) if resume == "auto" else RunFolder.containing(Path(resume))
    if run is None:
        return facts
    facts["must_copy"] = _must_be_copied(run, config.output_root, config.input_roots, explicit_keys)
    if facts["must_copy"]:
        with run.locked(copies=True):  # refuse a run in training now, before the data are read
            pass
    else:
        locks.enter_context(run.locked())
    path = Path(resume)
    if resume == "auto" or path.is_dir():
        found = most_advanced_checkpoint(run.all_checkpoints())
    else:
        found = path, read_checkpoint(path)
        others = readable_checkpoints([each for each in run.all_checkpoints() if each.name != path.name])
        later = [(each, other) for each, other in others if other.progress > found[1].progress]
        facts["later"] = [str(each) for each, _ in later]
        _warn_of_later_checkpoints(run, found, later)
    if found is None:
        _log.warning("The run %s has no readable checkpoint: training starts from the beginning.", run.path)
        return facts if facts["must_copy"] else {**facts, "run": str(run.path)}
    path, checkpoint = found
    if (task := checkpoint.task_measures.task) != recipe.task:
        raise UserError(
            f"{path} is of the task {task}, not of {recipe.task}. Resume it with its own task, or start a new run "
            "without --resume."
        )
    facts |= {"run": str(run.path), "origin": str(path)}
    facts["finished"] = run.finished and checkpoint.is_end(config.end)
    facts["changed"] = _refuse_changes(checkpoint.config, config, path, explicit_keys, recipe)
    if not facts["finished"]:
        _refuse_other_average(checkpoint, config.ema, config.epochs, path)
        _log_changes(checkpoint.config, config, facts["changed"])
    return facts


def _automatic(config: RunConfig, input_roots: Sequence[Path], recipe: TaskRecipe) -> RunFolder | None:
    """Return the run that `auto` resumes; log a message if there is none."""
    run = find_run(Path(config.output_root), asdict(config), input_roots, recipe)
    if run is None:
        inputs = [root for root in outermost(input_roots) if root != Path(config.output_root).absolute()]
        below = f" or below {', '.join(map(str, inputs))}" if inputs else ""
        _log.info(
            f"There is no run to resume of {config.title} {config.data.split} with seed "
            f"{config.seed}{recipe.identity_words(config)} in {config.output_root}{below}. A new one is started."
        )
    return run


def _must_be_copied(
    run: RunFolder, output_root: str, input_roots: Sequence[str], explicit_keys: Collection[str]
) -> bool:
    """Return whether a run continues in a copy: it is in an input folder, read-only, or --output_root is another."""
    output = Path(output_root)
    if run.path.resolve().is_relative_to(output.resolve()):
        explicit_keys = ()
    inputs = [Path(root) for root in input_roots]
    return "output_root" in explicit_keys or not all(
        writable(folder, output, inputs) for folder in (run.path, run.checkpoints) if folder.exists()
    )


def _warn_of_later_checkpoints(
    run: RunFolder, chosen: tuple[Path, Checkpoint], later: Sequence[tuple[Path, Checkpoint]]
) -> None:
    """Log a warning if the run has checkpoints later than the one that it is resumed from."""
    if not later:
        return
    (path, checkpoint), (last, end) = chosen, max(later, key=lambda item: (item[1].progress, item[0] == run.last))
    epochs = end.epoch - checkpoint.epoch
    distance = f"{epochs} epoch{'s' * (epochs > 1)}" if epochs else "less than an epoch"
    _log.warning(
        "The run is resumed from %s, epoch %d. %s is %s further: the later epochs are archived.",
        *(path.name, checkpoint.epoch, last.name, distance),
    )


def _refuse_changes(
    before: RunConfig, now: RunConfig, path: Path, explicit_keys: Collection[str], recipe: TaskRecipe
) -> list[str]:
    """Return the keys in `explicit_keys` that differ, except harmless ones.

    Raises:
        UserError: another key differs, or a key that no run can change.
    """
    old, new = flatten(asdict(before)), flatten(asdict(now))
    held_out = ("seed",) if before.validation == "split" else ()  # which clips are held out follows from it
    rules = ResumeRules(HARMLESS, (*_FIXED, *held_out)) + recipe.resume_rules(before, now)
    harmless = harmless_keys((before, now), rules.harmless)
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    # A mapping that is empty in one of both differs by the names that the other has.
    differing = [key for key in differing if not any(covers([key], each) for each in differing if each != key)]
    changed = [key for key in differing if not covers(harmless, key)]
    refused = [key for key in changed if not covers(explicit_keys, key) or covers(rules.fixed, key)]
    if "model.name" in refused:
        refused = ["model.name"]  # a model's other keys follow from its name
    if refused:
        lines = "\n".join(f"  {key}: {_shown(old.get(key))} in the run, {_shown(new.get(key))} now" for key in refused)
        impossible = any(covers(rules.fixed, key) for key in refused)
        remedy = (
            "These cannot change within a run. To continue it as it is, give --resume its folder and no other options; "
            "for a new run, leave --resume out."
            if impossible
            else "Repeat the options of that run, set each of these keys explicitly, for example with "
            f"--set {_setting(refused[0], now)}, or start a new run without --resume."
        )
        raise UserError(f"The run of {path} was started with another configuration:\n{lines}\n{remedy}")
    return changed


def harmless_keys(configs: Sequence[RunConfig], keys: Collection[str] = HARMLESS) -> tuple[str, ...]:
    """Return those of `keys`, and others, that change nothing of what runs with these configurations compute."""
    unused = () if all(each.amp for each in configs) else ("hardware.amp_dtype",)
    ends_early = all(each.early_stopping.patience for each in configs)  # which is decided in tested epochs
    return (*(key for key in keys if not (ends_early and key == "test_every")), *unused)


def _refuse_other_average(checkpoint: Checkpoint, how: EmaConfig, epochs: int, path: Path) -> None:
    """Refuse another number of epochs if the average of the last ones needs weights that are not kept one by one.

    Raises:
        UserError: it does.
    """
    # While an epoch is tested, its weights are in the average already.
    before, finished = checkpoint.config.epochs, max(checkpoint.epoch + 1, checkpoint.ema_steps)
    first = how.first_averaged(epochs)
    one_alone = min(first, how.first_averaged(before)) + 1  # up to here the average is the weights of one epoch
    if how.last_epochs and epochs != before and finished > max(first, one_alone):
        are = "is" if finished - first == 1 else "are"
        raise UserError(
            f"{path} cannot be resumed with {counted(epochs, 'epoch')} instead of {before}: ema.last_epochs "
            f"averages the last {how.last_epochs}, of which {finished - first} {are} finished already, and their "
            f"weights are not kept one by one. Give --epochs {finished + how.last_epochs} or more, so that all of them "
            f"are still to come, or leave it at {before}."
        )


def _setting(key: str, now: RunConfig) -> str:
    """Return the text for `--set`, as typed in a shell, that gives a key the value of a configuration, if it has it."""
    values = flatten(asdict(now))
    mapping = next((each for each in mappings_of_names(now) if covers([each], key)), "")
    if key in values or not mapping:
        return shlex.quote(f"{key}={inline(values.get(key))}")
    if mapping in values or not takes_away(type_at(RunConfig, mapping)):
        return f"{mapping}={{}}"
    return shlex.quote(f"{mapping}.{key.removeprefix(f'{mapping}.').partition('.')[0]}=null")


def _log_changes(before: RunConfig, now: RunConfig, changed: Collection[str]) -> None:
    """Log the keys whose values have changed."""
    old, new = flatten(asdict(before)), flatten(asdict(now))
    for key in sorted(old.keys() & new.keys()):
        if old[key] == new[key] or key in changed:
            continue
        if key not in ("environment", "data_root", "output_root", "input_roots", "max_hours"):
            _log.info(f"{key} is {new.get(key)!r} now; it was {old.get(key)!r}.")
    for key in changed:
        _log.warning("%s is changed from %r to %r.", key, old.get(key), new.get(key))


def _shown(value: object) -> str:
    """Return a value for a message; the parts of a listed split are one letter per clip."""
    return short(value) if isinstance(value, str) else repr(value)


def covers(sections: Collection[str], key: str) -> bool:
    """Return whether a dotted key is one of `sections` or below one of them."""
    return any(key == section or key.startswith(f"{section}.") for section in sections)
