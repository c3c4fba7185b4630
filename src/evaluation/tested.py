"""A checkpoint that is open to be tested: its model, its data, and the clips of a part under some condition."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.loading.confidences import is_same_store
from ..data.loading.disturbance import Disturbance, thinned
from ..data.loading.drop import JointDropper
from ..data.loading.loader import Batch
from ..data.loading.pipeline import InputPipeline
from ..data.loading.placement import ClipReader, Placement, place_clips
from ..data.loading.run_data import TestPart, part_for_testing, training_clips, training_part
from ..data.loading.views import PLAIN, View
from ..data.store.copies import find_copies
from ..data.store.find_store import find_store
from ..data.store.fingerprints import data_fingerprints, differing
from ..data.store.protocols import hold_out, split
from ..data.store.reader import Store
from ..data.store.split_files import with_split_file
from ..models.classifier import SkeletonClassifier
from ..models.registry import count_parameters
from ..runs.checkpoint import Checkpoint
from ..runs.checkpoint_model import model_of
from ..runtime.precision import Precision, choose_device, precision_of_a_run
from ..settings.data import data_settings, how_to_prepare
from ..settings.run import RunConfig
from ..settings.splits import is_split_file
from ..utils.errors import UserError
from ..utils.names import contrast
from ..utils.numbers import counted
from ..utils.progress import SILENT, Progress
from ..utils.root_folders import root_folders
from .metrics import Predictions
from .request import EvalRequest
from .scoring import class_scores, has_no_score, predict_batches
from .statistics import load_statistics

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Condition:
    """How clips are tested, and what happened to them before.

    Attributes:
        joints, limbs, frames: the shares that are dropped; see `JointDropper`.
        jitter, turn: noise and another camera; see `Disturbance`.
        step: only every so many frames were recorded.
        draws: how often each clip is sampled; 0 as often as the run does.
        views: those over which probabilities are averaged.
        zeroed: the streams that the model gets as zeros.
    """

    joints: float = 0.0
    limbs: float = 0.0
    frames: float = 0.0
    jitter: float = 0.0
    turn: float = 0.0
    step: int = 1
    draws: int = 0
    views: Sequence[View] = (PLAIN,)
    zeroed: Sequence[str] = ()


PLAINLY = Condition()


def condition_of(request: EvalRequest) -> Condition:
    """Return how the plain test of a request is done."""
    return Condition(request.drop_joints, request.drop_limbs, request.drop_frames)


@dataclass(frozen=True, eq=False)
class TestedModel:
    """A checkpoint that is open to be tested.

    Attributes:
        path: the file.
        checkpoint: its content.
        config: the configuration of its run with the changes of the request.
        model: on the device of the evaluation.
        store: the clips.
        placement: where they are kept.
        indices: the clips of the requested part.
        device: of the model.
    """

    __test__ = False  # not a test class, despite its name

    path: Path
    checkpoint: Checkpoint
    config: RunConfig
    model: SkeletonClassifier
    store: Store
    placement: Placement
    indices: NDArray[np.int64]
    device: torch.device

    @property
    def classes(self) -> list[str]:
        """Return the class names in the order of the scores."""
        return self.checkpoint.classes

    @property
    def parameters(self) -> int:
        """Return the number of trainable parameters."""
        return count_parameters(self.model)

    def held_out(self) -> NDArray[np.int64]:
        """Return the training clips that the run held out, ascending; empty if it held out none, or they are not here.

        They are those of the run's own protocol, since another one may have trained on them.
        """
        own, train = self.checkpoint.config, self._training_part()
        if own.validation != "split" or not len(train):
            return self.indices[:0]
        try:
            return hold_out(self.store.clips, train, own.validation_fraction, own.seed)[1]
        except UserError:  # there are too few
            return self.indices[:0]

    def untrained(self) -> set[int]:
        """Return the labels without a training clip of the run's protocol; empty if its training clips are not here."""
        train = self._training_part()
        if not len(train):
            return set()
        return set(range(len(self.classes))) - set(self.store.clips["label"][train].tolist())

    def trained(self) -> NDArray[np.int64]:
        """Return the training clips of the run's protocol that it did not hold out; empty if they are not here."""
        return np.setdiff1d(self._training_part(), self.held_out())

    def copies(self) -> NDArray[np.int64]:
        """Return the tested clips that are copies of clips which the run trained on, ascending.

        They are empty if the training clips are not here, or `data.copies` allows copies without a search.

        Raises:
            UserError: the store's file is shorter now, or cannot be read.
        """
        train = np.setdiff1d(self.trained(), self.indices)
        if not len(train) or self.config.data.copies == "allow":
            return self.indices[:0]
        return find_copies(self.store, train, self.indices).test

    @cached_property
    def precision(self) -> Precision:
        """Return the number format in which the model is tested; asking for it the first time may warn."""
        return precision_of_a_run(self.config.amp, self.config.hardware.amp_dtype, self.device)

    def _training_part(self) -> NDArray[np.int64]:
        """Return the training part of the run's own protocol; empty if the store is another than the run's."""
        recorded = self.checkpoint.data.get("store", self.store.fingerprint)
        return training_part(self.checkpoint.config.data, recorded, self.store)

    def predict(
        self, indices: NDArray[np.int64] | None = None, condition: Condition = PLAINLY, shown: Progress = SILENT
    ) -> Predictions:
        """Return the probabilities of clips, by default of the requested part; `shown` counts them.

        The model computes in the precision of the run's own tests, so that both give the same figures, unless this
        device lacks it or takes long for it.
        """
        tested = self.indices if indices is None else indices
        part = self._part(tested, condition)
        plain, *others = [self._pipeline(condition, view) for view in condition.views]

        def scored(batch: Batch) -> Tensor:
            batches = [batch, *(batch.with_streams(other(batch, training=False)) for other in others)]
            seen = [class_scores(self.model, _without(each, condition.zeroed), self.precision) for each in batches]
            return torch.stack(seen).mean(dim=0)

        numbers, labels, scores = [], [], []
        for batch, probabilities in predict_batches(scored, part, plain, self.device):
            numbers.append(batch.indices)
            labels.append(batch.labels)
            scores.append(probabilities)
            shown.advance(len(batch))
        together = torch.cat(scores)
        return Predictions(
            names=[str(name) for name in self.store.clips["name"][torch.cat(numbers).cpu().numpy()]],
            labels=torch.cat(labels).cpu().numpy(),
            scores=together.cpu().numpy(),
            unusable=has_no_score(together).cpu().numpy(),
        )

    def _part(self, indices: NDArray[np.int64], condition: Condition) -> TestPart:
        config, store, placement = self.config, self.store, self.placement
        if condition.step > 1:
            store, reader = thinned(store, placement.clips, condition.step)
            placement = Placement("disk", reader)
            config = replace(config, hardware=replace(config.hardware, num_workers=0))  # it has no files of its own
        shares = condition.joints, condition.limbs, condition.frames
        dropper = JointDropper(config.data.skeleton, *shares) if any(shares) else None
        return part_for_testing(config, store, indices, placement=placement, dropper=dropper, draws=condition.draws)

    def _pipeline(self, condition: Condition, view: View) -> InputPipeline:
        data, added = self.config.data, self.config.model.added_streams
        if condition.jitter or condition.turn:
            disturbance = Disturbance(data.skeleton, condition.jitter, condition.turn)
            return _DisturbedPipeline(disturbance, InputPipeline(data, added_streams=added, view=view))
        return InputPipeline(data, added_streams=added, view=view)


