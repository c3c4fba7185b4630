"""A process that computes on a CPU keeps the memory that it frees, unless the user has set what malloc does."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping

import pytest

from last.runtime import precision
from last.utils import freed_memory
from last.utils.freed_memory import keep_freed_memory

_FREED = """
import os
from pathlib import Path
from last.utils.freed_memory import keep_freed_memory

def resident():
    return os.sysconf("SC_PAGE_SIZE") * int(Path("/proc/self/statm").read_text().split()[1])

kept = keep_freed_memory()
blocks = [b"1" * 80_000_000 for _ in range(3)]
before = resident()
del blocks
print(kept, (before - resident()) / 240_000_000)
"""
_ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory in use is read from Linux's /proc")


def _share_given_back(environment: Mapping[str, str]) -> tuple[bool, float]:
    """Return what a process tells of memory that it freed: whether it keeps it, and the share that the system got."""
    clean = {key: value for key, value in os.environ.items() if "MALLOC" not in key and key != "GLIBC_TUNABLES"}
    ended = subprocess.run(
        [sys.executable, "-c", _FREED], capture_output=True, text=True, check=True, env={**clean, **environment}
    )
    kept, share = ended.stdout.split()
    return kept == "True", float(share)


@_ON_LINUX
def test_freed_memory_stays_with_the_process() -> None:
    kept, share = _share_given_back({})
    assert share < 0.1 if kept else platform.libc_ver()[0] != "glibc"


@_ON_LINUX
@pytest.mark.parametrize(
    "setting", [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}]
)
def test_what_the_user_set_stays(setting: dict[str, str]) -> None:
    kept, share = _share_given_back(setting)
    assert not kept
    assert share > 0.9


class _Malloc:
    """The C library with a malloc whose thresholds are refused above a limit, as older ones of glibc do."""

    def __init__(self, largest: int) -> None:
        self.largest, self.set = largest, {}  # type: ignore[var-annotated]

    def mallopt(self, name: int, value: int) -> int:
        if value > self.largest:
            return 0
        self.set[name] = value
        return 1


@pytest.mark.parametrize(("largest", "settings"), [(2**40, {-3: 2**30, -1: -1}), (2**25, {-3: 2**25, -1: -1}), (0, {})])
def test_memory_is_only_kept_where_large_blocks_are(
    monkeypatch: pytest.MonkeyPatch, largest: int, settings: dict[int, int]
) -> None:
    malloc = _Malloc(largest)
    monkeypatch.setattr(freed_memory, "_is_glibc", lambda: True)
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda _: malloc)
    assert keep_freed_memory({}) is bool(settings)
    assert malloc.set == settings


@_ON_LINUX
def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(freed_memory.os, "confstr", unknown)
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", None)  # calling it would fail
    assert not keep_freed_memory({})


def test_computing_on_a_cpu_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(precision, "keep_freed_memory", lambda: calls.append(True))
    precision.choose_device("cpu")
    assert calls == [True]
