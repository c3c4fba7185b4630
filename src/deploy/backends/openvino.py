"""OpenVINO files, configured for the lowest latency per clip on the CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...utils.errors import UserError
from . import UNREADABLE, fact_text

if TYPE_CHECKING:
    from . import Floats, Run

SUFFIXES = (".xml", ".bin")
WRITES = RUNS = ("openvino",)
_METADATA = "last"  # the name of the facts in a file


def convert(onnx_file: Path, path: Path, facts: Mapping[str, Any]) -> None:
    """Write an OpenVINO file `path`.xml, in float32, and its weights `path`.bin from an ONNX file."""
    import openvino

    model = openvino.Core().read_model(str(onnx_file))
    for name, value in facts.items():
        model.set_rt_info(fact_text(value), [_METADATA, name])
    openvino.save_model(model, str(path), compress_to_fp16=False)


def open_file(path: Path, threads: int, precision: str) -> "Run":
    """Return a function that runs an OpenVINO file on the CPU; the precision is `f32`, `bf16` or `f16`."""
    import openvino

    settings: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise UserError(UNREADABLE.format(path=path, runtime="OpenVINO", error=error)) from error
    request = compiled.create_infer_request()
    result = request.get_output_tensor().data  # a view of memory that the next run overwrites

    def run(joints: "Floats") -> "Floats":
        request.set_input_tensor(openvino.Tensor(joints, shared_memory=True))
        # Starting and waiting avoids the dictionary of results that `infer` builds.
        request.start_async()
        request.wait()
        logits: Floats = result.copy()
        return logits

    return run
