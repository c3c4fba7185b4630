"""Writing a recogniser as an ONNX file, which every backend converts."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .backends import INPUT, OUTPUT

OPSET = 18
PACKAGES = ("onnx", "onnxscript")  # what writing needs


def write_onnx(path: Path, recogniser: nn.Module, joints: Tensor, facts: Mapping[str, Any]) -> None:
    """Write one ONNX file without external data, whose shapes are those of `joints`, and check it.

    Args:
        path: the file.
        recogniser: maps joints (N, C, T, V, M) to logits; in evaluation mode.
        joints: an example.
        facts: plain values by name, which go into the file's metadata, as JSON where they are not text.
    """
    import onnx

    with _quiet_exporter():
        program = torch.onnx.export(
            recogniser,
            (joints,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    del model.metadata_props[:]  # and what the exporter notes of every node: paths of source files among it
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        del part.metadata_props[:]
    onnx.helper.set_model_props(model, {name: fact_text(value) for name, value in facts.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def fact_text(value: Any) -> str:
    """Return a fact as metadata hold it: text as it is, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep to itself what torch's exporter thinks of torch's own parts and of packages that are not needed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
