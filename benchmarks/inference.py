"""Latency of one clip from joints to logits on the CPU, through every path.

All paths have the same weights and read the same clip. They run alternately, each several times in succession, so that
other load slows all of them and each has its own data in the caches, as in a program that does nothing else.
"""

import tempfile
import warnings
from argparse import Namespace
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from last.data.loading.streams import derive_streams
from last.deploy.backends import check_installed, open_exported
from last.deploy.backends.openvino import convert
from last.deploy.network import network_of
from last.deploy.onnx_graph import write_onnx
from last.models.plain import from_fused
from last.models.registry import create_model
from last.settings.data import DataConfig, SamplingConfig
from last.skeleton import load_layout
from last.utils.numbers import counted
from last.utils.progress import Progress

from .measure import CLASSES, Turns, ratio, spread, take_turns
from .report import Result, Table
from .startup import COLUMNS as STARTS
from .startup import measure_starts
from .training import chosen_models

_LAYOUT = "ntu25"
_WEIGHTS = "weights.pth"
_PACKAGES = ("onnx", "onnxscript", "onnxruntime", "openvino")
_WARMUP_RUNS = 3  # in every turn
_PAUSE_S = 0.02  # until the threads of the path before sleep
_COLUMNS = {
    "model": "{model}",
    "path": "{path}",
    "ms": "{milliseconds[median]:.3f}",
    "least": "{milliseconds[least]:.3f}",
    "p90": "{milliseconds[p90]:.3f}",
    "times as fast": "{ratio:.2f}",
    "logits differ by": "{difference:.1e}",
}
Logits = Callable[[], NDArray[np.float32]]


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Measure every path through every model.

    Raises:
        UserError: a package of the extra `deploy` is missing.
    """
    names = chosen_models(arguments.models)
    check_installed(_PACKAGES)
    rows, starts = [], []
    for name in names:
        own_rows, own_starts = _measure_model(name, arguments, progress)
        rows += own_rows
        starts += own_starts
    title = f"one clip, one body, {arguments.frames} frames, {_LAYOUT}, {counted(torch.get_num_threads(), 'thread')}"
    best = {
        name: min(row["milliseconds"]["median"] for row in rows if row["model"] == name and row["precision"] == "f32")
        for name in names
    }
    summary = {"fastest_ms": best, "versions": {package: version(package) for package in _PACKAGES}}
    tables = [Table("rows", title, _COLUMNS, rows), Table("starts", "in a new process", STARTS, starts)]
    return Result(tables, summary, ["Times as fast as the plain path.", "Starts are medians of new processes."])


class FromJoints(nn.Module):
    """Derive the streams of one body that is always present, and run a model on them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, joints: Tensor) -> Tensor:
        """(1, 3, T, V, 1) -> (1, classes)."""
        valid = torch.ones(1, 1, joints.shape[2], dtype=torch.bool)
        logits: Tensor = self.model(derive_streams(joints, valid, load_layout(_LAYOUT)), valid.any(dim=2))
        return logits


class _Logits(nn.Module):
    """Keep the second of several outputs, the logits."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, joints: Tensor) -> Tensor:
        logits: Tensor = self.module(joints)[1]
        return logits


class CoreAlone(nn.Module):
    """Classify clips of T frames in which every joint was measured, by the core of an exported network."""

    def __init__(self, core: nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(self, joints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, T, V, 1) -> the outputs of an exported file."""
        logits, features = self.core(joints, torch.ones_like(joints[:, 0], dtype=torch.bool).permute(0, 3, 1, 2))
        return logits.softmax(dim=1), logits, features


