"""The reader of NW-UCLA's JSON files."""

import json
from collections import Counter

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.skeleton import load_layout

NAME = "a08_s02_e03_v01"  # action 8 is label 7
JOINTS = 20


@pytest.fixture
def reader():
    return get_reader("nw_ucla", Source(load_layout("kinect20"), 1, ()))


@pytest.fixture
def read(reader, tmp_path):
    def read_text(text):
        (tmp_path / f"{NAME}.json").write_text(text)
        return reader.read(reader.entries(tmp_path)[0])

    return read_text


def a_clip(frames=3):
    points = np.random.default_rng(0).normal(size=(frames, JOINTS, 3)).round(6)
    return {"file_name": NAME, "skeletons": points.tolist(), "label": 7}


def test_name_and_label_are_read_and_metres_are_kept(read):
    content = a_clip()
    clip = read(json.dumps(content))
    assert (clip.label, clip.subject, clip.replication, clip.camera) == (6, 2, 3, 1)
    points = np.array(content["skeletons"])
    center = load_layout("kinect20").center
    np.testing.assert_allclose(clip.joints[0], points - points[0, center], rtol=1e-6)
    assert clip.frame_mask.tolist() == [[True] * 3]


def test_a_clip_of_one_frame_is_read(read):
    assert read(json.dumps(a_clip(frames=1))).joints.shape == (1, 1, JOINTS, 3)


def test_a_clip_without_frames_is_dropped(read):
    with pytest.raises(DroppedClip):
        read(json.dumps(a_clip() | {"skeletons": []}))


def test_damaged_json_is_refused_by_line(read):
    with pytest.raises(BadClip) as caught:
        read('{"label": 7,\n"skeletons": [[1, 2')
    assert caught.value.line == 2


@pytest.mark.parametrize("text", ["", "[]", "7", "[" * 100_000, '{"label": ' + "9" * 5000 + "}"])
def test_json_that_is_no_clip_is_refused(read, text):
    with pytest.raises(BadClip):
        read(text)


@pytest.mark.parametrize("label", [0, 11, 6, 7.0, "7", True, None])
def test_a_label_that_is_not_the_action_of_the_name_is_refused(read, label):
    with pytest.raises(BadClip, match="label"):
        read(json.dumps(a_clip() | {"label": label}))


def put(place, value):
    content = a_clip()
    frame, joint = place
    content["skeletons"][frame][joint] = value
    return content


@pytest.mark.parametrize(
    "value",
    [
        [1.0, 2.0],
        [1.0, 2.0, 3.0, 4.0],
        [1.0, None, 3.0],
        [1.0, "2.0", 3.0],
        [1.0, float("nan"), 3.0],
        [1.0, float("inf"), 3.0],
        [1.0, 1e300, 3.0],
        [1.0, [2.0], 3.0],
        {},
        10**400,
    ],
)
def test_a_joint_that_is_no_point_is_refused(read, value):
    with pytest.raises(BadClip):
        read(json.dumps(put((1, 4), value)))


@pytest.mark.parametrize("skeletons", [None, 3, "x", {}, [[[0.0] * 3] * 19] * 2, [[[0.0] * 3] * 20, [[0.0] * 3]]])
def test_skeletons_of_another_shape_are_refused(read, skeletons):
    with pytest.raises(BadClip):
        read(json.dumps(a_clip() | {"skeletons": skeletons}))


def test_all_real_clips_are_read_from_the_zip_with_the_known_counts(reader, real_recordings):
    entries = reader.entries(real_recordings / "nw_ucla")
    clips = [reader.read(entry) for entry in entries]
    views = Counter(clip.camera for clip in clips)
    lengths = sorted(clip.joints.shape[1] for clip in clips)
    assert (len(clips), views[1] + views[2], views[3]) == (1484, 1020, 464)
    assert (lengths[0], int(np.median(lengths)), lengths[-1]) == (1, 31, 201)
    assert {clip.label for clip in clips} == set(range(10))
    assert all(np.isfinite(clip.joints).all() and clip.frame_mask.all() for clip in clips)
