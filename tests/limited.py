"""Run a piece of Python under limits of memory and time, as one runs what may ask for too much."""

import subprocess
import sys
from pathlib import Path

import pytest

_LIMITS = """
import resource
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
resource.setrlimit(resource.RLIMIT_AS, ({byte_count}, {byte_count}))
"""


def run_limited(code: str, *, seconds: int, mib: int, folder: Path) -> str:
    """Return what a program prints that may use so many seconds of a processor and so much memory.

    What `code` imports from torch alone takes about 700 MiB of addresses.
    """
    pytest.importorskip("resource")
    limits = _LIMITS.format(seconds=seconds, byte_count=mib << 20)
    done = subprocess.run(
        [sys.executable, "-c", limits + code], cwd=folder, capture_output=True, text=True, timeout=20 * seconds
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2_000:])
    return done.stdout
