"""Resuming an earlier run: which, from which checkpoint, where, and with what configuration."""

import json
import logging
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..runtime.distributed import World
from ..settings.run import RunConfig
from ..tasks.recipe import ResumeRules, TaskRecipe
from ..utils.config import flat
from ..utils.errors import Unwritable, UserError
from ..utils.places import outermost, writable
from .checkpoint import Checkpoint, checkpoint_bytes, parse_checkpoint, read_checkpoint
from .checkpoint_files import newest_whole, whole_checkpoints
from .folder import RunFolder
from .search import find_run

_log = logging.getLogger(__name__)

# Keys that do not change what a run computes, whatever its task; a resumed run takes them as they are now.
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
    "device",
    "compile",
    "test_every",
    "tensorboard",
    "checkpoint",
    "max_hours",
    "distributed.timeout_minutes",
    "data.how_to_get",
    "data.own_layout.extra_edges",
)
# Keys that define the model, the clips or the metrics; a run cannot be resumed with other values, whatever is asked.
_FIXED = (
    *("task", "model", "data.name", "data.layout", "data.own_layout", "data.classes", "data.bodies"),
    *("data.split", "data.protocols", "data.select"),
    *("ema", "validation", "validation_fraction", "label_fraction"),
)


@dataclass(frozen=True)
class Beginning:
    """Where a training begins.

    Attributes:
        run: the run to resume; None for a new one.
        checkpoint: its state; None where there is none yet.
        origin: the checkpoint's file.
        finished: whether there is nothing left to do.
        changed: the keys that are no longer as they were and change what is computed.
        beyond: checkpoints of a former course of the run that had come further.
        copies: whether the run has to be copied into the output folder first: it lies where nothing is written.
        held: until it is closed, other processes are kept out of the run that is trained.
    """

    run: RunFolder | None = None
    checkpoint: Checkpoint | None = None
    origin: str = ""
    finished: bool = False
    changed: Collection[str] = ()
    beyond: Sequence[Path] = ()
    copies: bool = False
    held: ExitStack = field(default_factory=ExitStack)

    def settled(self, output_root: Path, world: World) -> "Beginning":
        """Return it with the run in a place where it can be continued; the first process copies it where it must.

        Raises:
            UserError: it cannot be copied.
        """
        if self.run is None or not self.copies:
            return self
        run = self.run
        copy = RunFolder(Path(world.broadcast(lambda: _copied(run, output_root, self.held)).decode()))
        _log.info(f"{run.path} is copied to {copy.path} and continued there.")
        origin = str(copy.checkpoints / Path(self.origin).name) if self.origin else ""
        beyond = [copy.checkpoints / path.name for path in self.beyond]
        return replace(self, run=copy, origin=origin, beyond=beyond, copies=False)

    @property
    def branches(self) -> bool:
        """Tell whether the run leaves the course that it took before."""
        return bool(self.changed or self.beyond)


def _copied(run: RunFolder, output_root: Path, held: ExitStack) -> bytes:
    try:
        copy = run.copy_to(output_root)
        held.enter_context(copy.claimed())
        return str(copy.path).encode()
    except Unwritable as error:
        raise UserError(
            f"{error} The run {run.path} is read there, but continued in the output folder: name one that can be "
            "written with --output_root DIR."
        ) from error


def find_beginning(
    config: RunConfig,
    resume: str,
    asked: Collection[str],
    world: World,
    recipe: TaskRecipe,
    *,
    attached: bool,
    held: ExitStack,
) -> Beginning:
    """Return where a training begins; the first process looks, and all begin there.

    Args:
        config: the configuration now.
        resume: the path of a checkpoint or of a run's folder, which means its newest whole checkpoint; `auto` for the
            newest run like this one, in the output folder or else below the input folders; or empty for a new run.
        asked: keys that the user set on purpose and that a resumed run may therefore change.
        world: the processes that train together.
        recipe: of the run's task, which says which of its keys may change.
        attached: whether `auto` looks below the input folders too.
        held: until it is closed, other processes are kept out of a run that is resumed where it lies.

    Raises:
        UserError: the checkpoint cannot be read or used, the configuration does not fit it, or another process trains
            the run.
    """
    if not resume:
        return Beginning(held=held)
    roots = [Path(root) for root in config.input_roots] if attached else []
    facts = json.loads(world.broadcast(lambda: json.dumps(_look(config, resume, asked, roots, recipe, held)).encode()))
    if not facts["run"]:
        return Beginning(held=held)
    checkpoint = None
    if facts["origin"]:
        content = world.broadcast(lambda: checkpoint_bytes(Path(facts["origin"])))
        checkpoint = parse_checkpoint(content, facts["origin"])
    return Beginning(
        RunFolder(Path(facts["run"])),
        checkpoint,
        facts["origin"],
        facts["finished"],
        facts["changed"],
        [Path(path) for path in facts["beyond"]],
        facts["copies"],
        held,
    )


