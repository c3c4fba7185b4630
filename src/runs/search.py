"""Finding runs: the newest one, the one to resume, the checkpoint that a path means."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..tasks.recipe import TaskRecipe
from ..utils.errors import UserError
from ..utils.places import Places, folders_below, is_file, outermost
from .folder import SEQUENCE_FILE, RunFolder

if TYPE_CHECKING:
    from ..settings.run import RunConfig  # with it comes torch, which a list of runs need not wait for

_log = logging.getLogger(__name__)

LATEST = "latest"
_CLASSIFICATION = TaskRecipe()


def find_run(
    output_root: Path,
    config: "RunConfig",
    input_roots: Sequence[Path] = (),
    recipe: TaskRecipe = _CLASSIFICATION,
) -> RunFolder | None:
    """Return the newest run with the same model, data set, protocol and seed, if there is one.

    It is of the same task too, and equal in what the `recipe` of that task compares.

    Runs in the output folder come first. Of those below the input folders, where runs of several sessions may lie, it
    is one of the latest day on which any has a whole checkpoint, and of several of that day the one that had come
    furthest. Runs of a training sequence are not among those: the sequence itself resumes them.
    """
    plain = asdict(config)
    wanted = _identity(plain), recipe.identity(plain)

    def is_wanted(run: RunFolder, found: Mapping[str, Any]) -> bool:
        return (_identity(found), recipe.identity(found)) == wanted and _task_of(run) == recipe.task

    own = [RunFolder(path) for path in output_root.glob("run-*") if RunFolder(path).dated]
    for run in sorted(own, key=lambda each: each.age, reverse=True):
        if is_wanted(run, own_configuration(run)):
            return run
    attached = [run for run in attached_runs(output_root, input_roots) if is_wanted(run, _configuration(run))]
    days = sorted({run.age[0] for run in attached}, reverse=True)
    found = (_furthest([run for run in attached if run.age[0] == day]) for day in days)
    return next((run for run in found if run is not None), None)


def attached_runs(output_root: Path, input_roots: Sequence[Path]) -> list[RunFolder]:
    """Return the runs below the input folders, those of the output folder and of training sequences left out."""
    outputs = output_root.resolve()

    def skip(folder: Path) -> bool:
        return folder.resolve() == outputs or is_file(folder / SEQUENCE_FILE)

    return _runs_below(input_roots, skip)


def _runs_below(roots: Sequence[Path], skip: Callable[[Path], bool] = lambda _: False) -> list[RunFolder]:
    """Return the runs of LAST below some folders; other programs have files of that name too."""
    found = map(RunFolder, folders_below(roots, RunFolder.CONFIG, skip))
    return [run for run in found if all(isinstance(name, str) for name in _identity(_configuration(run))[:2])]


def latest_run(places: Places) -> RunFolder:
    """Return the newest run: of those in the output folder, else of those below the input folders.

    In one folder the number within the day decides; between folders, each of which counts from one, the time at
    which something of the run was last written.

    Raises:
        UserError: there is none.
    """
    for runs in (_runs_below([places.output_root]), attached_runs(places.output_root, places.input_roots)):
        newest: dict[Path, RunFolder] = {}
        for run in sorted(runs, key=lambda each: each.age):
            newest[run.path.parent] = run
        if newest:
            return max(newest.values(), key=lambda run: (run.age[0], run.written))
    searched = ", ".join(map(str, outermost([places.output_root, *places.input_roots])))
    raise UserError(
        f"There is no run in {searched}, so there is no {LATEST!r} one. --output_root names another folder."
    )


def checkpoint_file(named: str, places: Places) -> Path:
    """Return the checkpoint that a text names: a file itself, or the last epoch of a run.

    Args:
        named: the path of a checkpoint, of a run's folder, or of the folder `checkpoints` in it; or `latest`, for the
            newest run.
        places: where the newest run is looked for.

    Raises:
        UserError: there is no run to be the newest, or the run has no finished epoch.
    """
    path = Path(named)
    if named == LATEST and not path.exists():
        return _last_of(latest_run(places))
    return checkpoint_in(path)


def checkpoint_in(path: Path) -> Path:
    """Return the checkpoint of the last epoch where a path is a run's folder; any other path as it is.

    Raises:
        UserError: the run has no finished epoch, or the folder is not a run's.
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


def _furthest(runs: Sequence[RunFolder]) -> RunFolder | None:
    """Return the run with the whole checkpoint that had come furthest; None where no run has one."""
    from .checkpoint_files import newest_whole  # with it comes torch

    found = [(run, newest_whole(run.all_checkpoints())) for run in runs]
    whole = [(run, state[1].progress) for run, state in found if state is not None]
    return max(whole, key=lambda item: item[1])[0] if whole else None


def own_configuration(run: RunFolder) -> Mapping[str, Any]:
    """Return the configuration of a run in the output folder; log a warning and return nothing if it is unreadable."""
    return _configuration(run, "%s The run is passed over.")


def _configuration(run: RunFolder, warning: str = "") -> Mapping[str, Any]:
    """Return a run's configuration, or nothing if it is missing or unreadable, as in a folder of another program."""
    try:
        return run.read_config() if run.config.exists() else {}
    except (UserError, OSError) as error:  # an OSError from a folder that may not be entered
        if warning:
            _log.warning(warning, error)
        return {}


def _task_of(run: RunFolder) -> str:
    """Return the name of a run's task; empty where its file cannot be read."""
    try:
        return run.read_measures().task
    except (UserError, OSError):
        return ""


def _identity(config: Mapping[str, Any]) -> tuple[object, ...]:
    sections = [config.get(name) for name in ("model", "data")]
    model, data = [section if isinstance(section, Mapping) else {} for section in sections]
    return model.get("name"), data.get("name"), data.get("split"), config.get("seed")
