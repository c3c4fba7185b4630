"""What teachers say of fixed variations of every clip, computed once and kept in a memory-mapped file.

The folder holds `outputs.npy`, float32 (n, R, F) for n clips, R variations and the F numbers of a lesson, and
`outputs.json`, written last, whose presence means that the file is whole. Its key is everything that the numbers depend
on: the teachers' weights and precision, the clips, how they are sampled, varied and normalised.

Legend: n training clips, R variations of each, N clips of a batch, F numbers of a lesson.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from ...data.loader import Batch, FixedDraws, build_loader
from ...data.residence import room_on
from ...data.store_format import HEADER_FILE
from ...utils.errors import UserError
from ...utils.files import file_checksum, make_folder, read_json, unwritable, write_json
from ...utils.progress import Progress
from ..compiled import of_few_shapes
from ..config import RunConfig
from ..data import TrainingData
from .lesson import Form, Lesson, unpacked
from .teachers import LiveTeachers

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1
_HEADER, _OUTPUTS, _PROGRESS, _LOCK = "outputs.json", "outputs.npy", "progress.json", "lock"
_BATCH = 128  # clips
_SAVED_EVERY = 50  # batches


class CachedTeachers:
    """Read what teachers said of a clip's fixed variations.

    Args:
        outputs: (n, R, F), as `prepare_cache` returns it.
        form: how large a lesson is.
        numbers: (n,) the clips, ascending.
        device: where the student computes; a GPU takes the outputs if it has room for them.
    """

    def __init__(self, outputs: Tensor, form: Form, numbers: Tensor, device: torch.device) -> None:
        self.form, self.device = form, device
        self._outputs = outputs.to(device) if outputs.nbytes <= room_on(device) else outputs
        self._numbers = numbers.to(device)
        self._keys = FixedDraws(numbers, outputs.shape[1]).keys.to(device)  # (n, R)

    def __call__(self, streams: Mapping[str, Tensor], batch: Batch) -> Lesson:  # noqa: ARG002 - as the teachers do
        """Return what the teachers said of a batch, whose keys tell which variations it shows."""
        rows = torch.searchsorted(self._numbers, batch.numbers)  # (N,)
        draws = (self._keys[rows] == batch.keys[:, None]).int().argmax(dim=1)
        place = self._outputs.device
        return unpacked(self._outputs[rows.to(place), draws.to(place)].to(self.device), self.form)


def prepare_cache(
    config: RunConfig, data: TrainingData, live: LiveTeachers, device: torch.device, progress: Progress
) -> Path:
    """Return the folder with the teachers' outputs; they are computed where they are not there yet.

    A computation that was interrupted is gone on with.

    Args:
        config: of the student's run.
        data: what the run learns from.
        live: the teachers.
        device: where they compute.
        progress: who is told how far it is.

    Raises:
        UserError: the folder that the configuration names holds other outputs, they are damaged or not finite, or the
            folder cannot be written.
    """
    key = _key(config, data, live)
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    named = config.distillation.cache
    folder = Path(named) if named else Path(config.output_root) / "teacher_outputs" / digest
    header = folder / _HEADER
    if header.exists():
        _refuse_stale(header, key)
        _refuse_damaged(folder)
        _log.info(f"The teachers' outputs are read from {folder}.")
        return folder
    with _alone_in(folder):
        if not header.exists():  # whoever was here before may have written it
            _compute(folder, key, config, data, live, device, progress)
            write_json(header, {"key": key, "sha256": file_checksum(folder / _OUTPUTS)})
            (folder / _PROGRESS).unlink(missing_ok=True)
    return prepare_cache(config, data, live, device, progress)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder while the block runs; whoever comes later waits.

    Raises:
        UserError: the folder cannot be written.
    """
    make_folder(folder)
    lock = FileLock(folder / _LOCK)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _log.info(f"Another run asks the teachers for {folder}; this one waits for it.")
            lock.acquire()
        with lock:
            yield
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        lock.release(force=True)


