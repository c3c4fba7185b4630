"""The page reads recordings as the readers of `last` do, and says what is wrong with other files."""

import base64
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_probes import ROOT, answer

from last.data.preparation.clean import finish_clip
from last.data.preparation.formats import Source
from last.data.preparation.recognise import open_unlabelled
from last.data.synthetic import synthesize
from last.data.synthetic.dataset import skeleton_text
from last.data.synthetic.recording import TRACKED, TrackedBody
from last.skeleton import load_layout

SOURCE = ROOT / "demo" / "src"
Array = np.ndarray[Any, Any]

# Read every file, or folder, that is named; print the recording, or the problem that is shown.
PROGRAM = f"""
import {{ readdirSync, readFileSync, statSync }} from "node:fs";
import path from "node:path";
import {{ readFiles }} from "{(SOURCE / "readers/index.js").as_uri()}";
import {{ Problem }} from "{(SOURCE / "core/problem.js").as_uri()}";

const file = (name) => {{
  const bytes = readFileSync(name);
  const own = Uint8Array.from(bytes);
  return {{ name: path.basename(name), size: own.length, arrayBuffer: async () => own.buffer }};
}};
const found = [];
for (const named of process.argv.slice(1)) {{
  const names = statSync(named).isDirectory() ? readdirSync(named).map((name) => path.join(named, name)) : [named];
  try {{
    const read = await readFiles(names.map(file));
    const shape = [read.bodies, read.frames, read.joints, read.coordinates];
    const text = (values) => values && Buffer.from(values.buffer).toString("base64");
    const {{ layout, fps, data, confidence, hasMore }} = read;
    found.push({{ shape, layout, fps, hasMore, data: text(data), confidence: text(confidence) }});
  }} catch (error) {{
    if (!(error instanceof Problem)) throw error;
    found.push({{ problem: error.message }});
  }}
}}
console.log(JSON.stringify(found));
"""


def floats(text: str, shape: list[int]) -> Array:
    return np.frombuffer(base64.b64decode(text), np.float32).reshape(shape).astype(np.float64)


def in_the_page(*paths: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer(PROGRAM, *paths)
    for each in found:
        if "shape" in each:
            each["joints"] = floats(each["data"], each["shape"])
    return found


def compare(
    path: Path, layout: str, format_name: str, read: dict[str, Any] | None = None, *, bodies: int = 2
) -> dict[str, Any]:
    """Compare a recording with that of the reader in Python; return what the page read."""
    source = replace(Source(load_layout(layout), bodies, ()), unlabelled=True)
    reader, (entry, *_) = open_unlabelled(path, source, format_name)
    clip = reader.read(entry)
    if read is None:
        (read,) = in_the_page(path)
    center = source.layout.center
    joints, mask, kept = finish_clip(read["joints"], center, keep_gaps=bool(clip.fps))
    assert joints.shape == clip.joints.shape
    np.testing.assert_array_equal(mask, clip.joint_mask)
    np.testing.assert_allclose(
        joints, clip.joints, atol=2e-5 * max(1, np.abs(read["joints"][~np.isnan(read["joints"])]).max())
    )
    if clip.confidence is not None and read["confidence"]:
        confidence = floats(read["confidence"], read["shape"][:3])[kept]
        np.testing.assert_allclose(confidence[mask], clip.confidence[clip.joint_mask] / 255, atol=5e-3)
    return read


def people(count: int, frames: int, joints: int, coordinates: int, seed: int = 0) -> Array:
    """Return people who stand apart and move, (M, T, V, C)."""
    generator = np.random.default_rng(seed)
    base = generator.normal(0, 1, (count, 1, joints, coordinates)) + 6 * np.arange(count)[:, None, None, None]
    return base + np.cumsum(generator.normal(0, 0.02, (count, frames, joints, coordinates)), axis=1)


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content).replace("NaN", "null"), encoding="utf-8")
    return path


def test_recordings_of_a_depth_camera_are_those_of_python(tmp_path: Path) -> None:
    paths = synthesize(tmp_path, 40)  # some of them with ghosts, and with people who change their numbers
    for path, read in zip(paths, in_the_page(*paths), strict=True):
        compare(path, "ntu25", "ntu", read)
        assert (read["layout"], read["fps"]) == ("ntu25", 30)