def _look(
    config: RunConfig,
    resume: str,
    asked: Collection[str],
    input_roots: Sequence[Path],
    recipe: TaskRecipe,
    held: ExitStack,
) -> dict[str, Any]:
    """Return what `find_beginning` needs, as plain values."""
    facts: dict[str, Any] = {"run": "", "origin": "", "finished": False, "changed": [], "beyond": [], "copies": False}
    run = _automatic(config, input_roots, recipe) if resume == "auto" else RunFolder.of(Path(resume))
    if run is None:
        return facts
    facts["copies"] = _copies(run, config, asked)
    if facts["copies"]:
        with run.claimed(copies=True):  # now, not when the data are read
            pass
    else:
        held.enter_context(run.claimed())
    path = Path(resume)
    if resume == "auto" or path.is_dir():
        found = newest_whole(run.all_checkpoints())
    else:
        found = path, read_checkpoint(path)
        others = whole_checkpoints([each for each in run.all_checkpoints() if each.name != path.name])
        further = [(each, other) for each, other in others if other.progress > found[1].progress]
        facts["beyond"] = [str(each) for each, _ in further]
        _tell_further(run, found, further)
    if found is None:
        _log.warning("The run %s has no whole checkpoint: training starts from the beginning.", run.path)
        return facts if facts["copies"] else {**facts, "run": str(run.path)}
    path, checkpoint = found
    if (task := checkpoint.task_measures.task) != recipe.task:
        raise UserError(
            f"{path} is of the task {task}, not of {recipe.task}, so it cannot be resumed as such. Resume it with its "
            "own task, or start a new run without --resume."
        )
    facts |= {"run": str(run.path), "origin": str(path)}
    facts["finished"] = run.finished and checkpoint.epoch + 1 >= config.epochs
    facts["changed"] = _refuse_changes(checkpoint.config, config, path, asked, recipe)
    if not facts["finished"]:
        _tell_changes(checkpoint.config, config, facts["changed"])
    return facts


def _automatic(config: RunConfig, input_roots: Sequence[Path], recipe: TaskRecipe) -> RunFolder | None:
    """Return the run that `auto` resumes; where there is none, say so."""
    run = find_run(Path(config.output_root), config, input_roots, recipe)
    if run is None:
        inputs = [root for root in outermost(input_roots) if root != Path(config.output_root).absolute()]
        below = f" or below {', '.join(map(str, inputs))}" if inputs else ""
        _log.info(
            f"There is no run to resume of {config.model.name} on {config.data.name} {config.data.split} with seed "
            f"{config.seed}{recipe.identity_words(config)} in {config.output_root}{below}. A new one is started."
        )
    return run


def _copies(run: RunFolder, config: RunConfig, asked: Collection[str]) -> bool:
    """Tell whether a run is continued in a copy: it lies in an input, cannot be written, or is wanted elsewhere."""
    output_root = Path(config.output_root)
    if run.path.resolve().is_relative_to(output_root.resolve()):
        asked = ()
    inputs = [Path(root) for root in config.input_roots]
    return "output_root" in asked or not all(
        writable(folder, output_root, inputs) for folder in (run.path, run.checkpoints) if folder.exists()
    )


def _tell_further(run: RunFolder, taken: tuple[Path, Checkpoint], further: Sequence[tuple[Path, Checkpoint]]) -> None:
    """Say that a run had come further than the checkpoint from which it is resumed, and what becomes of that."""
    if not further:
        return
    (path, checkpoint), (last, end) = taken, max(further, key=lambda item: (item[1].progress, item[0] == run.last))
    epochs = end.epoch - checkpoint.epoch
    distance = f"{epochs} epoch{'s' * (epochs > 1)}" if epochs else "less than an epoch"
    _log.warning(
        "The run is resumed from %s, epoch %d. %s is %s further: what lies beyond is set aside.",
        *(path.name, checkpoint.epoch, last.name, distance),
    )


def _refuse_changes(
    before: RunConfig, now: RunConfig, path: Path, asked: Collection[str], recipe: TaskRecipe
) -> list[str]:
    """Return the keys that `asked` names and that differ, harmless ones apart.

    Raises:
        UserError: another key differs, or one that no run can change.
    """
    old, new = flat(asdict(before)), flat(asdict(now))
    rules = ResumeRules(HARMLESS, _FIXED) + recipe.resume_rules(before, now)
    harmless = rules.harmless if before.amp and now.amp else (*rules.harmless, "hardware.amp_dtype")
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    changed = [key for key in differing if not within(key, harmless)]
    refused = [key for key in changed if key not in asked or within(key, rules.fixed)]
    if "model.name" in refused:
        refused = ["model.name"]  # its other keys follow from it
    if refused:
        lines = "\n".join(f"  {key}: {old.get(key)!r} in the run, {new.get(key)!r} now" for key in refused)
        hopeless = any(within(key, rules.fixed) for key in refused)
        remedy = (
            "That cannot change within a run; start a new one: leave --resume out."
            if hopeless
            else "Give the same options as then, change each of these keys on purpose, such as "
            f"--set {refused[0]}={new.get(refused[0])}, or start a new run without --resume."
        )
        raise UserError(f"The run of {path} was begun with another configuration:\n{lines}\n{remedy}")
    return changed


def _tell_changes(before: RunConfig, now: RunConfig, changed: Collection[str]) -> None:
    """Say which keys are no longer as they were."""
    old, new = flat(asdict(before)), flat(asdict(now))
    for key in sorted(old.keys() & new.keys()):
        if old[key] == new[key] or key in changed:
            continue
        if key not in ("environment", "data_root", "output_root", "input_roots", "max_hours"):
            _log.info(f"{key} is {new.get(key)!r} now; it was {old.get(key)!r}.")
    for key in changed:
        _log.warning("%s is changed from %r to %r, as asked.", key, old.get(key), new.get(key))


def within(key: str, sections: Collection[str]) -> bool:
    """Tell whether a dotted key is one of some sections, or in one."""
    return any(key == section or key.startswith(f"{section}.") for section in sections)
