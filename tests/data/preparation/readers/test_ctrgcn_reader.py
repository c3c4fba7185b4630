"""The reader of CTR-GCN's `.npz` files."""

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.skeleton import load_layout
from last.utils.errors import UserError

JOINTS = 25


@pytest.fixture
def reader():
    return get_reader("ctrgcn", Source(load_layout("ntu25"), 2, ()))


def clips(count, frames=6, seed=0):
    """Return (count, frames, 150): clip i has i + 2 frames; clips of an odd number have one body."""
    joints = np.random.default_rng(seed).normal(size=(count, frames, 2, JOINTS, 3)).astype(np.float32)
    for index in range(count):
        joints[index, index + 2 :] = 0
        joints[index, :, 1] *= index % 2 == 0
    return joints.reshape(count, frames, -1)


def arrays():
    return {
        "x_train": clips(3),
        "y_train": np.eye(5, dtype=np.int64)[[4, 0, 2]],
        "x_test": clips(2, seed=1),
        "y_test": np.eye(5, dtype=np.int64)[[1, 3]],
    }


def save(path, **changes):
    np.savez(path, **(arrays() | changes))
    return path


def test_every_clip_keeps_its_label_and_its_part_as_the_setup(reader, tmp_path):
    found = [reader.read(entry) for entry in reader.entries(save(tmp_path / "NTU60_CS.npz"))]
    assert [(clip.name, clip.label, clip.setup) for clip in found] == [
        ("test_000000", 1, 2),
        ("test_000001", 3, 2),
        ("train_000000", 4, 1),
        ("train_000001", 0, 1),
        ("train_000002", 2, 1),
    ]


def test_padding_in_time_and_bodies_is_taken_off(reader, tmp_path):
    save(tmp_path / "NTU60_CS.npz")
    shapes = [reader.read(entry).joints.shape for entry in reader.entries(tmp_path) if "train" in entry.name]
    assert shapes == [(2, 2, JOINTS, 3), (1, 3, JOINTS, 3), (2, 4, JOINTS, 3)]


def test_joints_are_those_of_the_file_up_to_one_translation(reader, tmp_path):
    entry = reader.entries(save(tmp_path / "a.npz"))[2]
    expected = arrays()["x_train"][0, :2].reshape(2, 2, JOINTS, 3).transpose(1, 0, 2, 3)
    shift = expected.astype(np.float64) - reader.read(entry).joints
    assert np.ptp(shift.reshape(-1, 3), axis=0).max() < 1e-6


def test_arrays_in_fortran_order_are_read_alike(reader, tmp_path):
    one = reader.entries(save(tmp_path / "a.npz"))[2]
    other = reader.entries(save(tmp_path / "b.npz", x_train=np.asfortranarray(arrays()["x_train"])))[2]
    np.testing.assert_array_equal(reader.read(one).joints, reader.read(other).joints)


def test_an_empty_part_is_no_obstacle(reader, tmp_path):
    empty = {"x_test": np.zeros((0, 6, 150), np.float32), "y_test": np.zeros((0, 5))}
    assert len(reader.entries(save(tmp_path / "a.npz", **empty))) == 3


@pytest.mark.parametrize("row", [[0, 0, 0, 0, 0], [1, 0, 1, 0, 0]])
def test_a_label_that_is_not_one_hot_is_one_bad_clip(reader, tmp_path, row):
    labels = arrays()["y_train"]
    labels[0] = row
    entries = reader.entries(save(tmp_path / "a.npz", y_train=labels))
    with pytest.raises(BadClip, match="not one"):
        reader.read(entries[2])
    assert reader.read(entries[3]).label == 0


def test_a_clip_of_padding_only_is_dropped_and_one_with_infinity_is_refused(reader, tmp_path):
    joints = arrays()["x_train"]
    joints[0] = 0
    joints[1, 0, 4] = np.inf
    entries = reader.entries(save(tmp_path / "a.npz", x_train=joints))
    with pytest.raises(DroppedClip):
        reader.read(entries[2])
    with pytest.raises(BadClip, match="joint 2 of body 1 in frame 1"):
        reader.read(entries[3])


@pytest.mark.parametrize(
    "changes",
    [
        {"x_train": np.zeros((3, 6, 149))},
        {"x_train": np.zeros((3, 150))},
        {"x_train": np.zeros((4, 6, 150))},
        {"y_test": np.zeros(2)},
        {"y_test": np.array([[None]])},
        {"x_test": np.full((2, 6, 150), "x")},
    ],
)
def test_arrays_that_do_not_fit_are_refused(reader, tmp_path, changes):
    with pytest.raises(UserError):
        reader.entries(save(tmp_path / "a.npz", **changes))


def test_a_compressed_file_is_refused_with_what_to_do(reader, tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **arrays())
    with pytest.raises(UserError, match=r"numpy\.savez"):
        reader.entries(tmp_path)


def test_a_file_without_the_four_arrays_or_cut_short_is_refused(reader, tmp_path):
    np.savez(tmp_path / "other.npz", data=np.zeros(3))
    with pytest.raises(UserError, match="x_train"):
        reader.entries(tmp_path / "other.npz")
    whole = save(tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.npz is not a readable"):
        reader.entries(tmp_path / "cut.npz")


def test_a_header_that_promises_more_than_the_file_holds_is_refused(reader, tmp_path):
    path = save(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes().replace(b"(3, 6, 150)", b"(9, 9, 150)"))
    with pytest.raises(UserError, match="cut short"):
        reader.entries(path)
