"""Pose models are known by the shapes of their outputs, and their outputs are read as their papers define them."""

from typing import Any

import numpy as np
import pytest
from node_probes import ROOT, answer, error

SOURCE = ROOT / "demo" / "src"
IMPORTS = f"""
import {{ kindOf, posesOf }} from "{(SOURCE / "pose/kinds.js").as_uri()}";
import {{ boxOf, cut, inVideo, tensorOf }} from "{(SOURCE / "pose/picture.js").as_uri()}";
const tensor = (name, ...shape) => ({{ name, shape, type: "float32" }});
const print = (value) => console.log(JSON.stringify(value));
"""
SIMCC = """{
  inputs: [tensor("input", "batch", 3, 256, 192)],
  outputs: [tensor("simcc_x", "batch", 17, 384), tensor("simcc_y", "batch", 17, 512)],
}"""
YOLO = '{ inputs: [tensor("images", 1, 3, 640, 640)], outputs: [tensor("output0", 1, 56, 8400)] }'
END = '{ inputs: [tensor("images", 1, 3, "h", "w")], outputs: [tensor("output0", 1, 300, 57)] }'
FREE = '{ inputs: [tensor("images", 1, 3, "h", "w")], outputs: [tensor("output0", 1, 56, "anchors")] }'


@pytest.mark.parametrize(
    ("model", "kind", "size"),
    [
        (SIMCC, "simcc", (192, 256)),
        (YOLO, "yolo", (640, 640)),
        (END, "yolo_end", (640, 640)),
        (FREE, "yolo", (640, 640)),
    ],
)
def test_each_kind_is_known_by_its_outputs(model: str, kind: str, size: tuple[int, int]) -> None:
    found = answer(f"{IMPORTS} print(kindOf({model}));")
    assert (found["kind"], found["joints"], (found["width"], found["height"])) == (kind, 17, size)


@pytest.mark.parametrize(
    "model",
    [
        '{ inputs: [tensor("x", 1, 3, 224, 224)], outputs: [tensor("y", 1, 1000)] }',
        '{ inputs: [tensor("x", 1, 10)], outputs: [tensor("y", 1, 56, 8400)] }',
        '{ inputs: [tensor("x", 1, 3, 8, 8), tensor("z", 1)], outputs: [tensor("y", 1, 56, 8400)] }',
        '{ inputs: [tensor("x", 1, 3, 640, 640)], outputs: [tensor("y", 1, 84, 8400)] }',
        '{ inputs: [tensor("x", 1, 3, 256, 192)], outputs: [tensor("y", 1, 17, 64, 48)] }',
        "{ inputs: [], outputs: [] }",
    ],
)
def test_another_model_is_refused_with_what_it_gives(model: str) -> None:
    assert "The pose model does not fit: it should take a picture" in error(f"{IMPORTS} kindOf({model});")


def test_a_model_of_huge_pictures_is_refused() -> None:
    assert "pictures of 8000 pixels" in error(IMPORTS + f"kindOf({YOLO.replace('640, 640', '8000, 8000')});")


def test_joints_of_simcc_are_the_largest_bins_in_half_pixels() -> None:
    program = f"""
const kind = kindOf({SIMCC});
const empty = (bins) => ({{ dims: [1, 17, bins], data: new Float32Array(17 * bins) }});
const outputs = {{ simcc_x: empty(384), simcc_y: empty(512) }};
for (let joint = 0; joint < 17; joint++) {{
  outputs.simcc_x.data[joint * 384 + 10 * joint] = 0.9;
  outputs.simcc_y.data[joint * 512 + 20 * joint + 1] = joint ? 0.5 : 7;
}}
const [pose] = posesOf(kind, outputs);
print({{ points: [...pose.points], confidence: [...pose.confidence] }});
"""
    found = answer(IMPORTS + program)
    joints = np.arange(17)
    np.testing.assert_allclose(np.reshape(found["points"], (17, 2)), np.column_stack([5 * joints, 10 * joints + 0.5]))
    np.testing.assert_allclose(found["confidence"], [0.9, *[0.5] * 16], atol=1e-6)


