"""Valid arrays, archives, pickles and recordings for the fuzz campaign, and what reads each.

What is imported for one reader alone is imported where it is used, so that a worker's memory is that reader's.
"""

import gzip
import io
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED

import numpy as np
from fuzz_changes import Files, zip_of

from last.utils.errors import UserError

_DLC_AXES = ("x", "y", "likelihood")
LAYOUTS = {
    "nw_ucla": "kinect20",
    "sbu": "sbu15",
    "openpose": "body25_2d",
    "coco": "coco17_2d",
    "mediapipe": "mediapipe33",
    "zed": "zed34",
    "kinect_azure": "kinect_azure32",
    "dlc": "coco17_2d",
    "bvh": "coco17",
    "c3d": "coco17",
    "tao": "tao34",
    "sleap": "coco17_2d",
}


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _zip(members: Mapping[str, bytes], method: int = ZIP_DEFLATED) -> bytes:
    return zip_of((name, method, content) for name, content in members.items())


def some_joints(bodies: int, frames: int, joints: int) -> np.ndarray:
    points = np.random.default_rng(0).uniform(0.3, 0.5, size=(bodies, frames, joints, 3))
    points[..., 1] *= np.linspace(1, 4, joints)
    return points.round(4)


# --- arrays, zips, pickles


def array_seeds(_: Path) -> list[Files]:
    records = np.array([("one", 3)], [("name", "<U5"), ("label", "<i4")])
    arrays = [np.arange(24.0).reshape(2, 3, 4), np.asfortranarray(np.eye(3)), np.zeros((0, 4), np.int8), np.float32(1)]
    return [{"a.npy": npy(np.asarray(array))} for array in (*arrays, records)]


def read_array(folder: Path) -> None:
    from last.utils.array_files import DamagedArray, array_of, map_array

    path = folder / "a.npy"
    problems: list[DamagedArray] = []
    read: Callable[[], np.ndarray]
    for records in (False, True):
        for read in (lambda: map_array(path, records=records), lambda: array_of(path.read_bytes(), records=records)):  # noqa: B023
            try:
                read().tobytes()
            except DamagedArray as problem:
                problems.append(problem)
    if len(problems) == 4:
        raise problems[0]


def fine_for_files() -> tuple[type[BaseException], ...]:
    from last.utils.array_files import DamagedArray
    from last.utils.zip_files import DamagedZip

    return DamagedArray, DamagedZip, OSError


def zip_seeds(_: Path) -> list[Files]:
    members = {"a/one.txt": b"one" * 300, "two.bin": bytes(range(256)) * 4, "empty": b""}
    return [{"a.zip": _zip(members, method)} for method in (ZIP_STORED, ZIP_DEFLATED)]


def read_zip(folder: Path) -> None:
    from last.utils.zip_files import Archive, DamagedZip

    problems: list[DamagedZip] = []
    with Archive(folder / "a.zip") as archive:
        for member in archive.members:
            try:
                archive.read(member, 1 << 20)
                archive.stored_span(member)
            except DamagedZip as problem:
                problems.append(problem)
    if problems:
        raise problems[0]


def _annotations() -> dict[str, Any]:
    joints = some_joints(2, 4, 25).astype(np.float32)
    annotations = [
        {"frame_dir": f"c{i}", "label": i, "keypoint": joints * (i + 1), "total_frames": 4} for i in range(2)
    ]
    return {"split": {"xsub_train": ["c0"], "xsub_val": ["c1"]}, "annotations": annotations}


def pickle_seeds(_: Path) -> list[Files]:
    whole = [{"a.pkl": pickle.dumps(_annotations(), protocol)} for protocol in (2, 4, 5)]
    names = pickle.dumps({"a": np.array(["one", "two"]), "b": [np.int64(3), {1, 2}, b"x", (None, 1.5)]}, 4)
    return [*whole, {"a.pkl": names}]


def read_pickle(folder: Path) -> None:
    from last.data.preparation.formats.restricted_pickle import load_plain

    load_plain(folder / "a.pkl")


# --- recordings


