"""The same recording written in every format, for the tests of what holds for all readers."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fuzz_libraries import c3d_bytes, sleap_labels
from fuzz_recordings import LAYOUTS, dlc_table, tao_batches

from last.skeleton import load_layout

ONE_BODY = ["nw_ucla"]
NTU_NAME, UCLA_NAME = "S001C002P003R002A001", "a01_s02_e03_v01"


def a_recording(name: str, bodies: int = 2, frames: int = 30) -> np.ndarray:
    """Return joints (M, T, V, C) as in a file: people who are taller than wide, and move."""
    layout = load_layout(LAYOUTS.get(name, "ntu25"))
    joints = layout.num_joints
    if name in ONE_BODY:
        bodies = 1
    points = np.random.default_rng(0).uniform(0.3, 0.5, size=(bodies, frames, joints, 3))
    points[..., 1] *= np.linspace(1, 4, joints)
    points[:, :, 0, 0] += np.linspace(0, 0.1, frames) * np.arange(2, 2 - bodies, -1)[:, None]
    return points.round(6)[..., : layout.coordinates]


def write_ntu(folder: Path, joints: np.ndarray) -> None:
    lines = [str(joints.shape[1])]
    for frame in range(joints.shape[1]):
        lines.append(str(len(joints)))
        for number, body in enumerate(joints[:, frame].tolist()):
            rows = [" ".join(map(repr, point)) + " 1 2 3 4 0 0 0 1 2" for point in body]
            lines += [f"{72057594037931101 + number} 0 1 1 1 1 0 0 0 2", str(len(rows)), *rows]
    (folder / f"{NTU_NAME}.skeleton").write_text("\n".join(lines) + "\n")


def write_nw_ucla(folder: Path, joints: np.ndarray) -> None:
    content = {"label": 1, "skeletons": joints[0].tolist()}
    (folder / f"{UCLA_NAME}.json").write_text(json.dumps(content))


def write_sbu(folder: Path, joints: np.ndarray) -> None:
    take = folder / "s01s02" / "01" / "001"
    take.mkdir(parents=True)
    both = np.zeros((2, *joints.shape[1:]))
    both[: len(joints)] = joints
    rows = both.transpose(1, 0, 2, 3).reshape(joints.shape[1], -1).tolist()
    text = "\n".join(",".join(map(repr, [float(frame), *row])) for frame, row in enumerate(rows))
    (take / "skeleton_pos.txt").write_text(text)


def write_folder(folder: Path, joints: np.ndarray) -> None:
    (folder / "first").mkdir()
    (folder / "second").mkdir()
    np.save(folder / "first" / "one.npy", joints)


def write_ctrgcn(folder: Path, joints: np.ndarray) -> None:
    both = np.zeros((2, *joints.shape[1:]))
    both[: len(joints)] = joints
    flat = both.transpose(1, 0, 2, 3).reshape(1, joints.shape[1], -1)
    empty, labels = np.zeros((0, *flat.shape[1:])), np.eye(2)
    np.savez(folder / "a.npz", x_train=flat, y_train=labels[:1], x_test=empty, y_test=labels[:0])


def write_pyskl(folder: Path, joints: np.ndarray) -> None:
    annotations = [{"frame_dir": "one", "label": 0, "keypoint": joints}]
    (folder / "a.pkl").write_bytes(pickle.dumps({"split": {}, "annotations": annotations}))


def write_openpose(folder: Path, joints: np.ndarray) -> None:
    """Write people with the numbers of a tracker, as OpenPose does with --tracking."""
    (folder / "second").mkdir()
    (folder / "first" / "one").mkdir(parents=True)
    for number, frame in enumerate(joints.transpose(1, 0, 2, 3)):
        people = []
        for body, points in enumerate(frame):
            seen = np.concatenate([points, np.full((len(points), 1), float(points.any()))], axis=1)
            people.append({"person_id": [body], "pose_keypoints_2d": seen.ravel().tolist(), "face_keypoints_2d": []})
        content = {"version": 1.3, "people": people}
        (folder / "first" / "one" / f"video_{number:012}_keypoints.json").write_text(json.dumps(content))


def write_coco(folder: Path, joints: np.ndarray) -> None:
    """Write results with the numbers of a tracker."""
    (folder / "second").mkdir()
    (folder / "first").mkdir()
    results = []
    for number, frame in enumerate(joints.transpose(1, 0, 2, 3)):
        for body, points in enumerate(frame):
            seen = np.concatenate([points, np.full((len(points), 1), float(points.any()))], axis=1)
            results.append({"image_id": number, "keypoints": seen.ravel().tolist(), "score": 0.9, "track_id": body})
    (folder / "first" / "one.json").write_text(json.dumps(results))


def write_mediapipe(folder: Path, joints: np.ndarray) -> None:
    """Write world landmarks of bodies that are apart in the picture; their order is no track."""
    (folder / "second").mkdir()
    (folder / "first").mkdir()
    frames = []
    for frame in joints.transpose(1, 0, 2, 3):
        bodies = [[dict(zip("xyz", point, strict=True)) for point in points.tolist()] for points in frame]
        apart = [[{**point, "x": number * 9.0} for point in body] for number, body in enumerate(bodies)]
        frames.append({"pose_landmarks": apart, "pose_world_landmarks": bodies})
    (folder / "first" / "one.json").write_text(json.dumps(frames))


def write_kinect_azure(folder: Path, joints: np.ndarray) -> None:
    """Write bodies in millimetres with the numbers of a tracker."""
    (folder / "second").mkdir()
    (folder / "first").mkdir()
    frames = []
    for number, frame in enumerate(joints.transpose(1, 0, 2, 3)):
        bodies = [
            {"body_id": body + 1, "joint_positions": (1000 * points).tolist()} for body, points in enumerate(frame)
        ]
        frames.append({"timestamp_usec": 33_333 * number, "frame_id": number, "num_bodies": 2, "bodies": bodies})
    (folder / "first" / "one.json").write_text(json.dumps({"k4abt_sdk_version": "1.1.0", "frames": frames}))


def write_zed(folder: Path, joints: np.ndarray) -> None:
    """Write bodies with the numbers of a tracker, by the times of their frames."""
    (folder / "second").mkdir()
    (folder / "first").mkdir()
    content = {}
    for number, frame in enumerate(joints.transpose(1, 0, 2, 3)):
        time = 1_700_000_000_000_000_000 + number * 33_333_333
        bodies = [{"id": body, "keypoint": points.tolist()} for body, points in enumerate(frame)]
        content[str(time // 1_000_000)] = {"is_new": True, "timestamp": time, "body_list": bodies}
    (folder / "first" / "one.json").write_text(json.dumps(content))


def write_table(folder: Path, joints: np.ndarray) -> None:
    rows = [
        ",".join(["one", str(frame), str(body), str(joint + 1), *map(repr, point), "first"])
        for body, frames in enumerate(joints.tolist())
        for frame, points in enumerate(frames)
        for joint, point in enumerate(points)
    ]
    (folder / "a.csv").write_text("\n".join(["clip,frame,body,joint,x,y,z,label", *rows]))


def write_dlc(folder: Path, joints: np.ndarray) -> None:
    """Write bodies as individuals; one that is absent has empty fields."""
    (folder / "second").mkdir()
    (folder / "first").mkdir()
    (folder / "first" / "one.csv").write_text(dlc_table(joints, load_layout(LAYOUTS["dlc"]).joints))


def write_c3d(folder: Path, joints: np.ndarray) -> None:
    """Write bodies as subjects."""
    (folder / "second").mkdir()
    (folder / "first").mkdir()
    names = [f"Subject{body}:{joint}" for body in range(len(joints)) for joint in load_layout(LAYOUTS["c3d"]).joints]
    points = joints.transpose(1, 0, 2, 3).reshape(joints.shape[1], -1, 3)
    (folder / "first" / "one.c3d").write_bytes(c3d_bytes(points, names))


def write_tao(folder: Path, joints: np.ndarray) -> None:
    """Write bodies in millimetres with the numbers of a tracker."""
    (folder / "second").mkdir()
    (folder / "first").mkdir()
    (folder / "first" / "one.json").write_text(json.dumps(tao_batches(1000 * joints)))


def write_sleap(folder: Path, joints: np.ndarray) -> None:
    """Write bodies as tracks of predictions."""
    (folder / "second").mkdir()
    (folder / "first").mkdir()
    (folder / "first" / "one.slp").write_bytes(sleap_labels(joints, load_layout(LAYOUTS["sleap"]).joints))


WRITERS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "coco": write_coco,
    "c3d": write_c3d,
    "ctrgcn": write_ctrgcn,
    "dlc": write_dlc,
    "folder": write_folder,
    "kinect_azure": write_kinect_azure,
    "zed": write_zed,
    "mediapipe": write_mediapipe,
    "ntu": write_ntu,
    "nw_ucla": write_nw_ucla,
    "openpose": write_openpose,
    "pyskl": write_pyskl,
    "sbu": write_sbu,
    "sleap": write_sleap,
    "table": write_table,
    "tao": write_tao,
}
