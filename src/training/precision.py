"""Devices and number formats: what `device`, `--amp` and `hardware.amp_dtype` mean on this machine."""

import logging
import re
import warnings
from contextlib import AbstractContextManager

import torch

from ..utils.errors import UserError
from ..utils.numbers import counted

_log = logging.getLogger(__name__)


def usable_device(device: str | torch.device) -> torch.device:
    """Return any device that torch knows, `auto` for a GPU where there is one, and change nothing for the process.

    Raises:
        UserError: it is not there.
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # the second from a torch that was built without it
        raise UserError(
            f"device {str(device)!r}: this machine has no such device that torch can use. Take 'cpu', or 'auto' for a "
            "GPU where there is one."
        ) from error


def choose_device(name: str, index: int = 0) -> torch.device:
    """Return the device that `name` means; `auto` takes a GPU where there is one.

    Args:
        name: `auto`, `cpu`, `cuda` or `mps`.
        index: which of several GPUs.

    Raises:
        UserError: the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[name]:
        raise UserError(f"--device {name}: this machine has no such device that torch can use. Try --device cpu.")
    if name != "cuda":
        return torch.device(name)
    if index >= torch.cuda.device_count():
        raise UserError(
            f"This machine has {counted(torch.cuda.device_count(), 'GPU')}, too few for {index + 1} processes. Start "
            "as many as it has, or use --device cpu."
        )
    if problem := gpu_problem(index):
        raise UserError(f"{problem} Use --device cpu, or a torch that was built for this GPU.")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def gpu_problem(index: int) -> str:
    """Return why the installed torch cannot compute on a GPU: it is too old. Empty where it can."""
    built_for = [int(digits[0]) for each in torch.cuda.get_arch_list() if (digits := re.findall(r"^sm_(\d+)", each))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says the same, in other words
        major, minor = torch.cuda.get_device_capability(index)
        name = torch.cuda.get_device_name(index)
    oldest = min(built_for, default=0)
    if 10 * major + minor >= oldest:
        return ""
    needed = f"{oldest // 10}.{oldest % 10}"
    return (
        f"The GPU {name} (compute capability {major}.{minor}) is too old for torch {torch.__version__}, which needs "
        f"{needed} or higher. In a Kaggle notebook choose the accelerator T4 in the settings."
    )


class Precision:
    """Mixed precision: the format of the forward pass and the scaler that fp16 gradients need.

    Args:
        enabled: the `--amp` flag.
        dtype: `fp16`, `bf16`, or `auto`: fp16 on CUDA, bf16 elsewhere.
        device: where training runs.
    """

    def __init__(self, enabled: bool, dtype: str, device: torch.device) -> None:
        self.enabled = enabled
        self.device = device
        wanted = {"auto": "fp16" if device.type == "cuda" else "bf16"}.get(dtype, dtype)
        if enabled and wanted == "fp16" and device.type == "cpu":
            _log.warning("fp16 is not for the CPU: mixed precision uses bf16 here.")
            wanted = "bf16"
        self.dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[wanted]
        self.scaler = torch.amp.GradScaler(device.type, enabled=enabled and self.dtype == torch.float16)

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which forward passes run."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.enabled)

    def __str__(self) -> str:
        return str(self.dtype).removeprefix("torch.") if self.enabled else "float32"
