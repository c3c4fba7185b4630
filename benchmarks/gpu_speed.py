"""How fast a GPU is: single steps with every switch, whole epochs, and the other parts of the suite on it."""

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from .gpu_plan import Check, Findings, NotHere, Setting
from .gpu_steps import Steps, Switches, step_config
from .kernel_time import KernelTimes, kernel_times
from .options import add_part
from .parts import TEST_CLIPS, TRAIN_CLIPS
from .report import Report
from .suite import run_part

_WAYS = {
    "as by default": Switches(),
    "filter on trial": Switches(kernels=("filter",)),
    "joints on trial": Switches(kernels=("joints",)),
    "gates on trial": Switches(kernels=("gates",)),
    "subsets on trial": Switches(kernels=("subsets",)),
    "padding": Switches(padding=1, masked=False),
    "masked padding": Switches(padding=1),
    "one graph a step": Switches(whole=True),
    "launched one by one": Switches(recorded=False),
}
_EPOCHS = 70  # of a whole training
_PADDED = 32  # clips for one body of padding


def step_times(setting: Setting, model: str, batch: int, number_format: str) -> Findings:
    """Time a training step in every way, and sum its kernels."""
    figures: dict[str, Any] = {}
    lines = []
    for name, switches in _WAYS.items():
        if "subsets" in switches.kernels and model.endswith("_e"):
            continue  # those of LAST-v2
        found = _times(setting, model, batch, number_format, switches)
        figures[name] = found.values()
        lines.append(f"{name} {_shown(found)}")
    return Findings("; ".join(lines), figures=figures)


def _times(setting: Setting, model: str, batch: int, number_format: str, switches: Switches) -> KernelTimes:
    padding = switches.padding * max(1, batch // _PADDED)
    config = step_config(setting, model, batch, number_format)
    steps = Steps(config, setting.device, replace(switches, padding=padding))
    counts = {"warmup": 1, "runs": 1, "profiled": 1} if setting.is_quick else {}
    with steps.running():
        return kernel_times(steps, setting.device, **counts)


def _shown(found: KernelTimes) -> str:
    busy = "" if found.busy_percent is None else f" (kernels {found.kernel_ms:.1f} ms, {found.busy_percent:.0f}%)"
    return f"{found.wall_ms:.1f} ms{busy}"


def whole_epochs(setting: Setting, model: str, epochs: int, *options: str) -> Findings:
    """Train some epochs over a set of NTU RGB+D 60's size, and extrapolate them to a whole training."""
    sizes = () if setting.is_quick else ("--clips", str(TRAIN_CLIPS), "--test", str(TEST_CLIPS))
    model = "nano_e" if setting.is_quick else model
    count = str(2 if setting.is_quick else epochs)
    folder = str(setting.work / "epochs")
    report = _part(setting, "epochs", "--model", model, "--epochs", count, "--work", folder, *sizes, *options)
    summary = dict(report.result.summary)
    first, *others = summary["every_epoch_seconds"]
    later = sum(others) / len(others) if others else first
    summary["seconds_of_70_epochs"] = first + (_EPOCHS - 1) * later
    line = f"70 epochs would take {summary['seconds_of_70_epochs']:,.0f} s: {later:.2f} s each, the first {first:.1f} s"
    busy = summary["gpu_busy_percent"]
    return Findings(line if busy is None else f"{line}; kernels {busy:.0f}% of a step", figures=summary)


def tensor_float_32(setting: Setting) -> Findings:
    """Time a step in float32 with and without TF32 products."""
    if setting.device.type != "cuda":
        raise NotHere("TF32 is of GPUs")
    before = torch.get_float32_matmul_precision()
    figures = {}
    try:
        for precision in ("highest", "high"):
            torch.set_float32_matmul_precision(precision)
            figures[precision] = _times(setting, "nano_e", 1024, "float32", Switches()).values()
    finally:
        torch.set_float32_matmul_precision(before)
    line = f"{figures['highest']['wall_ms']:.1f} ms without TF32, {figures['high']['wall_ms']:.1f} ms with it"
    return Findings(line, figures=figures)


def other_part(setting: Setting, name: str, shown: Callable[[Mapping[str, Any]], str], *options: str) -> Findings:
    """Measure another part of the suite on this device."""
    report = _part(setting, name, *options)
    return Findings(shown(report.result.summary), figures=report.values())


def _part(setting: Setting, name: str, *options: str) -> Report:
    """Run a part of the suite with these options, on the device of the setting."""
    parser = ArgumentParser()
    add_part(name, parser, quick=setting.is_quick)
    given = () if setting.is_quick and name != "epochs" else options
    arguments = parser.parse_args([*given, "--device", setting.device.type, "--seed", str(setting.arguments.seed)])
    return run_part(name, arguments, setting.progress)


def _guards(summary: Mapping[str, Any]) -> str:
    return f"the guard takes {summary['guard_percent']:+.1f}% of a step"


def _zoo(summary: Mapping[str, Any]) -> str:
    return f"times as fast as the plain reference: {summary['training_times_as_fast']}"


def _least(summary: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {times:.1f}" for name, times in summary["times_the_least"].items()) + " times the least"


def _distilling(summary: Mapping[str, Any]) -> str:
    return (
        f"a step takes {summary['live_times_plain']:.2f} times a plain one with a live teacher, "
        f"{summary['cached_times_plain']:.2f} with a cache"
    )


def _testing(summary: Mapping[str, Any]) -> str:
    return f"testing is {summary['times_as_fast_as_training']:.1f} times as fast as training"


CHECKS = [
    Check("step of nano_e", 45, partial(step_times, model="nano_e", batch=1024, number_format="bf16")),
    Check("step of base_e", 45, partial(step_times, model="base_e", batch=1024, number_format="bf16")),
    Check("seventy epochs of nano_e", 45, partial(whole_epochs, model="nano_e", epochs=6)),
    Check("seventy epochs of base_e", 40, partial(whole_epochs, model="base_e", epochs=4)),
    Check("step of base", 60, partial(step_times, model="base", batch=128, number_format="bf16")),
    Check("step of 16 clips", 30, partial(step_times, model="nano_e", batch=16, number_format="float32")),
    Check("step in float32, and TF32", 30, tensor_float_32),
    Check(
        "overhead of guards",
        30,
        lambda setting: other_part(setting, "guards", _guards, "--batch", "128"),
    ),
    Check(
        "seventy epochs of base",
        75,
        lambda setting: whole_epochs(setting, "base", 2, "--batch", "4" if setting.is_quick else "128"),
    ),
    Check(
        "speed of the zoo",
        60,
        lambda setting: other_part(setting, "training", _zoo, "--models", "nano_e,base_e", "--batch", "64"),
    ),
    Check(
        "cost of distillation",
        60,
        lambda setting: other_part(setting, "distillation", _distilling, "--teacher", "base", "--batch", "128"),
    ),
    Check(
        "a test that waits once",
        45,
        lambda setting: other_part(
            setting, "evaluation", _testing, "--batch", "512", "--clips", "16384", "--test", "8192"
        ),
    ),
    Check("limits of the machine", 30, lambda setting: other_part(setting, "roofline", _least, "--batch", "512")),
]
