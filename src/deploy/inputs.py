"""Conversion of single clips to the input of a model, for use in other programs.

Legend: N clips, M bodies, C coordinates, T frames, V joints.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.loading.confidences import measured_in_memory
from ..data.loading.loader import ClipDataset
from ..data.loading.missing import MissingJoints
from ..data.loading.pipeline import InputPipeline
from ..data.loading.placement import TensorClipReader
from ..data.loading.samplers import BatchIndices
from ..data.preparation.formats.base import Source
from ..data.preparation.formats.clip_builder import ClipMetadata, build_clip
from ..data.store.clip import Clip
from ..data.store.format import StoreMetadata, pack
from ..data.store.reader import Store
from ..models.classifier import SkeletonClassifier
from ..models.facts import ModelFacts
from ..settings.data import DataConfig, NormalizeConfig, SamplingConfig
from ..settings.run import RunConfig
from ..utils.numbers import counted

_logger = logging.getLogger(__name__)

Recording = Clip | NDArray[np.floating] | Tensor
Confidences = NDArray[np.floating] | Tensor


class NoConfidentJoint(ValueError):
    """No joint of a clip has the confidence that the model's training asked for."""


def model_inputs(
    model: SkeletonClassifier,
    clips: Recording | Sequence[Recording],
    frames: int = 0,
    *,
    confidences: Confidences | Sequence[Confidences | None] | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the input of `model` for clips of any length, prepared as for the first test draw of `evaluate`.

    Args:
        model: from `load_checkpoint`, or from `create_model`, which only has a layout.
        clips: one or several clips. A clip is one of a store, or the joints (M, T, V, C) or (T, V, C) of a recording;
            these are centred first, as by `preprocess`. A body that is all zero or NaN is absent, and a joint with a
            NaN is missing. If there are more bodies than the model was trained with, the first ones that are present
            are used, with a warning.
        frames: T; 0 for the number of frames that the model was trained with.
        confidences: those of the joints of each recording, (M, T, V) or (T, V), from 0 to 1, NaN where a joint is
            missing; as many as clips, None for a clip without. A joint below the `min_confidence` of the model's
            training is missing.

    Returns:
        The streams of the model, each (N, C, T, V, M), and the body mask (N, M) bool, on the model's
        device: call `model(streams, body_mask)`.

    Raises:
        ValueError: `model` is not a model of LAST, a clip does not fit its layout or has no body, or confidences do not
            fit the clips.
    """
    if not isinstance(model, SkeletonClassifier):
        raise ValueError(
            f"The first argument should be a model of LAST, from last.load_checkpoint or last.create_model, not a "
            f"{type(model).__name__}."
        )
    facts = model.facts
    config = DataConfig(
        sampling=facts.sampling or SamplingConfig(),
        normalize=facts.normalize or NormalizeConfig(),
        min_confidence=facts.min_confidence or 0.0,
        max_gap=DataConfig.max_gap if facts.max_gap is None else facts.max_gap,
    )
    several = clips if isinstance(clips, list | tuple | Store) else [clips]
    certain = _one_per_clip(confidences, len(several), alone=several is not clips)
    read = [_clip(each, certain[number], facts, f"clip {number}") for number, each in enumerate(several)]
    if not read:
        raise ValueError("The list of clips is empty.")
    held = Store(Path(), StoreMetadata("", facts.layout, facts.classes), pack(read, facts.layout))
    numbers = torch.arange(len(read))
    length = frames or facts.input_frames or RunConfig.input_frames
    rows, missing = _rows(held, config.min_confidence), MissingJoints(config.max_gap)
    dataset = ClipDataset(held, length, config.sampling, training=False, clips=rows, missing=missing)
    batch = dataset[BatchIndices(numbers, numbers)]
    if not batch.bodies.any(dim=1).all():
        number = int((~batch.bodies.any(dim=1)).nonzero()[0])
        raise NoConfidentJoint(
            f"No joint of clip {number} has at least the confidence {config.min_confidence:g} of the model's training."
        )
    streams = InputPipeline(config, facts.layout, facts.added_streams)(batch, training=False)
    weight = next(model.parameters())
    return {name: stream.to(weight) for name, stream in streams.items()}, batch.bodies.to(weight.device)


def _rows(held: Store, min_confidence: float) -> TensorClipReader:
    """Return the reader of clips in memory, of which joints may be missing."""
    joints, valid = torch.tensor(held.joints), torch.tensor(held.valid)
    found = measured_in_memory(held, min_confidence)
    if found is None:
        return TensorClipReader(joints, valid)
    measured, present, origins = found
    return TensorClipReader(
        joints,
        torch.from_numpy(present),
        torch.from_numpy(measured),
        None if origins is None else torch.from_numpy(origins),
    )


def _one_per_clip(
    confidences: Confidences | Sequence[Confidences | None] | None, count: int, *, alone: bool
) -> Sequence[Confidences | None]:
    """Return the confidences of each of `count` clips; with `alone` there is one clip that is not in a list."""
    if confidences is None:
        return [None] * count
    several: Any = [confidences] if alone and not isinstance(confidences, list | tuple) else confidences
    if not isinstance(several, list | tuple) or len(several) != count:
        found = f"a list of {len(several)}" if isinstance(several, list | tuple) else type(several).__name__
        raise ValueError(f"`confidences` should have one array for each of {counted(count, 'clip')}; it is {found}.")
    return list(several)


def _clip(recording: Recording, certain: Confidences | None, facts: ModelFacts, name: str) -> Clip:
    """Return a clip of a store unchanged, and plain joints as a clip."""
    if isinstance(recording, Clip):
        if certain is not None:
            raise ValueError(f"{name} is a clip of a store, which has its own confidences: give None for it.")
        return recording
    joints = recording.detach().cpu().numpy() if isinstance(recording, Tensor) else recording
    layout = facts.layout
    if not isinstance(joints, np.ndarray) or joints.ndim not in (3, 4):
        found = f"an array of shape {joints.shape}" if isinstance(joints, np.ndarray) else type(joints).__name__
        raise ValueError(
            f"{name} should be a clip of a store, or an array (bodies, frames, {layout.num_joints}, "
            f"{layout.coordinates}) of joints; it is {found}."
        )
    whole = joints if joints.ndim == 4 else joints[None]
    confidence = certain.detach().cpu().numpy() if isinstance(certain, Tensor) else certain
    if confidence is not None:
        confidence = np.asarray(confidence)
        confidence = confidence if confidence.ndim == 3 else confidence[None]
    bodies = facts.bodies or DataConfig.bodies
    clip = build_clip(name, ClipMetadata(label=0), whole, Source(layout, bodies, ()), confidence=confidence)
    if clip.bodies_left_out:
        found = counted(bodies + clip.bodies_left_out, "body")
        _logger.warning("%s has %s; the model takes %d: the first that are present are used.", name, found, bodies)
    return clip
