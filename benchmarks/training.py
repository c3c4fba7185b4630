"""Speed of training and inference, compared with the plain reference.

All have the same weights and read the same random clips from memory. The reference is `plain`, in float32 with
torch's own SGD; ours trains in float32 and in bfloat16 with the fused SGD that training uses.
"""

import multiprocessing
from argparse import Namespace
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from last.models.classifier import SkeletonClassifier
from last.models.multi_body import STREAMS, present_body_slots
from last.models.plain import from_fused
from last.models.registry import create_model
from last.runtime.precision import choose_device
from last.skeleton import load_layout
from last.training.epoch_report import peak_memory_mib
from last.utils.config import MODEL_FILES
from last.utils.model_files import model_layer
from last.utils.progress import Progress

from .measure import CLASSES, Turns, Way, ratio, spread, take_turns
from .report import Result, Table, spread_columns

_COLUMNS = {
    "model": "{model}",
    "task": "{task}",
    "clips": "{clips}",
    "way": "{way}",
    **spread_columns("ms", "milliseconds"),
    "clips/s": "{clips_per_second:.1f}",
    "times as fast": "{ratio:.2f}",
}


@dataclass(frozen=True)
class Workload:
    """Size of the clips, and the device.

    Attributes:
        batch, frames, bodies: of the clips; every body is present unless a task has fewer.
        layout: the joint layout.
        device: where it runs.
        amp: whether the forward pass runs in bfloat16.
    """

    batch: int
    frames: int
    bodies: int
    layout: str
    device: torch.device
    amp: bool = False


@dataclass(frozen=True)
class Clips:
    """Random clips: streams (N, C, T, V, M), body_mask (N, M), labels (N,), and the indices of the present bodies."""

    streams: dict[str, Tensor]
    body_mask: Tensor
    body_slots: Tensor
    labels: Tensor


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Measure every model's inference and training, or the memory of its training."""
    names = chosen_models(arguments.models)
    load_layout(arguments.layout)
    work = Workload(
        batch=arguments.batch,
        frames=arguments.frames,
        bodies=arguments.bodies or (2 if arguments.memory else 1),
        layout=arguments.layout,
        device=choose_device(arguments.device),
        amp=arguments.amp and arguments.memory,
    )
    if arguments.memory:
        return _memory(names, work, arguments)
    rows = [row for name in names for row in _measure_model(name, work, arguments, progress)]
    ours = [row for row in rows if row["task"] == "training" and row["way"].startswith("ours")]
    summary = {f"{row['model']}, {row['way']}": row["ratio"] for row in ours}
    title = f"batch {work.batch}, {work.bodies} body, {work.frames} frames, {work.layout}, {work.device.type}"
    table = Table("rows", title, _COLUMNS, rows)
    return Result([table], {"training_times_as_fast": summary}, ["Times as fast as the first way of the same task."])


def chosen_models(text: str) -> list[str]:
    """Return the models of an option such as `nano_e,base`.

    Raises:
        UserError: there is no such model.
    """
    names = list(MODEL_FILES) if text == "all" else text.split(",")
    for name in names:
        model_layer(name)
    return names


def random_clips(work: Workload, clips: int, bodies: int, present: int) -> Clips:
    """Draw clips with room for `bodies` bodies, of which the first `present` are present; the others are zeros."""
    layout = load_layout(work.layout)
    body_mask = (torch.arange(bodies) < present).expand(clips, bodies).contiguous()
    streams = {
        name: torch.randn(clips, layout.coordinates, work.frames, layout.num_joints, bodies)
        * body_mask[:, None, None, None]
        for name in STREAMS
    }
    return Clips(
        streams={name: stream.to(work.device) for name, stream in streams.items()},
        body_mask=body_mask.to(work.device),
        body_slots=present_body_slots(body_mask).to(work.device),
        labels=(torch.arange(clips) % CLASSES).to(work.device),
    )


def inference(model: nn.Module, clips: Clips, work: Workload) -> Way:
    """Return a function that runs one batch in evaluation."""

    def run() -> None:
        model.eval()
        with torch.no_grad():
            _forward(model, clips, work)

    return run


