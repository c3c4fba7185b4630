"""Measuring a checkpoint on a part of its data set, from the file to the report."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..data.loading.pipeline import InputPipeline
from ..data.loading.run_data import TestPart, part_for_testing, training_clips
from ..data.store.find_store import find_store
from ..data.store.protocols import hold_out, split
from ..data.store.reader import Store
from ..models.registry import count_parameters
from ..plots.figures import draws_or_warns
from ..runs.checkpoint import Checkpoint, model_of, read_checkpoint
from ..runtime.precision import Precision, choose_device, precision_of_a_run
from ..settings.data import DataConfig
from ..settings.run import RunConfig
from ..utils.config import data_layer, merge, section_layer
from ..utils.errors import UserError
from ..utils.files import make_folder
from ..utils.numbers import counted
from ..utils.places import places
from ..utils.progress import SILENT, Progress
from ..version import __version__
from .metrics import Metrics, Predictions, measure
from .report import PICTURES, write_report
from .scoring import has_no_score, score_batches
from .statistics import put_statistics
from .unusable_clips import NOT_RECOGNISED, warn_of_unusable

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvalRequest:
    """Say what to measure; where a field is empty, the checkpoint's own run decides.

    Attributes:
        checkpoint: the file.
        subset: which part of the protocol: train, val (the clips that `validation: split` held out) or test.
        dataset, split: another data set of the same classes, another protocol.
        data_root: where prepared data sets lie; where it is empty, where the run found them, or else in the folders of
            this machine's environment.
        environment: its name; detected where it is empty.
        device: where to compute.
        no_ema: measure the trained weights even where the run averaged them over time.
        statistics: BatchNorm statistics to test with: `running` those of training, `measured` over training clips,
            `auto` those that training tested with, measured where the checkpoint lacks them.
        pictures: draw the report's pictures too, where matplotlib is installed.
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


@dataclass(frozen=True)
class EvalResult:
    """The figures of an evaluation, what they are of, and the files of its report."""

    metrics: Metrics
    class_names: list[str]
    facts: Mapping[str, str]
    files: Mapping[str, Path]


def evaluate(question: EvalRequest, out: Path, progress: Progress = SILENT) -> EvalResult:
    """Measure a checkpoint and write the report into `out`.

    Raises:
        UserError: the checkpoint cannot be read, the data are missing or do not fit it, or `out` cannot be written.
    """
    checkpoint = read_checkpoint(question.checkpoint)
    config = _asked_config(checkpoint, question)
    device = choose_device(question.device)
    model = model_of(checkpoint, str(question.checkpoint), question.no_ema).to(device)
    store = find_store(config.data, Path(config.data_root), input_roots=[Path(root) for root in config.input_roots])
    numbers = _numbers(config, store, question.subset)
    part = part_for_testing(config, store, numbers)
    if question.subset != "train":
        _warn_of_trained_clips(checkpoint, store, numbers)
    make_folder(out)  # a place that cannot be written is told now, not when all clips are through
    pictures = question.pictures and draws_or_warns(PICTURES)
    statistics = put_statistics(model, checkpoint, question.statistics, no_ema=question.no_ema, asked=config)
    predictions = predict(
        model,
        part,
        InputPipeline(config.data),
        device,
        store.clips["name"],
        progress,
        precision=precision_of_a_run(config.amp, config.hardware.amp_dtype, device),
    )
    if not predictions.answered.all():
        unusable = [predictions.names[number] for number in np.flatnonzero(~predictions.answered)]
        warn_of_unusable(unusable, NOT_RECOGNISED)
    metrics = measure(predictions, len(checkpoint.classes))
    facts = {**_facts(question, checkpoint, config, model), "statistics": statistics, "store": store.fingerprint}
    files = write_report(out, metrics, predictions, checkpoint.classes, facts, pictures=pictures)
    return EvalResult(metrics, checkpoint.classes, facts, files)


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

    It computes in float32, or in the `precision` that a run tested in, so that both give the same figures.
    """
    numbers, labels, scores = [], [], []
    with progress.task("evaluating", part.clips):
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


def _asked_config(checkpoint: Checkpoint, question: EvalRequest) -> RunConfig:
    """Return the configuration of the checkpoint's run with what the question asks for instead."""
    config = checkpoint.config
    data = config.data
    if question.dataset and question.dataset != data.name:
        data = merge(DataConfig(), [section_layer(data_layer(question.dataset), "data")])
        own = (config.data.skeleton, checkpoint.classes)
        if (data.skeleton, list(data.classes)) != own:
            raise UserError(
                f"{question.checkpoint} was trained on {config.data.name} ({counted(len(own[1]), 'class')}, "
                f"{own[0].name}); {data.name} has {counted(len(data.classes), 'class')} and the layout {data.layout}. "
                "Evaluate it on a data set with the same classes and layout."
            )
        data = replace(data, sampling=config.data.sampling, normalize=config.data.normalize)
    data = replace(data, split=question.split or data.split)
    here = places(question.environment)
    roots = [] if question.data_root else [*config.input_roots, *map(str, (here.data_root, *here.input_roots))]
    return replace(
        config, data=data, data_root=question.data_root or config.data_root, input_roots=roots, compile=False
    )


def _warn_of_trained_clips(checkpoint: Checkpoint, store: Store, numbers: NDArray[np.int64]) -> None:
    """Warn where clips that are tested may have trained the model, or did."""
    own = checkpoint.config
    if store.name not in (own.data.name, own.data.subset_of):
        return
    if checkpoint.data.get("store", store.fingerprint) != store.fingerprint:
        _log.warning(
            "The store %s has other clips than the one that the model was trained on: they may have trained it.",
            store.path,
        )
        return
    try:
        trained, _ = training_clips(own, store, split(store.clips, own.data))
    except UserError:
        return  # the run's protocol does not divide these clips, so they are not those that it learned from
    if count := len(np.intersect1d(trained, numbers)):
        of_all = f"{count:,} of the {counted(len(numbers), 'clip')} that are tested"
        which = f"The {counted(1, 'clip')} that is tested" if len(numbers) == 1 else of_all
        _log.warning(f"{which} {'has' if count == 1 else 'have'} trained the model.")


def _numbers(config: RunConfig, store: Store, subset: str) -> NDArray[np.int64]:
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


def _facts(question: EvalRequest, checkpoint: Checkpoint, config: RunConfig, model: nn.Module) -> dict[str, str]:
    return {
        "checkpoint": str(question.checkpoint),
        "epoch": str(checkpoint.epoch),
        "model": config.model.name,
        "dataset": config.data.name,
        "split": config.data.split,
        "subset": question.subset,
        "seed": str(config.seed),
        "weights": checkpoint.kind_of_weights(question.no_ema),
        "parameters": str(count_parameters(model)),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "last": __version__,
        "torch": str(torch.__version__),
    }
