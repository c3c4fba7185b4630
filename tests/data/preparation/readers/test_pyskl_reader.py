"""The reader of PYSKL annotation files."""

import os
import pickle

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.skeleton import load_layout
from last.utils.errors import UserError

JOINTS = 25


@pytest.fixture
def reader():
    return get_reader("pyskl", Source(load_layout("ntu25"), 2, ()))


def an_annotation(name, label=3, bodies=1, frames=4, **changes):
    keypoint = np.random.default_rng(0).normal(size=(bodies, frames, JOINTS, 3)).astype(np.float16)
    return {"frame_dir": name, "label": label, "keypoint": keypoint, "total_frames": frames} | changes


def save(tmp_path, annotations, split=None):
    path = tmp_path / "annotations.pkl"
    path.write_bytes(pickle.dumps({"split": split or {}, "annotations": annotations}))
    return path


def only_clip(reader, path):
    (entry,) = reader.entries(path)
    return reader.read(entry)


def test_clips_come_in_the_order_of_their_names_with_their_labels(reader, tmp_path):
    save(tmp_path, [an_annotation("wave", 3), an_annotation("clap", np.int64(1))])
    found = [reader.read(entry) for entry in reader.entries(tmp_path)]
    assert [(clip.name, clip.label) for clip in found] == [("clap", 1), ("wave", 3)]


def test_a_name_of_ntu_contains_the_subject_the_camera_and_the_setup(reader, tmp_path):
    clip = only_clip(reader, save(tmp_path, [an_annotation("S003C002P015R001A034", 33)]))
    assert (clip.setup, clip.camera, clip.subject, clip.replication, clip.label) == (3, 2, 15, 1, 33)


def test_the_part_of_the_only_split_is_kept_as_the_setup(reader, tmp_path):
    split = {"xview_train": ["wave"], "xview_val": ["clap"]}
    path = save(tmp_path, [an_annotation("wave"), an_annotation("clap"), an_annotation("sit")], split)
    assert [reader.read(entry).setup for entry in reader.entries(path)] == [2, 0, 1]


def test_of_several_splits_each_is_a_protocol_and_none_a_setup(reader, tmp_path):
    annotations = [an_annotation("wave"), an_annotation("jump")]
    split = {"train1": ["wave"], "test1": ["jump"], "train2": ["jump"], "test2": ["wave"]}
    path = save(tmp_path, annotations, split)
    assert [reader.read(entry).setup for entry in reader.entries(path)] == [0, 0]
    assert reader.protocols(path) == {
        "split1": {"train": {"wave"}, "test": {"jump"}},
        "split2": {"train": {"jump"}, "test": {"wave"}},
    }


def test_joints_are_those_of_the_file_up_to_one_translation(reader, tmp_path):
    annotation = an_annotation("wave", bodies=2)
    clip = only_clip(reader, save(tmp_path, [annotation]))
    shift = annotation["keypoint"].astype(np.float64) - clip.joints
    assert np.ptp(shift.reshape(-1, 3), axis=0).max() < 1e-6


def test_scores_become_confidences_and_what_exceeds_a_heat_map_is_one(reader, tmp_path):
    score = np.full((1, 4, JOINTS), 0.5, np.float16)
    score[0, 1, 2], score[0, 2, 3] = 1.06, 0.0
    clip = only_clip(reader, save(tmp_path, [an_annotation("wave", keypoint_score=score)]))
    assert clip.confidence[0, 0, 0] == 128 and clip.confidence[0, 1, 2] == 255
    assert clip.confidence[0, 2, 3] == 1  # measured, of no confidence
    assert clip.joint_mask.all()


def test_a_joint_at_zero_with_the_score_zero_is_missing(reader, tmp_path):
    annotation = an_annotation("wave", keypoint_score=np.ones((1, 4, JOINTS), np.float32))
    annotation["keypoint"][0, 1, 2] = 0
    annotation["keypoint_score"][0, 1, 2] = 0
    clip = only_clip(reader, save(tmp_path, [annotation]))
    assert np.argwhere(~clip.joint_mask).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("score", "problem"),
    [
        (np.full((1, 4, JOINTS), 300.0, np.float32), "joint 1 of body 1 in frame 1 has the confidence 300"),
        (np.full((1, 4, JOINTS), -0.5, np.float32), "confidence -0.5"),
        (np.zeros((1, 4, JOINTS), np.float32), "every confidence is 0"),
        (np.ones((1, 3, JOINTS), np.float32), r"expected one number per joint, \(1, 4, 25\)"),
        ([1.0], "`keypoint_score` should be an array"),
    ],
)
def test_scores_that_are_no_confidences_are_refused(reader, tmp_path, score, problem):
    with pytest.raises(BadClip, match=problem):
        only_clip(reader, save(tmp_path, [an_annotation("wave", keypoint_score=score)]))


