"""Non-finite values, injected into clips, activations and gradients of short trainings in this process."""

import contextlib
import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from faults_runs import CLASSES, Setup, arguments, finished_run, moving_clips
from torch import Tensor, nn

from last.cli import main
from last.data.store.format import StoreMetadata, pack
from last.data.store.writer import StoreWriter
from last.models.registry import build_model
from last.runs.checkpoint import Checkpoint, read_checkpoint
from last.skeleton import load_layout
from last.training import classification
from last.training.step import TrainingStep
from last.utils.files import read_json

_SETTINGS = ("checkpoint.every_minutes=0", "ema.decay=0.5")
_BAD_CLIPS = (3, 16)  # of the 24 that are trained on
_FAULTY_SHARE = 0.2  # of the steps


@dataclass
class Injection:
    """Result of one training with injected values.

    Attributes:
        fault: which values were injected where.
        cause: the name under which its skips should be counted.
        injected: the number of batches with injected values.
        counted: the skips by cause.
        code: the exit code.
        problems: deviations from the promised behaviour.
        named: the names in `divergence.json`, if the run gave up.
    """

    fault: str
    cause: str
    injected: int = 0
    counted: dict[str, int] = field(default_factory=dict)
    code: int = 0
    problems: list[str] = field(default_factory=list)
    named: str = ""


def inject_everywhere(folder: Path, seed: int, log: Callable[[str], None]) -> list[Injection]:
    """Train with every kind of injected values and return the results."""
    torch.set_num_threads(1)
    results = [
        *(
            _bad_clips(folder / f"clips-{value}-{model}", model, value)
            for value in (float("nan"), float("inf"))
            for model in ("nano_e", "small")
        ),
        *(_bad_layer(folder / f"losses-{each}", "losses", each, seed) for each in ("reset", "restore")),
        _bad_layer(folder / "gradients", "gradients", "reset", seed),
        _only_bad_clips(folder / "only-clips"),
        *(_only_bad_layer(folder / f"only-{cause}", cause) for cause in ("losses", "gradients")),
    ]
    for result in results:
        verdict = "as promised" if not result.problems else f"NOT AS PROMISED: {result.problems[:3]}"
        log(f"{result.fault}: {result.injected} batches, exit code {result.code}: {verdict}")
    return results


def _bad_clips(folder: Path, model: str, value: float) -> Injection:
    """Train on a store in which some clips have `value`: their batches must have no effect."""
    result = Injection(f"{value} in two clips of 24, {_family(model)}", "inputs")
    with _watching_bad_batches(result):
        _train(result, folder, model, _store(folder, _BAD_CLIPS, value))
    _expect_finished(result, folder)
    return result


def _bad_layer(folder: Path, cause: str, recovery: str, seed: int) -> Injection:
    """Train while a layer's output, or the gradient through it, is NaN in some steps."""
    where = "activations" if cause == "losses" else "gradients"
    result = Injection(f"NaN in {where}, bn_recovery {recovery}", cause)
    choice = random.Random(f"{seed}-{cause}")
    # The passes that measure statistics for a test make no step; a fault in those does not count.
    with _corrupting(result, cause, lambda learns: learns and choice.random() < _FAULTY_SHARE):
        _train(result, folder, "nano_e", _store(folder, (), 0.0), f"nan_guard.bn_recovery={recovery}")
    _expect_finished(result, folder)
    return result


def _only_bad_clips(folder: Path) -> Injection:
    """Train where every clip is bad: the run must give up and name the clips."""
    result = Injection("NaN in all clips", "inputs")
    with _watching_bad_batches(result):
        _train(result, folder, "nano_e", _store(folder, range(24), float("nan")))
    _expect_divergence(result, folder, "clips_with_bad_values")
    return result


def _only_bad_layer(folder: Path, cause: str) -> Injection:
    """Train where a layer is always bad: the run must give up and name the clips and, for activations, the layer."""
    result = Injection(f"NaN in all {'activations' if cause == 'losses' else 'gradients'}", cause)
    with _corrupting(result, cause, lambda _: True):
        _train(result, folder, "nano_e", _store(folder, (), 0.0))
    _expect_divergence(result, folder, "activations" if cause == "losses" else "")
    return result


def _family(model: str) -> str:
    return "LAST-E" if model.endswith("_e") else "LAST-v2"


def _store(folder: Path, bad: Sequence[int], value: float) -> Path:
    """Write a data set whose clips with the indices `bad` have `value` in one joint; return its data YAML."""
    with StoreWriter(folder / "data" / "tiny", StoreMetadata("tiny", load_layout("ntu25"), CLASSES, {})) as writer:
        for number, clip in enumerate(moving_clips()):
            rows = pack([clip], load_layout("ntu25"))  # a finite clip: `pack` refuses others, as `preprocess` does
            if number in bad:
                rows.joints[:, 7, 1] = np.float32(value)
            writer.append(rows)
    text = f"data: {{name: tiny, classes: {CLASSES}, split: xsub, protocols: {{xsub: {{by: subject, train: [1]}}}}}}"
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _train(result: Injection, folder: Path, model: str, data: Path, *settings: str) -> None:
    heads = ("model.heads=2",) if model == "small" else ()
    setup = Setup("numbers", model, (*_SETTINGS, *heads, *settings))
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        result.code = main(arguments(setup, data, folder / "runs"))
    if result.code == 1:
        result.problems.append(output.getvalue()[-1000:])


