"""Placement of a store's clips during training: on the device, in memory, or on disk.

Legend: N clips, R rows of the store, V joints, C coordinates.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...utils.errors import is_out_of_memory
from ..store.format import JOINTS_FILE, VALID_FILE
from ..store.reader import Store
from ..store.row_file import RowFile, row_chunks
from .confidences import Measured, has_empty_frames, measured_joints

_log = logging.getLogger(__name__)

_DEVICE_SHARE, _MEMORY_SHARE = 0.4, 0.5  # of the free memory; the rest is needed for training
_CONTAINER_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")


class ClipReader(Protocol):
    """Reader of the rows of a store, wherever they are kept.

    Attributes:
        device: the device of the tensors it returns.
        present: (R,) bool, in which rows a joint of the body is measured.
        origin_rows: (N,) the rows whose centre joint becomes the origin of each clip, -1 where it stays; None if it
            stays in all.
        has_empty_frames: whether a clip has a frame without any body.
    """

    device: torch.device
    present: Tensor
    origin_rows: Tensor | None
    has_empty_frames: bool

    def joints_at(self, rows: Tensor) -> Tensor:
        """Return the joints (..., V, C) of `rows` (...)."""

    def present_at(self, rows: Tensor) -> Tensor:
        """Return whether the body is present in `rows` (...), bool."""

    def measured_at(self, rows: Tensor) -> Tensor | None:
        """Return which joints were measured in `rows` (...), (..., V) bool; None if every joint of every body was."""


def centers_at(clips: ClipReader, rows: Tensor, center: int) -> Tensor:
    """Return the joint `center` in `rows` (N,) or, where it was not measured, the mean of the measured ones: (N, C)."""
    joints, measured = clips.joints_at(rows), clips.measured_at(rows)  # (N, V, C), (N, V)
    if measured is None:
        return joints[:, center]
    means = (joints * measured[..., None]).sum(dim=1) / measured.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.where(measured[:, center, None], joints[:, center], means)


class FileClipReader:
    """Reader of a store's files, which loads only the requested rows.

    The files are read, not memory-mapped: a file truncated during a run then raises an error instead of ending the
    process with SIGBUS. The frame mask takes one byte per row and is kept in memory.

    Args:
        store: the clips.
        min_confidence: joints of a lower confidence are missing.
    """

    device = torch.device("cpu")

    def __init__(self, store: Store, min_confidence: float = 0.0) -> None:
        self._joints, file = _files(store)
        valid = file.span(0, len(store.valid))
        self._measured = measured_joints(store, valid, min_confidence)
        present = valid if self._measured is None else self._measured.present
        self.present = torch.from_numpy(present)
        self.origin_rows = _origin_rows(self._measured, self.device)
        self.has_empty_frames = has_empty_frames(store.clips, present)

    def joints_at(self, rows: Tensor) -> Tensor:
        """Return the joints (..., V, C) of `rows` (...)."""
        return torch.from_numpy(self._joints.rows(rows.numpy()))

    def present_at(self, rows: Tensor) -> Tensor:
        """Return whether the body is present in `rows` (...), bool."""
        return self.present.index_select(0, rows.flatten()).view(rows.shape)

    def measured_at(self, rows: Tensor) -> Tensor | None:
        """Return which joints were measured in `rows` (...), (..., V) bool; None if every joint of every body was."""
        return None if self._measured is None else torch.from_numpy(self._measured.rows(rows.numpy()))


class TensorClipReader:
    """Reader of a store that is held as tensors on a device.

    Args:
        joints: (R, V, C) float32.
        valid: (R,) bool.
        measured: (R, V) bool; None if every joint of every present body was measured.
        origin_rows, has_empty_frames: see `ClipReader`.
    """

    def __init__(
        self,
        joints: Tensor,
        valid: Tensor,
        measured: Tensor | None = None,
        origin_rows: Tensor | None = None,
        *,
        has_empty_frames: bool = False,
    ) -> None:
        self._joints, self.present, self._measured = joints.flatten(1), valid, measured
        self.origin_rows, self.has_empty_frames = origin_rows, has_empty_frames
        self._joint_shape = joints.shape[1:]
        self.device = joints.device

    def joints_at(self, rows: Tensor) -> Tensor:
        """Return the joints (..., V, C) of `rows` (...)."""
        return self._joints.index_select(0, rows.flatten()).view(*rows.shape, *self._joint_shape)

    def present_at(self, rows: Tensor) -> Tensor:
        """Return whether the body is present in `rows` (...), bool."""
        return self.present.index_select(0, rows.flatten()).view(rows.shape)

    def measured_at(self, rows: Tensor) -> Tensor | None:
        """Return which joints were measured in `rows` (...), (..., V) bool; None if every joint of every body was."""
        if self._measured is None:
            return None
        return self._measured.index_select(0, rows.flatten()).view(*rows.shape, -1)


@dataclass(frozen=True)
class Placement:
    """Where the clips of a run are kept.

    Attributes:
        kind: `device`, `ram` or `disk`.
        clips: the reader.
    """

    kind: str
    clips: ClipReader

    @property
    def on_device(self) -> bool:
        """Tell whether batches are assembled on the training device."""
        return self.kind == "device"

    def __str__(self) -> str:
        words = {"device": f"on {self.clips.device}", "ram": "in memory", "disk": "on the disk"}
        return f"clips {words[self.kind]}"


def place_clips(
    store: Store, wanted: str, device: torch.device, processes: int = 1, min_confidence: float = 0.0
) -> Placement:
    """Load a store to the requested placement or, with a warning, to the next slower one in which it fits.

    `auto` chooses the device if it is a GPU and the clips take at most 40% of its free memory, else the main memory if
    they take at most half of it, else the files.

    Args:
        store: the clips.
        wanted: `auto`, `device`, `ram` or `disk`.
        device: the training device.
        processes: number of processes on this machine that load the clips.
        min_confidence: joints of a lower confidence are missing.
    """
    needed = _bytes_of(store)
    for kind, target, room in _candidates(wanted, device, processes):
        if needed <= room:
            try:
                return Placement(kind, _loaded(store, target, min_confidence))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
        if wanted == kind or kind == "device":
            _log.warning(
                "The clips of %s take %s, the %s has room for %s: they are kept in the next slower placement.",
                store.name, _size(needed), "memory" if kind == "ram" else str(device), _size(room),
            )  # fmt: skip
    return Placement("disk", FileClipReader(store, min_confidence))


def too_large_for_memory(store: Store) -> str:
    """Return what happens to clips that do not fit into the main memory, and what to do; empty if they fit."""
    needed, room = _bytes_of(store), room_on(torch.device("cpu"))
    if needed <= room:
        return ""
    return (
        f"The clips of {store.name} take {_size(needed)}, and the memory has room for {_size(room)}: they stay on the "
        "disk, and a training reads them from there again and again, which is slower. To have them in memory, prepare "
        "them with fewer frames per second (data.fps), close other programs, or use a machine with more memory."
    )


def _bytes_of(store: Store) -> int:
    return store.joints.nbytes + store.valid.nbytes + (0 if store.confidence is None else store.confidence.nbytes)


def _candidates(wanted: str, device: torch.device, processes: int) -> list[tuple[str, torch.device, float]]:
    """Return the placements to try, fastest first, with the bytes that clips may take in each."""
    memory = torch.device("cpu")
    candidates = [("ram", memory, room_on(memory, processes))]
    if wanted == "device" or (wanted == "auto" and device.type == "cuda"):
        candidates.insert(0, ("device", device, room_on(device, processes)))
    return [] if wanted == "disk" else candidates


def room_on(device: torch.device, processes: int = 1) -> float:
    """Return how many bytes of data a device may hold if `processes` share the machine's memory."""
    if device.type == "cuda":
        return _DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]
    return _MEMORY_SHARE * available_memory() / processes


