"""Large constants of an ONNX file are stored once where their numbers repeat, and are the same when it is loaded."""

from collections.abc import Mapping

import numpy as np
import pytest

from last.deploy.compact import compact, expand

onnx = pytest.importorskip("onnx", reason="needs the extra deploy")


def a_model(constants: Mapping[str, np.ndarray]) -> "onnx.ModelProto":
    """Return a model that multiplies its input (C, A, A) by each of the constants (C, A, A)."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = next(iter(constants.values())).shape
    values = ["x", *(f"after {name}" for name in constants)]
    nodes = [
        helper.make_node("MatMul", [before, name], [after])
        for before, name, after in zip(values[:-1], constants, values[1:], strict=True)
    ]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(values[-1], kind, shape)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def filters(channels: int = 24, frames: int = 16, taps: int = 5, seed: int = 0) -> np.ndarray:
    """Return the matrices (C, T, T) of filters over frames."""
    offsets = np.arange(frames)[:, None] - np.arange(frames) + taps // 2
    padded = np.random.default_rng(seed).normal(size=(channels, taps + 1)).astype(np.float32)
    padded[:, -1] = 0
    return padded[:, np.where((offsets >= 0) & (offsets < taps), offsets, taps)]


def constants_of(model: "onnx.ModelProto") -> dict[str, np.ndarray]:
    return {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}


def run(model: "onnx.ModelProto", x: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra runtime")
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_constants_take_less_room_and_the_result_is_the_same_to_the_bit() -> None:
    constants = {"one": filters(), "other": filters(seed=1)}
    x = np.random.default_rng(2).normal(size=constants["one"].shape).astype(np.float32)
    model, plain = a_model(constants), a_model(constants)
    compact(model)
    onnx.checker.check_model(model, full_check=True)
    assert len(model.SerializeToString()) < len(plain.SerializeToString()) / 8
    assert np.array_equal(run(model, x), run(plain, x))


def test_places_that_are_the_same_are_stored_once() -> None:
    model = a_model({"one": filters(), "other": filters(seed=1)})
    compact(model)
    assert [name for name in constants_of(model) if "places" in name] == ["expand/places.0"]


def test_the_sign_of_zeros_and_nan_stay_as_they_are() -> None:
    constant = np.zeros((4, 32, 32), np.float32)
    constant[:, 1], constant[:, 2] = -0.0, np.nan
    model = a_model({"weight": constant})
    compact(model)
    expand(model)
    assert constants_of(model)["weight"].tobytes() == constant.tobytes()


def test_expanding_undoes_it() -> None:
    plain = a_model({"one": filters(), "other": filters(seed=1)})
    model = a_model(constants_of(plain))
    compact(model)
    assert model != plain
    expand(model)
    assert model == plain


@pytest.mark.parametrize(
    "constant",
    [np.random.default_rng(0).normal(size=(24, 16, 16)).astype(np.float32), filters(channels=2)],
    ids=["without repetitions", "small"],
)
def test_a_constant_that_gains_little_stays_as_it_is(constant: np.ndarray) -> None:
    model, plain = a_model({"one": constant}), a_model({"one": constant})
    compact(model)
    assert model == plain
