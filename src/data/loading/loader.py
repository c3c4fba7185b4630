"""The dataset and the loaders of batches: how a batch is assembled, and where.

Legend: N clips, M bodies, C coordinates, T frames, V joints, B bodies present in the batch.
"""

import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from itertools import accumulate
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...settings.data import AugmentConfig, HardwareConfig, SamplingConfig
from ...utils.errors import UserError
from ...utils.machine import usable_cores
from ...utils.signals import end_later, ignore_terminal
from ..store.reader import Store
from .body_choice import body_choice
from .missing import MissingJoints
from .placement import ClipReader, FileClipReader, centers_at
from .samplers import BatchIndices, BatchSampler
from .sampling import ClipSpans, evaluation_positions, presence, read_positions, training_positions

_log = logging.getLogger(__name__)

_CLIPS_AT_ONCE = 4096  # per step of the search for present bodies
_WORKERS_GRACE_S = 120  # a worker ends itself this long after SIGTERM


@dataclass
class Batch:
    """Clips sampled to T frames, not yet augmented.

    Attributes:
        joints: (N, C, T, V, M) in metres, zeros where a body is absent or a joint is missing.
        frame_mask: (N, M, T) bool, whether the body is present in that frame.
        body_slots: (B,) the indices n * M + m of the present bodies; their number is known on the host.
        labels: (N,) classes from 0.
        indices: (N,) the clips' indices in the store.
        rng_keys: (N,) the RNG keys of the clips.
        joint_mask: (N, M, T, V) bool, which joints were measured or interpolated; None if no joint of a present body is
            missing, and every frame has a body.
        absent: (N, M, T) bool, the frames in which a body was absent beside another one; None without `joint_mask`.
        padded: whether padding among the body slots stays out of the statistics of BatchNorm.
        streams: the input of a model, each (N, C, T, V, M), derived from the joints on the device; empty before that.
        strength: the strength of augmentation, from 0 to 1.
        cameras: (N,) the camera of each clip, 0 if unknown; None unless clips are mixed.
        partners: (N,) the position in the batch of the clip that each is mixed with, its own where it is not; None if
            no clip is mixed.
        partner_shares: (N,) from 0 to 0.5, the share of the partner in a mixed clip, and of its label; or None.
    """

    joints: Tensor
    frame_mask: Tensor
    body_slots: Tensor
    labels: Tensor
    indices: Tensor
    rng_keys: Tensor
    joint_mask: Tensor | None = None
    absent: Tensor | None = None
    padded: bool = False
    streams: Mapping[str, Tensor] = field(default_factory=dict)
    strength: float = 1.0
    cameras: Tensor | None = None
    partners: Tensor | None = None
    partner_shares: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bodies(self) -> Tensor:
        """Return the body mask, (N, M) bool."""
        return self.frame_mask.any(dim=2)

    @property
    def mask(self) -> Tensor:
        """Return which joints were measured, (N, M, T, V) bool, or (N, M, T, 1) if all of them in each frame."""
        return self.frame_mask[..., None] if self.joint_mask is None else self.joint_mask

    @property
    def masks(self) -> dict[str, Any]:
        """Return what counts in the statistics of a model, as its arguments; none if all of it counts.

        The zeros of a body that is absent beside another one count, as they do in a batch without missing joints.
        """
        found: dict[str, Any] = {"padded": True} if self.padded else {}
        if self.joint_mask is not None:
            counted = self.joint_mask if self.absent is None else self.joint_mask | self.absent[..., None]
            found["joint_mask"] = counted
        return found

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
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        changed: dict[str, Any] = {name: change(each) for name, each in values.items() if isinstance(each, Tensor)}
        return replace(self, **changed, streams={name: change(stream) for name, stream in self.streams.items()})


def _leave_signals_to_the_trainer(_worker: int) -> None:
    """Keep a worker alive on signals that go to all processes of a job, since the trainer needs batches until it stops.

    A terminal sends Ctrl-C and SIGHUP to all of them; `timeout`, systemd and schedulers send SIGTERM.
    """
    ignore_terminal()
    end_later(signal.SIGTERM, _WORKERS_GRACE_S)


