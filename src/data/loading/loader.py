"""Samplers, dataset and loaders: which clips form a batch, in which order, and how the batch is assembled.

Legend: N clips, M bodies, C coordinates, T frames, V joints, B bodies present in the batch.
"""

import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import accumulate
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ...settings.data import HardwareConfig, SamplingConfig
from ...utils.errors import UserError
from ...utils.machine import usable_cores
from ...utils.signals import end_later, ignore_terminal
from ..store.reader import Store
from . import counter_rng
from .placement import ClipReader, FileClipReader
from .sampling import ClipSpans, evaluation_positions, presence, read_positions, training_positions

_log = logging.getLogger(__name__)

_CLIPS_AT_ONCE = 4096  # per step of the search for present bodies
_WORKERS_GRACE_S = 120  # a worker ends itself this long after SIGTERM


@dataclass
class Batch:
    """Clips sampled to T frames, not yet augmented.

    Attributes:
        joints: (N, C, T, V, M) in metres, zeros where a body is absent.
        frame_mask: (N, M, T) bool, whether the body is present in that frame.
        body_slots: (B,) the indices n * M + m of the present bodies; their number is known on the host.
        labels: (N,) classes from 0.
        indices: (N,) the clips' indices in the store.
        rng_keys: (N,) the RNG keys of the clips.
        streams: the input of a model, each (N, C, T, V, M), derived from the joints on the device; empty before that.
    """

    joints: Tensor
    frame_mask: Tensor
    body_slots: Tensor
    labels: Tensor
    indices: Tensor
    rng_keys: Tensor
    streams: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bodies(self) -> Tensor:
        """Return the body mask, (N, M) bool."""
        return self.frame_mask.any(dim=2)

    def with_streams(self, streams: Mapping[str, Tensor]) -> Self:
        """Return the batch with the input of a model."""
        return replace(self, streams=streams)

    def to(self, device: torch.device) -> Self:
        """Return the batch on `device`, copied without waiting where its memory is pinned."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory; torch's DataLoader calls this."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        tensors = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "streams"}
        streams = {name: change(stream) for name, stream in self.streams.items()}
        return type(self)(**{name: change(tensor) for name, tensor in tensors.items()}, streams=streams)


def _leave_signals_to_the_trainer(_worker: int) -> None:
    """Keep a worker alive on signals that go to all processes of a job, since the trainer needs batches until it stops.

    A terminal sends Ctrl-C and SIGHUP to all of them; `timeout`, systemd and schedulers send SIGTERM.
    """
    ignore_terminal()
    end_later(signal.SIGTERM, _WORKERS_GRACE_S)


@dataclass(frozen=True)
class BatchIndices:
    """The clips of one batch and their RNG keys."""

    indices: Tensor
    rng_keys: Tensor


class BatchSampler(Protocol):
    """A sampler of batches of clips."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[BatchIndices]: ...


