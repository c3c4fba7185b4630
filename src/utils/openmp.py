"""What threads do while they wait for each other: spin, which needs a core each, or sleep.

torch's threads of OpenMP spin, which is the fastest way on cores of their own. Where another program takes one of the
cores, all others spin until it gives the core back, thousands of times per step of training; threads that sleep then
compute tens of times faster.
"""

import os
import time
from collections.abc import MutableMapping
from pathlib import Path

_POLICY = "OMP_WAIT_POLICY"
_SETTINGS = (_POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # of OpenMP, GCC's and LLVM's libraries
_BUSY = 0.5  # cores that other programs take, on average
_MEASURED_S = 0.1
_TIMES = Path("/proc/stat")  # of Linux: how long the cores have been in use, see proc(5)
_IDLE = slice(3, 5)  # the columns of time without work: idle, and waiting for a disk
_COLUMNS = 8  # those after them are counted in the first two already


def sleep_if_busy(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let waiting threads of this process and its children sleep, if other programs use the cores now.

    It has an effect before torch is imported, which reads the environment once. What the user set stays.
    """
    if any(name in environment for name in _SETTINGS):
        return
    # The load is of the last minute, to which a command that has just ended belongs, so a high one is looked at again.
    if _load() >= _BUSY and cores_in_use() >= _BUSY:
        environment[_POLICY] = "passive"


def threads_spin(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Tell whether threads of this process may spin while they wait, as far as the environment tells."""
    return environment.get(_POLICY, "").lower() != "passive" and environment.get("GOMP_SPINCOUNT") != "0"


def cores_in_use(times: Path = _TIMES) -> float:
    """Return how many cores are in use on average during a tenth of a second; those of the load if that is unknown."""
    try:
        before = _seconds_in_use(times)
        time.sleep(_MEASURED_S)
        return (_seconds_in_use(times) - before) / _MEASURED_S
    except (OSError, ValueError):  # another system
        return _load()


def _seconds_in_use(times: Path) -> float:
    """Return how long the cores have been in use since the machine was started, in seconds of one core.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    ticks = [*map(int, times.read_text(encoding="ascii").split("\n", 1)[0].split()[1 : 1 + _COLUMNS])]
    if not any(ticks):  # some sandboxes have zeros there
        raise ValueError(f"{times} has no times")
    return (sum(ticks) - sum(ticks[_IDLE])) / os.sysconf("SC_CLK_TCK")


def _load() -> float:
    """Return the mean number of programs that computed or waited for a core during the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # Windows has none
