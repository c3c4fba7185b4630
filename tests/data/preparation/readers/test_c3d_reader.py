"""Motion capture as C3D, written by ezc3d."""

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.data.preparation.formats.c3d_file import read_c3d
from last.data.preparation.readers import c3d as reader_module
from last.data.store.clip import Clip
from last.skeleton import LayoutFile, build_layout

ezc3d: Any = pytest.importorskip("ezc3d")  # the writer

LAYOUT = build_layout("hips", LayoutFile(joints=["LASI", "RASI"], bones=[[2, 1]], root=1, center=1), "")


def write(
    path: Path, labels: list[str], points: np.ndarray, missing: Any = (), rate: float = 120.0, **given: str
) -> None:
    """Write points (T, markers, 3); `given` are further parameters of the points."""
    content = ezc3d.c3d()
    content["parameters"]["POINT"]["RATE"]["value"] = [rate]
    content["parameters"]["POINT"]["LABELS"]["value"] = labels
    for key, text in {"UNITS": "mm", **given}.items():
        content.add_parameter("POINT", key, [text])
    shape = (points.shape[1], len(points))
    content["data"]["points"] = np.concatenate([points.transpose(2, 1, 0), np.ones((1, *shape))])
    content["data"]["meta_points"] = {"residuals": np.zeros((1, *shape)), "camera_masks": np.zeros((7, *shape), bool)}
    for frame, marker in missing:
        content["data"]["meta_points"]["residuals"][0, marker, frame] = -1
    path.parent.mkdir(exist_ok=True)
    content.write(str(path))


def read(folder: Path, layout: Any = LAYOUT, bodies: int = 2) -> Clip:
    reader = get_reader("c3d", Source(layout, bodies, ("walk",)))
    (entry,) = reader.entries(folder)
    return reader.read(entry)


def points3(labels: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-900, 900, (4, labels, 3)).round(3)


def test_markers_are_found_by_name_in_metres_with_y_up(tmp_path: Path) -> None:
    points = points3(3)
    write(tmp_path / "walk" / "one_P3.c3d", ["C7", "RASI", "LASI"], points)
    clip = read(tmp_path)
    assert (clip.name, clip.subject, clip.fps, clip.joints.shape) == ("walk/one_P3", 3, 120.0, (1, 4, 2, 3))
    turned = np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)[:, [2, 1]] / 1000
    np.testing.assert_allclose(clip.joints[0], turned - turned[0, 0], atol=1e-6)
    assert clip.confidence is None


def test_a_marker_with_a_negative_residual_is_missing(tmp_path: Path) -> None:
    points = points3(2)
    points[3, 0] = np.nan
    write(tmp_path / "walk" / "one.c3d", ["LASI", "RASI"], points, missing=[(1, 1), (2, 0), (2, 1)])
    clip = read(tmp_path)
    np.testing.assert_array_equal(clip.frame_mask, [[True, True, False, True]])
    assert clip.confidence is not None
    np.testing.assert_array_equal(clip.confidence[0] > 0, [[1, 1], [1, 0], [0, 0], [0, 1]])


def test_subjects_are_bodies(tmp_path: Path) -> None:
    points = points3(5)
    write(tmp_path / "walk" / "one.c3d", ["Ann:RASI", "Ann:LASI", "Bob:LASI", "Bob:RASI", "LHipAngles"], points)
    clip = read(tmp_path)
    assert clip.joints.shape[0] == 2
    first, second = points[0, 1] / 1000, points[0, 2] / 1000
    expected = (second - first)[[0, 2, 1]] * [1, 1, -1]
    np.testing.assert_allclose(clip.joints[1, 0, 0], expected, atol=1e-6)
    assert read(tmp_path, bodies=1).bodies_left_out == 1


@pytest.mark.parametrize("axis", ["+X", "-X", "+Y", "-Y", "+Z", "-Z", "z"])
def test_the_vertical_axis_becomes_y_by_a_rotation(axis: str, tmp_path: Path) -> None:
    points = np.zeros((1, 2, 3))
    sign = -1 if axis[0] == "-" else 1
    points[0, 1, "XYZ".index(axis[-1].upper())] = 1000 * sign
    write(tmp_path / "walk" / "one.c3d", ["LASI", "RASI"], points + 1, Y_SCREEN=axis)
    np.testing.assert_allclose(read(tmp_path).joints[0, 0, 1], [0, 1, 0], atol=1e-6)
    assert all(np.linalg.det(rotation) == 1 for rotation in reader_module._UPRIGHT.values())


@pytest.mark.parametrize(("unit", "metres"), [("m", 1.0), ("cm", 0.01), ("MM", 0.001), ("", 0.001)])
def test_every_unit_becomes_metres(unit: str, metres: float, tmp_path: Path) -> None:
    points = np.array([[[1.0, 1, 1], [2, 1, 1]]])
    write(tmp_path / "walk" / "one.c3d", ["LASI", "RASI"], points, UNITS=unit)
    np.testing.assert_allclose(read(tmp_path).joints[0, 0, 1], [metres, 0, 0], atol=1e-7)


