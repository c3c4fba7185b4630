"""The `.npz` files of CTR-GCN and its successors, such as `NTU60_CS.npz`: whole data sets, already split and cleaned.

`x_train` and `x_test` are (N, T, M*V*C), padded with zeros in time and bodies; `y_train` and `y_test` are
one-hot (N, classes). The files do not say who was recorded, only which part a clip belongs to. The part
becomes the clip's setup, 1 for train and 2 for test, so that the protocol `by: setup, train: [1]` gives the
same split.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ....utils.array_files import Array, DamagedArray, map_array
from ....utils.errors import UserError
from ....utils.zip_files import Archive, DamagedZip
from ...store.clip import Clip
from ..formats.base import BadClip, Entry, Source
from ..formats.clip_builder import ClipMetadata, build_clip
from ..formats.listed_protocols import PLAIN
from ..formats.listing import changed_ns
from ..formats.recordings import only_file
from ..formats.sniff import ZIP, why_unreadable

_SETUPS = {"train": 1, "test": 2}


class Reader:
    """Reader of the clips of one `.npz`; their names are `train_000000`, ..., then `test_000000`, ..."""

    def __init__(self, source: Source) -> None:
        self._source, self._layout = source, source.layout

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the clips of the `.npz` file `raw`, or of the only such file in the folder `raw`.

        Raises:
            UserError: there is no such file or more than one, it is damaged or compressed, or its arrays do not fit.
        """
        path = only_file(raw, ".npz").absolute()
        found = []
        for part in _SETUPS:
            clips, labels = _arrays(path, part)
            self._check(path, part, clips, labels)
            size = clips[:1].nbytes
            found += [Entry(_name(part, i), path, f"{part}/{i}", size) for i in range(len(clips))]
        return sorted(found, key=lambda entry: entry.name)

    def protocols(self, raw: Path) -> dict[str, dict[str, set[str]]]:
        """Return the one protocol of the file."""
        path = only_file(raw, ".npz").absolute()
        return {PLAIN: {part: {_name(part, i) for i in range(len(_arrays(path, part)[0]))} for part in _SETUPS}}

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip without its padding frames.

        Raises:
            BadClip: its label is not one-hot, or a number is not finite.
            DroppedClip: it consists of padding.
        """
        part, _, index = entry.member.partition("/")
        clips, labels = _arrays(entry.path, part)
        marked = np.flatnonzero(labels[int(index)])
        if len(marked) != 1:
            raise BadClip(entry.name, 0, f"y_{part} marks {len(marked)} classes, not one")
        flat = clips[int(index)]  # (T, M*V*C)
        joints = flat.reshape(len(flat), -1, self._layout.num_joints, self._layout.coordinates)
        metadata = ClipMetadata(int(marked[0]), setup=_SETUPS[part])
        return build_clip(entry.name, metadata, joints.transpose(1, 0, 2, 3), self._source)

    def _check(self, path: Path, part: str, clips: Array, labels: Array) -> None:
        """Refuse arrays whose shapes are not those of clips of the layout and of their labels."""
        numbers = self._layout.num_joints * self._layout.coordinates
        if clips.ndim != 3 or clips.shape[2] not in (numbers, 2 * numbers):
            wanted = f"(clips, frames, {numbers} or {2 * numbers}) for {self._layout.name}"
            raise UserError(f"{path}: x_{part} has the shape {clips.shape}; expected {wanted}.")
        if labels.ndim != 2 or len(labels) != len(clips):
            raise UserError(f"{path}: y_{part} has the shape {labels.shape}; expected ({len(clips)}, classes).")


def _name(part: str, index: int) -> str:
    return f"{part}_{index:06}"


def _arrays(path: Path, part: str) -> tuple[Array, Array]:
    """Return x and y of a part, memory-mapped."""
    stamp = changed_ns(path)
    return _map(path, f"x_{part}", stamp), _map(path, f"y_{part}", stamp)


@lru_cache(maxsize=8)
def _map(path: Path, name: str, changed_ns: int) -> Array:  # noqa: ARG001
    """Memory-map one array of an `.npz`, once per process; loading it would take gigabytes.

    Raises:
        UserError: there is no such array, it is compressed, or it is damaged.
    """
    try:
        with Archive(path) as archive:
            member = archive.find(f"{name}.npy")
            if member is None:
                raise UserError(f"{path} holds no {name}: expected x_train, y_train, x_test and y_test.")
            span = archive.stored_span(member)
        if span is None:
            raise UserError(f"{path} is compressed and cannot be read in parts: write it with numpy.savez.")
        return map_array(path, *span)
    except DamagedArray as error:
        raise UserError(f"{path} is not a readable .npz file ({name}: {error}). Download it again.") from error
    except (OSError, DamagedZip) as error:
        raise UserError(
            f"{path} is not a readable .npz file ({why_unreadable(path, ZIP, error)}). Download it again."
        ) from error
