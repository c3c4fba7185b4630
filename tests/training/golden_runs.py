"""Tiny trainings whose loss in every step is recorded, made so that processors agree on them to the tenth digit.

Weights and streams are a formula of whole numbers, all is float64: neither torch's initialisation nor the data path is
involved, which both round in float32, differently on each kind of processor. `python golden_runs.py
CASE ...` prints their losses.

Legend: N clips, M bodies, C coordinates, T frames, V joints.
"""

import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from last.data.loading.loader import Batch
from last.distillation.task import Distillation
from last.distillation.teachers import LiveTeachers, Teacher
from last.models.last_e import LastEConfig
from last.models.last_v2 import LastV2Config
from last.models.multi_body import STREAMS, present_body_slots
from last.models.registry import build_model
from last.runtime.distributed import ALONE
from last.settings.distillation import DistillationConfig
from last.settings.model import ModelConfig
from last.settings.run import EmaConfig, NanGuardConfig, RunConfig
from last.skeleton import load_layout
from last.training.classification import Classification
from last.training.epoch_metrics import EpochMetrics
from last.training.guard import BatchId
from last.training.step import LocalBatch, TrainingStep, seed_step
from last.training.train_state import TrainState

Filled = TypeVar("Filled", bound=nn.Module)

CPU = torch.device("cpu")
LAYOUT, CLASSES, FRAMES, BODIES, CLIPS = "ntu25", 3, 8, 2, 10
BATCHES = (4, 4, 2)  # clips: powers of two, so that no mean over accumulated batches is rounded

_SIZES: dict[str, Any] = {"blocks": [1, 1, 1], "kernel_frames": 5, "block_dropout": 0.0, "dropout": 0.0}
_E: dict[str, Any] = {**_SIZES, "name": "nano_e", "attention": [False, True, True]}
_V2: dict[str, Any] = {
    **_SIZES,
    "name": "small",
    "temporal": ["convolution", "attention", "attention"],
    "heads": 2,
    "similarity_reduction": 2,
}
LAST_E = LastEConfig(**_E, channels=[4, 6, 8])
LAST_V2 = LastV2Config(**_V2, channels=[4, 4, 6])
TEACHERS: list[ModelConfig] = [LastEConfig(**_E, channels=[6, 6, 10]), LastV2Config(**_V2, channels=[4, 4, 4])]
RUN = RunConfig(
    epochs=3,
    batch_size=4,
    input_frames=FRAMES,
    learning_rate=0.05,
    min_learning_rate=0.001,
    weight_decay=0.01,
    grad_clip=2.0,
    device="cpu",
    seed=3,
    model=LAST_E,
)


@dataclass(frozen=True)
class Case:
    """Differences of a run from `RUN`.

    Attributes:
        model: the network.
        changes: fields of the configuration.
        faults: the fault in the batches of some steps, one of `guard.CAUSES`.
        labelled: the number of clips whose label is known.
    """

    model: ModelConfig
    changes: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[int, str] = field(default_factory=dict)
    labelled: int = CLIPS


def _distilled(method: str, **how: Any) -> dict[str, Any]:
    course = {"alpha": 0.25, "alpha_end": 0.75, "tau": 4.0, "tau_end": 1.0}
    return {"distillation": DistillationConfig(weights=[3.0, 1.0], teachers=["", ""], method=method, **course, **how)}


_FAULTS = {1: "inputs", 4: "losses", 6: "gradients"}
_RESTORE = NanGuardConfig(bn_recovery="restore")
_ALL: dict[str, Any] = {"gradient_accumulation_steps": 2, "ema": EmaConfig(0.5)}
CASES = {
    "last_e": Case(LAST_E),
    "last_v2": Case(LAST_V2),
    "last_e with dropout": Case(replace(LAST_E, block_dropout=0.25, dropout=0.25)),
    "last_v2 with dropout": Case(replace(LAST_V2, block_dropout=0.25, dropout=0.25)),
    "last_e without nesterov, clipping and smoothing": Case(
        LAST_E, {"nesterov": False, "grad_clip": 0.0, "label_smoothing": 0.0}
    ),
    "last_v2 recomputed": Case(replace(LAST_V2, recompute=True, block_dropout=0.25)),
    "guard": Case(LAST_E, {}, _FAULTS),
    "guard that restores": Case(LAST_V2, {"nan_guard": _RESTORE}, _FAULTS),
    "accumulation": Case(LAST_E, {"gradient_accumulation_steps": 2}),
    "accumulation with guard": Case(LAST_V2, {"gradient_accumulation_steps": 2}, _FAULTS),
    "average": Case(LAST_E, {"ema": EmaConfig(0.5)}),
    "average with guard and accumulation": Case(LAST_V2, _ALL, _FAULTS),
    "distilled by kl": Case(LAST_E, _distilled("kl")),
    "distilled by dkd": Case(LAST_E, _distilled("dkd")),
    "distilled by features": Case(LAST_E, _distilled("features")),
    "distilled by attention": Case(LAST_E, _distilled("attention")),
    "distilled with few labels": Case(LAST_V2, _distilled("kl", unlabelled=True), {}, labelled=5),
    "distilled with everything": Case(LAST_E, {**_distilled("features"), **_ALL}, _FAULTS),
}