@pytest.mark.parametrize(
    ("labels", "given", "reason"),
    [
        (["C7", "LASI"], {}, "has no marker RASI of hips. Did you mean 'LASI'. It has C7, LASI. Use a layout"),
        (["Ann:LASI", "Ann:RASI", "Bob:LASI"], {}, "has no marker RASI of hips"),
        (["LASI", "lasi", "RASI"], {}, "'LASI' and 'lasi' may both be the marker LASI"),
        (["LASI", "RASI"], {"UNITS": "inch"}, "has the unit 'inch' in POINT:UNITS; known are mm, cm, dm, m"),
        (["LASI", "RASI"], {"Y_SCREEN": "UP"}, "has '.UP' in POINT:Y_SCREEN"),
        (["LASI", "RASI"], {"rate": 0.01}, "its rate is 0.01; 0.5 to 1000 frames per second are possible"),
    ],
)
def test_what_is_wrong_is_named(labels: list[str], given: Any, reason: str, tmp_path: Path) -> None:
    write(tmp_path / "walk" / "one.c3d", labels, points3(len(labels)), **given)
    with pytest.raises(BadClip, match=reason):
        read(tmp_path)


def test_a_file_in_which_every_marker_is_missing_is_dropped(tmp_path: Path) -> None:
    write(tmp_path / "walk" / "one.c3d", ["LASI", "RASI"], np.full((2, 2, 3), np.nan))
    with pytest.raises(DroppedClip, match="no skeleton"):
        read(tmp_path)


def by_hand(points: np.ndarray, processor: int, scale: float, frames: int | None = None, samples: int = 3) -> bytes:
    """Return a file of points (T, markers, 3) with samples of other devices, as a processor of 84 to 86 writes it."""
    order = ">" if processor == 86 else "<"

    def floats(values: Any) -> bytes:
        data = np.asarray(values, f"{order}f4")
        if processor != 85:
            return data.tobytes()
        return (data * 4).view("<u2").reshape(-1, 2)[:, ::-1].tobytes()

    def record(name: bytes, kind: int, sizes: list[int], data: bytes) -> bytes:
        rest = struct.pack(f"{order}bB", kind, len(sizes)) + bytes(sizes) + data + b"\0"
        return struct.pack("bb", -len(name), 1) + name + struct.pack(f"{order}H", len(rest) + 2) + rest

    count, markers, _ = points.shape
    group = struct.pack("bb", 5, -1) + b"POINT" + struct.pack(f"{order}HB", 3, 0)
    group += record(b"LABELS", -1, [4, markers], b"".join(f"M{place}".encode().ljust(4) for place in range(markers)))
    group += (
        record(b"RATE", 4, [], floats([50.0])) + record(b"UNITS", -1, [1], b"m") + record(b"Y_SCREEN", -1, [2], b"+Y")
    )
    if frames is not None:
        group += record(b"LONG_FRAMES", 4, [], floats([frames]))
    section = (b"\1\x50\2" + bytes([processor]) + group + bytes(3)).ljust(1024, b"\0")
    head = b"\2\x50" + struct.pack(f"{order}5H", markers, samples, 1, count, 0) + floats([scale])
    header = (head + struct.pack(f"{order}2H", 4, 1) + floats([50.0])).ljust(512, b"\0")
    unit = scale if scale > 0 else 1.0
    rows = np.concatenate([points / unit, np.zeros((count, markers, 1))], axis=2).reshape(count, -1)
    rows = np.concatenate([rows, np.full((count, samples), 7)], axis=1)
    body = np.round(rows).astype(f"{order}i2").tobytes() if scale > 0 else floats(rows.ravel())
    return header + section + body


@pytest.mark.parametrize("processor", [84, 85, 86])
@pytest.mark.parametrize("scale", [-1.0, 0.25])
def test_the_numbers_of_every_processor_and_kind_are_read(processor: int, scale: float) -> None:
    points = np.arange(24.0).reshape(4, 2, 3) / 4 - 2
    content = read_c3d("one", by_hand(points, processor, scale))
    np.testing.assert_array_equal(content.points, points)
    assert content.texts("POINT:LABELS") == ["M0", "M1"] and content.number("POINT:RATE") == 50


def test_a_long_recording_has_its_number_of_frames_in_the_parameters() -> None:
    points = np.ones((70_000, 1, 3))
    data = by_hand(points[:4], 84, 1.0, frames=70_000, samples=0)
    with pytest.raises(BadClip, match="is cut off: it has 4 of 70000 frames"):
        read_c3d("one", data)
    assert read_c3d("one", data + np.ones((69_996, 4), "<i2").tobytes()).points.shape == points.shape
    with pytest.raises(BadClip, match="has 1000000 frames; 1 to 262144 are read"):
        read_c3d("one", by_hand(points[:4], 84, 1.0, frames=1_000_000))


def test_no_changed_byte_raises_another_error() -> None:
    whole = by_hand(np.ones((2, 2, 3)), 84, -1.0)
    for place in (*range(24), *range(512, 700)):
        for change in (0x01, 0x80, 0xFF):
            changed = bytes(whole[:place]) + bytes([whole[place] ^ change]) + bytes(whole[place + 1 :])
            with contextlib.suppress(BadClip):
                read_c3d("one", changed)


@pytest.mark.parametrize("kept", [2, 300, 600, 900])
def test_a_file_that_is_cut_off_is_refused(kept: int, tmp_path: Path) -> None:
    write(tmp_path / "walk" / "one.c3d", ["LASI", "RASI"], points3(2))
    path = tmp_path / "walk" / "one.c3d"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadClip):
        read(tmp_path)


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "one.c3d").write_text("frame,x,y,z")
    with pytest.raises(BadClip, match="is no C3D file"):
        read(tmp_path)