class _DisturbedPipeline(InputPipeline):
    """A pipeline whose clips are disturbed before anything else."""

    def __init__(self, disturbance: Disturbance, pipeline: InputPipeline) -> None:
        super().__init__(pipeline.config, pipeline.layout)
        self._disturbance, self._pipeline = disturbance, pipeline

    def prepared(self, batch: Batch, training: bool) -> Batch:
        """Return the disturbed batch with its streams."""
        return self._pipeline.prepared(self._disturbance(batch), training)


def _without(batch: Batch, zeroed: Sequence[str]) -> Batch:
    """Return a batch with zeros in some streams, as where nothing was measured."""
    if not zeroed:
        return batch
    streams = {name: torch.zeros_like(each) if name in zeroed else each for name, each in batch.streams.items()}
    return batch.with_streams(streams)


def open_tested(request: EvalRequest, path: Path, checkpoint: Checkpoint) -> TestedModel:
    """Open a checkpoint of a request; its BatchNorm statistics are those of the file until `use_statistics`.

    Args:
        request: what is tested, and on which data.
        path: the file of the checkpoint.
        checkpoint: its content.

    Raises:
        UserError: the data are missing or do not fit it.
    """
    config = _requested_config(checkpoint, path, request)
    device = choose_device(request.device)
    model = model_of(checkpoint, str(path), request.no_ema).to(device)
    store = find_store(config.data, Path(config.data_root), input_roots=[Path(root) for root in config.input_roots])
    if is_split_file(request.split):
        config = replace(config, data=with_split_file(config.data, store.clips, Path(request.split)))
    indices = _indices(config, store, request.subset)
    placement = place_clips(store, "disk", torch.device("cpu"), min_confidence=config.data.min_confidence)
    if request.subset != "train":
        _warn_about_training_clips(checkpoint, store, indices, placement.clips)
    return TestedModel(path, checkpoint, config, model, store, placement, indices, device)


