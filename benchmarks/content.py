"""Made-up clips in the sizes of NTU RGB+D 60: its lengths, names and share of second bodies.

Each class has its own movement, so that a model can learn something; the bodies do not look like people.

Legend: M bodies, T frames, V joints, C coordinates.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from last.data.store.clip import Clip
from last.data.store.reader import Store, write_store
from last.data.synthetic.dataset import PlannedClip
from last.settings.data import DataConfig
from last.utils.config import data_layer, merge, section_layer
from last.utils.errors import UserError
from last.utils.progress import SILENT, Progress

DATASET, LAYOUT = "ntu60", "ntu25"
TWO_BODY_SHARE = 0.18
_LEAST_FRAMES, _MIDDLE_FRAMES, _MOST_FRAMES, _FRAMES_DEVIATION = 32, 78, 300, 0.4  # 84 frames on average
_ACTIONS, _PERFORMERS, _CAMERAS, _SETUPS, _REPLICATIONS = 60, 40, 3, 17, 2
_FRAMES_PER_SECOND = 30.0
_MOVEMENT_METRES, _TREMBLE_METRES, _BODY_METRES = 0.15, 0.02, 0.4
_MOVEMENT_STREAM, _CLIP_STREAM, _LENGTH_STREAM = 1, 2, 3  # first words of the seeds
Array = NDArray[np.float32]


def ntu60() -> DataConfig:
    """Return the description of NTU RGB+D 60."""
    return merge(DataConfig(), [section_layer(data_layer(DATASET), "data")])


def planned_clips(count: int, performers: list[int]) -> list[PlannedClip]:
    """Return `count` different recordings by these performers, cycling through the classes first, then the performers.

    Raises:
        UserError: there are fewer.
    """
    sizes = (_ACTIONS, len(performers), _CAMERAS, _SETUPS, _REPLICATIONS)
    if count > np.prod(sizes):
        raise UserError(f"{count} clips are too many: choose {np.prod(sizes)} or fewer.")
    action, performer, camera, setup, replication = np.unravel_index(np.arange(count), sizes, order="F")
    return [
        PlannedClip(int(s) + 1, int(c) + 1, performers[int(p)], int(r) + 1, int(a) + 1)
        for s, c, p, r, a in zip(setup, camera, performer, replication, action, strict=True)
    ]


def lengths(count: int, seed: int) -> NDArray[np.int64]:
    """Return lengths in frames, spread as those of NTU RGB+D 60."""
    drawn = np.random.default_rng((seed, _LENGTH_STREAM)).lognormal(np.log(_MIDDLE_FRAMES), _FRAMES_DEVIATION, count)
    return np.clip(np.rint(drawn), _LEAST_FRAMES, _MOST_FRAMES).astype(np.int64)


def moving_body(action: int, frames: int, random: np.random.Generator) -> Array:
    """Return a body (T, V, C) in metres that makes the movement of a class, which counts from 1."""
    pose, directions, frequency = _movement(action)
    times = np.arange(frames, dtype=np.float32) / _FRAMES_PER_SECOND + random.random(dtype=np.float32)
    swing = np.sin(2 * np.pi * frequency * times, dtype=np.float32)[:, None, None]  # (T, 1, 1)
    tremble = _TREMBLE_METRES * random.standard_normal((frames, *pose.shape), dtype=np.float32)
    size = np.float32(0.8 + 0.4 * random.random())
    body: Array = size * pose + swing * directions + tremble
    return body


@lru_cache(maxsize=_ACTIONS)
def _movement(action: int) -> tuple[Array, Array, float]:
    """Return a class's pose (V, C), each joint's direction and range of movement (V, C), and the frequency in Hz."""
    random = np.random.default_rng((0, _MOVEMENT_STREAM, action))
    pose = _BODY_METRES * np.random.default_rng(0).standard_normal((25, 3), dtype=np.float32)
    directions = _MOVEMENT_METRES * random.standard_normal((25, 3), dtype=np.float32)
    return pose, directions, float(random.uniform(0.5, 2.0))


def clips(train: int, test: int, seed: int) -> Iterator[Clip]:
    """Yield clips for the cross-subject protocol of NTU RGB+D 60, the training clips first."""
    trainers = ntu60().protocols["xsub"].train
    testers = [performer for performer in range(1, _PERFORMERS + 1) if performer not in trainers]
    planned = [*planned_clips(train, trainers), *planned_clips(test, testers)]
    random, center = np.random.default_rng((seed, _CLIP_STREAM)), ntu60().skeleton.center
    for clip, frames in zip(planned, lengths(len(planned), seed).tolist(), strict=True):
        bodies = 2 if random.random() < TWO_BODY_SHARE else 1
        joints = np.stack([moving_body(clip.action, frames, random) for _ in range(bodies)])
        yield Clip(
            name=clip.name,
            joints=joints - joints[0, 0, center],
            frame_mask=np.ones((bodies, frames), np.bool_),
            label=clip.action - 1,
            subject=clip.performer,
            camera=clip.camera,
            setup=clip.setup,
            replication=clip.replication,
        )


def write_clips(data_root: Path, train: int, test: int, seed: int, progress: Progress = SILENT) -> Store:
    """Write made-up clips as the store of NTU RGB+D 60 below `data_root`, and open it."""
    source: dict[str, Any] = {"made": "by the benchmark suite", "train": train, "test": test, "seed": seed}
    with progress.task("writing made-up clips", train + test) as shown:

        def counted_clips() -> Iterator[Clip]:
            for clip in clips(train, test, seed):
                yield clip
                shown.advance()

        classes = ntu60().classes
        return write_store(
            data_root / DATASET, counted_clips(), name=DATASET, layout=LAYOUT, classes=classes, source=source
        )
