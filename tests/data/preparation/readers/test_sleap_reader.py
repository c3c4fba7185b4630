"""SLEAP's files: written by hand, and by sleap-io where it is installed."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz_libraries import sleap_analysis, sleap_labels

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.data.preparation.formats import hdf5_files as files_module
from last.data.store.clip import Clip
from last.skeleton import LayoutFile, build_layout
from last.utils.errors import UserError

h5py = pytest.importorskip("h5py")

NAMES = ["nose", "ear", "tail"]
OWN = LayoutFile(joints=["tail", "nose"], bones=[[2, 1]], root=1, center=1, coordinates=2)
LAYOUT = build_layout("mouse", OWN, "mouse.yaml")
POINTS = np.arange(24.0).reshape(2, 2, 3, 2) ** 1.1 + 1  # bodies, frames, nodes, axes


def read(folder: Path, data: bytes, name: str = "one_P3.slp", layout: Any = LAYOUT) -> Clip:
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / name).write_bytes(data)
    reader = get_reader("sleap", Source(layout, 2, ("run",)))
    (entry,) = reader.entries(folder)
    return reader.read(entry)


def changed(data: bytes, change: Any) -> bytes:
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def replaced(path: str, value: Any) -> Any:
    def change(file: Any) -> None:
        del file[path]
        file[path] = value

    return change


@pytest.mark.parametrize(
    "data",
    [sleap_labels(POINTS, NAMES), sleap_analysis(POINTS, NAMES), sleap_analysis(POINTS, NAMES, frames_first=True)],
    ids=["labels", "analysis", "analysis of other axes"],
)
def test_tracks_are_bodies_and_scores_confidences(data: bytes, tmp_path: Path) -> None:
    clip = read(tmp_path, data)
    assert (clip.name, clip.label, clip.subject, clip.joints.shape) == ("run/one_P3", 0, 3, (2, 2, 2, 2))
    expected = POINTS[:, :, [2, 0]]
    np.testing.assert_allclose(clip.joints, expected - expected[0, 0, 0], atol=1e-4)
    assert clip.confidence is not None and (clip.confidence == 1 + 127).all()


def test_the_ending_of_an_analysis_file_is_no_part_of_the_name(tmp_path: Path) -> None:
    assert read(tmp_path, sleap_analysis(POINTS, NAMES), "a.analysis.h5").name == "run/a"


def test_a_point_that_is_not_visible_is_missing(tmp_path: Path) -> None:
    def hide(file: Any) -> None:
        table = file["pred_points"][()]
        table["visible"][2] = False  # the tail of the first body in the first frame
        table["x"][11] = np.nan  # that of the second body in the second frame
        file["pred_points"][...] = table

    clip = read(tmp_path, changed(sleap_labels(POINTS, NAMES), hide))
    assert clip.confidence is not None
    assert np.argwhere(clip.confidence == 0).tolist() == [[0, 0, 0], [1, 1, 0]]


def test_what_a_person_has_corrected_replaces_the_prediction(tmp_path: Path) -> None:
    kinds = [("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")]
    points = np.array([(50, 60, True, False), (1, 1, True, False), (30, 40, True, False)], kinds)

    def correct(file: Any) -> None:
        table = file["instances"][()]
        row = table[:1].copy()
        row["instance_type"], row["from_predicted"], row["track"] = 0, 0, -1
        replaced("instances", np.concatenate([table[:1], row, table[1:]]))(file)
        frames = file["frames"][()]
        frames["instance_id_start"], frames["instance_id_end"] = [0, 2], [2, 3]
        file["frames"][...] = frames

    clip = read(tmp_path, changed(sleap_labels(POINTS[:1], NAMES, points=points), correct))
    assert clip.joints.shape == (1, 2, 2, 2)
    np.testing.assert_allclose(clip.joints[0, 0, 1] - clip.joints[0, 0, 0], [20, 20], atol=1e-4)
    assert clip.confidence is not None and (clip.confidence[0, 0] == 255).all()


def test_a_file_without_a_body_is_dropped(tmp_path: Path) -> None:
    for data in (sleap_labels(POINTS * 0, NAMES), sleap_analysis(POINTS * 0, NAMES)):
        with pytest.raises(DroppedClip, match="no skeleton"):
            read(tmp_path, data)


POINT = [("x", "<f8"), ("y", "<f8"), ("visible", "?")]
LABELS, ANALYSIS = sleap_labels(POINTS, NAMES), sleap_analysis(POINTS, NAMES)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (sleap_labels(POINTS, ["nose", "ear", "tale"]), "has no node tail of mouse. Did you mean 'tale'"),
        (sleap_analysis(POINTS, ["nose", "ear"]), r"`tracks` has the shape .2, 2, 3, 2., not .tracks, 2, 2 nodes"),
        (changed(ANALYSIS, replaced("tracks", np.ones((2, 3, 4, 2)))), "has the shape .*, not .tracks, 2, 3 nodes"),
        (changed(ANALYSIS, replaced("tracks", np.ones((2, 3)))), "holds float64 of 2 dimensions, not numbers of 4"),
        (changed(ANALYSIS, replaced("point_scores", np.ones((1, 1, 1)))), "`point_scores` has the shape"),
        (changed(ANALYSIS, replaced("node_names", NAMES)), "`node_names` has values of variable length"),
        (changed(LABELS, replaced("instances", np.ones(4))), "`instances` is no table with instance_type"),
        (changed(LABELS, lambda file: file["metadata"].attrs.update(json=np.bytes_("["))), "`metadata` is not JSON"),
        (changed(LABELS, lambda file: file["metadata"].attrs.update(json=np.bytes_("{}"))), "has no skeleton with"),
        (changed(LABELS, lambda file: file["frames"].__setitem__(0, (0, 1, 0, 0, 1))), "frames of several videos"),
        (changed(LABELS, lambda file: file["frames"].__setitem__(0, (0, 0, 1, 0, 1))), "has a frame twice"),
        (changed(LABELS, lambda file: file["frames"].__setitem__(0, (0, 0, 0, 0, 99))), "instances 0 to 99 of 4"),
        (changed(LABELS, lambda file: file["frames"].__setitem__(0, (0, 0, 1 << 40, 0, 1))), "or more than"),
        (changed(LABELS, replaced("pred_points", np.ones(3))), "`pred_points` has no x, y and visible"),
        (changed(LABELS, replaced("pred_points", np.zeros(2, [("x", "S3"), ("y", "<f8"), ("visible", "?")]))),
         "`pred_points` is no list of points with a number"),
        (changed(LABELS, replaced("points", np.zeros(2, [*POINT, ("score", "S3")]))), "`points` is no list of points"),
        (changed(LABELS, replaced("points", np.zeros(2, [*POINT[:2], ("visible", "<f8", 2)]))), "is no list of points"),
        (changed(LABELS, replaced("points", np.zeros((), POINT))), "`points` is no list of points"),
        (changed(LABELS, replaced("points", np.zeros((2, 2), POINT))), "`points` is no list of points"),
        (changed(LABELS, replaced("pred_points", h5py.ExternalLink("/etc/passwd", "/x"))), "points .* of 0, not one"),
        (changed(ANALYSIS, replaced("tracks", h5py.SoftLink("/point_scores"))), "is no file of SLEAP"),
        (changed(ANALYSIS, lambda file: file.create_group("df_with_missing")),
         "is a file of DeepLabCut: export its .csv"),
        (ANALYSIS[:600], "is a damaged HDF5 file"),
        (b"hello", "is no HDF5 file"),
        (b"<!DOCTYPE html>", "is an HTML page"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(BadClip, match=reason):
        read(tmp_path, data)


def test_an_array_that_claims_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def claim(file: Any) -> None:
        del file["tracks"]
        file.create_dataset("tracks", (1 << 20, 2, 3, 1 << 20), "f4", chunks=(1, 1, 1, 64))

    with pytest.raises(BadClip, match=r"`tracks` has the shape .*, more than 268435456 bytes"):
        read(tmp_path, changed(ANALYSIS, claim))
    monkeypatch.setattr(files_module, "LIMIT_BYTES", 1000)
    with pytest.raises(BadClip, match="is larger than 1000 bytes"):
        read(tmp_path, ANALYSIS)


def test_an_array_in_another_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(8 * 24))

    def outside(file: Any) -> None:
        del file["tracks"]
        file.create_dataset("tracks", (2, 2, 3, 2), "f8", external=[(str(tmp_path / "secret"), 0, 8 * 24)])

    with pytest.raises(BadClip, match="`tracks` is not in the file itself"):
        read(tmp_path, changed(ANALYSIS, outside))


def test_a_layout_in_space_is_refused(tmp_path: Path) -> None:
    space = build_layout("space", LayoutFile(joints=["tail", "nose"], bones=[[2, 1]], root=1, center=1), "")
    with pytest.raises(UserError, match="space has three coordinates, but files of the format sleap two"):
        read(tmp_path, LABELS, layout=space)


def test_the_extra_is_named_if_its_package_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"Reading an HDF5 file needs h5py.*last-har\[sleap\]"):
        read(tmp_path, b"")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["one.slp", "one.h5", "other.h5"])
def test_files_that_sleap_io_writes_are_read(name: str, tmp_path: Path) -> None:
    # With the packages that it needs it has 500 MB, so it is in no extra; a job on GitHub installs it for this test.
    sleap_io = pytest.importorskip("sleap_io", reason="needs pip install -c constraints.txt sleap-io")
    skeleton = sleap_io.Skeleton(nodes=NAMES, edges=[("nose", "ear"), ("nose", "tail")])
    tracks = [sleap_io.Track("first"), sleap_io.Track("second")]
    video = sleap_io.Video(filename="video.mp4")
    frames = []
    for frame in range(2):
        bodies = [
            sleap_io.PredictedInstance.from_numpy(
                POINTS[body, frame], skeleton=skeleton, point_scores=np.full(3, 0.5), score=0.9, track=tracks[body]
            )
            for body in (0, 1)
        ]
        frames.append(sleap_io.LabeledFrame(video=video, frame_idx=frame, instances=bodies))
    labels = sleap_io.Labels(frames)
    path = tmp_path / name
    if name.endswith(".slp"):
        sleap_io.save_slp(labels, str(path))
    else:
        sleap_io.save_analysis_h5(labels, str(path), preset="matlab" if name == "one.h5" else "standard")
    clip = read(tmp_path, path.read_bytes(), name)
    expected = POINTS[:, :, [2, 0]]
    np.testing.assert_allclose(clip.joints, expected - expected[0, 0, 0], atol=1e-4)
    assert clip.confidence is not None and (clip.confidence == 1 + 127).all()
