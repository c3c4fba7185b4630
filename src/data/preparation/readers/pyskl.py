"""PYSKL annotation files, such as `ntu60_3danno.pkl`: a pickle of `split` and `annotations`.

An annotation has `frame_dir` (the clip's name), `label` and `keypoint` (M, T, V, C); a body whose coordinates are all
zero in a frame is absent from it. `keypoint_score` (M, T, V), where there is one, becomes the confidence of each joint;
the heat maps from which it is read can slightly exceed 1. A pickle is a program: `restricted_pickle` runs it, but only
lets it build arrays and plain containers. A name of NTU's form gives subject, camera, setup and replication. The lists
of `split` are protocols (`listed_protocols`). If there is exactly one, clips with other names get their part as their
setup: 1 for the train list, 2 for the test list, 0 for clips in neither.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ....utils.array_files import Array
from ....utils.errors import UserError
from ....utils.names import normal_form
from ...store.clip import Clip
from ..formats.base import BadClip, Entry, Source
from ..formats.clip_builder import ClipMetadata, build_clip
from ..formats.listed_protocols import ProtocolLists, read_protocols
from ..formats.listing import changed_ns
from ..formats.recordings import only_file
from ..formats.restricted_pickle import PickledArray, load_plain
from ..formats.visibility import refuse_flags
from .ntu import describe_name

_logger = logging.getLogger(__name__)

_LONGEST_NAME = 200
_HIGHEST_SCORE = 2.0  # of a heat map; higher numbers are not confidences
# The size of all annotations is limited, in bytes, since they may share arrays: a constant, plus a multiple of the
# size of the file.
_MAX_EXTRA_BYTES, _MAX_EXPANSION = 64 << 20, 16
_MOST_ANNOTATIONS = 1 << 20  # NTU RGB+D 120 has 113,945
_TRAIN_SETUP, _TEST_SETUP = 1, 2


class Reader:
    """Reader of the clips of one PYSKL file."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the annotations of the `.pkl` file `raw`, or of the only such file in the folder `raw`.

        Raises:
            UserError: there is no such file or more than one, it is not a PYSKL file, it requests more than arrays, or
                its splits are ambiguous.
        """
        path = only_file(raw, ".pkl").absolute()
        content = _load(path)
        for warning in content.warnings:
            _logger.warning("%s: %s", path, warning)
        found = []
        for number, (name, annotation) in enumerate(zip(content.names, content.annotations, strict=True)):
            found.append(Entry(name, path, str(number), _size(annotation)))
        return sorted(found, key=lambda entry: entry.name)

    def protocols(self, raw: Path) -> ProtocolLists:
        """Return the protocols listed in the file, as names of entries."""
        return _load(only_file(raw, ".pkl").absolute()).protocols

    def read(self, entry: Entry) -> Clip:
        """Return one annotation as a centred clip.

        Raises:
            BadClip: its label or its keypoints have the wrong type or shape.
            DroppedClip: no body is present in any frame.
        """
        content = _load(entry.path)
        annotation = content.annotations[int(entry.member)]
        label, keypoint = annotation.get("label"), annotation.get("keypoint")
        label = 0 if self._source.unlabelled else label
        if type(label) is not int or label < 0:
            raise BadClip(entry.name, 0, "`label` should be a class number")
        if not isinstance(keypoint, PickledArray):
            raise BadClip(entry.name, 0, "`keypoint` should be an array")
        score = annotation.get("keypoint_score")
        return build_clip(
            entry.name,
            _describe(entry.name, label, content),
            keypoint.array,
            self._source,
            confidence=_scores(entry.name, score) if score is not None else None,
        )


@dataclass(frozen=True)
class _Content:
    """Content of a PYSKL file.

    Attributes:
        annotations: one per clip.
        names: the unique names of the clips.
        protocols: the listed protocols, as names of clips.
        setups: the setups that encode the part of each clip, if there is one protocol.
        warnings: warnings about the file.
    """

    annotations: list[dict[str, Any]]
    names: list[str]
    protocols: ProtocolLists
    setups: dict[str, int]
    warnings: list[str]


def _load(path: Path) -> _Content:
    return _load_once(path, changed_ns(path))


@lru_cache(maxsize=1)
def _load_once(path: Path, changed_ns: int) -> _Content:  # noqa: ARG001
    """Load a file once per process."""
    content = load_plain(path)
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise UserError(f"{path} is not a PYSKL file: it should hold a dict with a list of dicts `annotations`.")
    if not annotations:
        raise UserError(f"{path} holds no annotation.")
    if len(annotations) > _MOST_ANNOTATIONS:
        raise UserError(f"{path} holds more than {_MOST_ANNOTATIONS} annotations.")
    if sum(map(_size, annotations)) > _MAX_EXTRA_BYTES + _MAX_EXPANSION * path.stat().st_size:
        raise UserError(f"{path} is refused: its annotations share arrays and hold far more than the file does.")
    given = [_given(each) for each in annotations]
    names = _clip_names(annotations)
    listed = read_protocols(content.get("split"), str(path))
    protocols = _by_clip_name(listed, given, names)
    setups: dict[str, int] = {}
    if len(protocols) == 1:
        (only,) = protocols.values()
        setups = {**dict.fromkeys(only["train"], _TRAIN_SETUP), **dict.fromkeys(only["test"], _TEST_SETUP)}
    return _Content(annotations, names, protocols, setups, _warnings(listed, given, names))


def _by_clip_name(listed: ProtocolLists, given: Sequence[str], names: Sequence[str]) -> ProtocolLists:
    """Return the lists with the names of the clips instead of those in the file."""
    by_given: dict[str, list[str]] = {}
    for original, name in zip(given, names, strict=True):
        by_given.setdefault(original, []).append(name)
    return {
        protocol: {
            part: {name for each in members for name in by_given.get(each, [])} for part, members in parts.items()
        }
        for protocol, parts in listed.items()
    }


def _warnings(protocols: ProtocolLists, given: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return warnings about listed names without an annotation, and about names that several annotations have."""
    listed = {name for parts in protocols.values() for part in parts.values() for name in part}
    unknown = sorted(listed - set(given))
    again = [name for original, name in zip(given, names, strict=True) if name.startswith(f"{original}#")]
    warnings = []
    if unknown:
        warnings.append(f"{len(unknown)} names in its splits have no annotation, such as {unknown[0][:80]!r}.")
    if again:
        warnings.append(
            f"{len(again)} annotations have the name of another one; they are kept under names such as {again[0]!r}."
        )
    return warnings


def _clip_names(annotations: Sequence[dict[str, Any]]) -> list[str]:
    """Return one name per clip; if annotations share a name, the second is called NAME#2, and so on."""
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
    """Return the name of an annotation in the lists of the file; empty if it is neither text nor a number."""
    name = annotation.get("frame_dir")
    return normal_form(str(name)) if type(name) in (str, int) else ""


def _scores(name: str, score: Any) -> Array:
    if not isinstance(score, PickledArray):
        raise BadClip(name, 0, "`keypoint_score` should be an array")
    scores: Array = score.array
    if scores.dtype.kind == "f":
        refuse_flags(name, scores)
    return np.minimum(scores, 1) if scores.dtype.kind == "f" and not (scores > _HIGHEST_SCORE).any() else scores


def _size(annotation: dict[str, Any]) -> int:
    keypoint = annotation.get("keypoint")
    return keypoint.array.nbytes if isinstance(keypoint, PickledArray) else 0


def _name(annotation: dict[str, Any], number: int) -> str:
    """Return the name of an annotation: its `frame_dir`, shortened if it is very long."""
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
