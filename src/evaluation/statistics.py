"""The BatchNorm statistics with which a checkpoint is evaluated.

Training saves statistics that were measured for the tested weights, if the running ones are not good enough. A
checkpoint from within an epoch, or from an older version, lacks them; here they are measured from its training clips.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..data.loading.annealing import Annealing
from ..data.loading.pipeline import InputPipeline
from ..data.loading.run_data import sample_for_statistics, training_clips, training_dataset
from ..data.store.find_store import find_store
from ..data.store.protocols import labelled, split
from ..models.batchnorm_stats import RunningStatistics
from ..runs.checkpoint import Checkpoint
from ..runtime.precision import Precision
from ..utils.errors import UserError
from .population_statistics import PopulationStatistics

_log = logging.getLogger(__name__)


def load_statistics(
    model: nn.Module,
    checkpoint: Checkpoint,
    choice: str,
    *,
    no_ema: bool,
    data_roots: Sequence[str],
    precision: Callable[[], Precision],
) -> str:
    """Load the statistics of `choice` into a checkpoint's model and return their kind: one of the choices but `auto`.

    Args:
        model: the model with the checkpoint's weights, on the device of the evaluation.
        checkpoint: the checkpoint; its run determines the training clips.
        choice: one of `choices.STATISTICS`.
        no_ema: whether the model has the trained weights although there are averaged ones.
        data_roots: the evaluation's folders of prepared data sets, which are searched before those of the run.
        precision: returns the number format of the evaluation; it is called if statistics are measured.

    Raises:
        UserError: `measured` and `unaugmented` need the run's training clips, which are not available.
    """
    running = RunningStatistics(model)
    if choice == "running":
        running.write(running.vector(checkpoint.model))
        return "running"
    if choice == "auto" and not checkpoint.lacks_statistics(no_ema):
        return checkpoint.kind_of_statistics(no_ema)
    try:
        population = _population(model, checkpoint, data_roots, precision(), augmented=choice != "unaugmented")
    except UserError as error:
        if choice != "auto":
            raise UserError(f"--statistics {choice} needs the training clips of the model. {error}") from error
        _log.warning(
            "The %s weights are tested with running statistics that lag behind them; the accuracy may be far too low. "
            "Measuring other statistics needs their training clips: %s",
            *(checkpoint.kind_of_weights(no_ema), error),
        )
        return "running"
    if measured := population.measure():
        running.write(running.vector(measured))
    return "unaugmented" if choice == "unaugmented" else "measured"


def _population(
    model: nn.Module, checkpoint: Checkpoint, data_roots: Sequence[str], precision: Precision, *, augmented: bool
) -> PopulationStatistics:
    """Return the statistics of a model over its run's training clips, found in `data_roots` or by the run."""
    config = checkpoint.config
    device = next(model.parameters()).device
    first, *others = (Path(root) for root in (*data_roots, config.data_root, *config.input_roots))
    store = find_store(config.data, first, verify=False, input_roots=others)
    clips = training_dataset(config.data, config.input_frames, store)
    train, _ = training_clips(config, store, split(store.clips, config.data), clips.clips)
    if not config.trains_unlabelled:
        train = labelled(store.clips, train, config.label_fraction)
    epoch = max(0, checkpoint.epoch + bool(checkpoint.within))
    strength = partial(Annealing(config.data.augment.anneal, config.epochs).strength, epoch)
    sample = sample_for_statistics(
        clips, torch.from_numpy(train), config.batch_size, config.hardware, strength=strength
    )
    pipeline = InputPipeline(config.data, added_streams=config.model.added_streams)
    return PopulationStatistics(model, sample, pipeline, device, precision=precision, augmented=augmented)