class TrainSampler(Sampler[BatchIndices]):
    """Sample every clip `repeats_per_epoch` times per epoch, in an order that is a function of (seed, epoch).

    Each process gets its part of every batch. If a batch has fewer clips than processes, processes without a clip get
    the first one, so that all have the same number of batches; see `parts`.

    Args:
        indices: the clips.
        batch_size: clips per batch, over all processes.
        seed: of the run.
        repeats_per_epoch: how often each clip is seen per epoch.
        fixed_augmentations: number of fixed augmented views per clip, used in turn; 0 for a new one each time.
        rank, processes: rank of this process and the number of processes.
    """

    def __init__(
        self,
        indices: NDArray[np.int64],
        batch_size: int,
        seed: int,
        repeats_per_epoch: int = 1,
        *,
        fixed_augmentations: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.indices, self.batch_size = torch.from_numpy(indices), batch_size
        self.seed, self.repeats_per_epoch, self.fixed_augmentations = seed, repeats_per_epoch, fixed_augmentations
        self.rank, self.processes = rank, processes
        self.epoch = 0
        self.start = 0  # clips of the epoch that were used before a resume

    def __len__(self) -> int:
        return -(-(self.num_clips - self.start) // self.batch_size)

    @property
    def num_clips(self) -> int:
        """Return how many clips an epoch has."""
        return len(self.indices) * self.repeats_per_epoch

    def parts(self) -> list[tuple[int, int]]:
        """Return, for each remaining batch, its number of clips and how many of them belong to this process."""
        starts = range(self.start, self.num_clips, self.batch_size)
        sizes = [min(self.batch_size, self.num_clips - start) for start in starts]
        return [(size, len(range(size)[self._part(size)])) for size in sizes]

    def __iter__(self) -> Iterator[BatchIndices]:
        if self.start >= self.num_clips:
            return
        passes = [
            counter_rng.shuffled(self.seed, self.epoch, self.indices, each) for each in range(self.repeats_per_epoch)
        ]
        keys_by_pass = [self._keys(order, each) for each, order in enumerate(passes)]
        batches = zip(
            torch.split(torch.cat(passes)[self.start :], self.batch_size),
            torch.split(torch.cat(keys_by_pass)[self.start :], self.batch_size),
            strict=True,
        )
        for indices, rng_keys in batches:
            part = self._part(len(indices))
            if part.start == part.stop:
                part = slice(0, 1)
            yield BatchIndices(indices[part], rng_keys[part])

    def _keys(self, indices: Tensor, repetition: int) -> Tensor:
        """Return the RNG keys of clips in one pass of the epoch."""
        if self.fixed_augmentations:
            passes = self.epoch * self.repeats_per_epoch + repetition
            return counter_rng.fixed_keys(indices, passes % self.fixed_augmentations)
        return counter_rng.clip_keys(self.seed, self.epoch, indices, repetition)

    def _part(self, num_clips: int) -> slice:
        """Return this process's slice of a batch with that many clips."""
        return slice(num_clips * self.rank // self.processes, num_clips * (self.rank + 1) // self.processes)


class FixedAugmentationSampler(Sampler[BatchIndices]):
    """Sample every clip once in each of its fixed augmented views, view by view.

    Args:
        indices: (n,) the clips.
        fixed_augmentations: R, the number of views per clip.
        batch_size: clips per batch, all in the same view.
    """

    def __init__(self, indices: Tensor, fixed_augmentations: int, batch_size: int = 1) -> None:
        self.indices, self.fixed_augmentations, self.batch_size = indices, fixed_augmentations, batch_size
        self.start = 0  # batches that were used before a resume

    def __len__(self) -> int:
        return self.fixed_augmentations * self._batches - self.start

    @property
    def num_clips(self) -> int:
        """Return how many clips are sampled in total."""
        return len(self.indices) * self.fixed_augmentations

    @property
    def rng_keys(self) -> Tensor:
        """Return the RNG keys (n, R) of all views."""
        return torch.stack(
            [counter_rng.fixed_keys(self.indices, each) for each in range(self.fixed_augmentations)], dim=1
        )

    @property
    def _batches(self) -> int:
        """Return how many batches a view has."""
        return -(-len(self.indices) // self.batch_size)

    def clips_before(self, batch: int) -> int:
        """Return how many clips precede a batch."""
        views, batches = divmod(batch, self._batches)
        return views * len(self.indices) + batches * self.batch_size

    def view(self, batch: int) -> int:
        """Return the view of a batch."""
        return batch // self._batches

    def __iter__(self) -> Iterator[BatchIndices]:
        for batch in range(self.start, self.fixed_augmentations * self._batches):
            begin = batch % self._batches * self.batch_size
            indices = self.indices[begin : begin + self.batch_size]
            yield BatchIndices(indices, counter_rng.fixed_keys(indices, self.view(batch)))


class EvalSampler(Sampler[BatchIndices]):
    """Sample every clip once, in order."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    def __init__(self, indices: NDArray[np.int64], batch_size: int) -> None:
        self.indices, self.batch_size = torch.from_numpy(indices), batch_size

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    @property
    def num_clips(self) -> int:
        """Return how many clips there are."""
        return len(self.indices)

    def __iter__(self) -> Iterator[BatchIndices]:
        batches = torch.split(self.indices, self.batch_size)  # an empty tensor still gives one empty batch
        return (BatchIndices(indices, indices) for indices in batches if len(indices))


class ClipDataset(Dataset[Batch]):
    """A dataset of whole batches, each clip sampled to T frames, on the device that holds the clips.

    Args:
        store: the index of the clips.
        frames: T.
        config: how a clip is sampled.
        training: sample at random by each clip's RNG key; otherwise at the fixed positions of test draw `test_draw`.
        clips: the reader of the store's rows; None to read the store's files.
    """

    def __init__(
        self,
        store: Store,
        frames: int,
        config: SamplingConfig,
        *,
        training: bool,
        test_draw: int = 0,
        clips: ClipReader | None = None,
    ) -> None:
        self.store, self.frames, self.config = store, frames, config
        self.training, self.test_draw = training, test_draw
        self.max_bodies = int(store.clips["bodies"].max())
        self.clips = clips or FileClipReader(store)
        columns = (store.clips[name].astype(np.int64) for name in ("offset", "frames", "bodies", "label"))
        *spans, self._labels = (torch.from_numpy(column).to(self.clips.device) for column in columns)
        self._spans = ClipSpans(*spans)

    def __getitem__(self, sampled: BatchIndices) -> Batch:
        """Return the batch of these clips, on the device that holds them."""
        return self.batch(sampled, None)

    def batch(self, sampled: BatchIndices, body_slots: Tensor | None) -> Batch:
        """Return the batch of these clips; `body_slots` of its present bodies are computed if None."""
        joints, frame_mask = read_positions(self.clips, *self._spans_and_positions(sampled), self.max_bodies)
        return Batch(
            joints=joints.permute(0, 4, 2, 3, 1),  # (N, M, T, V, C) -> (N, C, T, V, M)
            frame_mask=frame_mask,
            body_slots=frame_mask.any(dim=2).flatten().nonzero().squeeze(1) if body_slots is None else body_slots,
            labels=self._labels[sampled.indices],
            indices=sampled.indices,
            rng_keys=sampled.rng_keys,
        )

    def bodies(self, sampled: BatchIndices) -> Tensor:
        """Return the body mask (N, M) of a batch without reading joints."""
        return presence(self.clips, *self._spans_and_positions(sampled), self.max_bodies).any(dim=2)

    def _spans_and_positions(self, sampled: BatchIndices) -> tuple[ClipSpans, Tensor]:
        """Return the spans of the clips in the store and the (fractional) frame positions (N, T) to read."""
        spans = self._spans.of(sampled.indices)
        if self.training:
            return spans, training_positions(spans.frames, self.frames, self.config, sampled.rng_keys)
        return spans, evaluation_positions(spans.frames, self.frames, self.config, sampled.indices, self.test_draw)


class DeviceLoader:
    """Assemble batches on the device that holds the clips, without a host synchronisation within an epoch.

    The host has to know the body slots of a batch, since their number is a shape. They are therefore computed for the
    whole epoch at its start, with a single synchronisation.
    """

    def __init__(self, clips: ClipDataset, sampler: BatchSampler) -> None:
        self.clips, self.sampler = clips, sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        sampled = list(self.sampler)
        if not sampled:
            return
        device, sizes = self.clips.clips.device, [len(batch.indices) for batch in sampled]
        epoch = BatchIndices(
            torch.cat([batch.indices for batch in sampled]).to(device),
            torch.cat([batch.rng_keys for batch in sampled]).to(device),
        )
        indices, rng_keys = torch.split(epoch.indices, sizes), torch.split(epoch.rng_keys, sizes)
        for batch, body_slots in zip(map(BatchIndices, indices, rng_keys), self._body_slots(epoch, sizes), strict=True):
            yield self.clips.batch(batch, body_slots)

    def _body_slots(self, epoch: BatchIndices, sizes: list[int]) -> list[Tensor]:
        """Return the slots n * M + m of the present bodies, for each batch of an epoch."""
        parts = map(
            BatchIndices, torch.split(epoch.indices, _CLIPS_AT_ONCE), torch.split(epoch.rng_keys, _CLIPS_AT_ONCE)
        )
        present = torch.cat([self.clips.bodies(part) for part in parts])  # (N of the epoch, M)
        counts = torch.stack([each.sum() for each in torch.split(present, sizes)]).tolist()
        starts = [present.shape[1] * start for start in accumulate(sizes, initial=0)]
        found = torch.split(present.flatten().nonzero().squeeze(1), counts)
        return [body_slots - start for body_slots, start in zip(found, starts, strict=False)]


def build_loader(
    clips: ClipDataset, sampler: BatchSampler, hardware: HardwareConfig, resident: bool = False
) -> Iterable[Batch]:
    """Return a loader that assembles one batch for each item of `sampler`, in this process or in workers.

    The DataLoader gets its own generator, since it draws an unused number. From the global generator this would change
    the following dropout masks, and differently with and without workers.

    Args:
        clips: the dataset.
        sampler: the clips of each batch.
        hardware: number of workers and pinned memory.
        resident: whether the clips are on the training device; then no workers are used.
    """
    if resident:
        return DeviceLoader(clips, sampler)
    options: dict[str, Any] = {}
    if hardware.num_workers:
        options = {"prefetch_factor": hardware.prefetch_factor, "persistent_workers": True}
        options["worker_init_fn"] = _leave_signals_to_the_trainer
    return _Loader(
        clips,
        sampler=sampler,
        batch_size=None,
        num_workers=hardware.num_workers,
        pin_memory=hardware.pin_memory and torch.cuda.is_available(),
        generator=torch.Generator(),
        **options,
    )


class _Loader(DataLoader[Batch]):
    """A DataLoader that warns of too many workers in one line."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield the batches; a worker's UserError is raised without the worker's traceback."""
        try:
            yield from super().__iter__()
        except UserError as error:
            raise UserError(str(error).rpartition(f"{UserError.__name__}: ")[2].strip()) from error

    def check_worker_number_rationality(self) -> None:
        """Warn once if there are more workers than cores; torch calls this for each loader and epoch."""
        _warn_of_too_many_workers(self.num_workers, usable_cores())


@cache
def _warn_of_too_many_workers(workers: int, cores: int) -> None:
    if workers > cores:
        _log.warning(
            "hardware.num_workers is %d, but only %d can run at once: loading may be slower than with fewer workers.",
            *(workers, cores),
        )