@contextmanager
def float64() -> Iterator[None]:
    """Make float64 torch's default while the block runs."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def run(case: Case) -> dict[str, list[float]]:
    """Return the loss of each step, and the one in evaluation after each epoch.

    The latter is of the averaged weights, where there are any. It has to be called where float64 is torch's default.
    """
    config = replace(RUN, model=case.model, **case.changes)
    task = _task(config, case)
    state = TrainState(config, task, CPU, ALONE)
    step = TrainingStep(state)
    losses: list[float] = []
    tested: list[float] = []
    task.register_forward_hook(lambda _task, _arguments, output: losses.append(output.loss.item()))
    held_out = batch_of(range(4))
    for epoch in range(config.epochs):
        task.begin_epoch(epoch)
        clips = 0
        for number, size in enumerate(BATCHES):
            seed_step(config.seed, epoch, clips, rank=0)
            batch = batch_of([(7 * epoch + 3 * (clips + each)) % CLIPS for each in range(size)])
            clips += size
            closes = (number + 1) % config.gradient_accumulation_steps == 0 or clips == CLIPS
            with _fault(case.faults.get(len(losses), ""), task, streams_of(batch.indices)) as streams:
                step(
                    streams,
                    batch,
                    LocalBatch(size, size),
                    closes=closes,
                    metrics=EpochMetrics(CPU, terms=len(task.terms)),
                )
            step.note(BatchId(batch.indices, batch.rng_keys))
            state.guard.read()
        state.schedule.step()
        tested.append(_tested(state, held_out))
    return {"losses": losses, "tested": tested}


def runs(names: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Return the losses of cases."""
    with float64():
        return {name: run(CASES[name]) for name in names}


def formula_model(config: ModelConfig) -> nn.Module:
    """Return a model in float64 whose weights and running statistics are a formula."""
    return _filled(build_model(config, CLASSES, LAYOUT).double())


def batch_of(indices: Sequence[int]) -> Batch:
    """Return a batch of some of the clips. Every second clip has one body: alternately the first and the second."""
    clips = torch.tensor(indices)
    frame_mask = torch.ones(len(clips), BODIES, FRAMES, dtype=torch.bool)
    frame_mask[clips % 4 == 1, 1] = False
    frame_mask[clips % 4 == 3, 0] = False
    frame_mask[clips % 3 == 2, :, 6:] = False  # and some end early
    joints = torch.zeros(len(clips), 3, FRAMES, load_layout(LAYOUT).num_joints, BODIES)
    return Batch(
        joints,
        frame_mask,
        present_body_slots(frame_mask.any(dim=2)),
        labels=clips % CLASSES,
        indices=clips,
        rng_keys=clips,
    )


def streams_of(indices: Tensor) -> dict[str, Tensor]:
    """Return the streams (N, C, T, V, M) of clips; absent bodies hold numbers like the others."""
    return {name: torch.stack([_stream(name, int(each)) for each in indices]) for name in STREAMS}


@cache
def _stream(name: str, number: int) -> Tensor:
    """Return a stream of a clip, (C, T, V, M): noise around a position and a course that depend on the class."""
    noise = numbers_like(f"{name} of {number}", (3, FRAMES, load_layout(LAYOUT).num_joints, BODIES))
    course = torch.arange(FRAMES, dtype=torch.float64)[:, None, None] * (number % CLASSES - 1) / 4
    scale = {"joint": 1.0, "velocity": 0.25, "bone": 0.5}[name]
    return scale * (noise + torch.stack([course, course.flip(0), torch.zeros_like(course)]))


def _task(config: RunConfig, case: Case) -> Classification:
    model = formula_model(config.model)
    if not config.distillation.teachers:
        return Classification(model, config.label_smoothing).train()
    teachers = [
        Teacher("", "", replace(RUN, model=each), formula_model(each).eval().requires_grad_(False), 0.0)
        for each in TEACHERS
    ]
    known = torch.arange(CLIPS) < case.labelled if config.distillation.unlabelled else None
    source = LiveTeachers(teachers, config.distillation.method, CPU)
    task = Distillation(model, config, source, teachers, known=known, known_share=case.labelled / CLIPS)
    return _filled(task.double()).train()


def _filled(module: Filled) -> Filled:
    """Give every parameter and running statistic of a module its number by its name; nothing stays zero."""
    for name, values in module.state_dict().items():
        if not values.is_floating_point():
            continue
        numbers = numbers_like(name.removeprefix("model."), tuple(values.shape))
        if name.endswith("running_var"):
            numbers = 1 + numbers / 2
        elif name.endswith("weight") and values.dim() == 1:
            numbers = 1 + numbers / 4
        elif name.endswith("weight"):
            numbers = numbers * (3 * len(values) / values.numel()) ** 0.5
        else:
            numbers = numbers / (8 if name.endswith("A_learned") else 4)
        values.copy_(numbers)
    return module


def numbers_like(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return numbers between -1 and 1 that look random: a hash of the name and of each one's index."""
    mixed = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint32) * np.uint32(2654435761)
    mixed += np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 2246822507), (13, 3266489909), (16, 1)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return torch.from_numpy(mixed.astype(np.float64) / 2**31 - 1).view(shape)


@contextmanager
def _fault(cause: str, task: Classification, streams: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Give a step a fault: NaN, numbers too large to square, or a NaN gradient."""
    if cause == "inputs":
        streams["bone"][0, 1, 2, 3, 0] = torch.nan
    elif cause == "losses":
        streams["joint"][:] *= 1e200
    hook = task.model.classifier.weight.register_hook(lambda grad: grad * (torch.nan if cause == "gradients" else 1))
    yield streams
    hook.remove()


@torch.no_grad()
def _tested(state: TrainState, batch: Batch) -> float:
    """Return the cross-entropy in evaluation, where absent bodies are computed too and then masked."""
    with nullcontext() if state.average is None else state.average.applied():
        logits = state.task.model.eval()(streams_of(batch.indices), batch.bodies)
    state.task.train()
    return state.task.cross_entropy(logits, batch.labels).item()


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps({"processor": torch.backends.cpu.get_cpu_capability(), "runs": runs(sys.argv[1:])}))