def training(model: nn.Module, clips: Clips, work: Workload) -> Way:
    """Return a function that takes one training step: forward, cross entropy, backward, SGD with momentum."""
    fused = True if isinstance(model, SkeletonClassifier) else None
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, nesterov=True, fused=fused)

    def run() -> None:
        model.train()
        optimizer.zero_grad()
        loss = functional.cross_entropy(_forward(model, clips, work).float(), clips.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return run


def _forward(model: nn.Module, clips: Clips, work: Workload) -> Tensor:
    """Return the logits (N, classes); our models receive the present bodies, as from the loader."""
    slots = {"body_slots": clips.body_slots} if isinstance(model, SkeletonClassifier) else {}
    with torch.autocast(work.device.type, dtype=torch.bfloat16, enabled=work.amp):
        logits: Tensor = model(clips.streams, clips.body_mask, **slots)
    return logits


def _measure_model(name: str, work: Workload, arguments: Namespace, progress: Progress) -> list[dict[str, Any]]:
    """Measure inference and training of a model against its reference, and the cost of absent bodies."""
    torch.manual_seed(arguments.seed)
    ours = create_model(name, CLASSES, work.layout).to(work.device)
    reference = from_fused(ours)
    half = replace(work, amp=True)
    tasks: list[tuple[str, int, dict[str, Way]]] = []
    for batch in sorted({1, work.batch}):
        clips = random_clips(work, batch, work.bodies, work.bodies)
        ways = {"plain": inference(reference, clips, work), "ours": inference(ours, clips, work)}
        tasks.append(("inference", batch, ways))
    clips = random_clips(work, work.batch, work.bodies, work.bodies)
    ways = {
        "plain float32": training(reference, clips, work),
        "ours float32": training(ours, clips, work),
        "ours bfloat16": training(ours, clips, half),
    }
    ways |= {"plain bfloat16": training(reference, clips, half)} if arguments.amp else {}
    tasks.append(("training", work.batch, ways))
    room = {f"room for {bodies}": random_clips(work, work.batch, bodies, present=1) for bodies in (1, 2)}
    ways = {key: training(ours, clips, work) for key, clips in room.items()}
    tasks.append(("one body present", work.batch, ways))
    plan = Turns(arguments.repeats)
    return [
        row
        for task, batch, each in tasks
        for row in _rows({"model": name, "task": task, "clips": batch}, take_turns(each, plan, work.device, progress))
    ]


def _rows(task: Mapping[str, Any], taken: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return a row per way; the others are compared with the first."""
    reference = next(iter(taken.values()))
    rows = []
    for way, times in taken.items():
        figures = spread(times, 1e3)
        speed = {"clips_per_second": 1e3 * task["clips"] / figures["median"], "ratio": ratio(reference, times)}
        rows.append({**task, "way": way, "milliseconds": figures, **speed})
    return rows


# --- memory


def _memory(names: Sequence[str], work: Workload, arguments: Namespace) -> Result:
    rows: list[dict[str, Any]] = []
    for name in names:
        peak = _peak_gib(name, work, arguments.threads, arguments.recompute)
        rows.append({"model": name, "peak_gib": round(peak, 3)})
    title = f"a training step of {work.batch} clips, {work.bodies} bodies, {work.frames} frames"
    table = Table("memory", title, {"model": "{model}", "peak memory, GiB": "{peak_gib:.2f}"}, rows)
    return Result([table], {row["model"]: row["peak_gib"] for row in rows})


def _peak_gib(name: str, work: Workload, threads: int, recompute: bool) -> float:
    """Return the peak memory of a model's training steps, in a process that does nothing else.

    A new process inherits the peak of the one that starts it, so the caller must not have computed anything.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_own_peak_gib, name, work, threads, recompute).result()


def _own_peak_gib(name: str, work: Workload, threads: int, recompute: bool) -> float:
    if threads:
        torch.set_num_threads(threads)
    sizes = {"recompute": True} if recompute else {}
    model = create_model(name, CLASSES, work.layout, **sizes).to(work.device)
    step = training(model, random_clips(work, work.batch, work.bodies, work.bodies), work)
    for _ in range(2):  # the second has the optimizer's state from its start
        step()
    return peak_memory_mib(work.device) / 2**10