class ClipDataset(Dataset[Batch]):
    """A dataset of whole batches, each clip sampled to T frames, on the device that holds the clips.

    Args:
        store: the index of the clips.
        frames: T.
        config: how a clip is sampled.
        training: sample at random by each clip's RNG key; otherwise at the fixed positions of `test_draw`.
        test_draw, test_draws: the test draw, and of how many; see `evaluation_positions`.
        clips: the reader of the store's rows; None to read the store's files.
        missing: what happens to missing joints.
        augment: the augmentation of training clips; None for none. Most of it is left to the `InputPipeline`: here
            clips are warped in time, and their bodies chosen.
    """

    def __init__(
        self,
        store: Store,
        frames: int,
        config: SamplingConfig,
        *,
        training: bool,
        test_draw: int = 0,
        test_draws: int = 1,
        clips: ClipReader | None = None,
        missing: MissingJoints = MissingJoints(),  # noqa: B008 - it is frozen
        augment: AugmentConfig | None = None,
    ) -> None:
        self.store, self.frames, self.config, self.missing = store, frames, config, missing
        self.training, self.test_draw, self.test_draws = training, test_draw, test_draws
        self.max_bodies = int(store.clips["bodies"].max())
        self.clips = clips or FileClipReader(store)
        *spans, self._labels = (self._column(name) for name in ("offset", "frames", "bodies", "label"))
        self._spans = ClipSpans(*spans)
        self._origins = self._read_origins()
        self._warp = 0.0 if augment is None else augment.time_warp
        self._choice = None if augment is None else body_choice(store, self.clips, augment)
        # A dropped body can leave frames without any.
        self._needs_mask = self.clips.has_empty_frames or (self._choice is not None and self._choice.drop > 0)
        self._cameras = self._column("camera") if augment is not None and augment.mixes else None

    def __getitem__(self, sampled: BatchIndices) -> Batch:
        """Return the batch of these clips, on the device that holds them."""
        return self.batch(sampled, None)

    def batch(self, sampled: BatchIndices, body_slots: Tensor | None) -> Batch:
        """Return the batch of these clips; `body_slots` of its present bodies are computed if None."""
        joints, frame_mask, joint_mask = read_positions(
            self.clips, *self._spans_and_positions(sampled), self.max_bodies
        )
        if self._origins is not None:
            joints = joints - self._origins[sampled.indices][:, None, None, None]
        joints = joints.permute(0, 4, 2, 3, 1)  # (N, M, T, V, C) -> (N, C, T, V, M)
        keys, strength = sampled.rng_keys, sampled.strength
        if self._choice is not None:
            choose = partial(self._choice, indices=sampled.indices, rng_keys=keys, strength=strength)
            joints, frame_mask, joint_mask = choose(joints, frame_mask, joint_mask)
        if joint_mask is None and self._needs_mask:
            joint_mask = frame_mask[..., None].expand(*frame_mask.shape, joints.shape[3])
        recorded = frame_mask
        joints, frame_mask, joint_mask = self.missing(joints, frame_mask, joint_mask, keys, strength)
        return Batch(
            joints=joints,
            frame_mask=frame_mask,
            joint_mask=joint_mask,
            absent=None if joint_mask is None else recorded.any(dim=1, keepdim=True) & ~recorded,
            body_slots=frame_mask.any(dim=2).flatten().nonzero().squeeze(1) if body_slots is None else body_slots,
            labels=self._labels[sampled.indices],
            indices=sampled.indices,
            rng_keys=keys,
            strength=strength,
            cameras=None if self._cameras is None else self._cameras[sampled.indices],
        )

    def _column(self, name: str) -> Tensor:
        """Return a column of the store's index, (clips of the store,) int64."""
        return torch.from_numpy(self.store.clips[name].astype(np.int64)).to(self.clips.device)

    def _read_origins(self) -> Tensor | None:
        """Return what is subtracted from the joints of each clip, (N, C); None if nothing is."""
        rows = self.clips.origin_rows
        if rows is None:
            return None
        origins = centers_at(self.clips, rows.clamp(min=0), self.store.skeleton.center)
        return torch.where(rows[:, None] >= 0, origins, 0.0)

    def bodies(self, sampled: BatchIndices) -> Tensor:
        """Return the body mask (N, M) of a batch without reading joints."""
        present = presence(self.clips, *self._spans_and_positions(sampled), self.max_bodies).any(dim=2)
        return present if self._choice is None else self._choice.bodies(present, sampled.rng_keys, sampled.strength)

    def _spans_and_positions(self, sampled: BatchIndices) -> tuple[ClipSpans, Tensor]:
        """Return the spans of the clips in the store and the (fractional) frame positions (N, T) to read."""
        spans = self._spans.of(sampled.indices)
        if self.training:
            warp = sampled.strength * self._warp
            return spans, training_positions(spans.frames, self.frames, self.config, sampled.rng_keys, warp)
        draw = self.test_draw, self.test_draws
        return spans, evaluation_positions(spans.frames, self.frames, self.config, sampled.indices, *draw)


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
            sampled[0].strength,
        )
        indices, rng_keys = torch.split(epoch.indices, sizes), torch.split(epoch.rng_keys, sizes)
        batches = _batches(epoch, indices, rng_keys)
        for batch, body_slots in zip(batches, self._body_slots(epoch, sizes), strict=True):
            yield self.clips.batch(batch, body_slots)

    def _body_slots(self, epoch: BatchIndices, sizes: list[int]) -> list[Tensor]:
        """Return the slots n * M + m of the present bodies, for each batch of an epoch."""
        parts = _batches(epoch, torch.split(epoch.indices, _CLIPS_AT_ONCE), torch.split(epoch.rng_keys, _CLIPS_AT_ONCE))
        present = torch.cat([self.clips.bodies(part) for part in parts])  # (N of the epoch, M)
        counts = torch.stack([each.sum() for each in torch.split(present, sizes)]).tolist()
        starts = [present.shape[1] * start for start in accumulate(sizes, initial=0)]
        found = torch.split(present.flatten().nonzero().squeeze(1), counts)
        return [body_slots - start for body_slots, start in zip(found, starts, strict=False)]


def _batches(epoch: BatchIndices, indices: Iterable[Tensor], rng_keys: Iterable[Tensor]) -> Iterator[BatchIndices]:
    """Yield the parts of an epoch, each with its clips and their keys."""
    return (BatchIndices(*part, epoch.strength) for part in zip(indices, rng_keys, strict=True))


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
