"""What has to be right on a GPU: kernels, graphs, switches, resuming, and steps that never wait.

Every check compares two ways to compute the same, so it needs no figure of another machine.
"""

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch

from last.experiments.run import train
from last.models.classifier import BodyFeatures, SkeletonClassifier
from last.runs.logbook import read_rows
from last.settings.run import RunConfig
from last.utils.progress import Progress

from .content import write_clips
from .gpu_plan import Check, Findings, NotHere, Setting, undisturbed
from .gpu_steps import FORMATS, Steps, Switches, largest_difference, step_config
from .losses import compare_losses, difference
from .steps import benchmark_config

_ROUNDING = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1.6e-2}  # of the largest value: some roundings of the format
_TIMED = {"seconds", "clips_per_second", "data_wait_share", "memory_mib"}  # columns of a logbook
_TESTS = ("tests/models/test_triton_kernels.py", "tests/runtime/test_cuda_graphs.py", "tests/training")


def kernels_are_exact(setting: Setting) -> Findings:
    """Compare every Triton kernel with plain torch in float64."""
    if setting.device.type != "cuda":
        raise NotHere("kernels are interpreted on a CPU by the tests")
    if importlib.util.find_spec("triton") is None:
        raise NotHere("Triton is not installed")
    from .kernel_checks import differences

    found = differences(setting.device)
    wrong = {name: each for name, each in found.items() if each > _ROUNDING[name.rpartition(" ")[2]]}
    line = f"{len(found)} cases, {len(wrong)} beyond the rounding of their format"
    return Findings(line, not wrong, {"differences": found, "wrong": wrong})


def losses_are_those_of_the_formula(setting: Setting) -> Findings:
    """Compare the losses of our steps with those of the plain model, in float64 and float32."""
    steps = 2 if setting.is_quick else 20
    figures = {}
    for model in ("nano_e",) if setting.is_quick else ("nano_e", "base"):
        config = step_config(setting, model, 8, "float32", "model.dropout=0", "model.block_dropout=0")
        losses = compare_losses(config, steps, setting.device, setting.progress)
        figures[model] = {
            "float64": difference(losses["ours, float64"], losses["plain, float64"]),
            "float32, first step": difference(losses["ours, float32"][:1], losses["plain, float32"][:1]),
            "bfloat16, first step": difference(losses["ours, bfloat16"][:1], losses["plain, float32"][:1]),
        }
    bounds = {"float64": 1e-6, "float32, first step": 1e-4, "bfloat16, first step": 2e-2}
    holds = all(each[name] <= bound for each in figures.values() for name, bound in bounds.items())
    text = ", ".join(f"{model} {each['float64']:.1e}" for model, each in figures.items())
    return Findings(f"largest relative difference in float64: {text}", holds, figures)


def recorded_steps_are_equal(setting: Setting) -> Findings:
    """Compare steps replayed as graphs with steps launched kernel by kernel, to the bit."""
    return _compare_with_launched(setting, Switches(recorded=True), missing=False)


def recorded_steps_are_equal_with_missing_joints(setting: Setting) -> Findings:
    """Compare the same where joints are missing."""
    return _compare_with_launched(setting, Switches(recorded=True), missing=True)


def whole_steps_are_equal(setting: Setting) -> Findings:
    """Compare whole steps as graphs with steps launched kernel by kernel; the rate is float32 in the first alone."""
    return _compare_with_launched(setting, Switches(whole=True), missing=False, bound=1e-4)


def failed_recordings_go_on(setting: Setting) -> Findings:
    """Plant a value that is read while a step is recorded, and compare the losses with those of other steps."""
    if setting.device.type != "cuda":
        raise NotHere("nothing is recorded on a CPU")
    config = step_config(setting, "nano_e", 64, "float32")
    figures = {"launched": Steps(config, setting.device, Switches(recorded=False), batches=3).losses(8)}
    for name, switches in {"passes": Switches(), "whole step": Switches(whole=True)}.items():
        planted = Steps(config, setting.device, switches, batches=3)
        model = planted.learner.state.task.model
        assert isinstance(model, SkeletonClassifier)
        model.body_features = _reading_while_recorded(model.body_features)  # type: ignore[method-assign]
        figures[name] = planted.losses(8)
    largest = max(largest_difference(each, figures["launched"]) for each in figures.values())
    return Findings(f"2 times 8 losses differ by at most {largest:.1e}", largest < 1e-4, figures)


