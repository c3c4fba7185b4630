"""Finding runs: the newest one, the one to resume, the checkpoint of a path."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..tasks.recipe import TaskRecipe
from ..utils.errors import UserError
from ..utils.places import Places, folders_below, is_file, outermost
from .folder import SEQUENCE_FILE, RunFolder

_log = logging.getLogger(__name__)

LATEST = "latest"
_CLASSIFICATION = TaskRecipe()


def find_run(
    output_root: Path,
    config: Mapping[str, Any],
    input_roots: Sequence[Path] = (),
    recipe: TaskRecipe = _CLASSIFICATION,
) -> RunFolder | None:
    """Return the newest run with the same model, data set, protocol, seed and task as `config`, if there is one.

    It is also equal in what the `recipe` of the task compares.

    Runs in the output folder come first. Below the input folders, which may hold copies from several sessions, it is
    the most advanced run of the latest day with a readable checkpoint. Runs of a training sequence are excluded there:
    the sequence itself resumes them.
    """
    wanted = _identity(config), recipe.identity(config)

    def is_wanted(run: RunFolder, found: Mapping[str, Any]) -> bool:
        return (_identity(found), recipe.identity(found)) == wanted and _task_of(run) == recipe.task

    own = [RunFolder(path) for path in output_root.glob("run-*") if RunFolder(path).has_dated_name]
    for run in sorted(own, key=lambda each: each.sort_key, reverse=True):
        if is_wanted(run, read_config_or_warn(run)):
            return run
    attached = [run for run in attached_runs(output_root, input_roots) if is_wanted(run, _configuration(run))]
    days = sorted({run.sort_key[0] for run in attached}, reverse=True)
    found = (_most_advanced([run for run in attached if run.sort_key[0] == day]) for day in days)
    return next((run for run in found if run is not None), None)


def attached_runs(output_root: Path, input_roots: Sequence[Path]) -> list[RunFolder]:
    """Return the runs below the input folders, except those in the output folder and in training sequences."""
    outputs = output_root.resolve()

    def skip(folder: Path) -> bool:
        return folder.resolve() == outputs or is_file(folder / SEQUENCE_FILE)

    return _runs_below(input_roots, skip)


def _runs_below(roots: Sequence[Path], skip: Callable[[Path], bool] = lambda _: False) -> list[RunFolder]:
    """Return the runs of LAST below some folders; other programs use the name `config.yaml` too."""
    found = map(RunFolder, folders_below(roots, RunFolder.CONFIG, skip))
    return [run for run in found if all(isinstance(name, str) for name in _identity(_configuration(run))[:2])]


def latest_run(places: Places) -> RunFolder:
    """Return the newest run in the output folder, else below the input folders.

    Within one folder the number within the day decides; between folders, each of which counts from one, the time of
    the last write.

    Raises:
        UserError: there is none.
    """
    for runs in (_runs_below([places.output_root]), attached_runs(places.output_root, places.input_roots)):
        newest: dict[Path, RunFolder] = {}
        for run in sorted(runs, key=lambda each: each.sort_key):
            newest[run.path.parent] = run
        if newest:
            return max(newest.values(), key=lambda run: (run.sort_key[0], run.last_written))
    searched = ", ".join(map(str, outermost([places.output_root, *places.input_roots])))
    raise UserError(
        f"There is no run in {searched}, so there is no {LATEST!r} one. --output_root names another folder."
    )


def find_checkpoint(named: str, places: Places) -> Path:
    """Return the checkpoint of a command line argument: the file itself, or the last epoch of a run.

    Args:
        named: the path of a checkpoint, of a run's folder, or of its folder `checkpoints`; or `latest` for the newest
            run.
        places: the folders to search for the newest run.

    Raises:
        UserError: there is no run, or the run has no finished epoch.
    """
    path = Path(named)
    if named == LATEST and not path.exists():
        return _last_of(latest_run(places))
    return resolve_checkpoint(path)


def resolve_checkpoint(path: Path) -> Path:
    """Return the checkpoint of the last epoch if a path is a run's folder, else the path itself.

    Raises:
        UserError: the run has no finished epoch, or the folder is not a run.
    """
    if not path.is_dir():
        return path
    run = RunFolder(path.parent if path.name == "checkpoints" else path)
    if not run.config.exists():
        raise UserError(f"{path} is a folder, but not a run's. Give a run's folder or a checkpoint in it.")
    return _last_of(run)


def _last_of(run: RunFolder) -> Path:
    if not run.last.exists():
        raise UserError(f"The run {run.path} has no finished epoch: there is no {run.last.name} in {run.checkpoints}.")
    return run.last


def _most_advanced(runs: Sequence[RunFolder]) -> RunFolder | None:
    """Return the run with the most advanced readable checkpoint; None if no run has one."""
    from .checkpoint_files import most_advanced_checkpoint  # it imports torch

    found = [(run, most_advanced_checkpoint(run.all_checkpoints())) for run in runs]
    whole = [(run, state[1].progress) for run, state in found if state is not None]
    return max(whole, key=lambda item: item[1])[0] if whole else None


def read_config_or_warn(run: RunFolder) -> Mapping[str, Any]:
    """Return the configuration of a run; if it is unreadable, log a warning and return an empty one."""
    return _configuration(run, "%s The run is skipped.")


def _configuration(run: RunFolder, warning: str = "") -> Mapping[str, Any]:
    """Return a run's configuration; an empty one if it is missing or unreadable, as in a foreign folder."""
    try:
        return run.read_config() if run.config.exists() else {}
    except (UserError, OSError) as error:  # an OSError from a folder without access
        if warning:
            _log.warning(warning, error)
        return {}


def _task_of(run: RunFolder) -> str:
    """Return the name of a run's task; empty if its file cannot be read."""
    try:
        return run.read_measures().task
    except (UserError, OSError):
        return ""


def _identity(config: Mapping[str, Any]) -> tuple[object, ...]:
    sections = [config.get(name) for name in ("model", "data")]
    model, data = [section if isinstance(section, Mapping) else {} for section in sections]
    return model.get("name"), data.get("name"), data.get("split"), config.get("seed")
