"""Measure how long one clip takes from joints to logits on the CPU, through every path there is.

All paths have the same weights and read the same clip. They take turns, each with some runs on end, so that whatever
else the machine does slows all and each finds its own numbers in the caches, as in a program that does nothing else.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain import from_fused
from torch import Tensor, nn
from zoo import processor

import last
from last.data.config import DataConfig
from last.data.streams import derive_streams
from last.deploy.files import write_onnx, write_openvino
from last.deploy.recogniser import Recogniser
from last.deploy.runtime import check_installed, open_exported
from last.skeleton import load_layout
from last.utils.errors import UserError

_CLASSES = 60
_LAYOUT = "ntu25"
_WARMUP_RUNS = 3  # in every turn
_PAUSE_S = 0.02  # until the threads of the path before sleep
_EXAMPLES = """examples:
  python benchmarks/inference.py                                nano_e and base_e, two threads
  python benchmarks/inference.py --threads 1 --models small_e,large_e
  python benchmarks/inference.py --precision bf16 --json inference.json
"""
Way = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Row:
    """A path through a model.

    Attributes:
        model, path: what was run.
        milliseconds: of every run.
        difference: the largest one of a logit from the plain reference.
    """

    model: str
    path: str
    milliseconds: list[float]
    difference: float

    @property
    def figures(self) -> dict[str, float]:
        """The median, the least, and what 90% of the runs stay under, in ms."""
        ninth = statistics.quantiles(self.milliseconds, n=10)[-1]
        return {"median": statistics.median(self.milliseconds), "least": min(self.milliseconds), "p90": ninth}


class FromJoints(nn.Module):
    """Derive the streams of one body that is always there, and run a model on them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, joints: Tensor) -> Tensor:
        """(1, 3, T, V, 1) -> (1, classes)."""
        valid = torch.ones(1, 1, joints.shape[2], dtype=torch.bool)
        logits: Tensor = self.model(derive_streams(joints, valid, load_layout(_LAYOUT)), valid.any(dim=2))
        return logits


def paths(name: str, folder: Path, joints: Tensor, threads: int, precision: str) -> dict[str, Way]:
    """Return every way to run a model on `joints`, by what it is called."""
    torch.manual_seed(0)
    model = last.create_model(name, _CLASSES, _LAYOUT).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    modules = {
        "plain": FromJoints(from_fused(model)).eval(),
        "eager": FromJoints(model).eval(),
        "folded": Recogniser(model, DataConfig(layout=_LAYOUT), joints.shape[2]).eval(),
    }
    given = joints.numpy()
    ways: dict[str, Way] = {key: _through_torch(module, joints) for key, module in modules.items()}
    for key in ("plain", "eager"):
        ways[f"{key}, OpenVINO"] = _opened(_converted(modules[key], folder / f"{key}.xml", joints), given, threads)
    written = folder / "folded.onnx"
    write_onnx(written, modules["folded"], joints, {"model": name})
    write_openvino(written.with_suffix(".xml"), written, {"model": name})
    ways["folded, ONNX Runtime"] = _opened(written, given, threads)
    ways["folded, OpenVINO"] = _opened(written.with_suffix(".xml"), given, threads)
    if precision != "f32":
        ways[f"folded, OpenVINO {precision}"] = _opened(written.with_suffix(".xml"), given, threads, precision)
    return ways


def _through_torch(module: nn.Module, joints: Tensor) -> Way:
    def run() -> np.ndarray:
        with torch.inference_mode():
            logits: Tensor = module(joints)
        return logits.numpy()

    return run


def _opened(path: Path, joints: np.ndarray, threads: int, precision: str = "f32") -> Way:
    run = open_exported(path, threads, precision)
    return lambda: run(joints)


