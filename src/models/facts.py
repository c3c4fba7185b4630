"""Facts about a model besides its weights: its input, its classes and its training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..settings.data import NormalizeConfig, SamplingConfig
from ..skeleton import Layout


@dataclass(frozen=True)
class ModelFacts:
    """Facts about a model. All except `name`, `layout` and `added_streams` are empty or None for an untrained model.

    Attributes:
        name: the model, such as `nano_e`.
        layout: the joint layout of its input.
        classes: the class names in the order of the logits.
        input_frames: T, to which clips are sampled.
        bodies: maximum number of bodies per clip.
        sampling, normalize: the settings for sampling and normalising clips.
        min_confidence, max_gap: the settings for missing joints, see `DataConfig`.
        dataset, split: the data set and the protocol of its training.
        added_streams: its streams besides joint, velocity and bone, by name with the settings of each.
        seed, epoch: the seed and the last finished epoch of its run, counted from 0; -1 within the first epoch.
    """

    name: str
    layout: Layout = field(repr=False)
    classes: tuple[str, ...] = ()
    input_frames: int | None = None
    bodies: int | None = None
    sampling: SamplingConfig | None = None
    normalize: NormalizeConfig | None = None
    min_confidence: float | None = None
    max_gap: int | None = None
    dataset: str = ""
    split: str = ""
    seed: int | None = None
    epoch: int | None = None
    added_streams: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
