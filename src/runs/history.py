"""The scanner of run folders: every command finds its runs, and their checkpoints, by these functions.

A name `run-...` suffices in the output folder, also for a damaged run. Below the input folders, which hold files of all
kinds, a run is recognised by its configuration.
"""

import difflib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..tasks.recipe import TaskRecipe
from ..utils.errors import UserError
from ..utils.root_folders import RootFolders, folders_below, is_file, outermost
from ..utils.system_errors import reason
from .folder import SEARCH_FILE, SEQUENCE_FILE, SWEEP_FILE, RunFolder, runs_in
from .shipped_weights import list_pretrained, pretrained_file

if TYPE_CHECKING:
    from .results import Run

_log = logging.getLogger(__name__)

LATEST = "latest"
_CLASSIFICATION = TaskRecipe()
_LEVELS, _PLANNED_LEVELS = 2, 3  # <output root>/<seeds>/<run>, <sequence>/<data>/<model>/<run> and likewise of a sweep
_NAMES_SUGGESTED = 5

# A run and its configuration.
FoundRun = tuple[RunFolder, Mapping[str, Any]]


# --- all runs of the output folder


def find_runs(output_root: Path) -> "list[Run]":
    """Return the runs in a folder, in its subfolders, in sequences and in sweeps, newest first.

    The archive that a run makes when it is resumed from an earlier checkpoint is a run too. A missing folder has none.

    Raises:
        UserError: the folder cannot be read, or is not a folder.
    """
    from .results import read_run  # a command that resumes or evaluates one run does not need it

    return [read_run(run.path, output_root) for run in run_folders(output_root)]


def run_folders(output_root: Path) -> list[RunFolder]:
    """Return the folders of the runs that `find_runs` reads.

    Raises:
        UserError: the folder cannot be read, or is not a folder.
    """
    try:
        inside = [each for each in sorted(output_root.iterdir()) if not each.name.startswith(".") and _is_folder(each)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"Cannot read the folder of runs {output_root}: {reason(error)}.") from error
    levels = _PLANNED_LEVELS if _is_planned(output_root) else _LEVELS
    return sorted(map(RunFolder, _folders_of_runs(inside, levels - 1)), key=_age, reverse=True)


def choose_runs(output_root: Path, wanted: Sequence[str]) -> "list[Run]":
    """Return the named runs: each text is a name below the output root, or the path of a folder.

    Raises:
        UserError: one does not exist, is not a run, or is named twice.
    """
    from .results import read_run

    folders = [next((path for path in (output_root / text, Path(text)) if is_run(path)), None) for text in wanted]
    unknown = [text for text, folder in zip(wanted, folders, strict=True) if folder is None]
    if unknown:
        raise UserError(_unknown_runs(output_root, unknown))
    runs = [read_run(folder, output_root) for folder in folders if folder is not None]
    paths = [run.path.resolve() for run in runs]
    twice = [text for index, text in enumerate(wanted) if paths[index] in paths[:index]]
    if twice:
        raise UserError(f"The run {twice[0]} is named twice. Name every run once.")
    return runs


def is_run(path: Path) -> bool:
    """Return whether a folder is a run: by its name `run-...`, or by its files."""
    run = RunFolder(path)
    return _is_folder(path) and (path.name.startswith("run-") or is_file(run.config) or is_file(run.logbook))


def _folders_of_runs(roots: Iterable[Path], levels: int) -> Iterator[Path]:
    """Yield the folders of the runs below `roots`, with their archives; those of a sequence lie deeper."""
    for each in folders_below(roots, lambda path: is_run(path) or _is_planned(path), deepest=levels):
        for run in [each] if is_run(each) else folders_below([each], is_run, deepest=_PLANNED_LEVELS):
            yield run
            yield from filter(is_run, RunFolder(run).archives())


def _age(run: RunFolder) -> tuple[str, int, float]:
    """Return a key that orders runs from old to new: the day, the number within the day, the time of writing."""
    try:
        written = run.path.stat().st_mtime
    except OSError:
        written = 0.0
    return *run.sort_key, written


def _is_planned(path: Path) -> bool:
    """Return whether a folder is that of a training sequence, a sweep or a search, whose runs lie deeper."""
    return any(is_file(path / name) for name in (SEQUENCE_FILE, SWEEP_FILE, SEARCH_FILE))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _unknown_runs(output_root: Path, unknown: Sequence[str]) -> str:
    """Return the message for runs that do not exist, with similar names."""
    known = [run.name for run in find_runs(output_root)]
    lines = []
    for text in unknown:
        what = "is a folder, but not a run's" if _is_folder(Path(text)) else f"is no run under {output_root}"
        near = difflib.get_close_matches(text, known, n=_NAMES_SUGGESTED, cutoff=0.5)
        advice = f" Did you mean {', '.join(near)}?" if near else ""
        lines.append(f"{text!r} {what}.{advice}")
    newest = ", ".join(known[:_NAMES_SUGGESTED])
    count = f" {_NAMES_SUGGESTED} of {len(known)} runs" if len(known) > _NAMES_SUGGESTED else ""
    lines.append(f"Newest{count} there: {newest}." if newest else f"There is no run under {output_root}.")
    return "\n".join(lines)


# --- the run to resume