def read_with(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from last.data.preparation.formats import BadClip, ListsProtocols, Source, get_reader
        from last.skeleton import load_layout

        layout = LAYOUTS.get(name, "ntu25")
        reader = get_reader(name, Source(load_layout(layout), 2, ("first", "second")))
        problems: list[BadClip] = []
        for entry in reader.entries(folder):
            try:
                reader.read(entry)
            except BadClip as problem:
                str(problem).encode()
                problems.append(problem)
        if isinstance(reader, ListsProtocols):
            reader.protocols(folder)
        if problems:
            raise problems[0]

    return read


def fine_for_recordings() -> tuple[type[BaseException], ...]:
    from last.data.preparation.formats import BadClip

    return UserError, BadClip


def ntu_text() -> bytes:
    row = "277.4 191.8 1036.2 519.1 -0.2 0.05 0.9 -0.1 2"
    lines = ["3"]
    for frame in some_joints(2, 3, 25).transpose(1, 0, 2, 3):
        lines.append("2")
        for body, points in enumerate(frame):
            lines += [f"7205759403793110{body} 0 1 1 1 1 0 0.02 0.05 2", "25"]
            lines += [" ".join(map(str, point)) + f" {row}" for point in points]
    return ("\n".join(lines) + "\n").encode()


def packed(path: str, data: bytes) -> list[Files]:
    """Return a recording of text in the packings that are read."""
    return [{path: data}, {f"{path}.gz": gzip.compress(data, mtime=0)}, {"all.zip": _zip({path: data})}]


def sbu_text() -> bytes:
    rows = some_joints(2, 5, 15).transpose(1, 0, 2, 3).reshape(5, -1).tolist()
    return "\n".join(",".join(map(str, [frame, *row])) for frame, row in enumerate(rows)).encode()


def folder_seeds(_: Path) -> list[Files]:
    kinds = (np.float32, np.float16, np.int16)
    return [
        {"first/a_P1.npy": npy(some_joints(2, 4, 25).astype(kind)), "second/b_P2.npy": npy(some_joints(1, 4, 25)[0])}
        for kind in kinds
    ]


def table_seeds(_: Path) -> list[Files]:
    """Return a table of each form, packed or not."""
    joints = [points.tolist() for points in some_joints(2, 3, 25).transpose(1, 0, 2, 3)]
    rows = [
        f"c{body},{frame},{body},{joint},{','.join(map(str, point))},0.5,{('first', 'second')[body]},P{body + 1}"
        for frame, bodies in enumerate(joints)
        for body, points in enumerate(bodies)
        for joint, point in enumerate(points)
    ]
    long = "\n".join(["clip,frame,person,joint,x,y,z,score,label,subject", *rows])
    header = ",".join(["label", "frame", "time", *(f"{axis}{joint}" for joint in range(25) for axis in "xyz")])
    frames = [
        ",".join(["first", str(frame), str(frame / 30), *(str(value) for point in bodies[0] for value in point)])
        for frame, bodies in enumerate(joints)
    ]
    wide = "\n".join([header, *frames])
    return [*packed_in_gzip("a.csv", long.encode()), *packed_in_gzip("b.csv", wide.encode())]


def packed_in_gzip(path: str, data: bytes) -> list[Files]:
    """Return a file, and the same file packed."""
    return [{path: data}, {f"{path}.gz": gzip.compress(data, mtime=0)}]


def npz_seeds(_: Path) -> list[Files]:
    seeds: list[Files] = []
    for extra in ({"fps": np.array(30.0)}, {"times": np.arange(4) / 30}, {}):
        buffer = io.BytesIO()
        np.savez(buffer, joints=some_joints(2, 4, 25), confidence=np.full((2, 4, 25), 0.5), **extra)
        seeds.append({"first/a_P1.npz": buffer.getvalue(), "second/b_P2.npy": npy(some_joints(1, 4, 25)[0])})
    return seeds


def ctrgcn_seeds(_: Path) -> list[Files]:
    flat = some_joints(2, 4, 25).transpose(1, 0, 2, 3).reshape(1, 4, -1).astype(np.float32)
    arrays: dict[str, np.ndarray] = {
        "x_train": flat,
        "y_train": np.eye(2)[:1],
        "x_test": flat + 1,
        "y_test": np.eye(2)[1:],
    }
    return [{"a.npz": _zip({f"{name}.npy": npy(array) for name, array in arrays.items()}, ZIP_STORED)}]


def pyskl_seeds(_: Path) -> list[Files]:
    """Return annotations in several protocols."""
    return [{"a.pkl": pickle.dumps(_annotations(), protocol)} for protocol in (2, 4, 5)]


def ntu_seeds(_: Path) -> list[Files]:
    """Return a recording of two bodies, packed or not."""
    return packed("S001C002P003R002A013.skeleton", ntu_text())


def sbu_seeds(_: Path) -> list[Files]:
    """Return a recording of two bodies, packed or not."""
    return packed("s01s02/03/001/skeleton_pos.txt", sbu_text())


def nw_ucla_seeds(_: Path) -> list[Files]:
    """Return a recording of one body, packed or not."""
    content = {"label": 1, "skeletons": some_joints(1, 4, 20)[0].tolist()}
    return packed("a01_s02_e00_v01.json", json.dumps(content).encode())


def _with_scores(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.full((*points.shape[:-1], 1), 0.9)], axis=-1)


