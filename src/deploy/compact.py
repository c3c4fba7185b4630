"""Large constants of an ONNX file, stored once where their numbers repeat, without any difference in what is computed.

The matrices that mix joints are mostly zero, at the same places in every channel, and those that filter frames repeat
their few taps on diagonals. So such a constant (C, A, B) has few different columns X[:, a, b]; the file holds these as
(C, U), with the number of the column at each place (A, B). A `Gather` builds the constant when a runtime loads the file
(ONNX Runtime and OpenVINO compute nodes of constants once, on loading), bit for bit, so that nothing runs slower.

Legend: C channels, A and B the axes of a matrix, U different columns.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 4096  # bytes from which on a constant is examined
_NAME = "expand"  # first part of the names of these nodes


def compact(model: Any) -> None:
    """Store constants of three axes by their different columns, where that takes at most half of the room.

    Args:
        model: an ONNX model, which is changed.
    """
    from onnx import helper, numpy_helper

    indices: dict[bytes, str] = {}
    nodes = []
    for constant in list(model.graph.initializer):
        array = numpy_helper.to_array(constant)
        if array.ndim != 3 or array.nbytes < _SMALLEST:
            continue
        columns, places = _different_columns(array)
        if 2 * (columns.nbytes + places.nbytes) > array.nbytes:
            continue
        key = repr(places.shape).encode() + places.tobytes()
        if key not in indices:
            indices[key] = f"{_NAME}/places.{len(indices)}"
            model.graph.initializer.append(numpy_helper.from_array(places, indices[key]))
        name = f"{_NAME}/{constant.name}"
        nodes.append(helper.make_node("Gather", [name, indices[key]], [constant.name], name=name, axis=1))
        constant.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(columns), name))
    _replace_nodes(model, [*nodes, *model.graph.node])


def _different_columns(array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return the different columns (C, U) of (C, A, B), in order of appearance, and where each is, (A, B)."""
    columns = array.reshape(len(array), -1)
    bits = columns.view(f"u{array.itemsize}")  # 0 and -0 are different
    _, first, index = np.unique(bits, axis=1, return_index=True, return_inverse=True)
    order = first.argsort()
    return columns[:, first[order]], order.argsort()[index].reshape(array.shape[1:]).astype(np.int32)


def expand(model: Any) -> None:
    """Undo `compact`: let all constants be constants again, for tools that do not compute nodes of constants.

    Args:
        model: an ONNX model, which is changed.
    """
    from onnx import numpy_helper

    constants = {each.name: each for each in model.graph.initializer}
    kept, used = [], set()
    for node in model.graph.node:
        if not node.name.startswith(f"{_NAME}/"):
            kept.append(node)
            continue
        columns, places = (numpy_helper.to_array(constants[name]) for name in node.input)
        constants[node.input[0]].CopyFrom(numpy_helper.from_array(columns[:, places], node.output[0]))
        used.add(node.input[1])
    for name in used:
        model.graph.initializer.remove(constants[name])
    _replace_nodes(model, kept)


def _replace_nodes(model: Any, nodes: list[Any]) -> None:
    nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]  # since deletion empties those in it
    del model.graph.node[:]
    model.graph.node.extend(nodes)