def _files(store: Store) -> tuple[RowFile, RowFile]:
    return RowFile(store.path / JOINTS_FILE), RowFile(store.path / VALID_FILE)


def _origin_rows(measured: Measured | None, device: torch.device) -> Tensor | None:
    if measured is None or measured.origin_rows is None:
        return None
    return torch.from_numpy(measured.origin_rows).to(device)


def _loaded(store: Store, device: torch.device, min_confidence: float) -> TensorClipReader:
    """Copy a store to a device in parts, so that memory holds it at most once."""
    joints = torch.empty(store.joints.shape, dtype=torch.float32, device=device)
    valid = torch.empty(store.valid.shape, dtype=torch.bool, device=device)
    joints_file, valid_file = _files(store)
    for part in row_chunks(len(valid)):
        joints[part] = torch.from_numpy(joints_file.span(part.start, part.stop))
        valid[part] = torch.from_numpy(valid_file.span(part.start, part.stop))
    there = valid.cpu().numpy()
    if store.confidence is None:
        return TensorClipReader(joints, valid, has_empty_frames=has_empty_frames(store.clips, there))
    measured = torch.empty(store.joints.shape[:2], dtype=torch.bool, device=device)

    def keep(rows: slice, found: NDArray[np.bool_]) -> None:
        measured[rows] = torch.from_numpy(found)

    confident = measured_joints(store, there, min_confidence, keep)
    if confident is None:
        return TensorClipReader(joints, valid, has_empty_frames=has_empty_frames(store.clips, there))
    present, empty = torch.from_numpy(confident.present).to(device), has_empty_frames(store.clips, confident.present)
    return TensorClipReader(joints, present, measured, _origin_rows(confident, device), has_empty_frames=empty)


def available_memory() -> float:
    """Return how many bytes of memory are available now, within the limit of a container; 0 if unknown."""
    return min(_system_memory(), *(_number(Path("/sys/fs/cgroup") / file) for file in _CONTAINER_LIMITS))


def _system_memory() -> float:
    """Return the available memory in bytes on Linux, and half of the total memory elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0.0


def _number(path: Path) -> float:
    """Return the number in a file; infinity if there is no such file or it sets no limit."""
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return float("inf")


def _size(number: float) -> str:
    return f"{number / 2**30:.2f} GiB"
