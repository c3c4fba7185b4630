"""ONNX files, run by ONNX Runtime on the CPU."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...utils.errors import UserError
from . import INPUT, OUTPUT, UNREADABLE

if TYPE_CHECKING:
    from . import Floats, Run

SUFFIXES = (".onnx",)
WRITES, RUNS = (), ("onnxruntime",)


def convert(onnx_file: Path, path: Path, facts: Mapping[str, Any]) -> None:  # noqa: ARG001 - the file has the facts
    """Copy the ONNX file to `path`."""
    if onnx_file != path:
        shutil.copyfile(onnx_file, path)


def open_file(path: Path, threads: int, precision: str) -> "Run":  # noqa: ARG001 - a file has its own precision
    """Return a function that runs an ONNX file on the CPU, with `threads` threads; 0 for its default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors have no common base class
        raise UserError(UNREADABLE.format(path=path, runtime="ONNX Runtime", error=error)) from error

    def run(joints: "Floats") -> "Floats":
        logits: Floats = session.run([OUTPUT], {INPUT: joints})[0]
        return logits

    return run