def use_statistics(tested: TestedModel, request: EvalRequest) -> str:
    """Load the BatchNorm statistics of a request into a model and return their kind.

    Raises:
        UserError: they are to be measured from training clips that are not available.
    """
    roots = [tested.config.data_root, *tested.config.input_roots]
    return load_statistics(
        tested.model,
        tested.checkpoint,
        request.statistics,
        no_ema=request.no_ema,
        data_roots=roots,
        precision=lambda: tested.precision,
    )


def _requested_config(checkpoint: Checkpoint, path: Path, request: EvalRequest) -> RunConfig:
    """Return the configuration of the checkpoint's run with the changes of the request."""
    config = checkpoint.config
    data = config.data
    if request.dataset and request.dataset != data.name:
        data = data_settings(request.dataset)
        own = (config.data.skeleton, checkpoint.classes)
        if (data.skeleton, list(data.classes)) != own:
            raise UserError(
                f"{path} was trained on {config.data.name} ({counted(len(own[1]), 'class')}, "
                f"{own[0].name}); {data.name} has {counted(len(data.classes), 'class')}"
                f"{contrast(data.classes, own[1])} and the layout {data.layout}. "
                "Evaluate it on a data set with the same classes and layout."
            )
        own_settings = {
            key: getattr(config.data, key) for key in ("sampling", "normalize", "min_confidence", "max_gap")
        }
        data = replace(data, **own_settings, how_to_get=data.how_to_get or how_to_prepare(request.dataset))
    if request.split and not is_split_file(request.split):
        data = replace(data, split=request.split)
    here = root_folders(request.environment)
    roots = [] if request.data_root else [*config.input_roots, *map(str, (here.data_root, *here.input_roots))]
    return replace(config, data=data, data_root=request.data_root or config.data_root, input_roots=roots, compile=False)


def _warn_about_training_clips(
    checkpoint: Checkpoint, store: Store, numbers: NDArray[np.int64], clips: ClipReader | None = None
) -> None:
    """Warn if tested clips are, or may be, training clips of the model."""
    own = checkpoint.config
    if store.name not in (own.data.name, own.data.subset_of):
        return
    recorded = checkpoint.data.get("store", store.fingerprint)
    if not is_same_store(recorded, store, own.data.min_confidence):
        _log.warning(
            "The store %s differs from the one that the model was trained on%s",
            *(store.path, _difference(checkpoint, store)),
        )
        return
    try:
        trained, _ = training_clips(own, store, split(store.clips, own.data), clips)
    except UserError:
        return  # the run's protocol does not divide these clips, so they are not its training clips
    if count := len(np.intersect1d(trained, numbers)):
        of_all = f"{count:,} of the {counted(len(numbers), 'clip')} that are tested"
        which = f"The {counted(1, 'clip')} that is tested" if len(numbers) == 1 else of_all
        _log.warning(f"{which} {'has' if count == 1 else 'have'} trained the model.")


def _difference(checkpoint: Checkpoint, store: Store) -> str:
    """Return what differs between a store and the one that a model was trained on, with the consequence."""
    own = checkpoint.config.data
    try:
        present = data_fingerprints(store, split(store.clips, own), own.skeleton)
    except UserError:  # the run's protocol does not divide these clips
        present = {}
    if present and not differing(checkpoint.data, present, same_store=True):
        return (
            " in the content of its clips: their names, and which of them train and test, are the same. They were "
            "prepared from other recordings, with other settings or by another version of LAST, so the results may "
            "differ from those of the run. Evaluate on the store of the run, or train a new run on this one."
        )
    return ": its clips may be training clips. Evaluate on the store of the run, or on clips that it did not have."


def _indices(config: RunConfig, store: Store, subset: str) -> NDArray[np.int64]:
    """Return the clips of the requested part."""
    needed = ("test",) if subset == "test" else ("train",)
    parts = split(store.clips, config.data, config.data.split, needed)
    if subset == "test":
        return parts.test
    if config.validation != "split":
        if subset == "val":
            raise UserError(
                "This run held out no clips to validate on. Train with --set validation=split to have some."
            )
        return parts.train
    train, held_out = hold_out(store.clips, parts.train, config.validation_fraction, config.seed)
    return train if subset == "train" else held_out
