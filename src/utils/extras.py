"""Optional packages: whether they can be imported, and the error message if not."""

from importlib import import_module

from .errors import UserError, missing_extra
from .program import install_command

# extra: its packages, as they are imported
EXTRAS = {
    "plots": ("matplotlib", "PIL"),
    "tensorboard": ("tensorboard",),
    "deploy": ("onnx", "onnxscript", "onnxruntime", "openvino"),
}
_MODULES = {  # what LAST imports of a package beside the package itself
    "matplotlib": ("matplotlib.figure", "matplotlib.backends.backend_agg"),
    "PIL": ("PIL.Image",),
    "tensorboard": ("tensorboard.compat.proto.event_pb2", "tensorboard.summary.writer.record_writer"),
}
_DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml"}  # what pip calls a package, where that is another name
_LONGEST_REASON = 200


def import_fault(package: str) -> str | None:
    """Import an optional package and return why that fails: empty where it is not installed, None where it succeeds.

    A package that is installed may still fail: it was built for another numpy, or a library of the system is missing.
    """
    try:
        if getattr(import_module(package), "__file__", None) is None:
            return ""  # a folder of that name, such as a run's `tensorboard`, is imported too and is no package
        for module in _MODULES.get(package, ()):
            import_module(module)
    except Exception as error:  # what a package raises as it is imported can be of any kind
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package:
            return ""
        return fault_of(error)
    return None


def fault_of(error: BaseException) -> str:
    """Return an error in one line, at most about 200 characters."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def extra_problem(package: str, purpose: str) -> UserError | None:
    """Return the error for an optional package that cannot be imported, None where it can.

    Args:
        package: as it is imported; one of those in `EXTRAS`.
        purpose: what needs it, such as `Drawing a picture`.
    """
    fault = import_fault(package)
    if fault is None:
        return None
    if not fault:
        return missing_extra(package, next(extra for extra, names in EXTRAS.items() if package in names), purpose)
    return UserError(
        f"{purpose} needs {package}, which is installed and cannot be imported ({fault}). Install it again with: "
        f"{repair_command(package)}"
    )


def repair_command(*packages: str) -> str:
    """Return the command that installs packages again, which are named as they are imported."""
    return install_command("--force-reinstall", *(_DISTRIBUTIONS.get(package, package) for package in packages))
