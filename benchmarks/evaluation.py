"""Testing beside training: clips per second of both, and the share of testing in an epoch of NTU RGB+D 60's size.

Both run the whole path of a training: from the store through loader, augmentation and streams to the model. Training
makes guarded steps; testing sums its scores.
"""

import statistics
import tempfile
from argparse import Namespace
from pathlib import Path

from last.data.loading.run_data import TrainingData, training_data
from last.evaluation.scoring import score_batches
from last.runtime.precision import choose_device
from last.training.epoch_metrics import EpochMetrics
from last.training.guard import BatchId
from last.utils.progress import Progress

from .content import write_clips
from .measure import Turns, Way, ratio, spread, take_turns
from .parts import TEST_CLIPS, TRAIN_CLIPS
from .report import Result, Table, spread_columns
from .steps import Learner, build_task, config_of

_COLUMNS = {
    "what": "{what}",
    "clips": "{clips}",
    **spread_columns("s", "seconds"),
    "clips/s": "{clips_per_second:,.1f}",
    "s per epoch": "{epoch_seconds:,.1f}",
    "%": "{percent:.1f}",
}


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Train on some clips and test on others, alternately."""
    device = choose_device(arguments.device)
    config = config_of(
        arguments,
        amp=arguments.amp,
    )
    with tempfile.TemporaryDirectory() as folder:
        store = write_clips(Path(folder), arguments.clips, arguments.test, arguments.seed, progress)
        data = training_data(config, store, device=device)
        learner = Learner(config, build_task(config, device), device)
        ways = {"training": _training(data, learner), "testing": _testing(data, learner)}
        taken = take_turns(ways, Turns(arguments.turns, warmup_turns=1), device, progress)
    sizes = {"training": (arguments.clips, TRAIN_CLIPS), "testing": (arguments.test, TEST_CLIPS)}
    epoch = {what: sizes[what][1] / sizes[what][0] * statistics.median(times) for what, times in taken.items()}
    rows = [
        {
            "what": what,
            "clips": sizes[what][0],
            "seconds": spread(times),
            "clips_per_second": sizes[what][0] / statistics.median(times),
            "epoch_seconds": epoch[what],
            "percent": 100 * epoch[what] / sum(epoch.values()),
        }
        for what, times in taken.items()
    ]
    title = f"{arguments.model}, batch {arguments.batch}, {learner.state.precision}, {device.type}"
    scale = sizes["testing"][0] / sizes["training"][0]
    summary = {
        "times_as_fast_as_training": scale * ratio(taken["training"], taken["testing"]),
        "percent_of_an_epoch": rows[1]["percent"],
    }
    remarks = [f"An epoch has {TRAIN_CLIPS:,} training clips and {TEST_CLIPS:,} test clips."]
    return Result([Table("rows", title, _COLUMNS, rows)], summary, remarks)


def _training(data: TrainingData, learner: Learner) -> Way:
    """Return a function that trains on every clip once."""

    def run() -> None:
        learner.state.task.train()
        data.sampler.epoch += 1
        for batch in data.loader:
            note = BatchId(batch.indices, batch.rng_keys)
            moved = batch.to(learner.device)
            learner.learn(data.pipeline(moved, training=True), moved, note)

    return run


def _testing(data: TrainingData, learner: Learner) -> Way:
    """Return a function that tests on every clip once, and waits for the result."""
    task, precision, device = learner.state.task, learner.state.precision, learner.device

    def run() -> None:
        task.eval()
        metrics = EpochMetrics(device)
        for batch, scores in score_batches(task.model, data.test, data.pipeline, device, precision):
            metrics.add_test(task.test(scores, batch), batch.labels)
        metrics.state(learner.step.world).tolist()

    return run
