"""Optional packages: whether they can be imported, and the error message if not."""

import os
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec

from .errors import UserError, missing_extra
from .program import install_command

# extra -> the import names of its packages
EXTRAS = {
    "prepare": ("pydantic", "typing_extensions", "jinja2"),
    "train": ("torch",),
    "runtime": ("onnxruntime",),
    "openvino": ("openvino",),
    "deploy": ("onnx", "onnxscript", "safetensors"),
    "plots": ("matplotlib", "PIL"),
    "tensorboard": ("tensorboard",),
    "completion": ("argcomplete",),
    "serve": ("fastapi", "uvicorn", "websockets", "prometheus_client"),
    "fast": ("numba",),
    "parquet": ("pyarrow",),
    "bvh": ("pybvh",),
    "sleap": ("h5py",),
}
_MODULES = {  # the submodules of a package that LAST imports
    "matplotlib": ("matplotlib.figure", "matplotlib.backends.backend_agg"),
    "PIL": ("PIL.Image",),
    "pyarrow": ("pyarrow.parquet",),
    "tensorboard": ("tensorboard.compat.proto.event_pb2", "tensorboard.summary.writer.record_writer"),
}
# onnxruntime sends usage data to its maker unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
_DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml"}  # names for pip that differ from the import name
_LONGEST_REASON = 200


def extra_of(package: str) -> str:
    """Return the extra with an optional package, given its import name; empty if there is none."""
    return next((extra for extra, names in EXTRAS.items() if package in names), "")


def refuse_missing(packages: Iterable[str], purpose: str) -> None:
    """Raise an error if an optional package is not installed; none is imported.

    Raises:
        UserError: one is not installed; the message names the extra.
    """
    for package in packages:
        if find_spec(package) is None:
            raise missing_extra(package, extra_of(package), purpose)


def import_fault(package: str) -> str | None:
    """Import an optional package and return the reason of a failure: empty if it is not installed, None on success.

    An installed package may still fail: it was built for another numpy, or a system library is missing.
    """
    try:
        if getattr(import_module(package), "__file__", None) is None:
            return ""  # Python also imports a folder of that name, such as a run's `tensorboard`
        for module in _MODULES.get(package, ()):
            import_module(module)
    except (Exception, SystemExit) as error:  # an import can raise any exception
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package:
            return ""
        return fault_of(error)
    return None


def fault_of(error: BaseException) -> str:
    """Return an error in one line, at most about 200 characters."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def extra_problem(package: str, purpose: str) -> UserError | None:
    """Return the error for an optional package that cannot be imported, None if it can.

    Args:
        package: its import name; one of those in `EXTRAS`.
        purpose: what it is needed for, such as `Drawing a picture`.
    """
    fault = import_fault(package)
    if fault is None:
        return None
    if not fault:
        return missing_extra(package, extra_of(package), purpose)
    return UserError(
        f"{purpose} needs {package}, which is installed, but cannot be imported ({fault}). Install it again with: "
        f"{repair_command(package)}"
    )


def repair_command(*packages: str) -> str:
    """Return the command that reinstalls packages, given their import names."""
    return install_command("--force-reinstall", *(_DISTRIBUTIONS.get(package, package) for package in packages))