@pytest.mark.parametrize(("frames", "width"), [(11, 0.1), (12, 0.1), (20, 5.0)])
def test_short_and_wide_detections_are_people_where_they_are_in_python(
    tmp_path: Path, frames: int, width: float
) -> None:
    person = people(1, 30, 25, 3)[0] * [0.1, 1, 1]
    other = people(1, frames, 25, 3, seed=5)[0] * [width, 1, 1] + 2
    states = np.full((30, 25), TRACKED)
    tracked = [TrackedBody(7, np.arange(30), person, states), TrackedBody(3, np.arange(frames), other, states[:frames])]
    (tmp_path / "S001C001P001R001A001.skeleton").write_text(skeleton_text(tracked))
    compare(tmp_path / "S001C001P001R001A001.skeleton", "ntu25", "ntu")


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_arrays_of_each_precision_are_read(tmp_path: Path, dtype: str) -> None:
    joints = people(2, 9, 25, 3).astype(dtype)
    joints[1, 3] = 0
    joints[0, 2, 4, 1] = np.nan
    np.save(tmp_path / "clip.npy", joints)
    np.save(tmp_path / "one.npy", joints[0])
    two, one = in_the_page(tmp_path / "clip.npy", tmp_path / "one.npy")
    wanted = joints.astype(np.float64)
    wanted[1, 3], wanted[0, 2, 4] = np.nan, np.nan
    np.testing.assert_allclose(two["joints"], wanted, atol=1e-6)
    np.testing.assert_allclose(one["joints"], wanted[:1], atol=1e-6)


def landmarks(points: Array) -> list[dict[str, float]]:
    return [{"x": x, "y": y, "z": z, "visibility": 0.9 - 0.02 * n} for n, (x, y, z) in enumerate(points.tolist())]


@pytest.mark.parametrize("count", [1, 2])
def test_landmarks_in_space_are_those_of_python(tmp_path: Path, count: int) -> None:
    world, picture = people(count, 12, 33, 3), people(count, 12, 33, 3, 1)
    frames = [
        {
            "pose_world_landmarks": [landmarks(body[frame] - body[frame].mean(axis=0)) for body in world],
            "pose_landmarks": [landmarks(body[frame]) for body in picture],
            "timestamp_ms": 40 * frame,
        }
        for frame in range(12)
    ]
    frames[5] = {"timestamp_ms": 200}
    read = compare(written(tmp_path / "pose.json", frames), "mediapipe33", "mediapipe")
    assert read["fps"] == pytest.approx(25)
    assert read["shape"][1] == 12


def test_landmarks_of_a_picture_have_its_ratio(tmp_path: Path) -> None:
    frames = [{"landmarks": landmarks(points)} for points in people(1, 6, 33, 3)[0]]
    content = {"width": 1280, "height": 720, "fps": 24, "frames": frames}
    assert compare(written(tmp_path / "pose.json", content), "mediapipe33", "mediapipe")["fps"] == 24


@pytest.mark.parametrize(("joints", "layout"), [(25, "body25_2d"), (18, "openpose18_2d")])
def test_frames_of_openpose_are_those_of_python(tmp_path: Path, joints: int, layout: str) -> None:
    points = 50 * people(2, 11, joints, 2) + 300
    for frame in range(11):
        bodies = [
            {
                "person_id": [-1],
                "pose_keypoints_2d": np.column_stack([body[frame], np.full(joints, 0.8)]).ravel().tolist(),
            }
            for body in points[:: 1 if frame % 2 else -1]
        ]
        bodies[0]["pose_keypoints_2d"][3:6] = [0, 0, 0]
        written(tmp_path / "video" / f"video_{frame:012}_keypoints.json", {"version": 1.3, "people": bodies})
    read = compare(tmp_path / "video", layout, "openpose")
    assert read["layout"] == layout


def key_points(points: Array, confidence: float = 0.7) -> list[float]:
    return np.column_stack([points, np.full(len(points), confidence)]).ravel().tolist()


def results(points: Array) -> Any:
    return [
        {"image_id": frame, "category_id": 1, "score": 0.9, "keypoints": key_points(body[frame])}
        for frame in range(points.shape[1]) for body in points
    ]  # fmt: skip


