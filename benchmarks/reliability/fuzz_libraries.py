"""Valid recordings of the formats that other packages read, written by these packages where they can."""

import io
import json
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_changes import Files
from fuzz_recordings import some_joints

FRAMES = 4
_FLAGS = [("visible", "?"), ("complete", "?")]
_FRAME_FIELDS = ("frame_id", "video", "frame_idx", "instance_id_start", "instance_id_end")
_INSTANCE_FIELDS = (
    *("instance_id", "instance_type", "frame_id", "skeleton", "track", "from_predicted", "score"),
    *("point_id_start", "point_id_end"),
)


def is_installed(package: str) -> bool:
    """Tell whether an optional package is installed."""
    return find_spec(package) is not None


# --- Parquet


def long_columns() -> dict[str, list[Any]]:
    """Return a table with a row per joint, by its columns."""
    joints = some_joints(2, FRAMES, 25)
    cells = [(body, frame, joint) for body in (0, 1) for frame in range(FRAMES) for joint in range(25)]
    columns: dict[str, list[Any]] = {
        "clip": [f"c{body}" for body, _, _ in cells],
        "frame": [frame for _, frame, _ in cells],
        "person": [str(body) for body, _, _ in cells],
        "joint": [joint for _, _, joint in cells],
    }
    columns |= {axis: [float(joints[cell][place]) for cell in cells] for place, axis in enumerate("xyz")}
    return {**columns, "score": [0.5] * len(cells), "label": [("first", "second")[body] for body, _, _ in cells]}


def parquet_seeds(_: Path) -> list[Files]:
    """Return a table in several encodings and compressions."""
    import pyarrow
    from pyarrow import parquet

    made: list[Files] = []
    for options in (
        {},
        {"compression": "gzip"},
        {"compression": "zstd", "use_dictionary": False},
        {"row_group_size": 30},
    ):
        buffer = io.BytesIO()
        parquet.write_table(pyarrow.table(long_columns()), buffer, **options)
        made.append({"a.parquet": buffer.getvalue()})
    return made


# --- motion capture


def bvh_text(layout: Any) -> str:
    """Return a file with a joint for every joint of a layout, whose bones have random lengths."""
    random = np.random.default_rng(0)
    children: dict[int, list[int]] = {joint: [] for joint in range(layout.num_joints)}
    for child, parent in layout.bones:
        children[parent].append(child)

    def lines_of(joint: int, indent: str) -> list[str]:
        is_root = joint == layout.root
        offset = " ".join(f"{value:.4f}" for value in random.normal(size=3) * 10)
        position = "6 Xposition Yposition Zposition" if is_root else "3"
        inner = [f"OFFSET {offset}", f"CHANNELS {position} Zrotation Xrotation Yrotation"]
        below = [line for child in children[joint] for line in lines_of(child, indent + "  ")]
        end = (
            []
            if children[joint]
            else [f"{indent}  End Site", f"{indent}  {{", f"{indent}    OFFSET 0 1 0", f"{indent}  }}"]
        )
        head = f"{indent}{'ROOT' if is_root else 'JOINT'} {layout.joints[joint]}"
        return [head, f"{indent}{{", *(f"{indent}  {line}" for line in inner), *below, *end, f"{indent}}}"]

    rows = random.normal(size=(FRAMES, 3 + 3 * layout.num_joints)) * 20
    frames = [" ".join(f"{value:.4f}" for value in row) for row in rows]
    head = ["MOTION", f"Frames: {FRAMES}", "Frame Time: 0.033333"]
    return "\n".join(["HIERARCHY", *lines_of(layout.root, ""), *head, *frames]) + "\n"


def bvh_seeds(_: Path) -> list[Files]:
    """Return one body."""
    from last.skeleton import load_layout

    text = bvh_text(load_layout("coco17")).encode()
    return [{"first/a_P1.bvh": text, "second/b.bvh": text}]


