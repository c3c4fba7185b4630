"""Evaluation of a checkpoint on a part of its data set, from the file to the report."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..data.loading.confidences import is_same_store
from ..data.loading.drop import JointDropper
from ..data.loading.pipeline import InputPipeline
from ..data.loading.placement import ClipReader, place_clips
from ..data.loading.run_data import TestPart, part_for_testing, training_clips
from ..data.store.find_store import find_store
from ..data.store.fingerprints import data_fingerprints, differing
from ..data.store.protocols import hold_out, split
from ..data.store.reader import Store
from ..data.store.split_files import with_split_file
from ..models.registry import count_parameters
from ..plots.figures import draws_or_warns
from ..runs.checkpoint import Checkpoint, read_checkpoint
from ..runs.checkpoint_model import model_of
from ..runtime.precision import Precision, choose_device, precision_of_a_run
from ..settings.data import data_settings
from ..settings.run import RunConfig
from ..settings.splits import is_split_file
from ..tasks.measures import Metric
from ..utils.errors import UserError
from ..utils.files import make_folder
from ..utils.numbers import counted
from ..utils.progress import SILENT, Progress
from ..utils.root_folders import root_folders
from ..version import __version__
from .clip_metrics import clip_metrics, get_metric, list_metrics
from .metrics import Metrics, Predictions, measure
from .recordings import EvaluatedRecordings, evaluate_recordings
from .report import PICTURES, write_report
from .scoring import has_no_score, score_batches
from .statistics import load_statistics
from .unusable_clips import NOT_RECOGNISED, warn_about_unusable

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvalRequest:
    """Settings of an evaluation; empty fields are taken from the checkpoint's run.

    Attributes:
        checkpoint: the file.
        subset: the part of the protocol: train, val (the clips that `validation: split` held out) or test.
        dataset, split: another data set of the same classes, another protocol or the path of a split's text file.
        data_root: the folder of prepared data sets; if empty, the run's folder, then the folders of this machine's
            environment.
        environment: its name; detected if empty.
        device: the device to compute on.
        no_ema: evaluate the trained weights even if the run has averaged ones.
        statistics: BatchNorm statistics to test with: `running` those of training, `measured` over training clips,
            `auto` those that training tested with, measured if the checkpoint lacks them.
        pictures: also draw the report's pictures, if matplotlib is installed.
        metrics: names of metrics in addition to those of the run.
        drop_joints, drop_limbs: the probability with which a joint, or a limb, of a body is missing in the whole clip.
        drop_frames: the probability with which a body is not seen in a frame.
        shortest_event: seconds (frames if the rate is unknown); in long recordings, shorter runs of predicted frames
            become part of the longer one beside them.
    """

    checkpoint: Path
    subset: str = "test"
    dataset: str = ""
    split: str = ""
    data_root: str = ""
    environment: str = ""
    device: str = "auto"
    no_ema: bool = False
    statistics: str = "auto"
    pictures: bool = True
    metrics: Sequence[str] = ()
    drop_joints: float = 0.0
    drop_limbs: float = 0.0
    drop_frames: float = 0.0
    shortest_event: float = 0.0

    @property
    def dropped(self) -> dict[str, float]:
        """Return what is dropped, by name."""
        shares = {name: getattr(self, f"drop_{name}") for name in ("joints", "limbs", "frames")}
        return {name: share for name, share in shares.items() if share}


@dataclass(frozen=True)
class EvalResult:
    """The result of an evaluation: metrics, further metrics, facts about it, and the files of its report.

    Attributes:
        recordings: the figures of long recordings, if windows over them were tested.
    """

    metrics: Metrics
    added: Sequence[tuple[Metric, float]]
    class_names: list[str]
    facts: Mapping[str, str]
    files: Mapping[str, Path]
    recordings: EvaluatedRecordings | None = None


def evaluate(request: EvalRequest, out: Path, progress: Progress = SILENT) -> EvalResult:
    """Evaluate a checkpoint and write the report into `out`.

    Raises:
        UserError: the checkpoint cannot be read, the data are missing or do not fit it, or `out` cannot be written.
    """
    for name in request.metrics:
        get_metric(name)  # reports an unknown one before any work
    checkpoint = read_checkpoint(request.checkpoint)
    config = _requested_config(checkpoint, request)
    device = choose_device(request.device)
    model = model_of(checkpoint, str(request.checkpoint), request.no_ema).to(device)
    store = find_store(config.data, Path(config.data_root), input_roots=[Path(root) for root in config.input_roots])
    if is_split_file(request.split):
        config = replace(config, data=with_split_file(config.data, store.clips, Path(request.split)))
    numbers = _indices(config, store, request.subset)
    shares = request.drop_joints, request.drop_limbs, request.drop_frames
    dropper = JointDropper(config.data.skeleton, *shares) if any(shares) else None
    placement = place_clips(store, "disk", torch.device("cpu"), min_confidence=config.data.min_confidence)
    part = part_for_testing(config, store, numbers, placement=placement, dropper=dropper)
    if request.subset != "train":
        _warn_about_training_clips(checkpoint, store, numbers, placement.clips)
    make_folder(out)  # reports an unwritable folder before all clips are scored
    pictures = request.pictures and draws_or_warns(PICTURES)
    statistics = load_statistics(
        model, checkpoint, request.statistics, no_ema=request.no_ema, data_roots=[config.data_root, *config.input_roots]
    )
    predictions = predict(
        model,
        part,
        InputPipeline(config.data, added_streams=config.model.added_streams),
        device,
        store.clips["name"],
        progress,
        precision=precision_of_a_run(config.amp, config.hardware.amp_dtype, device),
    )
    if not predictions.scored.all():
        unusable = [predictions.names[number] for number in np.flatnonzero(~predictions.scored)]
        warn_about_unusable(unusable, NOT_RECOGNISED)
    metrics = measure(predictions, len(checkpoint.classes))
    added = _further(predictions, config.metrics, request.metrics)
    facts = {**_facts(request, checkpoint, config, model), "statistics": statistics, "store": store.fingerprint}
    facts |= {f"dropped {name}": f"{share:g}" for name, share in request.dropped.items()}
    found = evaluate_recordings(predictions, store, len(checkpoint.classes), request.shortest_event)
    files = write_report(
        out, metrics, predictions, checkpoint.classes, facts, pictures=pictures, added=added, recordings=found
    )
    return EvalResult(metrics, added, checkpoint.classes, facts, files, found)


def _further(
    predictions: Predictions, of_run: Mapping[str, Mapping[str, Any]], requested: Sequence[str]
) -> list[tuple[Metric, float]]:
    """Return the metrics of the run and the requested ones, with their values."""
    if gone := [name for name in of_run if name not in list_metrics()]:
        _log.warning("The run has metrics that no longer exist; they are skipped: %s.", ", ".join(gone))
    chosen = {name: values for name, values in of_run.items() if name not in gone}
    scores, labels = torch.from_numpy(predictions.scores), torch.from_numpy(predictions.labels)
    return [
        (each.metric, each.metric.scale * float(each.total(scores, labels)) / len(labels))
        for each in clip_metrics({**{name: {} for name in requested}, **chosen})
    ]


def predict(
    model: nn.Module,
    part: TestPart,
    pipeline: InputPipeline,
    device: torch.device,
    names: NDArray[np.str_],
    progress: Progress = SILENT,
    *,
    precision: Precision | None = None,
) -> Predictions:
    """Return the model's probabilities for every clip of a part; `names` are those of the whole store.

    The model computes in float32, or in `precision`, that of the run's own tests, so that both give the same figures.
    """
    numbers, labels, scores = [], [], []
    with progress.task("evaluating", part.num_clips):
        for batch, probabilities in score_batches(model.eval(), part, pipeline, device, precision):
            numbers.append(batch.indices)
            labels.append(batch.labels)
            scores.append(probabilities)
            progress.advance(len(batch))
    together = torch.cat(scores)
    return Predictions(
        names=[str(name) for name in names[torch.cat(numbers).cpu().numpy()]],
        labels=torch.cat(labels).cpu().numpy(),
        scores=together.cpu().numpy(),
        unusable=has_no_score(together).cpu().numpy(),
    )


def _requested_config(checkpoint: Checkpoint, request: EvalRequest) -> RunConfig:
    """Return the configuration of the checkpoint's run with the changes of the request."""
    config = checkpoint.config
    data = config.data
    if request.dataset and request.dataset != data.name:
        data = data_settings(request.dataset)
        own = (config.data.skeleton, checkpoint.classes)
        if (data.skeleton, list(data.classes)) != own:
            raise UserError(
                f"{request.checkpoint} was trained on {config.data.name} ({counted(len(own[1]), 'class')}, "
                f"{own[0].name}); {data.name} has {counted(len(data.classes), 'class')} and the layout {data.layout}. "
                "Evaluate it on a data set with the same classes and layout."
            )
        own_settings = {
            key: getattr(config.data, key) for key in ("sampling", "normalize", "min_confidence", "max_gap")
        }
        data = replace(data, **own_settings)
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


def _facts(request: EvalRequest, checkpoint: Checkpoint, config: RunConfig, model: nn.Module) -> dict[str, str]:
    return {
        "checkpoint": str(request.checkpoint),
        "epoch": str(checkpoint.epoch),
        "model": config.model.name,
        "dataset": config.data.name,
        "split": config.data.split,
        "subset": request.subset,
        "seed": str(config.seed),
        "weights": checkpoint.kind_of_weights(request.no_ema),
        "parameters": str(count_parameters(model)),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "last": __version__,
        "torch": str(torch.__version__),
    }