def openpose_seeds(_: Path) -> list[Files]:
    """Return frames of two people, with and without a tracker's numbers."""
    frames = _with_scores(some_joints(2, 3, 25)[..., :2]).transpose(1, 0, 2, 3)
    made: list[Files] = []
    for tracked in (False, True):
        files = {}
        for number, frame in enumerate(frames):
            people = [
                {"person_id": [body if tracked else -1], "pose_keypoints_2d": points.ravel().tolist()}
                for body, points in enumerate(frame)
            ]
            content = json.dumps({"version": 1.3, "people": people}).encode()
            files[f"first/take_P1/v_{number:012}_keypoints.json"] = content
        made.append({**files, "second/take/a_0_keypoints.json": content})
    return made


def coco_seeds(_: Path) -> list[Files]:
    """Return results, annotations, frames of MMPose and frames of Ultralytics."""
    frames = _with_scores(some_joints(2, 3, 17)[..., :2]).transpose(1, 0, 2, 3)
    results = [
        {"image_id": f"f{number}.jpg", "keypoints": points.ravel().tolist(), "score": 0.9, "track_id": body}
        for number, frame in enumerate(frames)
        for body, points in enumerate(frame)
    ]
    annotations = [{**each, "image_id": int(str(each["image_id"])[1])} for each in results]
    images = [{"id": number, "file_name": f"a_{number}.jpg"} for number in range(3)]
    instances = [
        {"keypoints": points[:, :2].tolist(), "keypoint_scores": points[:, 2].tolist()} for points in frames[0]
    ]
    axes = [
        {axis: points[:, place].tolist() for place, axis in enumerate(("x", "y", "visible"))} for points in frames[0]
    ]
    contents: list[Any] = [
        results,
        {"images": images, "annotations": annotations},
        {"meta_info": {}, "instance_info": [{"frame_id": 1, "instances": instances}]},
        [[{"class": 0, "confidence": 0.9, "keypoints": each} for each in axes]],
    ]
    second = json.dumps(results).encode()
    return [{"first/a_P1.json": json.dumps(content).encode(), "second/b.json": second} for content in contents]


def mediapipe_seeds(_: Path) -> list[Files]:
    """Return world landmarks, landmarks of pictures with times, and those of protobuf's texts."""
    frames = some_joints(2, 3, 33).transpose(1, 0, 2, 3).tolist()
    bodies = [
        [[{"x": x, "y": y, "z": z, "visibility": 0.9} for x, y, z in points] for points in frame] for frame in frames
    ]
    contents: list[Any] = [
        [
            {"pose_landmarks": frame, "pose_world_landmarks": frame, "timestamp_ms": 33 * n}
            for n, frame in enumerate(bodies)
        ],
        {"width": 640, "height": 480, "fps": 30, "frames": [{"landmarks": frame[0]} for frame in bodies]},
        [{"poseLandmarks": {"landmark": frame[0]}, "timestamp": 0.04 * n} for n, frame in enumerate(bodies)],
    ]
    second = json.dumps([bodies[0]]).encode()
    return [{"first/a_P1.json": json.dumps(content).encode(), "second/b.json": second} for content in contents]


