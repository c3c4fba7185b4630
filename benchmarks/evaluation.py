"""Testing beside training: clips a second of both, and what testing takes of an epoch of NTU RGB+D 60's size.

Both go the whole way that trainings go: from the store through loader, augmentation and streams to the model. Training
makes guarded steps; testing sums up what it scores.
"""

import statistics
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..training.data import TrainingData, training_data
from ..training.guard import BatchNote
from ..training.meter import Meter
from ..training.precision import choose_device
from ..training.scoring import score_batches
from ..utils.progress import Progress
from .content import TEST_CLIPS, TRAIN_CLIPS, write_clips
from .measure import Turns, Way, ratio, spread, take_turns, whole
from .report import Result, Table
from .steps import Learner, build_task, config_of
from .suite import add_device, add_step

EXAMPLES = """
    python -m last benchmark evaluation
    python -m last benchmark evaluation --model base_e --batch 64 --amp
    python -m last benchmark evaluation --device cuda --batch 512 --clips 16384 --test 8192
"""
QUICK = {"clips": 4, "test": 4, "batch": 2, "frames": 8, "turns": 2}
IN_ALL = {"turns": 3}
_COLUMNS = {
    "what": "{what}",
    "clips": "{clips}",
    "s": "{seconds[median]:.2f}",
    "least": "{seconds[least]:.2f}",
    "most": "{seconds[most]:.2f}",
    "clips/s": "{clips_per_second:,.1f}",
    "s an epoch": "{epoch_seconds:,.1f}",
    "%": "{percent:.1f}",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the part's options to a parser."""
    count = whole(1)
    add_step(parser)
    parser.add_argument("--clips", type=count, default=128, metavar="N", help="clips to train on (default: 128)")
    parser.add_argument("--test", type=count, default=128, metavar="N", help="clips to test on (default: 128)")
    parser.add_argument("--turns", type=count, default=5, metavar="N", help="turns of both (default: 5)")
    parser.add_argument("--amp", action="store_true", default=None, help="mixed precision")
    add_device(parser)


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Train on some clips and test on others, in turns."""
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
    title = f"{arguments.model}, batch {arguments.batch}, {learner.step.precision}, {device.type}"
    scale = sizes["testing"][0] / sizes["training"][0]
    summary = {
        "times_as_fast_as_training": scale * ratio(taken["training"], taken["testing"]),
        "percent_of_an_epoch": rows[1]["percent"],
    }
    remarks = [f"An epoch is of {TRAIN_CLIPS:,} clips to train and {TEST_CLIPS:,} to test on."]
    return Result([Table("rows", title, _COLUMNS, rows)], summary, remarks)


def _training(data: TrainingData, learner: Learner) -> Way:
    """Return what trains on every clip once."""

    def run() -> None:
        learner.step.task.train()
        data.order.epoch += 1
        for batch in data.loader:
            note = BatchNote(batch.numbers, batch.keys)
            moved = batch.to(learner.device)
            learner.learn(data.pipeline(moved, training=True), moved, note)

    return run


def _testing(data: TrainingData, learner: Learner) -> Way:
    """Return what tests on every clip once, and waits for the result."""
    task, precision, device = learner.step.task, learner.step.precision, learner.device

    def run() -> None:
        task.eval()
        meter = Meter(device)
        for batch, scores in score_batches(task.model, data.test, data.pipeline, device, precision):
            meter.add_scores(scores, batch.labels)
        meter.state(learner.step.world).tolist()

    return run
