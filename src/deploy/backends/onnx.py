"""ONNX files, run by ONNX Runtime on the CPU."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...utils.errors import UserError
from ..contract import CHECKSUM, INPUT, OUTPUTS, Floats, Outputs, refuse_changed
from . import UNREADABLE, Opened

SUFFIXES = (".onnx",)
WRITES, RUNS = (), ("onnxruntime",)


def convert(onnx_file: Path, path: Path, facts: Mapping[str, Any]) -> None:  # noqa: ARG001 - the file has the facts
    """Copy the ONNX file to `path`."""
    if onnx_file != path:
        shutil.copyfile(onnx_file, path)


def open_file(path: Path, threads: int, precision: str) -> Opened:  # noqa: ARG001 - a file has its own precision
    """Open an ONNX file to run it on the CPU, with `threads` threads; 0 for the default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors have no common base class
        raise UserError(UNREADABLE.format(path=path, runtime="ONNX Runtime", error=error)) from error

    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    if CHECKSUM in metadata:
        refuse_changed(path, metadata[CHECKSUM])

    def run(joints: Floats) -> Outputs:
        return Outputs(*session.run(OUTPUTS, {INPUT: joints}))

    return Opened(metadata, run)