def _reading_while_recorded(features: Callable[..., BodyFeatures]) -> Callable[..., BodyFeatures]:
    """Return a function that also reads a value on the host if it is being recorded, which CUDA refuses."""

    def reading(*given: Any, **options: Any) -> BodyFeatures:
        found = features(*given, **options)
        if torch.cuda.is_current_stream_capturing():
            found.features.sum().item()
        return found

    return reading


def _compare_with_launched(setting: Setting, switches: Switches, *, missing: bool, bound: float = 0.0) -> Findings:
    """Compare losses and weights with those of steps launched kernel by kernel, in every format.

    They are to be equal to the bit, or with a `bound` on the relative difference of the losses in float32.
    """
    steps, figures = (2, {}) if setting.is_quick else (12, {})
    for each in FORMATS if setting.device.type == "cuda" else ("float32",):
        config = step_config(setting, "nano_e", 64, each)
        pair = [Steps(config, setting.device, way, batches=3, missing=missing) for way in (Switches(False), switches)]
        launched, other = (one.losses(steps) for one in pair)
        figures[each] = {
            "equal": launched == other and torch.equal(pair[0].weights(), pair[1].weights()),
            "largest_difference": largest_difference(other, launched),
        }
    different = [name for name, each in figures.items() if not each["equal"]]
    largest = max(each["largest_difference"] for each in figures.values())
    text = f"different in {', '.join(different)}, by at most {largest:.1e}" if different else "equal to the bit"
    holds = figures["float32"]["largest_difference"] <= bound if bound else not different
    return Findings(f"{steps} steps each: {text}", holds, figures)


def kernels_on_trial_train_alike(setting: Setting) -> Findings:
    """Compare the losses of steps with kernels on trial with those of steps without, from the same weights."""
    if setting.device.type != "cuda":
        raise NotHere("kernels are interpreted on a CPU by the tests")
    figures = {}
    for each in FORMATS:
        config = step_config(setting, "nano_e", 64, each)
        usual = Steps(config, setting.device, batches=3).losses(12)
        for kernel in ("filter", "joints", "gates"):
            found = Steps(config, setting.device, Switches(kernels=(kernel,)), batches=3).losses(12)
            figures[f"{kernel}, {each}"] = {
                "first": largest_difference(found[:1], usual[:1]),
                "all": largest_difference(found, usual),
            }
    holds = all(each["first"] < (1e-4 if "float32" in name else 2e-2) for name, each in figures.items())
    largest = max(each["all"] for each in figures.values())
    return Findings(f"losses of 12 steps differ by at most {largest:.1e}", holds, figures)


def masked_padding_leaves_no_trace(setting: Setting) -> Findings:
    """Compare the losses of padded batches with those of batches without padding."""
    figures = {}
    changes = ("model.dropout=0", "model.block_dropout=0")  # masks depend on the number of bodies
    steps = 2 if setting.is_quick else 12
    config = step_config(setting, "nano_e", 64, "float32", *changes)
    alone = Steps(config, setting.device).losses(steps)
    for name, masked in (("masked", True), ("repeated", False)):
        found = Steps(config, setting.device, Switches(padding=3, masked=masked)).losses(steps)
        figures[name] = {"first": largest_difference(found[:1], alone[:1]), "all": largest_difference(found, alone)}
    line = f"losses differ by at most {figures['masked']['all']:.1e}; repeated bodies {figures['repeated']['all']:.1e}"
    return Findings(line, figures["masked"]["first"] < 1e-5 and figures["masked"]["all"] < 1e-2, figures)


def steps_never_wait(setting: Setting) -> Findings:
    """Make steps under torch's detector of host waits."""
    steps = 2 if setting.is_quick else 20
    made = Steps(step_config(setting, "nano_e", 64, "bf16"), setting.device, batches=2)
    with made.running():
        for _ in range(steps):  # allocate memory, load kernels, send constants
            made()
        if setting.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(steps):
                made()
        finally:
            if setting.device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
    return Findings(f"{steps} steps in which the host never waits", True)


