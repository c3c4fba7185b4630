"""Devices and number formats: what `device`, `--amp` and `hardware.amp_dtype` mean on this machine."""

import logging
import re
import warnings
from contextlib import AbstractContextManager

import torch
from torch import Tensor

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


def lacks_bf16(device: torch.device) -> bool:
    """Tell whether a device is a GPU without bf16: torch imitates it there, more slowly than float32."""
    return device.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(device)[0] < 8


def refuse_missing_format(enabled: bool, dtype: str, device: torch.device) -> None:
    """Refuse mixed precision in a format that the device does not have; the arguments are those of `Precision`.

    Raises:
        UserError: it asks for bf16 on a GPU that has none.
    """
    if enabled and dtype == "bf16" and lacks_bf16(device):
        major, minor = torch.cuda.get_device_capability(device)
        raise UserError(
            f"hardware.amp_dtype=bf16: the GPU {torch.cuda.get_device_name(device)} (compute capability "
            f"{major}.{minor}) has no bf16; GPUs have it from 8.0 on. Take fp16 with --set hardware.amp_dtype=fp16, or "
            "leave --amp out."
        )


def precision_of_a_run(enabled: bool, dtype: str, device: torch.device) -> "Precision":
    """Return the precision in which a trained model computes on `device`; its run may have been on another one.

    Where a GPU has no bf16 it is float32, with a warning: a model's answers are the same within rounding.
    """
    if enabled and dtype == "bf16" and lacks_bf16(device):
        _log.warning("The model was trained in bf16, which this GPU does not have: it computes in float32 here.")
        enabled = False
    return Precision(enabled, dtype, device)


class Precision:
    """Mixed precision: the format of the forward pass and the scaler that fp16 gradients need.

    Args:
        enabled: the `--amp` flag.
        dtype: `fp16`, `bf16`, or `auto`: fp16 on CUDA, bf16 elsewhere.
        device: where training runs.

    Raises:
        UserError: the device does not have the format.
    """

    def __init__(self, enabled: bool, dtype: str, device: torch.device) -> None:
        refuse_missing_format(enabled, dtype, device)
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

    def update_scale(self, counts: Tensor) -> None:
        """Let the scaler learn from the gradients that it has unscaled, if `counts`, a bool () on the device.

        After an update that is left out because every batch of it was refused, the scale and the number of good
        updates since it last changed stay as they are; the host does not have to know.
        """
        if not self.scaler.is_enabled():
            return
        scale, good_updates = self.scaler._scale, self.scaler._growth_tracker
        assert scale is not None and good_updates is not None
        before = scale.clone(), good_updates.clone()
        self.scaler.update()  # changes both in place
        scale.copy_(torch.where(counts, scale, before[0]))
        good_updates.copy_(torch.where(counts, good_updates, before[1]))

    def __str__(self) -> str:
        return str(self.dtype).removeprefix("torch.") if self.enabled else "float32"
