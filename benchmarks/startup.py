"""What a program that classifies one recording takes from its start: time and memory, and the size of its file."""

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from last.utils.errors import UserError

_STARTS = 5  # of each program
# Linux counts the memory of the process that started this one into `ru_maxrss`, but not into `VmHWM`.
_PEAK = """
import resource, sys
from pathlib import Path
status = Path("/proc/self/status")
if status.exists():
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    print(int(lines["VmHWM"].split()[0]) * 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""
_EXPORTED = f"""
import sys
from pathlib import Path
import numpy as np
from last.deploy.backends import open_exported
open_exported(Path(sys.argv[1]), int(sys.argv[2])).run(np.load(sys.argv[3]))
{_PEAK}"""
_CHECKPOINT = f"""
import sys
import numpy as np, torch
from last.models.registry import create_model
torch.set_num_threads(int(sys.argv[2]))
model = create_model(sys.argv[4], int(sys.argv[5]), sys.argv[6]).eval()
model.load_state_dict(torch.load(sys.argv[1], weights_only=True))
joints = torch.from_numpy(np.load(sys.argv[3])).permute(0, 4, 2, 3, 1)
from last.data.loading.streams import derive_streams
valid = torch.ones(1, joints.shape[4], joints.shape[2], dtype=torch.bool)
with torch.inference_mode():
    model(derive_streams(joints, valid, model.facts.layout), valid.any(dim=2))
{_PEAK}"""
COLUMNS = {
    "model": "{model}",
    "program": "{program}",
    "file KiB": "{kib:.0f}",
    "start to first result ms": "{milliseconds:.0f}",
    "peak memory MiB": "{peak_mib:.0f}",
}


def measure_starts(
    model: str, files: Mapping[str, Path], weights: Path, recording: NDArray[np.float32], of_model: tuple[int, str]
) -> list[dict[str, Any]]:
    """Return a row for each exported file, and for the weights in PyTorch, each the median of a few new processes.

    Args:
        model: the name of the model.
        files: exported files by the name of their program.
        weights: the state of the model, as `torch.save` writes it.
        recording: joints (1, M, F, V, C) without a missing one.
        of_model: the number of classes and the layout of the model.
    """
    joints = weights.with_name("recording.npy")
    np.save(joints, recording)
    threads = str(torch.get_num_threads())
    commands = {name: (_EXPORTED, path, [threads, str(joints)]) for name, path in files.items()}
    commands["weights, PyTorch"] = (_CHECKPOINT, weights, [threads, str(joints), model, *map(str, of_model)])
    rows = []
    for name, (program, path, arguments) in commands.items():
        parts = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
        starts = [_start(program, [str(path), *arguments]) for _ in range(_STARTS)]
        seconds, peaks = zip(*starts, strict=True)
        rows.append(
            {
                "model": model,
                "program": name,
                "kib": sum(each.stat().st_size for each in parts) / 1024,
                "milliseconds": 1e3 * statistics.median(seconds),
                "peak_mib": statistics.median(peaks) / 2**20,
            }
        )
    return rows


def _start(program: str, arguments: list[str]) -> tuple[float, int]:
    """Return how long a new process took, in seconds, and its highest memory in bytes."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise UserError(f"A program that classifies one recording failed: {done.stderr.strip()[-500:]}")
    return seconds, int(done.stdout.split()[-1])