def read_cache(folder: Path) -> Tensor:
    """Return the outputs (n, R, F) of a finished cache, memory-mapped; what is written to them stays in memory.

    Raises:
        UserError: they cannot be read.
    """
    try:
        return torch.from_numpy(np.lib.format.open_memmap(folder / _OUTPUTS, mode="c"))
    except (OSError, ValueError) as error:
        raise _damaged(folder, str(error)) from error


def _key(config: RunConfig, data: TrainingData, live: LiveTeachers) -> dict[str, Any]:
    """Return everything that the teachers' outputs depend on, as JSON values."""
    about = config.data
    return {
        "format_version": FORMAT_VERSION,
        "teachers": list(config.distillation.fingerprints),
        "precision": live.precisions,
        "outputs": asdict(live.form),
        "store": file_checksum(data.source.store.path / HEADER_FILE),
        "clips": hashlib.sha256(data.order.numbers.numpy().astype("<i8").tobytes()).hexdigest(),
        "draws": config.distillation.draws,
        "input_frames": config.input_frames,
        "layout": about.layout,
        "sampling": asdict(about.sampling),
        "augment": asdict(about.augment),
        "normalize": asdict(about.normalize),
    }


def _compute(
    folder: Path,
    key: Mapping[str, Any],
    config: RunConfig,
    data: TrainingData,
    live: LiveTeachers,
    device: torch.device,
    progress: Progress,
) -> None:
    """Ask the teachers about every variation of every clip, from where an earlier computation came to."""
    order = FixedDraws(data.order.numbers, config.distillation.draws, _BATCH)
    outputs, order.start = _begin(folder, key, (len(order.numbers), order.draws, live.form.width))
    batches = build_loader(data.source, order, config.hardware, data.residence.on_device)
    with progress.task("asking the teachers", order.clips):
        progress.advance(order.clips_before(order.start))
        for done, batch in enumerate(of_few_shapes(batches, config), start=order.start + 1):
            moved = batch.to(device)
            packed = live(data.pipeline(moved, training=True), moved).packed().cpu().numpy()
            if not np.isfinite(packed).all():
                raise UserError("A teacher's outputs are not finite. Choose another checkpoint of its run.")
            rows = np.searchsorted(order.numbers.numpy(), batch.numbers.cpu().numpy())
            outputs[rows, order.variation(done - 1)] = packed
            progress.advance(len(batch))
            if done % _SAVED_EVERY == 0:
                outputs.flush()
                write_json(folder / _PROGRESS, {"key": key, "batches": done})
    outputs.flush()


def _begin(folder: Path, key: Mapping[str, Any], shape: tuple[int, int, int]) -> tuple[np.memmap[Any, Any], int]:
    """Return the array to fill and how many batches of it are there already."""
    progress, file = folder / _PROGRESS, folder / _OUTPUTS
    if progress.exists() and file.exists():
        _refuse_stale(progress, key)
        outputs = np.lib.format.open_memmap(file, mode="r+")
        if outputs.shape == shape and outputs.dtype == np.float32:
            return outputs, int(read_json(progress).get("batches", 0))
    outputs = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    write_json(progress, {"key": key, "batches": 0})
    return outputs, 0


def _refuse_stale(record: Path, key: Mapping[str, Any]) -> None:
    """Refuse a folder whose record tells of other outputs than those of `key`."""
    found = read_json(record).get("key")
    found = found if isinstance(found, dict) else {}
    differing = [name for name in key if found.get(name) != key[name]]
    if differing:
        raise UserError(
            f"{record.parent} holds teachers' outputs of another kind: {', '.join(differing)} differ from this run's. "
            "Give another folder with --cache, or none, for one of its own; or delete that one."
        )


def _refuse_damaged(folder: Path) -> None:
    """Refuse outputs whose bytes are not those that were written."""
    try:
        found = file_checksum(folder / _OUTPUTS)
    except OSError as error:
        raise _damaged(folder, error.strerror or str(error)) from error
    if found != read_json(folder / _HEADER).get("sha256"):
        raise _damaged(folder, "its checksum is wrong")


def _damaged(folder: Path, what: str) -> UserError:
    return UserError(f"{folder / _OUTPUTS} is damaged: {what}. Delete the folder {folder}; it is computed again then.")
