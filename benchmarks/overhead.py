"""Measure what guards and checkpoints cost a training, beside the same steps without them.

Guarded and plain steps take turns on equal models and the same clips, so that whatever else the machine does slows
both. Both assemble nothing: the batch is there; both derive its streams, run forward and backward, clip, step and
count. The plain one checks nothing and copies nothing.
"""

import argparse
import copy
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from last.data.loader import Batch
from last.data.pipeline import InputPipeline
from last.models.registry import build_model
from last.skeleton import load_layout
from last.training.checkpoint import Checkpoint, layout_facts, save_checkpoint
from last.training.config import RunConfig, resolve
from last.training.distributed import ALONE
from last.training.guard import BatchNote
from last.training.meter import Meter
from last.training.optim import build_optimizer
from last.training.precision import choose_device
from last.training.schedule import build_schedule
from last.training.step import Share, TrainingStep, seed_step
from last.training.task import Classification
from last.utils.errors import UserError

_WARMUP_TURNS = 5
_SAVES = 15
_EXAMPLES = """examples:
  python benchmarks/overhead.py --threads 1                     nano_e on the CPU, batch 16
  python benchmarks/overhead.py --model base --turns 10
  python benchmarks/overhead.py --device cuda --batch 128 --json overhead.json
"""


@dataclass(frozen=True)
class Overhead:
    """What was measured.

    Attributes:
        plain_seconds, guarded_seconds: of each turn.
        guard_share: how much longer a guarded step takes, the median over turns of the ratio within a turn.
        save_seconds: of writing each checkpoint.
        save_share: of the time, at one checkpoint every `every_minutes`.
    """

    plain_seconds: list[float]
    guarded_seconds: list[float]
    guard_share: float
    save_seconds: list[float]
    every_minutes: float
    save_share: float


def random_batch(config: RunConfig, device: torch.device) -> Batch:
    """Return clips of one body with random joints."""
    layout, clips, frames = load_layout(config.data.layout), config.batch_size, config.input_frames
    joints = torch.randn(clips, layout.coordinates, frames, layout.num_joints, 1)
    numbers = torch.arange(clips)
    valid = torch.ones(clips, 1, frames, dtype=torch.bool)
    return Batch(joints, valid, numbers, numbers % len(config.data.classes), numbers, numbers).to(device)


def plain_step(config: RunConfig, task: Classification, batch: Batch, device: torch.device) -> Callable[[], None]:
    """Return a training step that trusts every number."""
    pipeline, optimizer, meter = InputPipeline(config.data), build_optimizer(task, config), Meter(device)
    made = torch.ones((), dtype=torch.bool, device=device)

    def run() -> None:
        streams = pipeline(batch, training=True)
        outcome = task(streams, batch)
        outcome.loss.backward()
        gradients = [each.grad for each in task.parameters() if each.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(gradients, torch.clamp(config.grad_clip / (norm + 1e-6), max=1.0))
        optimizer.step()
        meter.add(outcome.loss, outcome.logits, batch.labels)
        meter.add_update(norm, made)
        optimizer.zero_grad(set_to_none=True)

    return run


def guarded_step(
    config: RunConfig, task: Classification, batch: Batch, device: torch.device
) -> tuple[Callable[[], None], TrainingStep]:
    """Return the step that training makes, and what it is made of."""
    pipeline, step, meter = InputPipeline(config.data), TrainingStep(config, task, device, ALONE), Meter(device)
    note, share = BatchNote(batch.numbers.cpu(), batch.keys.cpu()), Share(len(batch), len(batch))

    def run() -> None:
        seed_step(config.seed, 0, 0, 0)
        step(pipeline(batch, training=True), batch, share, closes=True, meter=meter)
        step.note(note)
        step.guard.read()

    return run, step


def measure(config: RunConfig, device: torch.device, turns: int) -> Overhead:
    """Let both steps take turns, then write checkpoints."""
    torch.manual_seed(0)
    task = Classification(build_model(config.model, len(config.data.classes), config.data.layout), 0.1).to(device)
    batch = random_batch(config, device)
    task.train()
    plain = plain_step(config, copy.deepcopy(task), batch, device)
    guarded, step = guarded_step(config, task, batch, device)
    seconds: dict[str, list[float]] = {"plain": [], "guarded": []}
    for turn in range(_WARMUP_TURNS + turns):
        order = [("plain", plain), ("guarded", guarded)]
        for name, run in order if turn % 2 else reversed(order):
            taken = _timed(run, device)
            if turn >= _WARMUP_TURNS:
                seconds[name].append(taken)
        print(f"\rturn {turn + 1}/{_WARMUP_TURNS + turns}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    saves = time_saves(config, task, step)
    ratios = [guarded / plain for plain, guarded in zip(seconds["plain"], seconds["guarded"], strict=True)]
    every = config.checkpoint.every_minutes
    share = statistics.median(saves) / (60 * every)
    return Overhead(seconds["plain"], seconds["guarded"], statistics.median(ratios) - 1, saves, every, share)


def time_saves(config: RunConfig, task: Classification, step: TrainingStep) -> list[float]:
    """Return how long it takes to write the state within an epoch, flushed to the disk."""
    schedule = build_schedule(step.optimizer, config)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_SAVES):
            began = time.perf_counter()
            checkpoint = Checkpoint(
                model=task.model.state_dict(),
                scheduler=schedule.state_dict(),
                epoch=0,
                within={"clips": 16},
                best_acc=0.0,
                best_epoch=0,
                metrics={},
                config=config,
                classes=config.data.classes,
                layout=layout_facts(config.data.layout),
                **step.state(),
            )
            save_checkpoint(Path(folder) / "partial.pth", checkpoint)
            seconds.append(time.perf_counter() - began)
    return seconds


def _timed(run: Callable[[], None], device: torch.device) -> float:
    began = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="nano_e")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--threads", type=int, default=0, help="of torch on the CPU; 0 leaves torch's own choice")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        device = choose_device(options.device)
        config = resolve(model=options.model, dataset="ntu60", environment="local", flags={"batch_size": options.batch})
    except UserError as error:
        sys.exit(f"error: {error}")
    found = measure(config, device, options.turns)
    middle = {name: 1e3 * statistics.median(getattr(found, f"{name}_seconds")) for name in ("plain", "guarded", "save")}
    print(
        f"{options.model}, batch {options.batch}, one body, {options.device}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, {options.turns} turns; medians\n"
        f"a plain step    {middle['plain']:8.2f} ms\n"
        f"a guarded step  {middle['guarded']:8.2f} ms  {100 * found.guard_share:+.2f} %\n"
        f"a checkpoint    {middle['save']:8.2f} ms  {100 * found.save_share:+.3f} % at one in "
        f"{found.every_minutes:g} minutes\n"
        f"together        {100 * (found.guard_share + found.save_share):+.2f} %"
    )
    if options.json:
        facts = {**vars(options), "threads": torch.get_num_threads(), "cores": os.cpu_count()}
        facts |= {"torch": str(torch.__version__), "platform": platform.platform()}
        facts |= {"date": datetime.now(UTC).isoformat(timespec="seconds")}
        options.json.write_text(json.dumps({**facts, **asdict(found)}, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
