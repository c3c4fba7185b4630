"""Export of a recogniser as an ONNX file, which every backend converts."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .compact import compact
from .contract import INPUT, OUTPUTS, fact_text, no_checksum, seal

OPSET = 18
PACKAGES = ("onnx", "onnxscript")  # needed for writing


ANY_LENGTH = {0: "clips", 2: "frames"}


def write_onnx(
    path: Path, network: nn.Module, joints: Tensor, facts: Mapping[str, Any], any_number: Mapping[int, str] = ANY_LENGTH
) -> None:
    """Write and check one ONNX file without external data.

    Args:
        path: the file.
        network: maps joints (N, M, F, V, C) to the outputs of a file; in evaluation mode.
        joints: an example, of at least two clips and two frames.
        facts: plain values by name for the file's metadata; those that are not text are written as JSON.
        any_number: the axes of the input whose size is not fixed, with their names.
    """
    import onnx

    with _quiet_exporter():
        program = torch.onnx.export(
            network,
            (joints,),
            input_names=[INPUT],
            output_names=OUTPUTS,
            dynamic_shapes=({axis: torch.export.Dim(name) for axis, name in any_number.items()},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    del model.metadata_props[:]  # and the exporter's notes on every node, such as paths of source files
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        del part.metadata_props[:]
    onnx.helper.set_model_props(model, {name: fact_text(value) for name, value in {**facts, **no_checksum()}.items()})
    compact(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    seal(path)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Suppress warnings of torch's exporter about torch's own code and about packages that are not needed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
