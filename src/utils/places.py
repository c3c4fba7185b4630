"""Locations of data and runs on this machine: the environment's folders and what is found below them."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from .config import Layer, detect_environment, kaggle_folder, named_layer
from .errors import UserError

_log = logging.getLogger(__name__)

_KAGGLE = "/kaggle"
_DEEPEST = 6  # levels below a root: <root>/datasets/<owner>/<slug>/data/ntu60 is 5
_MOST_FOLDERS = 10_000  # below a root
_MOST_SUBFOLDERS = 500  # of one folder: pictures come in a folder a class, runs and data sets do not
_MOST_ENTRIES = 10_000  # of one folder: unpacked recordings are many, and no folder is among them


@dataclass(frozen=True)
class Places:
    """The folders that a command works with.

    Attributes:
        environment: the name of the environment that they come from.
        data_root: where prepared data sets are looked for first, and written.
        output_root: where runs are written.
        input_roots: where prepared data sets and runs are looked for too, at any depth; nothing is written there.
    """

    environment: str
    data_root: Path
    output_root: Path
    input_roots: tuple[Path, ...] = ()


def places(environment: str = "", data_root: str | None = None, output_root: str | None = None) -> Places:
    """Return the folders that the environment names; a folder that is given wins.

    Args:
        environment: its name; detected where it is empty.
        data_root, output_root: the folders that flags name, if they do.

    Raises:
        UserError: there is no such environment, or it names no folder.
    """
    layer = environment_layer(environment)
    return Places(
        layer.values["environment"],
        Path(data_root or layer.values["data_root"]),
        Path(output_root or layer.values["output_root"]),
        tuple(Path(each) for each in layer.values.get("input_roots") or ()),
    )


def environment_layer(environment: str = "") -> Layer:
    """Return the layer of an environment, with its name under `environment`; it is detected where it is empty.

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
    """Return a path below /kaggle, or each of several, below the folder that stands for it."""
    if isinstance(value, list):
        return [_moved(each) for each in value]
    inside = isinstance(value, str) and (value == _KAGGLE or value.startswith(f"{_KAGGLE}/"))
    return str(kaggle_folder() / value[len(_KAGGLE) + 1 :]) if inside else value


def writable(folder: Path, output_root: Path, input_roots: Sequence[Path]) -> bool:
    """Tell whether files may be written into a folder: not where it is read-only, or an input."""
    place = folder.resolve()
    is_input = any(place.is_relative_to(root.resolve()) for root in input_roots)
    if is_input and not place.is_relative_to(output_root.resolve()):
        return False
    existing = next(each for each in (place, *place.parents) if each.exists())
    return os.access(existing, os.W_OK)


def outermost(roots: Sequence[Path]) -> list[Path]:
    """Return the folders that lie in no other of them, each once: where a search below all of them looks."""
    distinct = list(dict.fromkeys(root.absolute() for root in roots))
    return [root for root in distinct if not any(other in root.parents for other in distinct)]


def folders_below(roots: Sequence[Path], mark: str, skip: Callable[[Path], bool] = lambda _: False) -> Iterator[Path]:
    """Yield the folders that hold a file named `mark`, at most six levels below `roots`; those nearest come first.

    It does not look into what it finds, nor into hidden folders or those that cannot be read. The search is bounded,
    with a warning where that leaves something out: at most 10,000 folders below a root, and of each the first 10,000
    entries and the last 500 folders by name.

    Args:
        roots: where to look; one that is not there is passed over.
        mark: the file's name.
        skip: which folders not to look into.
    """
    seen: set[Path] = set()
    for root in roots:
        waiting, visited = deque([(root, 0)]), 0
        while waiting:
            folder, depth = waiting.popleft()
            place = folder.resolve()
            if place in seen or skip(folder):
                continue
            seen.add(place)
            if is_file(folder / mark):
                yield folder
                continue
            visited += 1
            if visited > _MOST_FOLDERS:
                _warn_of_bound(root, _MOST_FOLDERS)
                break
            if depth < _DEEPEST:
                waiting.extend((each, depth + 1) for each in _subfolders(folder))


def is_file(path: Path) -> bool:
    """Tell whether there is such a file; there is none where looking is not allowed."""
    try:
        return path.is_file()
    except OSError:
        return False


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, in the order of their names; none where it cannot be read."""
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
    """Say once that a search did not look everywhere."""
    _log.warning(
        "Below %s only %d folders are searched for data sets and runs. Name one that is not found with --data_root or "
        "--resume.",
        *(folder, bound),
    )


def data_roots(environment: str, data_root: str, input_roots: Sequence[str]) -> list[Path]:
    """Return where prepared data sets are looked for: the data root, and with that of the environment its inputs too.

    A data root that somebody named is meant: elsewhere another data set of the same name may lie.
    """
    own = Path(data_root) == places(environment).data_root
    return [Path(data_root), *(map(Path, input_roots) if own else ())]