def _measure_model(
    name: str, arguments: Namespace, progress: Progress
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of a model's paths, and those of programs that start with it."""
    torch.manual_seed(arguments.seed)
    layout = load_layout(_LAYOUT)
    joints = torch.randn(1, 3, arguments.frames, layout.num_joints, 1)
    joints[:, :, 0, layout.center] = 0.0  # a file centres its recordings
    plan = Turns(arguments.turns, warmup_turns=0, runs=arguments.runs, warmup_runs=_WARMUP_RUNS, pause_s=_PAUSE_S)
    with tempfile.TemporaryDirectory() as folder:
        ways = _paths(name, Path(folder), joints, arguments.precision)
        expected = ways["plain"]()
        differences = {path: float(abs(run() - expected).max()) for path, run in ways.items()}
        taken = take_turns(ways, plan, torch.device("cpu"), progress)
        files = {"file, ONNX Runtime": Path(folder, "file.onnx"), "file, OpenVINO": Path(folder, "file.xml")}
        recording = joints.permute(0, 4, 2, 3, 1).contiguous().numpy()
        starts = measure_starts(name, files, Path(folder, _WEIGHTS), recording, (CLASSES, _LAYOUT))
    rows = [
        {
            "model": name,
            "path": path,
            "precision": arguments.precision if path.endswith(arguments.precision) else "f32",
            "milliseconds": spread(times, 1e3),
            "ratio": ratio(taken["plain"], times),
            "difference": differences[path],
        }
        for path, times in taken.items()
    ]
    return rows, starts


def _paths(name: str, folder: Path, joints: Tensor, precision: str) -> dict[str, Logits]:
    """Return every way to run a model on `joints`, by its name."""
    model: Any = create_model(name, CLASSES, _LAYOUT).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    torch.save(model.state_dict(), folder / _WEIGHTS)
    config = DataConfig(layout=_LAYOUT, sampling=SamplingConfig(test_crop=1.0), bodies=1)
    network = network_of(model, config, joints.shape[2])
    core, facts = CoreAlone(network.core).eval(), {"model": name}
    modules = {"plain": FromJoints(from_fused(model)).eval(), "eager": FromJoints(model).eval()}
    clip, recording = joints.numpy(), joints.permute(0, 4, 2, 3, 1).contiguous()
    ways: dict[str, Logits] = {key: _through_torch(module, joints) for key, module in modules.items()}
    ways["folded"] = _through_torch(_Logits(core), joints)
    for key in ("plain", "eager"):
        ways[f"{key}, OpenVINO"] = _compiled(_converted(modules[key], folder / f"{key}.xml", joints), clip)
    write_onnx(folder / "core.onnx", core, joints.expand(2, -1, -1, -1, -1), facts, {0: "clips"})
    write_onnx(folder / "file.onnx", network, recording.expand(2, -1, -1, -1, -1), facts)
    for key, given in (("core", clip), ("file", recording.numpy())):
        written = folder / f"{key}.onnx"
        convert(written, written.with_suffix(".xml"), facts)
        ways[f"{key}, ONNX Runtime"] = _opened(written, given)
        ways[f"{key}, OpenVINO"] = _opened(written.with_suffix(".xml"), given)
    if precision != "f32":
        ways[f"file, OpenVINO {precision}"] = _opened(folder / "file.xml", recording.numpy(), precision)
    return ways


def _through_torch(module: nn.Module, joints: Tensor) -> Logits:
    def run() -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: Tensor = module(joints)
        array: NDArray[np.float32] = logits.numpy()
        return array

    return run


def _opened(path: Path, joints: NDArray[np.float32], precision: str = "f32") -> Logits:
    run = open_exported(path, torch.get_num_threads(), precision).run
    return lambda: run(joints).logits


def _compiled(path: Path, joints: NDArray[np.float32]) -> Logits:
    """Return a way to run an OpenVINO file whose only output are logits."""
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request = openvino.compile_model(str(path), "CPU", {**settings, **threads}).create_infer_request()

    def run() -> NDArray[np.float32]:
        request.set_input_tensor(openvino.Tensor(joints, shared_memory=True))
        request.start_async()
        request.wait()
        logits: NDArray[np.float32] = request.get_output_tensor().data.copy()
        return logits

    return run


def _converted(module: nn.Module, path: Path, joints: Tensor) -> Path:
    """Write OpenVINO's own conversion of a module, unchanged except for fixed shapes."""
    import openvino

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module(joints)  # compute once, before the trace, what is cached, such as the parents of joints
        converted = openvino.convert_model(module, example_input=joints, input=[tuple(joints.shape)])
    openvino.save_model(converted, str(path), compress_to_fp16=False)
    return path