def find_run(
    output_root: Path,
    config: Mapping[str, Any],
    input_roots: Sequence[Path] = (),
    recipe: TaskRecipe = _CLASSIFICATION,
) -> RunFolder | None:
    """Return the newest run with the same model, data set, protocol, seed and task as `config`, if there is one.

    It is also equal in what the `recipe` of the task compares.

    Runs in the output folder come first. Below the input folders, which may hold copies from several sessions, it is
    the most advanced run of the latest day with a readable checkpoint. Runs of a training sequence or a sweep are
    excluded there: the same command resumes them.
    """
    wanted = _identity(config), recipe.identity(config)

    def is_wanted(run: RunFolder, found: Mapping[str, Any]) -> bool:
        return (_identity(found), recipe.identity(found)) == wanted and _task_of(run) == recipe.task

    if own := newest_run(output_root, is_wanted):
        return own[0]
    attached = [run for run in attached_runs(output_root, input_roots) if is_wanted(run, _configuration(run))]
    days = sorted({run.sort_key[0] for run in attached}, reverse=True)
    found = (_most_advanced([run for run in attached if run.sort_key[0] == day]) for day in days)
    return next((run for run in found if run is not None), None)


def newest_run(folder: Path, is_wanted: Callable[[RunFolder, Mapping[str, Any]], bool]) -> FoundRun | None:
    """Return the newest run in a folder for which `is_wanted(run, configuration)` holds, if there is one.

    A run whose configuration cannot be read is reported by a warning.
    """
    found = ((run, read_config_or_warn(run)) for run in runs_in(folder))
    return next((each for each in found if is_wanted(*each)), None)


def attached_runs(output_root: Path, input_roots: Sequence[Path]) -> list[RunFolder]:
    """Return the runs below the input folders, except those in the output folder, in sequences and sweeps."""
    outputs = output_root.resolve()
    return runs_below(input_roots, lambda folder: folder.resolve() == outputs or _is_planned(folder))


def runs_below(roots: Sequence[Path], skip: Callable[[Path], bool] = lambda _: False) -> list[RunFolder]:
    """Return the runs of LAST below some folders; other programs use the name `config.yaml` too."""
    found = map(RunFolder, folders_below(roots, RunFolder.CONFIG, skip))
    return [run for run in found if all(isinstance(name, str) for name in _identity(_configuration(run))[:2])]


def read_config_or_warn(run: RunFolder) -> Mapping[str, Any]:
    """Return the configuration of a run; if it is unreadable, log a warning and return an empty one."""
    return _configuration(run, "%s The run is skipped.")


def _configuration(run: RunFolder, warning: str = "") -> Mapping[str, Any]:
    """Return a run's configuration; an empty one if it is missing or unreadable, as in a foreign folder."""
    try:
        return run.read_config() if run.config.exists() else {}
    except UserError as error:
        problem = str(error)
    except OSError as error:  # from a folder without access
        problem = f"Cannot read {run.config}: {reason(error)}."
    if warning:
        _log.warning(warning, problem)
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


def _most_advanced(runs: Sequence[RunFolder]) -> RunFolder | None:
    """Return the run with the most advanced readable checkpoint; None if no run has one."""
    from .checkpoint_files import most_advanced_checkpoint  # it imports torch

    found = [(run, most_advanced_checkpoint(run.all_checkpoints())) for run in runs]
    whole = [(run, state[1].progress) for run, state in found if state is not None]
    return max(whole, key=lambda item: item[1])[0] if whole else None


# --- the run, or the checkpoint, that an option names


def latest_run(roots: RootFolders) -> RunFolder:
    """Return the newest run in the output folder, else below the input folders.

    Within one folder the number within the day decides; between folders, each of which counts from one, the time of
    the last write.

    Raises:
        UserError: there is none.
    """
    for runs in (runs_below([roots.output_root]), attached_runs(roots.output_root, roots.input_roots)):
        newest: dict[Path, RunFolder] = {}
        for run in sorted(runs, key=lambda each: each.sort_key):
            newest[run.path.parent] = run
        if newest:
            return max(newest.values(), key=lambda run: (run.sort_key[0], run.last_written))
    searched = ", ".join(map(str, outermost([roots.output_root, *roots.input_roots])))
    raise UserError(
        f"There is no run in {searched}, so there is no {LATEST!r} one. --output_root names another folder."
    )


def named_path(named: str, roots: RootFolders) -> Path:
    """Return the path that an option names: itself, a run's name below the output folder, or `latest`.

    Raises:
        UserError: `latest` is named and there is no run.
    """
    path = Path(named)
    if path.exists():
        return path
    if named == LATEST:
        return latest_run(roots).path
    inside = roots.output_root / named
    return inside if inside.is_dir() else path


def find_checkpoint(named: str, roots: RootFolders) -> Path:
    """Return the checkpoint that an option names: the file itself, or the last epoch of a run.

    Args:
        named: the path of a checkpoint, of a run's folder, or of its folder `checkpoints`; the name of a run; or
            `latest` for the newest run.
        roots: the folders to search for runs.

    Raises:
        UserError: there is no run, or the run has no finished epoch.
    """
    return resolve_checkpoint(named_path(named, roots))


def resolve_checkpoint(path: Path) -> Path:
    """Return the checkpoint of the last epoch if a path is a run's folder, else the path itself.

    The name of weights that come with the program, such as `synthetic`, is their file, unless a file has that name.

    Raises:
        UserError: the run has no finished epoch, or the folder is not a run.
    """
    if not path.exists() and str(path) in list_pretrained():
        return pretrained_file(str(path))
    if not path.is_dir():
        return path
    run = RunFolder(path.parent if path.name == "checkpoints" else path)
    if not run.config.exists():
        raise UserError(f"{path} is a folder, but not a run's. Give a run's folder or a checkpoint in it.")
    if not run.last.exists():
        raise UserError(f"The run {run.path} has no finished epoch: there is no {run.last.name} in {run.checkpoints}.")
    return run.last
