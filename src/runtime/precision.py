"""Devices and number formats: the meaning of `device`, `--amp` and `hardware.amp_dtype` on this machine."""

import logging
import re
import warnings
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from ..utils.errors import UserError
from ..utils.freed_memory import keep_freed_memory
from ..utils.numbers import counted

_log = logging.getLogger(__name__)


def usable_device(device: str | torch.device) -> torch.device:
    """Return a torch device, without changing the process; `auto` means a GPU if there is one.

    Raises:
        UserError: the device does not exist.
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without this device
        raise UserError(
            f"device {str(device)!r}: this machine has no such device that torch can use. Take 'cpu', or 'auto' for a "
            "GPU where there is one."
        ) from error


def choose_device(name: str, index: int = 0) -> torch.device:
    """Return the device named `name`; `auto` means a GPU if there is one. The process is set up to compute there.

    Args:
        name: `auto`, `cpu`, `cuda` or `mps`.
        index: the index of the GPU.

    Raises:
        UserError: the device does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[name]:
        raise UserError(f"--device {name}: this machine has no such device that torch can use. Try --device cpu.")
    if name != "cuda":
        keep_freed_memory()
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
    """Return the problem of a GPU that is too old for the installed torch; empty if it is not."""
    built_for = [int(digits[0]) for each in torch.cuda.get_arch_list() if (digits := re.findall(r"^sm_(\d+)", each))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of the same
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
    """Tell whether a device is a GPU without bf16, on which torch emulates it more slowly than float32."""
    return device.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(device)[0] < 8


def bf16_is_slow(device: torch.device) -> bool:
    """Tell whether a device is a CPU on which bf16 takes several times as long as float32.

    oneDNN computes products in bf16 on x86 processors with AVX-512 and on Arm ones with bf16; on others torch does so
    by itself, without vectors. Of a torch without oneDNN it is not known.
    """
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return device.type == "cpu" and supported is not None and not supported()


def has_mixed_precision(device: torch.device) -> bool:
    """Tell whether `--amp` computes in another format than float32 on a device."""
    return not bf16_is_slow(device)


def refuse_missing_format(enabled: bool, dtype: str, device: torch.device) -> None:
    """Refuse mixed precision in a format that the device lacks; the arguments are those of `Precision`.

    Raises:
        UserError: bf16 is requested on a GPU without it.
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

    Where bf16 is missing or slow it is float32, with a warning: the outputs are the same up to rounding.
    """
    if enabled and dtype == "bf16" and lacks_bf16(device):
        _log.warning("The model was trained in bf16, which this GPU does not have: it computes in float32 here.")
        enabled = False
    elif enabled and bf16_is_slow(device):
        _log.warning("The model was trained in mixed precision, which is slow on this CPU: it computes in float32.")
        enabled = False
    return Precision(enabled, dtype, device)


class Precision:
    """Mixed precision: the format of the forward pass and the scaler for fp16 gradients.

    Args:
        enabled: the `--amp` flag.
        dtype: `fp16`, `bf16`, or `auto`: fp16 on CUDA, bf16 elsewhere. On a CPU `fp16` means bf16, and where bf16 is
            slow, everything but `bf16` means float32.
        device: the device of the training.

    Raises:
        UserError: the device lacks the format.
    """

    def __init__(self, enabled: bool, dtype: str, device: torch.device) -> None:
        refuse_missing_format(enabled, dtype, device)
        wanted = {"auto": "fp16" if device.type == "cuda" else "bf16"}.get(dtype, dtype)
        if enabled and dtype != "bf16" and bf16_is_slow(device):
            _log.warning(
                "--amp: this processor takes several times as long for bf16 as for float32, so float32 is used. To use "
                "bf16 all the same, add --set hardware.amp_dtype=bf16."
            )
            enabled = False
        elif enabled and wanted == "fp16" and device.type == "cpu":
            _log.warning("fp16 is not for the CPU: mixed precision uses bf16 here.")
            wanted = "bf16"
        self.enabled = enabled
        self.device = device
        self.dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[wanted]
        self.scaler = torch.amp.GradScaler(device.type, enabled=enabled and self.dtype == torch.float16)

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which forward passes run."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.enabled)

    def update_scale(self, counts: Tensor) -> None:
        """Update the scale from the unscaled gradients, if `counts`, a bool () on the device.

        After an update that was skipped because all of its batches were rejected, the scale and the number of good
        updates since its last change stay unchanged; nothing is read on the host.
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