@contextmanager
def _watching_bad_batches(result: Injection) -> Iterator[None]:
    """Count the steps with bad clips, and record whether one changed weights, momentum, average or statistics."""
    original = TrainingStep.__call__

    def watched(step: TrainingStep, streams: Mapping[str, Tensor], *arguments: Any, **options: Any) -> None:
        bad = not all(bool(stream.isfinite().all()) for stream in streams.values())
        before = deepcopy(_state_tensors(step)) if bad else {}
        original(step, streams, *arguments, **options)
        if bad:
            result.injected += 1
            changed = [name for name, value in _state_tensors(step).items() if not _same(before[name], value)]
            result.problems += [f"a bad batch changed {name}" for name in changed]

    with mock.patch.object(TrainingStep, "__call__", watched):
        yield


def _state_tensors(step: TrainingStep) -> dict[str, Tensor]:
    """Return all tensors that a step may change, by name; absent momentum counts as zeros."""
    found = dict(step.state.task.model.state_dict())
    for name, parameter in step.state.task.model.named_parameters():
        momentum = step.state.optimizer.state.get(parameter, {}).get("momentum_buffer")
        found[f"momentum of {name}"] = torch.zeros_like(parameter) if momentum is None else momentum
    average = {} if step.state.average is None else step.state.average.state()
    return found | {f"average of {name}": value for name, value in average.items()}


def _same(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first.detach(), second.detach())


@contextmanager
def _corrupting(result: Injection, cause: str, now: Callable[[bool], bool]) -> Iterator[None]:
    """Make the first block of every model that is built corrupt its output, or the gradient through it.

    It is a block and not a BatchNorm: functions compute those where that is faster, without calling their hooks.

    Args:
        result: the result that counts the corrupted batches.
        cause: `losses` for the output, `gradients` for the gradient.
        now: returns whether to corrupt a forward pass in training; its argument is whether gradients are computed.
    """

    def corrupt(module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        learns = torch.is_grad_enabled()  # unlike in the forward pass that searches for the layer that diverged
        if not module.training or not now(learns):
            return output
        result.injected += learns
        if cause == "losses":
            return output * float("nan")
        if not learns:
            return output
        output.register_hook(lambda gradient: gradient * float("nan"))  # type: ignore[no-untyped-call]
        return output

    def build(*arguments: Any) -> nn.Module:
        model = build_model(*arguments)
        model.get_submodule("blocks.0").register_forward_hook(corrupt)
        return model

    with mock.patch.object(classification, "build_model", build):
        yield


def _expect_finished(result: Injection, folder: Path) -> None:
    """Record the problems of a run that must have finished, with finite values and its skips counted by cause."""
    if result.code:
        result.problems.append(f"exit code {result.code} instead of 0")
        return
    run = finished_run(folder / "runs")
    result.counted = dict(read_json(run.summary)["skipped_by_cause"])
    expected = {name: result.injected if name == result.cause else 0 for name in result.counted}
    if result.counted != expected or not result.injected:
        result.problems.append(f"{result.injected} bad batches were counted as {result.counted}")
    for path in run.all_checkpoints():
        bad = [name for name, each in _tensors(read_checkpoint(path)) if not bool(torch.isfinite(each).all())]
        result.problems += [f"{path.name} has non-finite values in {name}" for name in bad]


def _expect_divergence(result: Injection, folder: Path, where: str) -> None:
    """Record the problems of a run that must have given up and reported the cause."""
    if result.code != 3:
        result.problems.append(f"exit code {result.code} instead of 3")
    reports = list((folder / "runs").glob("run-*/divergence.json"))
    if len(reports) != 1:
        result.problems.append(f"{len(reports)} files divergence.json")
        return
    report = read_json(reports[0])
    causes = {batch["cause"] for batch in report["batches"] if batch["clips"]}
    if len(causes) != 1 or len(report["batches"]) < result.injected - 1:
        result.problems.append(f"divergence.json lists {len(report['batches'])} batches for {causes}")
    found = report[where] if where else {"not_finite": []}
    named = found if isinstance(found, list) else found["not_finite"]
    if where and not named:
        result.problems.append(f"divergence.json names nothing in {where}")
    what = "clips" if where == "clips_with_bad_values" else f"batches with their clips, {len(named)} layers"
    result.named = f"{len(named) if where == 'clips_with_bad_values' else len(report['batches'])} {what}"
    if report["parameters"]["not_finite"]:
        result.problems.append("parameters are not finite")


def _tensors(checkpoint: Checkpoint) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a checkpoint that a bad batch could have reached."""
    yield from checkpoint.model.items()
    yield from checkpoint.ema.items()
    yield from checkpoint.window.items()
    for number, state in checkpoint.optimizer["state"].items():
        yield from ((f"momentum {number}", each) for each in state.values() if isinstance(each, Tensor))
