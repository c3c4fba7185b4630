"""The data path alone: from a store to the augmented streams of a batch, beside a training step.

The store holds made-up clips with the lengths and second bodies of NTU RGB+D 60. Ours is the trainer's data path:
batches from the loader, then augmentation and streams. The reference does the same with NumPy, clip by clip.
"""

import statistics
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from last.data.loading.loader import Batch
from last.data.loading.run_data import TrainingData, training_data
from last.data.store.reader import Store
from last.runtime.precision import choose_device
from last.settings.run import RunConfig
from last.utils.progress import Progress

from . import plain_data
from .content import write_clips
from .measure import Turns, Way, ratio, spread, take_turns
from .report import Result, Table, spread_columns
from .steps import Learner, build_task, config_of, note_of

_READING, _STREAMS = "reading and sampling", "augmenting and streams"
_STEP = "training step"
_COLUMNS = {
    "way": "{way}",
    "part": "{part}",
    **spread_columns("ms per batch", "milliseconds", decimals=3),
    "clips/s": "{clips_per_second:,.0f}",
    "% of a step": "{percent:.2f}",
}


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Read, augment and train alternately, with ours and the reference."""
    device = choose_device(arguments.device)
    config = config_of(
        arguments,
        hardware__data_placement=arguments.data_placement,
    )
    batches = -(-arguments.clips // arguments.batch)
    with tempfile.TemporaryDirectory() as folder:
        store = write_clips(Path(folder), batches * arguments.batch, arguments.batch, arguments.seed, progress)
        data = training_data(config, store, device=device)
        kept = [batch.to(device) for batch in data.loader]
        plain = PlainEpoch(config, store, batches)
        ways: dict[str, Way] = {
            f"ours, {_READING}": _reading(data),
            f"ours, {_STREAMS}": _streams(data, kept),
            f"plain, {_READING}": plain.read,
            f"plain, {_STREAMS}": plain.derive,
            _STEP: _training(config, data, kept[: arguments.steps], device),
        }
        taken = take_turns(ways, Turns(arguments.turns), device, progress)
    counts = {_STEP: min(arguments.steps, batches)}
    return _result(
        {way: [each / counts.get(way, batches) for each in times] for way, times in taken.items()}, arguments, device
    )


class PlainEpoch:
    """The reference's epoch over the first clips of a store.

    Args:
        config: the run's configuration.
        store: the clips.
        batches: how many batches an epoch has.
    """

    def __init__(self, config: RunConfig, store: Store, batches: int) -> None:
        self.config, self.store, self.batches = config, store, batches
        self.layout = config.data.skeleton
        self.random = np.random.default_rng(config.seed)
        self.bodies = int(store.clips["bodies"].max())
        self._read: list[list[plain_data.Array]] = []

    def read(self) -> None:
        """Read every batch: crop and interpolate, clip by clip."""
        sampling, size = self.config.data.sampling, self.config.batch_size
        order = self.random.permutation(self.batches * size)
        self._read = []
        for indices in np.split(order, self.batches):
            clips = [self.store[int(index)] for index in indices]
            times = [
                plain_data.crop(clip.frame_mask.shape[1], self.config.input_frames, sampling, self.random)
                for clip in clips
            ]
            pairs = zip(clips, times, strict=True)
            self._read.append([plain_data.read_clip(clip, own, self.bodies) for clip, own in pairs])

    def derive(self) -> None:
        """Rotate the clips that were read, derive their streams clip by clip, and stack them."""
        if not self._read:
            self.read()
        for clips in self._read:
            turned = [plain_data.rotate(clip, plain_data.turn(self.config.data.augment, self.random)) for clip in clips]
            plain_data.stack([plain_data.streams(clip, self.layout) for clip in turned])


def _reading(data: TrainingData) -> Way:
    """Return a function that reads the next epoch."""

    def run() -> None:
        data.sampler.epoch += 1
        for _ in data.loader:
            pass

    return run


def _streams(data: TrainingData, batches: Sequence[Batch]) -> Way:
    def run() -> None:
        for batch in batches:
            data.pipeline(batch, training=True)

    return run


def _training(config: RunConfig, data: TrainingData, batches: Sequence[Batch], device: torch.device) -> Way:
    """Return a function that makes a training step on each batch, whose streams are derived beforehand."""
    learner = Learner(config, build_task(config, device), device)
    steps = [(data.pipeline(batch, training=True), batch, note_of(batch)) for batch in batches]

    def run() -> None:
        for streams, batch, note in steps:
            learner.learn(streams, batch, note)

    return run


def _result(taken: dict[str, list[float]], arguments: Namespace, device: torch.device) -> Result:
    """Return the figures of seconds per batch."""
    share: Callable[[Sequence[float]], float] = lambda times: 100 / ratio(taken[_STEP], times)  # noqa: E731
    together = {
        way: [sum(pair) for pair in zip(taken[f"{way}, {_READING}"], taken[f"{way}, {_STREAMS}"], strict=True)]
        for way in ("ours", "plain")
    }
    listed: list[tuple[str, str, Sequence[float]]] = [
        (way, part, taken[f"{way}, {part}"]) for way in ("ours", "plain") for part in (_READING, _STREAMS)
    ]
    listed += [(way, "together", times) for way, times in together.items()]
    listed += [("ours", _STEP, taken[_STEP])]
    rows = [
        {
            "way": way,
            "part": part,
            "milliseconds": spread(times, 1e3),
            "clips_per_second": arguments.batch / statistics.median(times),
            "percent": share(times),
        }
        for way, part, times in listed
    ]
    summary = {
        "percent_of_a_step": share(together["ours"]),
        "times_as_fast": ratio(together["plain"], together["ours"]),
    }
    title = f"batch {arguments.batch}, {arguments.frames} frames, {device.type}; a training step of {arguments.model}"
    remarks = [
        f"Ours takes {summary['percent_of_a_step']:.1f}% of a training step, and is {summary['times_as_fast']:.1f} "
        "times as fast as the plain reference."
    ]
    return Result([Table("rows", title, _COLUMNS, rows)], summary, remarks)
