"""The `.npz` files of CTR-GCN and its successors, such as `NTU60_CS.npz`: whole data sets, split and cleaned.

`x_train` and `x_test` are (N, T, M*V*C), padded with zeros in time and bodies; `y_train` and `y_test` are
one-hot (N, classes). The files no longer say who was recorded, only which part a clip belongs to: it is
kept as the clip's setup, 1 for train and 2 for test, so that the protocol `by: setup, train: [1]` gives the
same split.
"""

import os
import struct
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from ...utils.errors import UserError
from ..clip import Clip
from .arrays import Array, map_array
from .assembly import About, assemble
from .base import BadClip, Entry, Source
from .recordings import only_file
from .sniff import ZIP, trouble
from .splits import PLAIN

_SETUPS = {"train": 1, "test": 2}
_LOCAL_HEADER_BYTES, _NAME_LENGTH_AT = 30, 26


class Reader:
    """Read the clips of one `.npz`; they are named `train_000000` on, then `test_000000` on."""

    def __init__(self, source: Source) -> None:
        self._source, self._layout = source, source.layout

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the clips of the `.npz` file `raw`, or of the only one in the folder `raw`.

        Raises:
            UserError: there is not one such file, it is damaged or compressed, or its arrays do not fit.
        """
        path = only_file(raw, ".npz").absolute()
        found = []
        for part in _SETUPS:
            clips, labels = _arrays(path, part)
            self._check(path, part, clips, labels)
            size = clips[:1].nbytes
            found += [Entry(_name(part, i), path, f"{part}/{i}", size) for i in range(len(clips))]
        return sorted(found, key=lambda entry: entry.name)

    def splits(self, raw: Path) -> dict[str, dict[str, set[str]]]:
        """Return the one protocol that the file is made of."""
        path = only_file(raw, ".npz").absolute()
        return {PLAIN: {part: {_name(part, i) for i in range(len(_arrays(path, part)[0]))} for part in _SETUPS}}

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip, without the frames that pad it.

        Raises:
            BadClip: its label is not one-hot, or a number is not finite.
            DroppedClip: it is all padding.
        """
        part, _, index = entry.member.partition("/")
        clips, labels = _arrays(entry.path, part)
        marked = np.flatnonzero(labels[int(index)])
        if len(marked) != 1:
            raise BadClip(entry.name, 0, f"y_{part} marks {len(marked)} classes, not one")
        flat = clips[int(index)]  # (T, M*V*C)
        joints = flat.reshape(len(flat), -1, self._layout.num_joints, self._layout.coordinates)
        about = About(int(marked[0]), setup=_SETUPS[part])
        return assemble(entry.name, about, joints.transpose(1, 0, 2, 3), self._source)

    def _check(self, path: Path, part: str, clips: Array, labels: Array) -> None:
        """Refuse arrays that cannot be clips of the layout with their labels."""
        numbers = self._layout.num_joints * self._layout.coordinates
        if clips.ndim != 3 or clips.shape[2] not in (numbers, 2 * numbers):
            wanted = f"(clips, frames, {numbers} or {2 * numbers}) for {self._layout.name}"
            raise UserError(f"{path}: x_{part} has the shape {clips.shape}; expected {wanted}.")
        if labels.ndim != 2 or len(labels) != len(clips):
            raise UserError(f"{path}: y_{part} has the shape {labels.shape}; expected ({len(clips)}, classes).")


def _name(part: str, index: int) -> str:
    return f"{part}_{index:06}"


def _arrays(path: Path, part: str) -> tuple[Array, Array]:
    """Return x and y of a part, mapped into memory."""
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    return _map(path, f"x_{part}", stamp), _map(path, f"y_{part}", stamp)


@lru_cache(maxsize=8)
def _map(path: Path, name: str, changed_ns: int) -> Array:  # noqa: ARG001
    """Map one array of an `.npz` into memory, once in each process: loading it would take gigabytes.

    Raises:
        UserError: there is no such array, it is compressed, or it is damaged.
    """
    try:
        with ZipFile(path) as archive:
            member = archive.getinfo(f"{name}.npy")
        if member.compress_type != ZIP_STORED:
            raise UserError(f"{path} is compressed and cannot be read in parts: write it with numpy.savez.")
        return _map_member(path, member)
    except KeyError:
        raise UserError(f"{path} holds no {name}: expected x_train, y_train, x_test and y_test.") from None
    except (OSError, BadZipFile, struct.error, EOFError, OverflowError) as error:
        raise UserError(
            f"{path} is not a readable .npz file ({trouble(path, ZIP, error)}). Download it again."
        ) from error


def _map_member(path: Path, member: ZipInfo) -> Array:
    """Map an uncompressed `.npy` member; its bytes follow a fixed header, its name and an extra field."""
    with path.open("rb") as file:
        file.seek(member.header_offset + _NAME_LENGTH_AT)
        name_length, extra_length = struct.unpack("<HH", file.read(4))
        size = os.fstat(file.fileno()).st_size
    start = member.header_offset + _LOCAL_HEADER_BYTES + name_length + extra_length
    try:
        return map_array(path, start, min(start + member.file_size, size))
    except ValueError as error:
        raise BadZipFile(f"{member.filename}: {error}") from error
