"""What a run's figures depend on beside its state: torch, the device and its kernels; a checkpoint keeps a note of it.

A run that is resumed with others goes on from exactly the same state, but rounds or drops otherwise from there on.
"""

from collections.abc import Mapping

import torch

from ..models.cpu_kernels import fast_kernels
from ..models.gpu_kernels import has_kernels

_NUMBA, _TORCH, _TRITON = "numba's", "torch's", "Triton's"
_CPU_KERNELS = "CPU kernels"


def computed_with(device: torch.device, precision: str) -> dict[str, str]:
    """Return torch's version, the device, the number format, whose kernels compute, and a CPU's threads and vectors.

    Threads share the drawing of dropout masks, and each sums its own part.

    Args:
        device: the device of the training.
        precision: the format of most features, such as `float32`, for which alone numba's kernels are used.
    """
    found = {"torch": str(torch.__version__), "device": device.type, "precision": precision}
    if device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
        found["GPU kernels"] = _TRITON if has_kernels(device) else _TORCH
    elif device.type == "cpu":
        found["CPU threads"] = str(torch.get_num_threads())
        found["CPU instructions"] = torch.backends.cpu.get_cpu_capability()
        if precision == "float32":
            found[_CPU_KERNELS] = _TORCH if fast_kernels() is None else _NUMBA
    return found


def change(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return a sentence about what has changed; empty if nothing has, or if it is not known what was before."""
    if before.get("device") == "cpu" and _CPU_KERNELS not in before:  # an older note, of a run in mixed precision
        before = {"precision": "bfloat16", **before}
    changed = [f"{name} {now[name]} instead of {was}" for name, was in before.items() if now.get(name, was) != was]
    if not changed:
        return ""
    sentence = (
        f"This run resumes with {', '.join(changed)}. Its state is the same, but its figures will differ from here on."
    )
    if before.get(_CPU_KERNELS) == _NUMBA and now.get(_CPU_KERNELS) == _TORCH:
        sentence += " To repeat an undisturbed run to the bit, install the extra `fast`."
    return sentence
