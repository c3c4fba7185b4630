"""The root folders of data and runs on this machine: those of the environment, and what is found below them."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from .config import Layer, detect_environment, kaggle_folder, named_layer
from .errors import UserError

_log = logging.getLogger(__name__)

_KAGGLE = "/kaggle"
_DEEPEST = 6  # levels below a root: <root>/datasets/<owner>/<slug>/data/ntu60 has 5
_MOST_FOLDERS = 10_000  # per root
_MOST_SUBFOLDERS = 500  # per folder: more are typical of image folders per class, not of runs and data sets
_MOST_ENTRIES = 10_000  # per folder: unpacked recordings are many files without folders


@dataclass(frozen=True)
class RootFolders:
    """The folders that a command works with.

    Attributes:
        environment: the name of their environment.
        data_root: the folder of prepared data sets, searched first.
        output_root: the folder of runs.
        input_roots: further folders that are searched for prepared data sets and runs; nothing is written there.
    """

    environment: str
    data_root: Path
    output_root: Path
    input_roots: tuple[Path, ...] = ()


def root_folders(environment: str = "", data_root: str | None = None, output_root: str | None = None) -> RootFolders:
    """Return the folders of the environment; folders passed as arguments override them.

    Args:
        environment: its name; detected if empty.
        data_root, output_root: the folders of the flags, if given.

    Raises:
        UserError: there is no such environment, or it lacks a folder.
    """
    layer = environment_layer(environment)
    return RootFolders(
        layer.values["environment"],
        Path(data_root or layer.values["data_root"]),
        Path(output_root or layer.values["output_root"]),
        tuple(Path(each) for each in layer.values.get("input_roots") or ()),
    )


def environment_layer(environment: str = "") -> Layer:
    """Return the layer of an environment, with its name in `environment`; it is detected if empty.

    Raises:
        UserError: there is no such environment, or it lacks a folder.
    """
    name = detect_environment(environment)
    layer = named_layer("environment", name, "environment")
    values = {**layer.values, "environment": name}
    for key in ("data_root", "output_root"):
        if not isinstance(values.get(key), str) or not values[key]:
            raise UserError(f"{layer.origin} has no {key}. Name the folder there, or with --{key}.")
    moved: dict[str, Any] = {
        key: _moved(values[key]) for key in ("data_root", "output_root", "input_roots") if key in values
    }
    return replace(layer, values=values | moved, texts={**layer.texts, **moved, "environment": name})


def _moved(value: Any) -> Any:
    """Return a path below /kaggle, or a list of paths, relocated to the folder that replaces /kaggle."""
    if isinstance(value, list):
        return [_moved(each) for each in value]
    inside = isinstance(value, str) and (value == _KAGGLE or value.startswith(f"{_KAGGLE}/"))
    return str(kaggle_folder() / value[len(_KAGGLE) + 1 :]) if inside else value


def writable(folder: Path, output_root: Path, input_roots: Sequence[Path]) -> bool:
    """Tell whether files may be written to a folder: it is neither read-only nor an input."""
    resolved = folder.resolve()
    is_input = any(resolved.is_relative_to(root.resolve()) for root in input_roots)
    if is_input and not resolved.is_relative_to(output_root.resolve()):
        return False
    existing = next(each for each in (resolved, *resolved.parents) if each.exists())
    return os.access(existing, os.W_OK)


def outermost(roots: Sequence[Path]) -> list[Path]:
    """Return the folders that are not inside another of them, each once: the starting points of a search."""
    distinct = list(dict.fromkeys(root.absolute() for root in roots))
    return [root for root in distinct if not any(other in root.parents for other in distinct)]


def folders_below(
    roots: Iterable[Path],
    mark: str | Callable[[Path], bool],
    skip: Callable[[Path], bool] = lambda _: False,
    deepest: int = _DEEPEST,
) -> Iterator[Path]:
    """Yield the folders that have a mark, at most `deepest` levels below `roots`, the nearest first.

    Found folders are not searched further, nor are hidden or unreadable folders. The search is limited to 10,000
    folders per root, and in each folder to the first 10,000 entries and the last 500 folders by name, with a warning if
    a limit is reached.

    Args:
        roots: the folders to search; missing ones are skipped.
        mark: the name of a file in them, or a function that recognises them.
        skip: tells which folders not to search.
        deepest: the number of levels below a root; 0 for the roots themselves.
    """
    is_wanted = mark if callable(mark) else lambda folder: is_file(folder / mark)
    seen: set[Path] = set()
    for root in roots:
        waiting, visited = deque([(root, 0)]), 0
        while waiting:
            folder, depth = waiting.popleft()
            resolved = folder.resolve()
            if resolved in seen or skip(folder):
                continue
            seen.add(resolved)
            if is_wanted(folder):
                yield folder
                continue
            visited += 1
            if visited > _MOST_FOLDERS:
                _warn_of_bound(root, _MOST_FOLDERS)
                break
            if depth < deepest:
                waiting.extend((each, depth + 1) for each in _subfolders(folder))


def is_file(path: Path) -> bool:
    """Tell whether a file exists; False if access is denied."""
    try:
        return path.is_file()
    except OSError:
        return False


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = [each.name for each in islice(entries, _MOST_ENTRIES) if each.is_dir()]
    except OSError:
        return []
    shown = sorted(name for name in found if not name.startswith("."))
    if len(shown) > _MOST_SUBFOLDERS:
        _warn_of_bound(folder, _MOST_SUBFOLDERS)
    return [folder / name for name in shown[-_MOST_SUBFOLDERS:]]


@cache
def _warn_of_bound(folder: Path, bound: int) -> None:
    """Warn once that a search was incomplete."""
    _log.warning(
        "Below %s only %d folders are searched for data sets and runs. Name one that is not found with --data_root or "
        "--resume.",
        *(folder, bound),
    )


def data_roots(environment: str, data_root: str, input_roots: Sequence[str]) -> list[Path]:
    """Return the folders to search for data sets: the data root, and the inputs if it is the environment's own.

    With an explicit data root, only that one is searched, since others may have another data set of the same name.
    """
    own = Path(data_root) == root_folders(environment).data_root
    return [Path(data_root), *(map(Path, input_roots) if own else ())]
