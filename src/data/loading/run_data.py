"""The training, validation and test data of a run."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...runtime.cuda_graphs import records_steps
from ...runtime.distributed import ALONE, World, processes_here
from ...settings.data import DataConfig, HardwareConfig
from ...settings.run import RunConfig
from ...utils.errors import UserError
from ...utils.names import first_few
from ...utils.numbers import counted
from ..store.fingerprints import data_fingerprints
from ..store.protocols import Split, hold_out, labelled, split
from ..store.reader import Store
from . import counter_rng
from .annealing import Annealing
from .bucketing import of_few_shapes
from .class_balance import ClassDraws, class_draws
from .confidences import clips_without_joints, is_same_store
from .drop import JointDropper
from .loader import Batch, ClipDataset, build_loader
from .missing import MissingJoints
from .pipeline import InputPipeline
from .placement import ClipReader, FileClipReader, Placement, place_clips
from .samplers import EvalSampler, FixedAugmentationSampler, TrainSampler

_logger = logging.getLogger(__name__)

_TEST_BATCH = 64
_NAMES_SHOWN = 3
_STATISTICS_CLIPS = 2048
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class TestPart:
    """The clips that a model is tested on: one loader per test draw, all in the same order."""

    __test__ = False  # not a test class, despite its name

    loaders: Sequence[Iterable[Batch]]
    num_clips: int


@dataclass(frozen=True)
class TrainingData:
    """Training, validation and test data of a run.

    Attributes:
        loader, source, sampler: the training batches, the dataset they are read from, and the sampler of their order.
        test: the protocol's test part.
        validation: held-out training clips that choose the best epoch; None if the test part does.
        pipeline: from batches to streams.
        classes: the class names in the order of their labels.
        placement: where the clips are kept.
        labelled: the training clips whose labels may be used.
        sample: batches of training clips, always the same, over which BatchNorm statistics are measured.
        fingerprints: of the store, the protocol and the layout.
    """

    loader: Iterable[Batch]
    source: ClipDataset
    sampler: TrainSampler
    test: TestPart
    validation: TestPart | None
    pipeline: InputPipeline
    classes: list[str]
    placement: Placement
    labelled: NDArray[np.int64]
    sample: Iterable[Batch]
    fingerprints: dict[str, str]


def training_data(config: RunConfig, store: Store, world: World = ALONE, device: torch.device = _CPU) -> TrainingData:
    """Return the loaders of a run over `store`: this process's part of every batch, and of the clips to test on.

    `hardware.data_placement` and the free memory decide where the clips are kept.
    """
    parts = split(store.clips, config.data, config.data.split)
    placement = place_clips(store, config.hardware.data_placement, device, processes_here(), config.data.min_confidence)
    train, held_out = training_clips(config, store, parts, placement.clips)
    used = clips_used(store, train, config.label_fraction, unlabelled=config.trains_unlabelled)
    sampler = TrainSampler(
        used,
        config.batch_size,
        config.seed,
        config.repeats_per_epoch,
        fixed_augmentations=config.fixed_augmentations,
        classes=_class_draws(config, store, used),
        rank=world.rank,
        processes=world.size,
        annealing=annealing_of(config),
    )
    clips = training_dataset(config.data, config.input_frames, store, placement.clips)
    return TrainingData(
        loader=of_few_shapes(
            build_loader(clips, sampler, config.hardware, placement.on_device),
            config.batch_size,
            compiled=config.compile,
            recorded=records_steps(config.model, config.hardware, device, world.size, compiled=config.compile),
            masked=config.hardware.masked_padding,
            whole=config.hardware.whole_step_graph,
        ),
        source=clips,
        sampler=sampler,
        test=part_for_testing(config, store, parts.test, world, placement),
        validation=part_for_testing(config, store, held_out, world, placement) if len(held_out) else None,
        pipeline=InputPipeline(config.data, added_streams=config.model.added_streams),
        classes=list(config.data.classes),
        placement=placement,
        labelled=labelled(store.clips, train, config.label_fraction),
        sample=sample_for_statistics(
            clips, sampler.indices, config.batch_size, config.hardware, placement, lambda: sampler.strength
        ),
        fingerprints=data_fingerprints(store, parts, config.data.skeleton),
    )


def clips_used(store: Store, train: NDArray[np.int64], share: float, *, unlabelled: bool) -> NDArray[np.int64]:
    """Return those of the training clips `train` that an epoch draws: a `share` of them with labels, or all."""
    return train if unlabelled else labelled(store.clips, train, share)


def annealing_of(config: RunConfig) -> Annealing:
    """Return the course of the strength of augmentation.

    Raises:
        UserError: the views of the clips are fixed for the whole run.
    """
    share = config.data.augment.anneal
    if share and config.fixed_augmentations:
        raise UserError(
            f"data.augment.anneal: {share:g} weakens the augmentation from epoch to epoch, and with "
            f"distillation.fixed_augmentations: {config.fixed_augmentations} (or --cached) the augmented views of a "
            "clip are the same in all epochs. Set data.augment.anneal=0 or distillation.fixed_augmentations=0."
        )
    return Annealing(share, config.epochs)


def _class_draws(config: RunConfig, store: Store, clips: NDArray[np.int64]) -> list[ClassDraws] | None:
    """Return how many clips of each class an epoch draws; None if each clip is drawn equally often.

    Raises:
        UserError: other settings contradict this.
    """
    refuse_class_settings(config)
    sampling = config.class_sampling
    if sampling == "natural":
        return None
    return class_draws(store.clips["label"][clips], clips, sampling, len(clips) * config.repeats_per_epoch)


def refuse_class_settings(config: RunConfig) -> None:
    """Refuse to draw clips by their classes beside settings that contradict this.

    Raises:
        UserError: there are such settings.
    """
    sampling = config.class_sampling
    if sampling == "natural":
        return
    if config.class_weights != "none":
        raise UserError(
            f"class_sampling: {sampling} and class_weights: {config.class_weights} correct the same imbalance twice, "
            "which would favour the rare classes. Set one of them: class_sampling=natural or class_weights=none."
        )
    if config.trains_unlabelled and config.label_fraction < 1:
        raise UserError(
            f"class_sampling: {sampling} needs the class of every clip, and with distillation.unlabelled and "
            f"label_fraction: {config.label_fraction:g} most are unknown. Set class_sampling=natural, or "
            "distillation.unlabelled=false."
        )


def training_dataset(data: DataConfig, frames: int, store: Store, clips: ClipReader | None = None) -> ClipDataset:
    """Return the dataset of training clips of `frames` frames, augmented as far as it is not left to the pipeline.

    Without `clips` they are read from the store's files.
    """
    how = data.augment
    shares = how.drop_joints, how.drop_limbs, how.drop_frames
    dropper = JointDropper(
        data.skeleton, *shares, random_shares=True, probability=how.drop_probability, crop=how.mask_crop
    )
    missing = MissingJoints(data.max_gap, dropper)
    clips = clips or FileClipReader(store, data.min_confidence)
    return ClipDataset(store, frames, data.sampling, training=True, clips=clips, missing=missing, augment=how)


def training_clips(
    config: RunConfig, store: Store, parts: Split, clips: ClipReader | None = None, *, warns: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the training clips, and of those held out to choose the best epoch, if any.

    Training clips without a joint of `data.min_confidence` are left out, with a warning unless `warns` is False; a test
    counts them as wrong. Which these are is read from `clips`, or without it from the store's files.

    Raises:
        UserError: no training clip has such a joint.
    """
    train, held_out = parts.train, parts.train[:0]
    if config.validation == "split":
        train, held_out = hold_out(store.clips, parts.train, config.validation_fraction, config.seed)
    if not config.data.min_confidence:  # a store has no clip without any joint
        return train, held_out
    clips = clips or FileClipReader(store, config.data.min_confidence)
    empty = clips_without_joints(store.clips, clips.present.cpu().numpy())
    left = np.setdiff1d(train, empty)
    if len(left) == len(train) or not warns:
        return left, held_out
    names = [str(name) for name in store.clips["name"][np.intersect1d(train, empty)]]
    message = (
        f"{counted(len(names), 'training clip')} of {len(train)} without a joint of the confidence "
        f"data.min_confidence={config.data.min_confidence:g}"
    )
    if not len(left):
        raise UserError(f"There are {message}, so none is left. Lower it: --set data.min_confidence=...")
    _logger.warning("%s left out: %s.", message, first_few(names, _NAMES_SHOWN))
    return left, held_out


