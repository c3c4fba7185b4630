"""Everything that a GPU has to show, in three parts of a few minutes each: correctness, speed and accuracy.

The checks of a part run in the order of their importance until the minutes are over. Results are in a file from the
first check on, and the same command goes on with those that have none.
"""

import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from last.runtime.precision import choose_device
from last.utils.errors import UserError
from last.utils.progress import Progress
from last.utils.versions import git_commit

from .gpu_plan import Check, Records, Setting, run_checks, summary_line
from .report import Result, Table

_COLUMNS = {"row of gpu-todo.md": "{name}", "result": "{state}", "seconds": "{seconds:,.0f}", "found": "{line}"}
_LEAST_S = 30  # a child process is not worth less
_REPEATED = ("part", "seed", "threads", "data_root", "work")  # options of a child process


def checks_of(part: str) -> list[Check]:
    """Return the checks of a part, the most important first."""
    found: list[Check] = import_module(f".gpu_{part}", __package__).CHECKS
    return found


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Run the checks of a part that have no result yet, and show the results of all."""
    if arguments.part is None:
        raise UserError("Choose what the GPU has to show: benchmark gpu --part correctness, speed or accuracy.")
    ends_at = time.monotonic() + 60 * arguments.minutes
    device = choose_device(arguments.device)
    checks = checks_of(arguments.part)
    path = arguments.results or Path(f"gpu-{arguments.part}.json")
    records = Records(path, _identity(arguments, device), again=arguments.again)
    with ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        setting = Setting(device, arguments, work, progress, ends_at)
        if not run_checks(checks, records, setting):
            _go_on(arguments, path, ends_at)
            records = Records(path, records.identity, again=False)
    return _result(checks, records, arguments.part)


def _identity(arguments: Namespace, device: torch.device) -> dict[str, Any]:
    """Return what results belong to."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "part": arguments.part,
        "device": where,
        "torch": str(torch.__version__),
        "commit": git_commit(),
        "quick": arguments.quick,
        "seed": arguments.seed,
    }


def _go_on(arguments: Namespace, path: Path, ends_at: float) -> None:
    """Make the remaining checks in a new process, since CUDA cannot be used in this one any more."""
    left = ends_at - time.monotonic()
    if left < _LEAST_S:
        return
    options = {name: getattr(arguments, name) for name in _REPEATED}
    options |= {"results": path, "minutes": max(1, int(left / 60)), "device": arguments.device}
    given = [text for name, value in options.items() if value is not None for text in (f"--{name}", str(value))]
    flags = [flag for flag, wanted in (("--quick", arguments.quick), ("--quiet", True)) if wanted]
    command = [sys.executable, "-m", "last", "benchmark", "gpu", *given, *flags]
    with suppress(subprocess.TimeoutExpired):  # the results that it has written count
        subprocess.run(command, timeout=left + _LEAST_S, check=False)


def _result(checks: list[Check], records: Records, part: str) -> Result:
    rows: list[Mapping[str, Any]] = [
        {"name": check.name, **records.checks.get(check.name, {"state": "no time", "line": "", "seconds": 0.0})}
        for check in checks
    ]
    failed = [row["name"] for row in rows if row["state"] in ("fails", "error")]
    wrong = bool(failed) and part == "correctness"
    title = f"{part}: {summary_line(records, checks)}"
    remarks = [f"The results are in {records.path}; the same command goes on with the checks that have none."]
    summary = {"failed": failed, "answered": sum(row["state"] in ("holds", "measured") for row in rows)}
    return Result([Table("rows", title, _COLUMNS, rows)], summary, remarks, failed=wrong)