def _converted(module: nn.Module, path: Path, joints: Tensor) -> Path:
    """Write OpenVINO's own conversion of a module, with nothing changed but that shapes are fixed."""
    import openvino

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module(joints)  # what is computed once, such as the parents of joints, is there before the trace
        converted = openvino.convert_model(module, example_input=joints, input=[tuple(joints.shape)])
    openvino.save_model(converted, str(path), compress_to_fp16=False)
    return path


def take_turns(ways: dict[str, Way], turns: int, runs: int) -> dict[str, list[float]]:
    """Run every way `runs` times on end, in turns and the other way round in every other; return the ms of each run."""
    taken: dict[str, list[float]] = {key: [] for key in ways}
    for turn in range(turns):
        for key, run in list(ways.items())[:: 1 if turn % 2 else -1]:
            time.sleep(_PAUSE_S)
            for number in range(_WARMUP_RUNS + runs):
                began = time.perf_counter_ns()
                run()
                ended = time.perf_counter_ns()
                if number >= _WARMUP_RUNS:
                    taken[key].append((ended - began) / 1e6)
    return taken


def measure(name: str, parsed: argparse.Namespace) -> list[Row]:
    """Measure every path through a model, and print a line for each."""
    joints = torch.randn(1, 3, parsed.frames, load_layout(_LAYOUT).num_joints, 1)
    with tempfile.TemporaryDirectory() as folder:
        ways = paths(name, Path(folder), joints, parsed.threads, parsed.precision)
        expected = ways["plain"]()
        differences = {key: float(abs(run() - expected).max()) for key, run in ways.items()}
        taken = take_turns(ways, parsed.turns, parsed.runs)
    rows = [Row(name, key, taken[key], differences[key]) for key in ways]
    reference = rows[0].figures["median"]
    for row in rows:
        cells = "".join(f"{value:>9.3f}" for value in row.figures.values())
        print(f"{row.model:<8} {row.path:<24}{cells}{reference / row.figures['median']:>8.2f}{row.difference:>10.1e}")
    return rows


def describe(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return what was measured on what, and when."""
    packages = ("torch", "onnx", "onnxruntime", "openvino", "numpy")
    return {
        **{key: value for key, value in vars(parsed).items() if key != "json"},
        "batch": 1,
        "bodies": 1,
        "layout": _LAYOUT,
        **{package: version(package) for package in packages},
        "cpu": processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", default="nano_e,base_e", help="names, with commas between (default nano_e,base_e)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of every runtime (default 2)")
    parser.add_argument("--frames", type=int, default=64, help="frames in a clip (default 64)")
    parser.add_argument("--turns", type=int, default=10, help="turns of every path (default 10)")
    parser.add_argument("--runs", type=int, default=30, help="timed runs in a turn (default 30)")
    parser.add_argument("--precision", choices=("f32", "bf16", "f16"), default="f32", help="also try this in OpenVINO")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there, too")
    parsed = parser.parse_args(arguments)
    for flag in ("threads", "frames", "turns", "runs"):
        if getattr(parsed, flag) < 1:
            parser.error(f"--{flag} should be 1 or more")
    parsed.models = parsed.models.split(",")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; return the exit code."""
    parsed = _parse(arguments)
    try:
        check_installed("onnx", "onnxscript", "onnxruntime", "openvino")
        torch.set_num_threads(parsed.threads)
        run = describe(parsed)
        print("\n".join(f"{key}: {value}" for key, value in run.items()), end="\n\n")
        heading = "".join(f"{each:>9}" for each in ("median ms", "least", "p90"))
        print(f"{'model':<8} {'path':<24}{heading}{'faster':>8}{'differs':>10}", flush=True)
        rows = [row for name in parsed.models for row in measure(name, parsed)]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    run["load_after"] = os.getloadavg()[0]
    print(f"\nload of the machine: {run['load_before']:.2f} before, {run['load_after']:.2f} after")
    if parsed.json:
        values = {"run": run, "rows": [{**asdict(row), **row.figures} for row in rows]}
        parsed.json.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
