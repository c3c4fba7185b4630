"""Whole trainings over a set of NTU RGB+D 60's size: their duration, including evaluation and checkpoints.

The clips are made up, in the lengths, names and number of NTU RGB+D 60. The training is that of the `train`
command. The plain reference makes some steps on clips in memory; its time for all epochs is computed from these.
"""

import math
import statistics
import tempfile
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from last.data.store.format import HEADER_FILE
from last.data.store.reader import open_store
from last.experiments.run import Result as RunResult
from last.experiments.run import train
from last.models.plain import from_fused
from last.runs.logbook import read_rows
from last.runtime.precision import Precision, choose_device
from last.settings.run import RunConfig
from last.utils.errors import UserError
from last.utils.progress import Progress

from .content import DATASET, write_clips
from .gpu_steps import Steps
from .kernel_time import kernel_times
from .measure import Turns, spread, take_turns
from .report import Result, Table
from .steps import PlainLearner, benchmark_config, build_task, moving_batch

_PLAIN_BATCH = 64  # at most: the plain model keeps more memory


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Write the clips if they do not exist, train, and time the reference."""
    device = choose_device(arguments.device)
    with ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = _config(arguments, work, device)
        _make_clips(work / "data", arguments, progress)
        began = time.monotonic()
        run = train(config, progress=progress)
        ended = time.monotonic()
        if run.stopped is not None:
            run.stopped.raise_signal()
            raise UserError(f"The training was stopped ({run.stopped.value}), so there is nothing to report.")
        rows = read_rows(run.run.path / "metrics.jsonl")
    busy = _busy_percent(config, device)
    plain_rate = _plain_clips_per_second(config, device, arguments.plain_steps, progress)
    summary = {
        **_figures(config, device, run, rows),
        "seconds": ended - began,
        "gpu_busy_percent": busy,
        "plain_clips_per_second": plain_rate,
        "plain_seconds": arguments.epochs * arguments.clips / plain_rate,
    }
    summary["times_as_fast"] = summary["plain_seconds"] / summary["seconds"]
    return _result(summary, arguments, device)


def _config(arguments: Namespace, work: Path, device: torch.device) -> RunConfig:
    recipe = arguments.config if arguments.config is not None else {"cuda": "h200"}.get(device.type, "default")
    return benchmark_config(
        arguments.model,
        recipe,
        arguments.set,
        epochs=arguments.epochs,
        batch_size=arguments.batch,
        input_frames=arguments.frames,
        seed=arguments.seed,
        device=device.type,
        data_root=str(work / "data"),
        output_root=str(work / "runs"),
    )


def _make_clips(data_root: Path, arguments: Namespace, progress: Progress) -> None:
    """Write the store, unless it exists from an earlier benchmark.

    Raises:
        UserError: the existing store is a different one.
    """
    path = data_root / DATASET
    if not (path / HEADER_FILE).exists():
        write_clips(data_root, arguments.clips, arguments.test, arguments.seed, progress)
        return
    wanted = {"train": arguments.clips, "test": arguments.test, "seed": arguments.seed}
    source = open_store(path, verify=False).source
    if {key: source.get(key) for key in wanted} != wanted:
        raise UserError(f"{path} has different clips from those requested. Choose another --work folder.")


def _plain_clips_per_second(config: RunConfig, device: torch.device, steps: int, progress: Progress) -> float:
    """Return the clips of one body per second that the plain reference trains on, in float32, from memory."""
    config = replace(config, batch_size=min(config.batch_size, _PLAIN_BATCH))
    learner = PlainLearner(config, from_fused(build_task(config, device).model))
    batch = moving_batch(config, device)
    joints = batch.joints
    streams = {"joint": joints, "velocity": joints, "bone": joints}
    ways = {"the plain reference": lambda: learner.learn(streams, batch)}
    (taken,) = take_turns(ways, Turns(steps), device, progress).values()
    return config.batch_size / statistics.median(taken)


def _busy_percent(config: RunConfig, device: torch.device) -> float | None:
    """Return the share of a training step in which kernels run, on clips in memory; None on a CPU."""
    if device.type != "cuda":
        return None
    steps = Steps(config, device)
    with steps.running():
        return kernel_times(steps, device).busy_percent


def _figures(
    config: RunConfig, device: torch.device, run: RunResult, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the figures that the run recorded."""
    return {
        "batch_size": config.batch_size,
        "precision": str(Precision(config.amp, config.hardware.amp_dtype, device)),
        "compile": config.compile,
        "epoch_seconds": spread([float(row["seconds"]) for row in rows]),
        "every_epoch_seconds": [float(row["seconds"]) for row in rows],
        "tests": sum(math.isfinite(float(row.get("test_top1", math.nan))) for row in rows),
        "clips_per_second": statistics.median(float(row["clips_per_second"]) for row in rows),
        "data_wait_percent": 100 * statistics.median(float(row["data_wait_share"]) for row in rows),
        "peak_memory_mib": max(float(row["memory_mib"]) for row in rows),
        "final_top1": run.summary["final_top1"],
        "best_top1": run.summary["best_top1"],
    }


def _result(summary: Mapping[str, Any], arguments: Namespace, device: torch.device) -> Result:
    busy = summary["gpu_busy_percent"]
    facts = [
        ("seconds in total", f"{summary['seconds']:,.1f}"),
        ("seconds per epoch", "{median:,.2f} ({least:,.2f} to {most:,.2f})".format(**summary["epoch_seconds"])),
        ("clips/s while training", f"{summary['clips_per_second']:,.0f}"),
        ("share of training spent waiting for data", f"{summary['data_wait_percent']:.1f}%"),
        ("kernel time of the time of a step", "not known" if busy is None else f"{busy:.1f}%"),
        ("peak memory", f"{summary['peak_memory_mib']:,.0f} MiB"),
        ("batch, precision", f"{summary['batch_size']}, {summary['precision']}{', compiled' * summary['compile']}"),
        ("tests", f"{summary['tests']}"),
        ("top-1 of the last epoch", f"{summary['final_top1']:.2f}%"),
        ("plain reference, clips/s", f"{summary['plain_clips_per_second']:,.0f}"),
        ("the plain reference would take, in seconds", f"{summary['plain_seconds']:,.0f}"),
    ]
    rows = [{"what": what, "value": value} for what, value in facts]
    title = (
        f"{arguments.model} on {device.type}: {arguments.epochs} epochs of {arguments.clips:,} clips, "
        f"tested on {arguments.test:,}"
    )
    remarks = ["The plain reference is timed without reading, testing and saving, in float32, one body per clip."]
    return Result([Table("rows", title, {"what": "{what}", "value": "{value}"}, rows)], summary, remarks)