def kinect_azure_seeds(_: Path) -> list[Files]:
    """Return bodies with and without the levels of their confidences."""
    positions = (1000 * some_joints(2, 3, 32)).transpose(1, 0, 2, 3).tolist()
    made: list[Files] = []
    for levels in ({}, {"confidence_levels": [2] * 16 + [1] * 16}):
        frames = [
            {
                "timestamp_usec": 33_333 * number,
                "num_bodies": 2,
                "bodies": [{"body_id": body, "joint_positions": each, **levels} for body, each in enumerate(frame)],
            }
            for number, frame in enumerate(positions)
        ]
        content = json.dumps({"k4abt_sdk_version": "1.1.0", "joint_names": [], "frames": frames}).encode()
        made.append({"first/a_P1.json": content, "second/b.json": content})
    return made


def zed_seeds(_: Path) -> list[Files]:
    """Return bodies with confidences by the times of their frames, and as a list of frames."""
    positions = some_joints(2, 3, 34).transpose(1, 0, 2, 3).tolist()
    frames = [
        {
            "timestamp": 1_700_000_000_000_000_000 + 33_333_333 * number,
            "body_list": [
                {"id": body, "keypoint": each, "keypoint_confidence": [80.5] * 34} for body, each in enumerate(frame)
            ],
        }
        for number, frame in enumerate(positions)
    ]
    contents: list[Any] = [{str(number): frame for number, frame in enumerate(frames)}, frames]
    made = [json.dumps(content).encode() for content in contents]
    return [{"first/a_P1.json": content, "second/b.json": made[0]} for content in made]


def dlc_table(joints: np.ndarray, names: Sequence[str]) -> str:
    """Return bodies (M, T, V, 2) as DeepLabCut's table of several animals; a body of zeros has empty fields."""
    parts = [(f"mouse{body}", name, axis) for body in range(len(joints)) for name in names for axis in _DLC_AXES]
    head = [["individuals", "bodyparts", "coords"][place] for place in range(3)]
    lines = [",".join(["scorer", *["net"] * len(parts)])]
    lines += [",".join([head[place], *(part[place] for part in parts)]) for place in range(3)]
    for number, frame in enumerate(joints.transpose(1, 0, 2, 3).tolist()):
        bodies = [body if any(map(any, body)) else [["", ""]] * len(names) for body in frame]
        row = [text for body in bodies for x, y in body for text in (str(x), str(y), "" if x == "" else "0.5")]
        lines.append(",".join([str(number), *row]))
    return "\n".join(lines) + "\n"


def dlc_seeds(_: Path) -> list[Files]:
    """Return one animal and several, packed or not."""
    from last.skeleton import load_layout

    names = load_layout("coco17_2d").joints
    two = dlc_table(some_joints(2, 4, 17)[..., :2], names)
    one = dlc_table(some_joints(1, 4, 17)[..., :2], names).split("\n")
    alone = "\n".join(one[:1] + one[2:])
    return [
        {**files, "second/b.csv": two.encode()}
        for text in (two, alone)
        for files in packed_in_gzip("first/a_P1.csv", text.encode())
    ]


def tao_batches(joints: np.ndarray, confidence: float = 0.5) -> list[dict[str, Any]]:
    """Return bodies (M, T, V, 3), in millimetres, as deepstream-bodypose-3d saves them; a body of zeros is left out."""
    made = []
    for number, frame in enumerate(joints.transpose(1, 0, 2, 3)):
        scored = np.concatenate([frame, np.full((*frame.shape[:2], 1), confidence)], axis=2)
        objects = [
            {"object_id": body, "pose25d": points.ravel().tolist(), "pose3d": points.ravel().tolist()}
            for body, points in enumerate(scored)
            if points[:, :3].any()
        ]
        batch = {"batch_id": 0, "frame_num": number, "ntp_timestamp": 1639431716322229000, "objects": objects}
        made.append({"num_frames_in_batch": 1, "batches": [batch]})
    return made


def tao_seeds(_: Path) -> list[Files]:
    """Return two bodies in a few frames."""
    content = json.dumps(tao_batches(1000 * some_joints(2, 3, 34))).encode()
    return [{"first/a_P1.json": content, "second/b.json": content}]
