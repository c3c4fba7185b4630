"""The teacher cache: outputs for fixed augmented views of every clip, in a memory-mapped file.

A folder holds `outputs.npy`, float32 (n, R, F), and `outputs.json`, which is written last and marks the file as
complete. `outputs.json` has the key: everything that the outputs depend on.

Legend: n training clips, R views of each, N clips of a batch, F numbers per clip.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.loading.loader import Batch
from ..data.loading.placement import room_on
from ..data.loading.samplers import FixedAugmentationSampler
from ..runs.teacher_output_files import TeacherOutputFiles
from ..utils.array_files import DamagedArray, Mode, map_array
from ..utils.errors import UserError
from ..utils.files import file_checksum, make_folder, read_json, write_error, write_json
from ..utils.locks import sole_writer
from ..utils.system_errors import reason
from .teacher_outputs import OutputShapes, TeacherOutputs, unpacked

Outputs = np.memmap[Any, np.dtype[np.float32]]

_PRESENT = {"draws": "fixed_augmentations"}  # a record keeps the old name: its hash names the folder


class CachedTeachers:
    """Source of teacher outputs that reads them from a cache.

    Args:
        outputs: (n, R, F), from `OutputFolder.open`.
        clip_shapes: the shapes of the outputs.
        numbers: (n,) the store indices of the clips, ascending.
        device: the student's device; the outputs are copied to a GPU with enough memory.
    """

    def __init__(self, outputs: Tensor, clip_shapes: OutputShapes, numbers: Tensor, device: torch.device) -> None:
        self.clip_shapes, self.device = clip_shapes, device
        self._outputs = outputs.to(device) if outputs.nbytes <= room_on(device) else outputs
        self._numbers = numbers.to(device)
        self._keys = FixedAugmentationSampler(numbers, outputs.shape[1]).rng_keys.to(device)  # (n, R)

    def __call__(self, streams: Mapping[str, Tensor], batch: Batch) -> TeacherOutputs:  # noqa: ARG002 - like `LiveTeachers`
        """Return the cached outputs for a batch; its RNG keys identify the views."""
        rows = torch.searchsorted(self._numbers, batch.indices)  # (N,)
        views = (self._keys[rows] == batch.rng_keys[:, None]).int().argmax(dim=1)
        device = self._outputs.device
        return unpacked(self._outputs[rows.to(device), views.to(device)].to(self.device), self.clip_shapes)


class OutputFolder:
    """The folder of a teacher cache.

    Args:
        path: the folder, which need not exist.
        key: everything that the outputs depend on, as JSON values.
        shape: (n, R, F).
    """

    def __init__(self, path: Path, key: Mapping[str, Any], shape: tuple[int, int, int]) -> None:
        self.path, self.key, self.shape = path, key, shape
        self._outputs, self._header, self._progress = TeacherOutputFiles(path).all()

    @property
    def is_complete(self) -> bool:
        """Whether the folder has complete outputs, with this key or another one."""
        return self._header.exists()

    def check(self) -> None:
        """Refuse complete outputs that have another key or are damaged.

        Raises:
            UserError: they have another key, or are damaged.
        """
        self._refuse_other_key(self._header)
        try:
            found = file_checksum(self._outputs)
        except OSError as error:
            raise self._damaged(reason(error)) from error
        if found != read_json(self._header).get("sha256"):
            raise self._damaged("its checksum is wrong")

    def open(self) -> Tensor:
        """Return the outputs, memory-mapped; changes stay in memory.

        Raises:
            UserError: they cannot be read.
        """
        try:
            return torch.from_numpy(self._mapped("c"))
        except (OSError, DamagedArray) as error:
            raise self._damaged(reason(error)) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Create the folder and hold its lock within the block; other runs wait for it.

        Raises:
            UserError: the folder cannot be written.
        """
        make_folder(self.path)
        waiting = f"Another run computes the teacher outputs in {self.path}; this one waits for it."
        try:
            with sole_writer(self.path, waiting, waits=True):
                yield
        except OSError as error:
            raise write_error(self.path, error) from error

    def begin(self, batches: int) -> tuple[Outputs, int]:
        """Return the array to fill and how many of `batches` an earlier attempt has filled.

        All blocks of the file are allocated at once: a disk that gets full later would end the process without a
        message.

        Raises:
            UserError: the earlier attempt had another key.
            OSError: the disk is full.
        """
        if self._progress.exists():
            self._refuse_other_key(self._progress)
            done = read_json(self._progress).get("batches")
            try:
                self._mapped("r")
            except (OSError, DamagedArray):
                done = None  # the file does not match the record
            if type(done) is int and 0 <= done <= batches:  # not a bool
                return self._mapped("r+"), done
        outputs = np.lib.format.open_memmap(self._outputs, mode="w+", dtype=np.float32, shape=self.shape)
        try:
            if hasattr(os, "posix_fallocate"):
                with self._outputs.open("rb+") as file:
                    os.posix_fallocate(file.fileno(), 0, self._outputs.stat().st_size)
        except OSError:
            self._outputs.unlink()
            raise
        self.save(outputs, 0)
        return outputs, 0

    def save(self, outputs: Outputs, batches: int) -> None:
        """Flush the filled part to disk and record the progress."""
        outputs.flush()
        write_json(self._progress, {"key": self.key, "batches": batches})

    def finish(self) -> None:
        """Mark the outputs as complete."""
        write_json(self._header, {"key": self.key, "sha256": file_checksum(self._outputs)})
        self._progress.unlink(missing_ok=True)

    def _mapped(self, mode: Mode) -> Outputs:
        """Map the file, whose shape and type must fit."""
        outputs = map_array(self._outputs, mode=mode)
        if outputs.shape != self.shape or outputs.dtype != np.float32 or not isinstance(outputs, np.memmap):
            raise DamagedArray(f"it holds {outputs.dtype} {outputs.shape}, not float32 {self.shape}")
        return outputs

    def _refuse_other_key(self, record: Path) -> None:
        """Refuse a folder whose record has another key."""
        found = read_json(record).get("key")
        found = found if isinstance(found, dict) else {}
        differing = [_PRESENT.get(name, name) for name in self.key if found.get(name) != self.key[name]]
        if differing:
            raise UserError(
                f"{self.path} holds teacher outputs of another kind: {', '.join(differing)} differ from this run's. "
                "Choose another folder with --cache, leave it out for the default one, or delete this folder."
            )

    def _damaged(self, what: str) -> UserError:
        return UserError(
            f"{self._outputs} is damaged: {what}. Delete {self.path}; the outputs are then computed again."
        )