def training_part(own: DataConfig, recorded: str, store: Store) -> NDArray[np.int64]:
    """Return the training part of a run's protocol, held-out clips included, ascending; empty if it is not known.

    Args:
        own: the data of the run.
        recorded: the fingerprint of the store that it was trained on.
        store: the clips; if it is another store, nothing is known.
    """
    none = np.empty(0, np.int64)
    if store.name not in (own.name, own.subset_of) or not is_same_store(recorded, store, own.min_confidence):
        return none
    try:
        return split(store.clips, own, own.split, ("train",)).train
    except UserError:  # the run's protocol does not divide these clips
        return none


def sample_for_statistics(
    clips: ClipDataset,
    indices: Tensor,
    batch_size: int,
    hardware: HardwareConfig,
    placement: Placement | None = None,
    strength: Callable[[], float] = lambda: 1.0,
) -> Iterable[Batch]:
    """Return the batches over which BatchNorm statistics are measured: at most 2,048 of the training clips `indices`.

    The selection, sampling and augmentation are the same in every epoch, process and run, except that the augmentation
    has the `strength` that is returned when they are measured.
    """
    selected = counter_rng.shuffled(0, 0, indices)[:_STATISTICS_CLIPS]
    batch_size = max(batch_size, _TEST_BATCH)
    sampler = FixedAugmentationSampler(selected, 1, batch_size, strength)
    hardware = replace(hardware, num_workers=0)  # too few batches to justify worker processes
    return build_loader(clips, sampler, hardware, placement is not None and placement.on_device)


def part_for_testing(
    config: RunConfig,
    store: Store,
    indices: NDArray[np.int64],
    world: World = ALONE,
    placement: Placement | None = None,
    dropper: JointDropper | None = None,
    draws: int = 0,
) -> TestPart:
    """Return the test loaders for this process's part of the clips `indices`, one per test draw.

    Without a `placement` the clips are read from the store's files. A `dropper` tests with fewer joints. With `draws`
    clips of any sampling method are read that often; with 0 as often as the run tests them.
    """
    placement = placement or place_clips(store, "disk", _CPU, min_confidence=config.data.min_confidence)
    missing = MissingJoints(config.data.max_gap, dropper)
    draws = draws or config.data.sampling.draws_in_a_test
    batch_size = max(config.batch_size, _TEST_BATCH)
    sampler = EvalSampler(np.array_split(indices, world.size)[world.rank], batch_size)
    datasets = [
        ClipDataset(
            store,
            config.input_frames,
            config.data.sampling,
            training=False,
            test_draw=draw,
            test_draws=draws,
            clips=placement.clips,
            missing=missing,
        )
        for draw in range(draws)
    ]
    loaders = [build_loader(clips, sampler, config.hardware, placement.on_device) for clips in datasets]
    return TestPart([of_few_shapes(each, batch_size, compiled=config.compile) for each in loaders], len(indices))
