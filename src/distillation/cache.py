"""What teachers said of fixed variations of every clip, kept in a memory-mapped file.

A folder holds `outputs.npy`, float32 (n, R, F), and `outputs.json`, written last, whose presence means that the file is
whole. `outputs.json` has the key: everything that the numbers depend on.

Legend: n training clips, R variations of each, N clips of a batch, F numbers of a lesson.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.loading.loader import Batch, FixedAugmentationSampler
from ..data.loading.placement import room_on
from ..utils.array_files import DamagedArray, Mode, map_array
from ..utils.errors import UserError
from ..utils.files import file_checksum, make_folder, read_json, write_error, write_json
from ..utils.locks import sole_writer
from .teacher_outputs import Form, Lesson, unpacked

Outputs = np.memmap[Any, np.dtype[np.float32]]

_PRESENT = {"draws": "fixed_augmentations"}  # a record keeps the old name: its hash names the folder


class CachedTeachers:
    """Read what teachers said of a clip's fixed variations.

    Args:
        outputs: (n, R, F), as `OutputFolder.open` returns it.
        form: how large a lesson is.
        numbers: (n,) the clips, ascending.
        device: where the student computes; a GPU takes the outputs if it has room for them.
    """

    def __init__(self, outputs: Tensor, form: Form, numbers: Tensor, device: torch.device) -> None:
        self.form, self.device = form, device
        self._outputs = outputs.to(device) if outputs.nbytes <= room_on(device) else outputs
        self._numbers = numbers.to(device)
        self._keys = FixedAugmentationSampler(numbers, outputs.shape[1]).rng_keys.to(device)  # (n, R)

    def __call__(self, streams: Mapping[str, Tensor], batch: Batch) -> Lesson:  # noqa: ARG002 - as the teachers do
        """Return what the teachers said of a batch, whose keys tell which variations it shows."""
        rows = torch.searchsorted(self._numbers, batch.indices)  # (N,)
        draws = (self._keys[rows] == batch.rng_keys[:, None]).int().argmax(dim=1)
        place = self._outputs.device
        return unpacked(self._outputs[rows.to(place), draws.to(place)].to(self.device), self.form)


class OutputFolder:
    """The folder of the outputs that a key describes.

    Args:
        path: the folder, which need not exist.
        key: what the outputs depend on, as JSON values.
        shape: (n, R, F).
    """

    def __init__(self, path: Path, key: Mapping[str, Any], shape: tuple[int, int, int]) -> None:
        self.path, self.key, self.shape = path, key, shape
        self._outputs, self._header = path / "outputs.npy", path / "outputs.json"
        self._progress = path / "progress.json"

    @property
    def is_whole(self) -> bool:
        """Tell whether there are finished outputs, of whatever kind."""
        return self._header.exists()

    def check(self) -> None:
        """Refuse finished outputs that are of another kind, or damaged.

        Raises:
            UserError: they are.
        """
        self._refuse_other_kind(self._header)
        try:
            found = file_checksum(self._outputs)
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error
        if found != read_json(self._header).get("sha256"):
            raise self._damaged("its checksum is wrong")

    def open(self) -> Tensor:
        """Return the outputs, memory-mapped; what is written to them stays in memory.

        Raises:
            UserError: they cannot be read.
        """
        try:
            return torch.from_numpy(self._mapped("c"))
        except (OSError, DamagedArray) as error:
            raise self._damaged(str(error)) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Create the folder and hold its lock within the block; other runs wait for it.

        Raises:
            UserError: the folder cannot be written.
        """
        make_folder(self.path)
        waiting = f"Another run asks the teachers for {self.path}; this one waits for it."
        try:
            with sole_writer(self.path, waiting, waits=True):
                yield
        except OSError as error:
            raise write_error(self.path, error) from error

    def begin(self, batches: int) -> tuple[Outputs, int]:
        """Return the array to fill and how many of the `batches` it takes are there from an earlier attempt.

        The file has all of its blocks from the beginning, since a disk that gets full later would end the process
        without a word.

        Raises:
            UserError: the earlier attempt was at other outputs.
            OSError: there is no room.
        """
        if self._progress.exists():
            self._refuse_other_kind(self._progress)
            done = read_json(self._progress).get("batches")
            try:
                self._mapped("r")
            except (OSError, DamagedArray):
                done = None  # the file does not match the record
            if type(done) is int and 0 <= done <= batches:  # not a bool, which JSON has too
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
        """Bring what is filled to the disk and note how far it is."""
        outputs.flush()
        write_json(self._progress, {"key": self.key, "batches": batches})

    def finish(self) -> None:
        """Declare the outputs whole."""
        write_json(self._header, {"key": self.key, "sha256": file_checksum(self._outputs)})
        self._progress.unlink(missing_ok=True)

    def _mapped(self, mode: Mode) -> Outputs:
        """Map the file, which must be the outputs that the key describes."""
        outputs = map_array(self._outputs, mode=mode)
        if outputs.shape != self.shape or outputs.dtype != np.float32 or not isinstance(outputs, np.memmap):
            raise DamagedArray(f"it holds {outputs.dtype} {outputs.shape}, not float32 {self.shape}")
        return outputs

    def _refuse_other_kind(self, record: Path) -> None:
        """Refuse a folder whose record describes other outputs."""
        found = read_json(record).get("key")
        found = found if isinstance(found, dict) else {}
        differing = [_PRESENT.get(name, name) for name in self.key if found.get(name) != self.key[name]]
        if differing:
            raise UserError(
                f"{self.path} holds teachers' outputs of another kind: {', '.join(differing)} differ from this run's. "
                "Give another folder with --cache, or none, for one of its own; or delete that one."
            )

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self._outputs} is damaged: {what}. Delete {self.path}; it is computed again then.")
