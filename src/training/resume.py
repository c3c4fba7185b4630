"""Going on with an earlier run: which, from which checkpoint, and with what configuration."""

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..utils.config import flat
from ..utils.errors import UserError
from .checkpoint import Checkpoint, checkpoint_bytes, parse_checkpoint, read_checkpoint
from .checkpoint_files import newest_whole, whole_checkpoints
from .config import RunConfig
from .distributed import World
from .run_folder import RunFolder, find_run

_log = logging.getLogger(__name__)

# Keys that do not change what a run computes; a resumed run takes them as they are now.
HARMLESS = (
    "environment",
    "data_root",
    "output_root",
    "hardware.residency",
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
    "distillation.teachers",  # where they lie; what they are tells distillation.fingerprints
    "distillation.cache",
    "distributed.timeout_minutes",
    "data.how_to_get",
    "data.own_layout.extra_edges",
)
# Keys that make another model, other clips or other figures of a run; no option lets a run go on with those.
_FIXED = (
    *("model", "data.name", "data.layout", "data.own_layout", "data.classes", "data.bodies"),
    *("data.split", "data.protocols", "data.select"),
    *("ema", "validation", "validation_share", "label_share"),
    *("distillation.fingerprints", "distillation.method", "distillation.unlabelled"),
)
# With learned maps to the teachers' features, which there are only where alpha leaves the teachers a say.
_FIXED_WITH_FEATURES = (
    "distillation.alpha",
    "distillation.alpha_of",
    "distillation.alpha_other",
    "distillation.alpha_end",
)


@dataclass(frozen=True)
class Beginning:
    """Where a training begins.

    Attributes:
        run: the run to go on with; None for a new one.
        checkpoint: its state; None where there is none yet.
        origin: the checkpoint's file.
        finished: whether there is nothing left to do.
        changed: the keys that are no longer as they were and change what is computed.
        beyond: checkpoints of a former course of the run that had come further.
    """

    run: RunFolder | None = None
    checkpoint: Checkpoint | None = None
    origin: str = ""
    finished: bool = False
    changed: Collection[str] = ()
    beyond: Sequence[Path] = ()

    @property
    def branches(self) -> bool:
        """Tell whether the run leaves the course that it took before."""
        return bool(self.changed or self.beyond)


def find_beginning(config: RunConfig, resume: str, asked: Collection[str], world: World) -> Beginning:
    """Return where a training begins; the first process looks, and all begin there.

    Args:
        config: the configuration now.
        resume: the path of a checkpoint or of a run's folder, which means its newest whole checkpoint; `auto` for the
            newest run like this one; or empty for a new run.
        asked: keys that the user set on purpose and that a resumed run may therefore change.
        world: the processes that train together.

    Raises:
        UserError: the checkpoint cannot be read or used, or the configuration does not fit it.
    """
    if not resume:
        return Beginning()
    facts = json.loads(world.share(lambda: json.dumps(_look(config, resume, asked)).encode()))
    if not facts["run"]:
        return Beginning()
    checkpoint = None
    if facts["origin"]:
        content = world.share(lambda: checkpoint_bytes(Path(facts["origin"])))
        checkpoint = parse_checkpoint(content, facts["origin"])
    return Beginning(
        RunFolder(Path(facts["run"])),
        checkpoint,
        facts["origin"],
        facts["finished"],
        facts["changed"],
        [Path(path) for path in facts["beyond"]],
    )


def _look(config: RunConfig, resume: str, asked: Collection[str]) -> dict[str, Any]:
    """Return what `find_beginning` needs, as plain values."""
    facts: dict[str, Any] = {"run": "", "origin": "", "finished": False, "changed": [], "beyond": []}
    run = find_run(Path(config.output_root), config) if resume == "auto" else RunFolder.of(Path(resume))
    if run is None:
        return facts
    path = Path(resume)
    if resume == "auto" or path.is_dir():
        found = newest_whole(run.all_checkpoints())
    else:
        found = path, read_checkpoint(path)
        others = whole_checkpoints([each for each in run.all_checkpoints() if each.name != path.name])
        facts["beyond"] = [str(each) for each, other in others if other.progress > found[1].progress]
    facts["run"] = str(run.path)
    if found is not None:
        path, checkpoint = found
        facts["origin"] = str(path)
        facts["finished"] = run.finished and checkpoint.epoch + 1 >= config.epochs
        facts["changed"] = _refuse_changes(checkpoint.config, config, path, asked)
        if not facts["finished"]:
            _tell_changes(checkpoint.config, config, facts["changed"])
    return facts


def _refuse_changes(before: RunConfig, now: RunConfig, path: Path, asked: Collection[str]) -> list[str]:
    """Return the keys that `asked` names and that differ, harmless ones apart.

    Raises:
        UserError: another key differs, or one that no run can change.
    """
    old, new = flat(asdict(before)), flat(asdict(now))
    harmless = HARMLESS if before.amp and now.amp else (*HARMLESS, "hardware.amp_dtype")
    if not (before.distillation.teachers or now.distillation.teachers):
        harmless = (*harmless, "distillation")
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    changed = [key for key in differing if not within(key, harmless)]
    fixed = (*_FIXED, *_FIXED_WITH_FEATURES) if before.distillation.method == "features" else _FIXED
    refused = [key for key in changed if key not in asked or within(key, fixed)]
    if "model.name" in refused:
        refused = ["model.name"]  # its other keys follow from it
    if refused:
        lines = "\n".join(f"  {key}: {old.get(key)!r} in the run, {new.get(key)!r} now" for key in refused)
        hopeless = any(within(key, fixed) for key in refused)
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
        if key not in ("environment", "data_root", "output_root", "max_hours"):
            _log.info(f"{key} is {new.get(key)!r} now; it was {old.get(key)!r}.")
    for key in changed:
        _log.warning("%s is changed from %r to %r, as --set asks.", key, old.get(key), new.get(key))


def within(key: str, sections: Collection[str]) -> bool:
    """Tell whether a dotted key is one of some sections, or in one."""
    return any(key == section or key.startswith(f"{section}.") for section in sections)