def annotations(points: Array) -> Any:
    images = [{"id": 7 * frame, "file_name": f"{frame}.jpg"} for frame in reversed(range(points.shape[1]))]
    listed = [
        {"image_id": 7 * frame, "keypoints": key_points(body[frame], 2)}
        for frame in range(points.shape[1]) for body in points
    ]  # fmt: skip
    return {"images": images, "annotations": listed}


def instances(points: Array) -> Any:
    frames = [
        {
            "frame_id": frame,
            "instances": [{"keypoints": body[frame].tolist(), "keypoint_scores": [0.6] * 17} for body in points],
        }
        for frame in range(points.shape[1])
    ]
    return {"meta_info": {}, "instance_info": frames}


@pytest.mark.parametrize("content", [results, annotations, instances])
def test_key_points_of_each_form_are_those_of_python(tmp_path: Path, content: Callable[[Array], Any]) -> None:
    points = 50 * people(2, 12, 17, 2) + 300
    read = compare(written(tmp_path / "poses.json", content(points)), "coco17_2d", "coco")
    assert read["layout"] == "coco17_2d"
    assert read["shape"] == [2, 12, 17, 2]


def test_people_who_are_lost_and_found_among_false_detections_are_those_of_python(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    points = 50 * people(3, 80, 17, 2) + 300
    content = []
    for frame in range(80):
        found = [body[frame] for number, body in enumerate(points) if (frame // (7 + number)) % 3]
        found += [generator.uniform(0, 900, (17, 2)) for _ in range(frame % 3)]
        content += [{"image_id": f"{frame}.jpg", "keypoints": key_points(body)} for body in found]
    halves = content[-1]["keypoints"], content[-4]["keypoints"]
    halves[0][: 3 * 9], halves[1][3 * 9 :] = [0.0] * 27, [0.0] * 24  # without a joint in common
    read = compare(written(tmp_path / "poses.json", content), "coco17_2d", "coco", bodies=10)
    assert read["shape"][0] > 3


def test_a_file_says_whether_it_has_people_who_are_left_out(tmp_path: Path) -> None:
    states = np.full((30, 25), TRACKED)
    paths = []
    for count in (2, 3):
        bodies = people(count, 30, 25, 3) * [0.1, 1, 1]
        tracked = [TrackedBody(n, np.arange(30), body, states) for n, body in enumerate(bodies)]
        paths.append(tmp_path / f"S001C001P001R001A00{count}.skeleton")
        paths[-1].write_text(skeleton_text(tracked))
    paths += [written(tmp_path / f"{count}.json", results(50 * people(count, 6, 17, 2) + 300)) for count in (10, 11)]
    assert [read["hasMore"] for read in in_the_page(*paths)] == [False, True, False, True]


def test_nested_lists_are_read_with_what_is_missing(tmp_path: Path) -> None:
    joints: Any = people(2, 5, 17, 2).tolist()
    joints[0][1], joints[0][2][3] = None, None
    plain, named = in_the_page(
        written(tmp_path / "plain.json", joints),
        written(tmp_path / "named.json", {"joints": joints, "fps": 50, "layout": "coco17_2d"}),
    )
    assert np.isnan(plain["joints"][0, 1]).all() and np.isnan(plain["joints"][0, 2, 3]).all()
    np.testing.assert_array_equal(plain["joints"], named["joints"])
    assert (named["fps"], named["layout"]) == (50, "coco17_2d")


HALF_MAP = f"""
import {{ readFileSync }} from "node:fs";
import {{ Layouts }} from "{(SOURCE / "core/layouts.js").as_uri()}";
import {{ fitted, recordingOf }} from "{(SOURCE / "core/recording.js").as_uri()}";

const {{ layouts, maps, shape, layout, target, data }} = JSON.parse(readFileSync(process.argv[1], "utf8"));
const known = new Layouts({{ layouts, maps }});
const values = Float32Array.from(data.flat(4), (value) => value ?? NaN);
const [bodies, frames, joints, coordinates] = shape;
const recording = recordingOf({{ name: "clip", bodies, frames, joints, coordinates, data: values, layout }});
try {{
  const found = fitted(recording, layouts[target], known);
  const listed = [...found.recording.data].map((value) => (Number.isNaN(value) ? null : value));
  console.log(JSON.stringify({{ data: listed, from: found.mappedFrom }}));
}} catch (error) {{
  console.log(JSON.stringify({{ problem: error.message }}));
}}
"""


def fit(folder: Path, joints: Array, layout: str, target: str) -> Any:
    """Return a recording in the layout of a model."""
    sys.path.insert(0, str(ROOT / "demo"))
    try:
        from make_content import layouts
    finally:
        sys.path.pop(0)
    content = {**layouts(), "shape": joints.shape, "layout": layout, "target": target, "data": joints.tolist()}
    return answer(HALF_MAP, written(folder / "map.json", content))


def test_joints_are_mapped_to_the_layout_of_the_model_as_in_python(tmp_path: Path) -> None:
    from last.skeleton.layout_map import build_layout_map

    joints = people(2, 4, 33, 3)
    joints[0, 1, 5] = np.nan
    wanted = build_layout_map(load_layout("mediapipe33"), load_layout("ntu25"))(joints)
    found = fit(tmp_path, joints, "", "ntu25")
    assert found["from"] == "mediapipe33"
    given = np.array(found["data"], np.float64).reshape(wanted.shape)
    np.testing.assert_allclose(given, wanted, atol=1e-5)


def test_a_recording_of_another_layout_is_refused_by_name(tmp_path: Path) -> None:
    found = fit(tmp_path, people(1, 4, 17, 2), "coco17_2d", "ntu25")
    assert (
        "17 joints with 2 coordinates, the layout coco17_2d; the model takes 25 with 3, the layout ntu25"
        in found["problem"]
    )


def test_what_is_no_recording_is_refused_with_the_reason(tmp_path: Path) -> None:
    def file(name: str, content: bytes | str) -> Path:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / name

    def array(name: str, values: Array) -> Path:
        np.save(tmp_path / name, values)
        return tmp_path / name

    whole = array("whole.npy", people(1, 9, 25, 3)).read_bytes()
    (skeleton,) = synthesize(tmp_path / "raw", 1)
    lines = skeleton.read_text().splitlines()
    cases = {
        file("film.mp4", b"\0\0"): "film.mp4 is not a kind of file that this page reads",
        file("empty.npy", b""): "empty.npy: The file is empty",
        file("text.npy", "hello, this is text"): "does not begin as a NumPy array",
        file("cut.npy", whole[:-40]): "cut short",
        array("names.npy", np.array(["a", "b"])): "holds <U1; save it as float16",
        array("fortran.npy", np.asfortranarray(people(1, 9, 25, 3))): "order of Fortran",
        array("flat.npy", np.zeros((4, 5))): "has the shape (4, 5)",
        array("zeros.npy", np.zeros((4, 25, 3))): "No body is present",
        array("joints.npy", np.ones((2, 1001, 3), np.float32)): "It has 1,001 joints in a body; at most 1,000",
        array("bodies.npy", np.ones((801, 1, 25, 3), np.float32)): "20,025 joints in the 801 bodies of a frame",
        array("far.npy", np.full((4, 25, 3), 1e9)): "coordinates are up to 1000000",
        file("not.json", "{]"): "It is not JSON",
        file("utf.json", b"\xff\xfe{}"): "not UTF-8",
        file("other.json", '{"a": 1}'): "of no known kind",
        file("deep.json", "[" * 5_000 + "]" * 5_000): "of no known kind",
        file("model.json", '{"format": "last-recognizer"}'): "description of a model",
        file("rows.json", "[[[1,2,3],[1,2]]]"): "differ in their lengths",
        file("word.json", '[[["a","b","c"]]]'): "not a number",
        file("hand.json", '[{"landmarks": [{"x": 1, "y": 1}]}]'): "has a body of 1 landmark",
        file("short.skeleton", "\n".join(lines[:20])): "the file ends where joint",
        file("word.skeleton", "frames"): "should be a whole number",
        file("row.skeleton", "\n".join([*lines[:5], "1 2 3", *lines[6:]])): "should be a row of 12 numbers",
        file("people.json", '{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}'): "has 3 numbers; BODY_25 has 75",
        file("sizes.json", "[[[[1,2,3]]], " + "[" + "null," * 9_999 + "null" + "]]"): "differ in their lengths",
        file("points.json", '[{"image_id": 1, "keypoints": [1, 2]}]'): "x, y and score of each joint",
    }
    for found, (path, problem) in zip(in_the_page(*cases), cases.items(), strict=True):
        assert problem in found["problem"], path.name
