"""Runtimes to which a model can be exported, one module each, found by its name.

A backend's module has

- `SUFFIXES`: those of the files that it writes; the first one is that of the file to open;
- `WRITES`, `RUNS`: the packages needed for writing and for running;
- `convert(onnx_file, path, facts)`: writes `path`, with the first suffix, from the ONNX file of the model, with the
  facts as metadata;
- `open_file(path, threads, precision)`: returns an `Opened`: its metadata, and a function from joints (N, M, F, V, C)
  to probabilities, logits and features.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ...utils.errors import UserError
from ...utils.extras import extra_problem
from ...utils.plug_ins import SOME_TEXTS, TEXTS, Kind, function_of
from ...utils.regular_files import open_regular
from ..contract import Floats, Outputs

_log = logging.getLogger(__name__)

# What `export --format` takes beside the names of backends: ONNX and OpenVINO, an ONNX file with 8-bit numbers, and the
# weights alone.
BOTH, INT8, WEIGHTS = "both", "int8", "safetensors"
KIND = Kind(
    __name__,
    "export backend",
    reserved=(BOTH, INT8, WEIGHTS),
    needs={
        "SUFFIXES": SOME_TEXTS,
        "WRITES": TEXTS,
        "RUNS": TEXTS,
        "convert": function_of("onnx_file", "path", "facts"),
        "open_file": function_of("path", "threads", "precision"),
    },
)
UNREADABLE = (
    "{path} cannot be read by {runtime}, so it is cut short, or is another kind of file ({error}). Copy it again, or "
    "export the checkpoint again."
)
_ZIP = b"PK\x03\x04"  # the first bytes of a checkpoint


class Opened(NamedTuple):
    """A file that can be run.

    Attributes:
        metadata: what the file says about itself, as texts.
        run: returns the outputs for joints (N, M, F, V, C).
    """

    metadata: Mapping[str, str]
    run: Callable[[Floats], Outputs]


class Backend(Protocol):
    """The contract of a backend's module."""

    SUFFIXES: tuple[str, ...]
    WRITES: tuple[str, ...]
    RUNS: tuple[str, ...]

    def convert(self, onnx_file: Path, path: Path, facts: Mapping[str, Any]) -> None: ...
    def open_file(self, path: Path, threads: int, precision: str) -> Opened: ...


def list_backends() -> tuple[str, ...]:
    """Return the names that `export --format` accepts, without importing any backend's packages."""
    return tuple(KIND.names())


def get_backend(name: str) -> Backend:
    """Return the module of a backend by its name.

    Raises:
        UserError: there is no such backend, or its module cannot be used.
    """
    backend: Backend = KIND.find(name)
    return backend


def check_installed(packages: Iterable[str], purpose: str = "Exporting a model") -> None:
    """Check that optional packages can be imported.

    Raises:
        UserError: a package cannot be imported; the message names it.
    """
    for package in dict.fromkeys(packages):
        problem = extra_problem(package, purpose)
        if problem is not None:
            raise problem


def open_exported(path: Path, threads: int = 0, precision: str = "f32", backend: str = "") -> Opened:
    """Open a file to run it.

    Args:
        path: a file of a backend, `.onnx` for ONNX Runtime or `.xml` for OpenVINO, in capitals too, with its other
            files next to it.
        threads: number of threads; 0 for the runtime's default.
        precision: precision in which OpenVINO may compute: `f32`, or `bf16` or `f16`, which change the logits.
        backend: the name of the backend; if empty, the one whose files have this suffix.

    Raises:
        UserError: the file cannot be read, belongs to no backend or to several, or its runtime cannot be imported.
    """
    chosen = get_backend(backend) if backend else _backend_of(path)
    check_installed(chosen.RUNS, "Running an exported model")
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    if starts_as_checkpoint(path):
        raise UserError(
            f"{path} is a checkpoint, or another zip archive, and not an exported model. Export it with `export`, or, "
            "for a checkpoint, use its own name, such as last.pth."
        )
    return chosen.open_file(path, threads, precision)


def starts_as_checkpoint(path: Path) -> bool:
    """Tell whether a file starts as a checkpoint does, which is a zip archive."""
    try:
        with open_regular(path) as file:
            return file.read(len(_ZIP)) == _ZIP
    except OSError:
        return False


def exported_suffixes() -> list[str]:
    """Return the suffixes of the files that can be opened, such as `.onnx`."""
    return sorted({each.SUFFIXES[0] for each in usable_backends().values()})


def usable_backends(*, warns: bool = True) -> dict[str, Backend]:
    """Return the backends by name; if `warns`, log a warning for each module that cannot be used."""
    usable: dict[str, Backend] = {}
    for name in list_backends():
        try:
            usable[name] = get_backend(name)
        except UserError as error:
            if warns:
                _log.warning("%s It is skipped.", error)
    return usable


def _backend_of(path: Path) -> Backend:
    """Return the backend whose files have the suffix of `path`.

    Raises:
        UserError: there is none, or there are several.
    """
    usable = usable_backends()
    fitting = [name for name, each in usable.items() if each.SUFFIXES[0] == path.suffix.lower()]
    if len(fitting) > 1:
        raise UserError(
            f"{path} can be a file of {' or '.join(fitting)}. Name one: open_exported(..., backend={fitting[0]!r})."
        )
    if not fitting:
        suffixes = sorted({each.SUFFIXES[0] for each in usable.values()})
        raise UserError(f"{path} is not an exported model: its name should end in {' or '.join(suffixes)}.")
    return usable[fitting[0]]
