"""PYSKL annotation files, such as `ntu60_3danno.pkl`: a pickle of `split` and `annotations`.

An annotation has `frame_dir` (the clip's name), `label` and `keypoint` (M, T, V, C); a body whose
coordinates are all zero in a frame is absent there. A pickle is a program: `restricted_pickle` runs it and
lets it build arrays and plain containers only. A name of NTU's form tells subject, camera, setup and
replication. For other names the part is kept where the file has exactly one split: setup 1 for its train
list, 2 for its other list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...utils.errors import UserError
from ...utils.names import normal_form
from ..clip import Clip
from .assembly import About, assemble
from .base import BadClip, Entry, Source
from .ntu import describe_name
from .recordings import only_file
from .restricted_pickle import PickledArray, load_plain

_LONGEST_NAME = 200
_TRAIN_SETUP, _TEST_SETUP = 1, 2


class Reader:
    """Read the clips of one PYSKL file. Of many bodies the first ones ever there are kept."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the annotations of the `.pkl` file `raw`, or of the only one in the folder `raw`.

        Raises:
            UserError: there is not one such file, it is no PYSKL file, or it asks for more than arrays.
        """
        path = only_file(raw, ".pkl").absolute()
        found: dict[str, Entry] = {}
        for number, annotation in enumerate(_load(path).annotations):
            name = _name(annotation, number)
            keypoint = annotation.get("keypoint")
            size = keypoint.array.nbytes if isinstance(keypoint, PickledArray) else 0
            found.setdefault(name, Entry(name, path, str(number), size))
        return [found[name] for name in sorted(found)]

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
    """What a PYSKL file holds: its annotations, and the setup of every name where one split is given."""

    annotations: list[dict[str, Any]]
    setups: dict[str, int]


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
    return _Content(annotations, _setups(content.get("split")))


def _setups(split: object) -> dict[str, int]:
    """Return the setup that stands for every name's part, or nothing unless the file has one split."""
    if not isinstance(split, dict) or len(split) != 2:
        return {}
    train = [key for key in split if "train" in str(key)]
    if len(train) != 1:
        return {}
    setups = {key: _TRAIN_SETUP if key == train[0] else _TEST_SETUP for key in split}
    return {normal_form(str(name)): setups[key] for key, names in split.items() for name in names}


def _name(annotation: dict[str, Any], number: int) -> str:
    name = annotation.get("frame_dir")
    usable = isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable()
    return normal_form(str(name)) if usable else f"annotation_{number:06}"


def _describe(name: str, label: int, content: _Content) -> About:
    known = describe_name(name)
    if known is None:
        return About(label, setup=content.setups.get(name, 0))
    return About(label, known.subject, known.camera, known.setup, known.replication)
