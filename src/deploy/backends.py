"""Running exported files with ONNX Runtime and OpenVINO on the CPU, set up for the least time a clip."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..utils.errors import UserError
from ..utils.extras import extra_problem

Floats = NDArray[np.float32]
Run = Callable[[Floats], Floats]
INPUT, OUTPUT = "joints", "logits"
_UNREADABLE = "{path} cannot be read by {runtime}: {error}. Export the checkpoint again."


def check_installed(*packages: str) -> None:
    """Refuse to begin where a package of the extra `deploy` cannot be imported.

    Raises:
        UserError: it names the package.
    """
    for package in packages:
        problem = extra_problem(package, "Exporting a model")
        if problem is not None:
            raise problem


def open_exported(path: Path, threads: int = 0, precision: str = "f32") -> Run:
    """Return a function from joints (N, C, T, V, M) to logits (N, classes) that runs a file.

    Args:
        path: a `.onnx` file, for ONNX Runtime, or an `.xml` file with its `.bin` beside it, for OpenVINO.
        threads: of the runtime; 0 leaves it its own choice.
        precision: in which OpenVINO may compute: `f32`, or `bf16` and `f16`, which change the logits.

    Raises:
        UserError: the file cannot be read, is neither of the two, or its runtime cannot be imported.
    """
    runtimes = {".onnx": "onnxruntime", ".xml": "openvino"}
    if path.suffix not in runtimes:
        raise UserError(f"{path} is no exported model: its name should end in .onnx or .xml.")
    check_installed(runtimes[path.suffix])
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    return _open_onnx(path, threads) if path.suffix == ".onnx" else _open_openvino(path, threads, precision)


def _open_onnx(path: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own kinds of error share no base class
        raise UserError(_UNREADABLE.format(path=path, runtime="ONNX Runtime", error=error)) from error

    def run(joints: Floats) -> Floats:
        logits: Floats = session.run([OUTPUT], {INPUT: joints})[0]
        return logits

    return run


def _open_openvino(path: Path, threads: int, precision: str) -> Run:
    import openvino

    settings: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise UserError(_UNREADABLE.format(path=path, runtime="OpenVINO", error=error)) from error
    request = compiled.create_infer_request()
    result = request.get_output_tensor().data  # a view of memory that the next run writes again

    def run(joints: Floats) -> Floats:
        request.set_input_tensor(openvino.Tensor(joints, shared_memory=True))
        # Starting and waiting spares what `infer` spends on a dictionary of the results.
        request.start_async()
        request.wait()
        logits: Floats = result.copy()
        return logits

    return run
