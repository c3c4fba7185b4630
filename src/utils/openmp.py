"""What threads do while they wait for each other: spin, which needs a core each, or sleep.

torch's threads of OpenMP spin, which is the fastest way on cores of their own. Where another program takes one of the
cores, all others spin until it gives the core back, thousands of times per step of training; threads that sleep then
compute tens of times faster.
"""

import os
from collections.abc import MutableMapping

_POLICY = "OMP_WAIT_POLICY"
_SETTINGS = (_POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # of OpenMP, GCC's and LLVM's libraries
_BUSY = 0.5  # cores that other programs take, on average


def sleep_if_busy(environment: MutableMapping[str, str] = os.environ, load: float | None = None) -> None:
    """Let waiting threads of this process and its children sleep, if other programs use the cores now.

    It has an effect before torch is imported, which reads the environment once. What the user set stays.

    Args:
        environment: the environment variables.
        load: the mean number of cores in use during the last minute; measured if None.
    """
    if any(name in environment for name in _SETTINGS):
        return
    if (_load() if load is None else load) >= _BUSY:
        environment[_POLICY] = "passive"


def threads_spin(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Tell whether threads of this process may spin while they wait, as far as the environment tells."""
    return environment.get(_POLICY, "").lower() != "passive" and environment.get("GOMP_SPINCOUNT") != "0"


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # Windows has none
