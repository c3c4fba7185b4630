"""Two copies of the ONNX file, the first of which is run by ONNX Runtime."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from last.deploy.backends import Opened
from last.deploy.backends import onnx as onnx_backend

SUFFIXES = (".twice", ".copy")
WRITES, RUNS = (), ("onnxruntime",)


def convert(onnx_file: Path, path: Path, facts: Mapping[str, Any]) -> None:
    """Write both copies."""
    for suffix in SUFFIXES:
        shutil.copyfile(onnx_file, path.with_suffix(suffix))


def open_file(path: Path, threads: int, precision: str) -> Opened:
    """Open the first copy to run it."""
    return onnx_backend.open_file(path, threads, precision)