def c3d_bytes(points: np.ndarray, labels: list[str], missing: bool = False, analog: bool = False) -> bytes:
    """Return a file of points (T, markers, 3) in metres, y up."""
    import ezc3d

    content = ezc3d.c3d()
    content["parameters"]["POINT"]["RATE"]["value"] = [100.0]
    content["parameters"]["POINT"]["LABELS"]["value"] = labels
    content["parameters"]["POINT"]["UNITS"]["value"] = ["m"]
    content.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    shape = (points.shape[1], len(points))
    content["data"]["points"] = np.concatenate([points.transpose(2, 1, 0), np.ones((1, *shape))])
    residuals = np.zeros((1, *shape))
    residuals[0, 0, 0] = -1 if missing else 0
    content["data"]["meta_points"] = {"residuals": residuals, "camera_masks": np.zeros((7, *shape), bool)}
    if analog:
        content["parameters"]["ANALOG"]["RATE"]["value"] = [200.0]
        content["parameters"]["ANALOG"]["LABELS"]["value"] = ["force"]
        content["data"]["analogs"] = np.zeros((1, 1, 2 * len(points)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.c3d"
        content.write(str(path))
        return path.read_bytes()


def c3d_seeds(_: Path) -> list[Files]:
    """Return one and two subjects, with and without samples of a force plate."""
    from last.skeleton import load_layout

    joints = some_joints(2, FRAMES, 17)
    names = list(load_layout("coco17").joints)
    both = [f"{subject}:{name}" for subject in ("Ann", "Bob") for name in names]
    one = c3d_bytes(joints[0], names, missing=True)
    two = c3d_bytes(joints.transpose(1, 0, 2, 3).reshape(FRAMES, -1, 3), both, analog=True)
    return [{"first/a_P1.c3d": one, "second/b.c3d": one}, {"first/a_P1.c3d": two, "second/b.c3d": one}]


# --- SLEAP


def sleap_analysis(joints: np.ndarray, names: Sequence[str], score: float = 0.5, frames_first: bool = False) -> bytes:
    """Return bodies (M, T, V, 2) as an analysis file; a body of zeros is absent."""
    import h5py

    points = np.where(joints.any(axis=(2, 3), keepdims=True), joints, np.nan).transpose(0, 3, 2, 1)
    scores = np.full(points[:, 0].shape, score)
    if frames_first:
        points, scores = points.transpose(3, 0, 2, 1), scores.transpose(2, 0, 1)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("tracks", data=points, compression="gzip")
        file.create_dataset("point_scores", data=scores, compression="gzip")
        file["node_names"] = np.array([name.encode() for name in names])
    return buffer.getvalue()


def sleap_labels(joints: np.ndarray, names: Sequence[str], **changed: np.ndarray) -> bytes:
    """Return bodies (M, T, V, 2) as a `.slp` file of predictions; a body of zeros is absent."""
    import h5py

    points = [(x, y, True, False, 0.5) for frame in joints.transpose(1, 0, 2, 3) for body in frame for x, y in body]
    nodes, bodies = len(names), len(joints)
    cells = [(body, frame) for frame in range(joints.shape[1]) for body in range(bodies) if joints[body, frame].any()]
    instances = [
        (number, 1, frame, 0, body, -1, 0.9, (frame * bodies + body) * nodes, (frame * bodies + body + 1) * nodes)
        for number, (body, frame) in enumerate(cells)
    ]
    ends = np.cumsum([0, *(sum(each == frame for _, each in cells) for frame in range(joints.shape[1]))]).tolist()
    frames = [(frame, 0, frame, ends[frame], ends[frame + 1]) for frame in range(joints.shape[1])]
    tables = {
        "frames": np.array(frames, [(key, "<u8") for key in _FRAME_FIELDS]),
        "instances": np.array(instances, [(key, "<f4" if key == "score" else "<i8") for key in _INSTANCE_FIELDS]),
        "points": np.array([], [("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")]),
        "pred_points": np.array(points, [*((key, "<f8") for key in "xy"), *_FLAGS, ("score", "<f8")]),
        **changed,
    }
    graph = {"nodes": [{"id": number} for number in range(nodes)]}
    metadata = {"version": "2.0.0", "skeletons": [graph], "nodes": [{"name": name} for name in names]}
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, table in tables.items():
            file.create_dataset(path, data=table)
        group = file.create_group("metadata")
        group.attrs["format_id"] = 1.2
        group.attrs["json"] = np.bytes_(json.dumps(metadata))
    return buffer.getvalue()


def sleap_seeds(_: Path) -> list[Files]:
    """Return predictions, and analysis files in both orders of their axes."""
    from last.skeleton import load_layout

    names = load_layout("coco17_2d").joints
    joints = some_joints(2, FRAMES, 17)[..., :2]
    labels, analysis = sleap_labels(joints, names), sleap_analysis(joints, names)
    return [
        {"first/a_P1.slp": labels, "second/b.h5": analysis},
        {"first/a_P1.h5": sleap_analysis(joints, names, frames_first=True), "second/b.slp": labels},
    ]
