"""Clips as a training sees them: sampled, augmented and normalised, to be looked at.

Legend: N clips, M bodies, T frames, V joints, C coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...settings.data import DataConfig
from ..store.reader import Store
from .annealing import Annealing
from .pipeline import InputPipeline
from .run_data import training_dataset
from .samplers import BatchIndices, TrainSampler


@dataclass(frozen=True)
class AugmentedClip:
    """The stream `joint` of one clip.

    Attributes:
        joints: (M, T, V, C).
        joint_mask: (M, T, V) bool, which joints were measured or interpolated.
    """

    joints: NDArray[np.float32]
    joint_mask: NDArray[np.bool_]


def augmented_clips(
    store: Store,
    indices: Sequence[int],
    config: DataConfig,
    frames: int,
    *,
    seed: int = 0,
    epoch: int = 0,
    epochs: int = 0,
) -> list[AugmentedClip]:
    """Return clips of a store as the first batch with them in an epoch has them.

    Where clips are mixed, their partners are among these clips.

    Args:
        store: the clips.
        indices: their numbers in the store, each once.
        config: how they are sampled, augmented and normalised.
        frames: T.
        seed, epoch: of the training, the epoch counted from 0.
        epochs: of the training; 0 if their number is unknown: augmentation then has its full strength in all of them.
    """
    annealing = Annealing(config.augment.anneal, epochs) if epochs else Annealing()
    sampler = TrainSampler(np.array(indices, np.int64), len(indices), seed, annealing=annealing)
    sampler.epoch = epoch
    (sampled,) = sampler
    order = np.argsort(sampled.indices.numpy())
    sampled = BatchIndices(sampled.indices[order], sampled.rng_keys[order], sampled.strength)
    batch = training_dataset(config, frames, store).batch(sampled, None)
    prepared = InputPipeline(config, store.skeleton).prepared(batch, training=True)
    joints = prepared.streams["joint"].permute(0, 4, 2, 3, 1).numpy()  # (N, C, T, V, M) -> (N, M, T, V, C)
    masks = np.broadcast_to(prepared.mask.numpy(), joints.shape[:4])
    place = {int(index): number for number, index in enumerate(sampled.indices)}
    return [AugmentedClip(joints[place[index]], masks[place[index]]) for index in indices]
