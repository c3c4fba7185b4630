"""The cost of guards and checkpoints, compared with the same steps without them.

Guarded and plain steps run alternately on equal models and the same batch, which is assembled beforehand. Both derive
its streams, run forward and backward, clip, step and count. The plain one checks nothing and copies nothing.
"""

import copy
import statistics
import tempfile
from argparse import Namespace
from pathlib import Path

import torch

from last.data.loading.loader import Batch
from last.data.loading.pipeline import InputPipeline
from last.runs.checkpoint import Checkpoint, save_checkpoint
from last.runtime.precision import choose_device
from last.settings.run import RunConfig
from last.skeleton import layout_facts
from last.training.classification import Classification
from last.training.epoch_metrics import EpochMetrics
from last.training.optim import build_optimizer
from last.utils.progress import Progress

from .measure import Turns, Way, ratio, seconds, spread, take_turns
from .report import Result, Table, spread_columns
from .steps import Learner, benchmark_config, build_task, moving_batch, step_from_joints

_WARMUP_TURNS = 5
_COLUMNS = {
    "what": "{what}",
    **spread_columns("ms", "milliseconds"),
    "cost, %": "{cost:+.3f}",
}


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Time both steps alternately, then write checkpoints."""
    device = choose_device(arguments.device)
    config = benchmark_config(arguments.model, batch_size=arguments.batch, seed=arguments.seed)
    task = build_task(config, device)
    batch = moving_batch(config, device)
    plain = _plain_step(config, copy.deepcopy(task).train(), batch, device)
    learner = Learner(config, task, device)
    ways = {"plain": plain, "guarded": step_from_joints(learner, batch)}
    taken = take_turns(ways, Turns(arguments.turns, warmup_turns=_WARMUP_TURNS), device, progress)
    saves = _time_saves(config, learner, arguments.saves)
    every = config.checkpoint.every_minutes
    guard_share = ratio(taken["guarded"], taken["plain"]) - 1
    save_share = statistics.median(saves) / (60 * every)
    rows = [
        {"what": "a plain step", "milliseconds": spread(taken["plain"], 1e3), "cost": 0.0},
        {"what": "a guarded step", "milliseconds": spread(taken["guarded"], 1e3), "cost": 100 * guard_share},
        {"what": "a checkpoint", "milliseconds": spread(saves, 1e3), "cost": 100 * save_share},
    ]
    title = f"{arguments.model}, batch {arguments.batch}, one body, {device.type}"
    summary = {"guard_percent": 100 * guard_share, "checkpoint_percent": 100 * save_share}
    remarks = [f"A checkpoint within an epoch is written every {every:g} minutes."]
    return Result([Table("rows", title, _COLUMNS, rows)], summary, remarks)


def _plain_step(config: RunConfig, task: Classification, batch: Batch, device: torch.device) -> Way:
    """Return a training step that checks no value."""
    pipeline, optimizer, metrics = (
        InputPipeline(config.data),
        build_optimizer(task, config.optimization),
        EpochMetrics(device),
    )
    made = torch.ones((), dtype=torch.bool, device=device)

    def run() -> None:
        streams = pipeline(batch, training=True)
        output = task(batch.with_streams(streams))
        output.loss.backward()
        gradients = [each.grad for each in task.parameters() if each.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(gradients, torch.clamp(config.grad_clip / (norm + 1e-6), max=1.0))
        optimizer.step()
        metrics.add(output.loss, len(batch), task.sums(output.predictions, batch))
        metrics.add_update(norm, made)
        optimizer.zero_grad(set_to_none=True)

    return run


def _time_saves(config: RunConfig, learner: Learner, count: int) -> list[float]:
    """Return the seconds that it takes to write the state within an epoch, flushed to the disk."""
    with tempfile.TemporaryDirectory() as folder:

        def save() -> None:
            checkpoint = Checkpoint(
                **learner.state.save(within=True),
                config=config,
                classes=config.data.classes,
                layout=layout_facts(config.data.skeleton),
            )
            save_checkpoint(Path(folder) / "partial.pth", checkpoint)

        return [seconds(save, learner.device) for _ in range(count)]
