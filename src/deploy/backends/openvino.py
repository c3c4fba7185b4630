"""OpenVINO files, configured for the lowest latency per clip on the CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.errors import UserError
from ..contract import CHECKSUM, OUTPUTS, Floats, Outputs, fact_text, no_checksum, refuse_changed, seal
from . import UNREADABLE, Opened

SUFFIXES = (".xml", ".bin")
WRITES = RUNS = ("openvino",)
_METADATA = "last"  # the name of the facts in a file


def convert(onnx_file: Path, path: Path, facts: Mapping[str, Any]) -> None:
    """Write an OpenVINO file `path`.xml, in float32, and its weights `path`.bin from an ONNX file."""
    import openvino

    model = openvino.Core().read_model(str(onnx_file))
    for name, value in {**facts, **no_checksum()}.items():
        model.set_rt_info(fact_text(value), [_METADATA, name])
    openvino.save_model(model, str(path), compress_to_fp16=False)
    seal(path, path.with_suffix(SUFFIXES[1]))


def open_file(path: Path, threads: int, precision: str) -> Opened:
    """Open an OpenVINO file to run it on the CPU; the precision is `f32`, `bf16` or `f16`."""
    import openvino

    settings: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    try:
        model = core.read_model(str(path))
        # Of one clip at a time all shapes behind the sampling are fixed, which is twice as fast.
        if model.inputs[0].partial_shape[0].is_dynamic:
            model.reshape(openvino.PartialShape([1, *list(model.inputs[0].partial_shape)[1:]]))
        compiled = core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise UserError(UNREADABLE.format(path=path, runtime="OpenVINO", error=error)) from error
    metadata = _metadata(model)
    if CHECKSUM in metadata:
        refuse_changed(path, metadata[CHECKSUM], path.with_suffix(SUFFIXES[1]))
    request = compiled.create_infer_request()

    def run_clip(joints: Floats) -> Outputs:
        request.set_input_tensor(openvino.Tensor(joints, shared_memory=True))
        # Starting and waiting avoids the dictionary of results that `infer` builds.
        request.start_async()
        request.wait()
        # Copied, since the next run overwrites them.
        return Outputs(*(request.get_tensor(name).data.copy() for name in OUTPUTS))

    def run(joints: Floats) -> Outputs:
        if len(joints) == 1:
            return run_clip(np.ascontiguousarray(joints))
        each = [run_clip(np.ascontiguousarray(joints[number : number + 1])) for number in range(len(joints))]
        return Outputs(*map(np.concatenate, zip(*each, strict=True)))

    return Opened(metadata, run)


def _metadata(model: Any) -> dict[str, str]:
    """Return what a file says about itself; nothing if it is not one of LAST."""
    if not model.has_rt_info([_METADATA]):
        return {}
    return {str(name): str(value) for name, value in model.get_rt_info([_METADATA]).value.items()}
