"""PYSKL annotation files, such as `ntu60_3danno.pkl`: a pickle of `split` and `annotations`.

An annotation has `frame_dir` (the clip's name), `label` and `keypoint` (M, T, V, C); a body whose
coordinates are all zero in a frame is absent there. A pickle is a program: `restricted_pickle` runs it and
lets it build arrays and plain containers only. A name of NTU's form tells subject, camera, setup and
replication. The lists of `split` are protocols (`splits`). Where they make exactly one, clips of other names
have its part as their setup as well: 1 for the train list, 2 for the other, 0 for clips in neither.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ....utils.errors import UserError
from ....utils.names import normal_form
from ...store.clip import Clip
from ..formats.assembly import ClipMetadata, assemble
from ..formats.base import BadClip, Entry, Source
from ..formats.recordings import only_file
from ..formats.restricted_pickle import PickledArray, load_plain
from ..formats.splits import Lists, read_splits
from .ntu import describe_name

_logger = logging.getLogger(__name__)

_LONGEST_NAME = 200
# What annotations may hold, in bytes, where they share arrays: so many, and so many for each of the file's own.
_SHARED_BYTES, _SHARED_OF_A_BYTE = 64 << 20, 16
_MOST_ANNOTATIONS = 1 << 20  # NTU RGB+D 120 has 113,945
_TRAIN_SETUP, _TEST_SETUP = 1, 2


class Reader:
    """Read the clips of one PYSKL file. Of many bodies the first ones ever there are kept."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the annotations of the `.pkl` file `raw`, or of the only one in the folder `raw`.

        Raises:
            UserError: there is not one such file, it is no PYSKL file, it asks for more than arrays, or its splits
                are not clear.
        """
        path = only_file(raw, ".pkl").absolute()
        content = _load(path)
        for warning in content.warnings:
            _logger.warning("%s: %s", path, warning)
        found = []
        for number, (name, annotation) in enumerate(zip(content.names, content.annotations, strict=True)):
            found.append(Entry(name, path, str(number), _size(annotation)))
        return sorted(found, key=lambda entry: entry.name)

    def splits(self, raw: Path) -> Lists:
        """Return the protocols that the file lists, as the names of entries."""
        return _load(only_file(raw, ".pkl").absolute()).splits

    def read(self, entry: Entry) -> Clip:
        """Return one annotation as a centred clip.

        Raises:
            BadClip: its label or its keypoints are not what they should be.
            DroppedClip: no body is there in any frame.
        """
        content = _load(entry.path)
        annotation = content.annotations[int(entry.member)]
        label, keypoint = annotation.get("label"), annotation.get("keypoint")
        if type(label) is not int or label < 0:
            raise BadClip(entry.name, 0, "`label` should be a class number")
        if not isinstance(keypoint, PickledArray):
            raise BadClip(entry.name, 0, "`keypoint` should be an array")
        return assemble(entry.name, _describe(entry.name, label, content), keypoint.array, self._source)


@dataclass(frozen=True)
class _Content:
    """What a PYSKL file holds.

    Attributes:
        annotations: one a clip.
        names: the clips' names, all different.
        splits: the protocols that it lists, by the clips' names.
        setups: the setup that stands for a clip's part, where there is one protocol.
        warnings: what a user should know of the file.
    """

    annotations: list[dict[str, Any]]
    names: list[str]
    splits: Lists
    setups: dict[str, int]
    warnings: list[str]


def _load(path: Path) -> _Content:
    return _load_once(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _load_once(path: Path, changed_ns: int) -> _Content:  # noqa: ARG001
    """Load a file once in each process."""
    content = load_plain(path)
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise UserError(f"{path} is no PYSKL file: it should hold a dict with a list of dicts `annotations`.")
    if not annotations:
        raise UserError(f"{path} holds no annotation.")
    if len(annotations) > _MOST_ANNOTATIONS:
        raise UserError(f"{path} holds more than {_MOST_ANNOTATIONS} annotations.")
    if sum(map(_size, annotations)) > _SHARED_BYTES + _SHARED_OF_A_BYTE * path.stat().st_size:
        raise UserError(f"{path} is refused: its annotations share arrays and hold far more than the file does.")
    given = [_given(each) for each in annotations]
    names = _clip_names(annotations)
    listed = read_splits(content.get("split"), str(path))
    splits = _by_clip_name(listed, given, names)
    setups: dict[str, int] = {}
    if len(splits) == 1:
        (only,) = splits.values()
        setups = {**dict.fromkeys(only["train"], _TRAIN_SETUP), **dict.fromkeys(only["test"], _TEST_SETUP)}
    return _Content(annotations, names, splits, setups, _warnings(listed, given, names))


def _by_clip_name(splits: Lists, given: Sequence[str], names: Sequence[str]) -> Lists:
    """Return the lists with the clips' names in place of those that the file gives."""
    by_given: dict[str, list[str]] = {}
    for original, name in zip(given, names, strict=True):
        by_given.setdefault(original, []).append(name)
    return {
        protocol: {part: {name for each in listed for name in by_given.get(each, [])} for part, listed in parts.items()}
        for protocol, parts in splits.items()
    }


def _warnings(splits: Lists, given: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return what a user should know: names in lists that no annotation has, and names that several have."""
    listed = {name for parts in splits.values() for part in parts.values() for name in part}
    unknown = sorted(listed - set(given))
    again = [name for original, name in zip(given, names, strict=True) if name.startswith(f"{original}#")]
    warnings = []
    if unknown:
        warnings.append(f"{len(unknown)} names in its splits have no annotation, such as {unknown[0][:80]!r}.")
    if again:
        warnings.append(f"{len(again)} annotations have the name of another one; they are kept, as {again[0]!r}.")
    return warnings


def _clip_names(annotations: Sequence[dict[str, Any]]) -> list[str]:
    """Return one name a clip; of annotations that share a name the second is called NAME#2, and so on."""
    given = [_name(annotation, number) for number, annotation in enumerate(annotations)]
    taken, seen = set(given), Counter[str]()
    names: list[str] = []
    for name in given:
        seen[name] += 1
        own = name
        while seen[name] > 1 and own in taken:
            own = f"{name}#{seen[name]}"
            seen[name] += own in taken
        taken.add(own)
        names.append(own)
    return names


def _given(annotation: dict[str, Any]) -> str:
    """Return the name by which the lists of the file call an annotation; anything but text is none."""
    name = annotation.get("frame_dir")
    return normal_form(str(name)) if type(name) in (str, int) else ""


def _size(annotation: dict[str, Any]) -> int:
    keypoint = annotation.get("keypoint")
    return keypoint.array.nbytes if isinstance(keypoint, PickledArray) else 0


def _name(annotation: dict[str, Any], number: int) -> str:
    """Return what an annotation is called: its `frame_dir`, shortened where it is very long."""
    given = annotation.get("frame_dir")
    if not isinstance(given, str) or not given or not given.isprintable():
        return f"annotation_{number:06}"
    name = normal_form(given)
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 9]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _describe(name: str, label: int, content: _Content) -> ClipMetadata:
    known = describe_name(name.partition("#")[0])
    if known is None:
        return ClipMetadata(label, setup=content.setups.get(name, 0))
    return ClipMetadata(label, known.subject, known.camera, known.setup, known.replication)