def test_a_body_of_zeros_is_absent(reader, tmp_path):
    annotation = an_annotation("wave", bodies=2)
    annotation["keypoint"][1, 1:] = 0
    assert only_clip(reader, save(tmp_path, [annotation])).frame_mask.tolist() == [[True] * 4, [True] + [False] * 3]


@pytest.mark.parametrize(
    "changes",
    [
        {"label": -1},
        {"label": "3"},
        {"label": None},
        {"label": 1.0},
        {"label": True},
        {"keypoint": [[1.0]]},
        {"keypoint": np.zeros((1, 4, 17, 3))},
        {"keypoint": np.ones((1, 4, JOINTS, 2))},
        {"keypoint": None},
        {"keypoint": np.full((1, 4, JOINTS, 3), np.inf)},
    ],
)
def test_a_damaged_annotation_is_one_bad_clip(reader, tmp_path, changes):
    entries = reader.entries(save(tmp_path, [an_annotation("a", **changes), an_annotation("b")]))
    with pytest.raises(BadClip):
        reader.read(entries[0])
    assert reader.read(entries[1]).label == 3


@pytest.mark.parametrize("name", [None, 7, "", "line\nbreak"])
def test_an_annotation_without_a_usable_name_gets_a_number(reader, tmp_path, name):
    assert only_clip(reader, save(tmp_path, [an_annotation(name)])).name == "annotation_000000"


def test_a_clip_without_any_body_is_dropped(reader, tmp_path):
    with pytest.raises(DroppedClip):
        only_clip(reader, save(tmp_path, [an_annotation("wave", keypoint=np.zeros((1, 4, JOINTS, 3)))]))


@pytest.mark.parametrize("content", [[], {}, {"annotations": 3}, {"annotations": [3]}, {"annotations": []}])
def test_a_pickle_of_something_else_is_refused(reader, tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError):
        reader.entries(tmp_path)


def test_a_hostile_file_is_refused_and_nothing_is_executed(reader, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was_here"),)

    save(tmp_path, [an_annotation("wave", keypoint=Hostile())])
    with pytest.raises(UserError, match="refused"):
        reader.entries(tmp_path)
    assert not (tmp_path / "was_here").exists()


def test_a_clip_in_no_list_has_no_setup_and_is_in_no_part(reader, tmp_path):
    path = save(tmp_path, [an_annotation(name) for name in "abc"], {"train": ["a"], "val": ["b"]})
    assert [reader.read(entry).setup for entry in reader.entries(path)] == [1, 2, 0]
    assert reader.protocols(path) == {"file": {"train": {"a"}, "test": {"b"}}}


@pytest.mark.parametrize("name", ["x" * 300, "e\u0301" * 150])
def test_a_long_name_is_shortened_and_stays_in_its_part(reader, tmp_path, name):
    others = [an_annotation(name + "y"), an_annotation("b")]
    path = save(tmp_path, [an_annotation(name), *others], {"train": [name], "val": [name + "y", "b"]})
    names = [entry.name for entry in reader.entries(path)]
    assert len(set(names)) == 3 and all(len(each) <= 200 for each in names)
    splits = reader.protocols(path)["file"]
    assert len(splits["train"]) == 1 and len(splits["test"]) == 2
    assert splits["train"] | splits["test"] == set(names)


def test_annotations_that_share_a_name_are_all_kept_in_its_part(reader, tmp_path, caplog):
    path = save(tmp_path, [an_annotation(name) for name in "aabb"], {"train": ["a"], "val": ["b"]})
    assert [entry.name for entry in reader.entries(path)] == ["a", "a#2", "b", "b#2"]
    assert reader.protocols(path)["file"] == {"train": {"a", "a#2"}, "test": {"b", "b#2"}}
    assert "2 annotations have the name of another one; they are kept under names such as 'a#2'" in caplog.text


def test_listed_names_without_an_annotation_are_reported(reader, tmp_path, caplog):
    path = save(tmp_path, [an_annotation("a"), an_annotation("b")], {"train": ["a", "gone"], "val": ["b"]})
    reader.entries(path)
    assert "1 names in its splits have no annotation, such as 'gone'" in caplog.text


@pytest.mark.parametrize("label", [2**31, 2**70])
def test_a_label_beyond_all_numbers_of_a_store_is_one_bad_clip(reader, tmp_path, label):
    with pytest.raises(BadClip, match="its label"):
        only_clip(reader, save(tmp_path, [an_annotation("a", label=label)]))


def test_counted_names_never_meet_names_that_are_there(reader, tmp_path):
    annotations = [an_annotation(name) for name in ("a", "a", "a#2", "a", "a#2")]
    path = save(tmp_path, annotations, {"train": ["a"], "val": ["a#2"]})
    names = [entry.name for entry in reader.entries(path)]
    assert len(set(names)) == 5
    parts = reader.protocols(path)["file"]
    assert (len(parts["train"]), len(parts["test"])) == (3, 2)
