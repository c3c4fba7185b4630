"""Hardware of this machine, as reported by the system."""

import os
import platform
from pathlib import Path
from typing import Any

CPU_INFO = Path("/proc/cpuinfo")


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the processor's name, if the system reports it."""
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def machine_facts() -> dict[str, Any]:
    """Return the processor, the number of usable cores and the system, without the machine's name."""
    return {"cpu": processor(), "cores": usable_cores(), "system": f"{platform.system()} {platform.machine()}"}