class _Interrupting(Progress):
    """Send SIGINT to this process after a number of batches."""

    def __init__(self, batches: int) -> None:
        self._left, self._in_epoch = batches, False

    def task(self, description: str, *_: Any, **__: Any) -> Self:
        """Note whether an epoch begins."""
        self._in_epoch = description.startswith("epoch")
        return self

    def advance(self, *_: Any, **__: Any) -> None:
        """Count a batch."""
        self._left -= self._in_epoch
        if self._in_epoch and self._left == 0:
            signal.raise_signal(signal.SIGINT)


def resuming_is_exact(setting: Setting) -> Findings:
    """Compare a run that is stopped within an epoch and resumed with one that is left alone."""
    config = _small_run(setting)
    alone = _rows(undisturbed(train(config)).run.path)
    stopped = train(config, progress=_Interrupting(2))
    if stopped.stopped is None:
        return Findings("the run could not be stopped within an epoch", False)
    resumed = _rows(undisturbed(train(config, resume=str(stopped.run.path))).run.path)
    return Findings(
        f"{len(alone)} epochs, " + ("equal to the bit" if alone == resumed else "different"),
        alone == resumed,
        {"alone": alone, "resumed": resumed},
    )


def balanced_classes_train(setting: Setting) -> Findings:
    """Compare epochs with drawn and with weighted classes on the device with those on the CPU."""
    figures, holds = {}, True
    ways = ("class_sampling=square_root", "class_weights=effective")
    for way in ways[:1] if setting.is_quick else ways:
        here, cpu = (
            _rows(undisturbed(train(_small_run(setting, way, f"device={device}", epochs=1))).run.path)[0]["train_loss"]
            for device in (setting.device.type, "cpu")
        )
        figures[way] = {"device": here, "cpu": cpu}
        holds &= abs(here - cpu) <= 2e-2 * abs(cpu)
    return Findings(", ".join(f"{way}: {each['device']:.4f}" for way, each in figures.items()), holds, figures)


def _small_run(setting: Setting, *overrides: str, epochs: int = 2) -> RunConfig:
    """Return the configuration of a short run over made-up clips, which are written once."""
    root = setting.work / "small"
    sizes = (12, 4) if setting.is_quick else (1024, 64)
    if not root.exists():
        write_clips(root, *sizes, seed=0)
    return benchmark_config(
        "nano_e",
        overrides=overrides,
        epochs=epochs,
        batch_size=4 if setting.is_quick else 32,
        input_frames=8 if setting.is_quick else 32,
        device=setting.device.type,
        data_root=str(root),
        output_root=str(setting.work / "runs"),
    )


def _rows(run: Path) -> list[Mapping[str, Any]]:
    """Return a run's logbook without times, and without what was not measured."""
    rows = read_rows(run / "metrics.jsonl")
    return [{key: value for key, value in row.items() if key not in _TIMED and value == value} for row in rows]


def tests_of_the_repository_pass(setting: Setting) -> Findings:
    """Run the tests that need a GPU."""
    if setting.device.type != "cuda" or importlib.util.find_spec("pytest") is None:
        raise NotHere("needs a GPU and pytest")
    repository = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "pytest", "-q", "-W", "default", "-m", "gpu", "-p", "no:cacheprovider", *_TESTS]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=3600 * setting.hours_left)
    last = (done.stdout.strip().splitlines() or ["no output"])[-1]
    return Findings(last, done.returncode == 0, {"output": done.stdout[-4000:], "code": done.returncode})


CHECKS = [
    Check("kernels in float64", 40, kernels_are_exact),
    Check("losses compared with the plain form", 60, losses_are_those_of_the_formula),
    Check("recorded steps", 60, recorded_steps_are_equal),
    Check("missing joints in recorded steps", 60, recorded_steps_are_equal_with_missing_joints),
    Check("masked padding", 20, masked_padding_leaves_no_trace),
    Check("kernels on trial", 60, kernels_on_trial_train_alike),
    Check("whole steps as graphs", 60, whole_steps_are_equal),
    Check("steps that never wait", 15, steps_never_wait),
    Check("exact resume", 40, resuming_is_exact),
    Check("class balance and weighted losses", 40, balanced_classes_train),
    Check("recordings that fail", 40, failed_recordings_go_on),
    Check("tests that need a GPU", 150, tests_of_the_repository_pass),
]