def candidates(*rows: tuple[float, float, float, float, float]) -> Any:
    """Return outputs of YOLO-pose: middle, size and score, and 17 joints at the middle."""
    return [[*row, *[value for _ in range(17) for value in (row[0], row[1], 0.8)]] for row in rows]


def test_people_of_yolo_are_those_above_a_score_without_overlaps() -> None:
    rows = candidates(
        (100, 100, 50, 80, 0.9), (103, 100, 50, 80, 0.8), (300, 120, 50, 80, 0.7), (500, 100, 50, 80, 0.1)
    )
    program = f"""
const rows = {np.array(rows).T.tolist()};
const outputs = {{ output0: {{ dims: [1, 56, 4], data: Float32Array.from(rows.flat()) }} }};
print(posesOf(kindOf({FREE}), outputs).map(({{ score, points }}) => [score, points[0], points[33]]));
"""
    np.testing.assert_allclose(answer(IMPORTS + program), [[0.9, 100, 100], [0.7, 300, 120]], atol=1e-5)


def test_people_of_yolo_without_overlaps_are_read_from_rows() -> None:
    joints = [value for joint in range(17) for value in (10 * joint, 20, 0.6)]
    program = f"""
const rows = {[[0, 0, 50, 80, 0.9, 0, *joints], [0, 0, 50, 80, 0.01, 0, *joints]]};
const outputs = {{ output0: {{ dims: [1, 2, 57], data: Float32Array.from(rows.flat()) }} }};
print(posesOf(kindOf({END}), outputs).map(({{ score, points }}) => [score, points[2], points[3]]));
"""
    np.testing.assert_allclose(answer(IMPORTS + program), [[0.9, 10, 20]], atol=1e-5)


def test_points_of_the_cut_picture_return_to_their_place_in_the_video() -> None:
    program = """
const part = cut({ x: 100, y: 50, width: 200, height: 100 }, { width: 192, height: 256 });
const points = inVideo(Float32Array.of(96, 128, 0, 0, 192, 256), part, { width: 192, height: 256 });
print({ points: [...points], ratio: part.width / part.height });
"""
    found = answer(IMPORTS + program)
    assert found["ratio"] == pytest.approx(192 / 256)
    np.testing.assert_allclose(found["points"][:2], [200, 100])  # the middle of the box
    assert found["points"][2] == pytest.approx(100) and found["points"][4] == pytest.approx(300)


def test_pixels_are_scaled_as_each_kind_was_trained() -> None:
    program = """
const pixels = Uint8ClampedArray.of(255, 0, 128, 255, 0, 0, 0, 255);
print({ yolo: [...tensorOf(pixels, "yolo")], simcc: [...tensorOf(pixels, "simcc")] });
"""
    found = answer(IMPORTS + program)
    np.testing.assert_allclose(found["yolo"], [1, 0, 0, 0, 128 / 255, 0], atol=1e-6)
    wanted = (np.array([[255, 0], [0, 0], [128, 0]]) - [[123.675], [116.28], [103.53]]) / [[58.395], [57.12], [57.375]]
    np.testing.assert_allclose(found["simcc"], wanted.ravel(), atol=1e-5)


def test_the_box_around_a_person_needs_some_joints() -> None:
    program = """
const points = Float32Array.from({ length: 34 }, (_, at) => (at % 2 ? 5 * at : at));
print([boxOf(points, new Float32Array(17).fill(0.9), 0.3), boxOf(points, new Float32Array(17).fill(0.1), 0.3)]);
"""
    box, none = answer(IMPORTS + program)
    assert none is None
    assert (box["width"], box["height"]) == (pytest.approx(40), pytest.approx(200))
