"""The reader of a plain folder of `.npy` arrays."""

import numpy as np
import pytest

from last.data.formats import BadClip, DroppedClip, Source, get_reader
from last.data.formats.folder import class_names
from last.skeleton import load_layout
from last.utils.errors import UserError

JOINTS = 20


@pytest.fixture
def layout():
    return load_layout("kinect20")


@pytest.fixture
def reader(layout):
    return get_reader("folder", Source(layout, 2, ()))


@pytest.fixture
def read(reader, tmp_path):
    def read_array(array):
        (tmp_path / "wave").mkdir()
        np.save(tmp_path / "wave" / "one.npy", array, allow_pickle=True)
        return reader.read(reader.entries(tmp_path)[0])

    return read_array


def points(*shape):
    return np.random.default_rng(0).normal(size=(*shape, JOINTS, 3)).astype(np.float32)


def test_labels_follow_the_sorted_class_folders(reader, tmp_path):
    for name in ("wave", "clap", "sit"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "one.npy", points(4))
    clips = [reader.read(entry) for entry in reader.entries(tmp_path)]
    assert [(clip.name, clip.label) for clip in clips] == [("clap/one", 0), ("sit/one", 1), ("wave/one", 2)]
    assert class_names(tmp_path) == ["clap", "sit", "wave"]


def test_an_array_without_bodies_is_one_body_centred_in_its_first_frame(read, layout):
    array = points(4)
    clip = read(array)
    np.testing.assert_allclose(clip.joints[0], array - array[0, layout.center], atol=1e-6)


@pytest.mark.parametrize(
    ("file", "subject", "camera", "setup", "replication"),
    [
        ("walk_P007", 7, 0, 0, 0),
        ("S001C002P003R004", 3, 2, 1, 4),
        ("C002-morning-P110", 110, 2, 0, 0),
        ("MAP003", 0, 0, 0, 0),
        ("P0031", 0, 0, 0, 0),
        ("P3", 0, 0, 0, 0),
        ("one", 0, 0, 0, 0),
    ],
)
def test_marks_in_a_name_tell_who_was_recorded_and_how(reader, tmp_path, file, subject, camera, setup, replication):
    (tmp_path / "P999_wave").mkdir()  # the class's name tells nothing
    np.save(tmp_path / "P999_wave" / f"{file}.npy", points(4))
    clip = reader.read(reader.entries(tmp_path)[0])
    assert (clip.subject, clip.camera, clip.setup, clip.replication) == (subject, camera, setup, replication)


@pytest.mark.parametrize("absent", [0.0, np.nan])
def test_a_body_of_zeros_or_nan_in_a_frame_is_absent_there(read, absent):
    array = points(2, 4)
    array[1, 2] = absent
    clip = read(array)
    assert clip.valid.tolist() == [[True] * 4, [True, True, False, True]]
    assert not clip.joints[1, 2].any()


def test_the_first_bodies_that_are_ever_there_are_kept(read):
    array = points(4, 5)
    array[0] = 0.0
    clip = read(array)
    assert clip.joints.shape == (2, 5, JOINTS, 3)
    bones = array[1:3] - array[1:3, :, :1]
    np.testing.assert_allclose(clip.joints - clip.joints[:, :, :1], bones, atol=1e-5)


def test_a_body_that_lacks_one_joint_is_refused_with_its_place(read):
    array = points(2, 4)
    array[1, 2, 7, 0] = np.nan
    with pytest.raises(BadClip, match="joint 8 of body 2 in frame 3"):
        read(array)


@pytest.mark.parametrize("array", [np.zeros((4, JOINTS, 3)), np.full((2, 4, JOINTS, 3), np.nan), points(0)])
def test_a_clip_without_any_body_is_dropped(read, array):
    with pytest.raises(DroppedClip):
        read(array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 19, 3)),
        np.zeros((4, JOINTS, 2)),
        np.zeros(5),
        np.zeros((1, 1, 4, JOINTS, 3)),
        np.full((4, JOINTS, 3), "x"),
        np.full((4, JOINTS, 3), None),
        np.float64(3),
    ],
)
def test_an_array_that_is_no_clip_of_the_layout_is_refused(read, array):
    with pytest.raises(BadClip):
        read(array)


def header(text):
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", b"\x93NUMPY", b"\x80\x04N.", header("{'descr': '<f8', 'fortran_order': False}")]
    + [header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}") for shape in ("(9, 20, 3)", "(-1,)")]
    + [header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({'9' * 15}, 20, 3)}}")]
    + [header("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 40 + ", 20, 3)}")],
)
def test_a_file_that_is_no_array_or_promises_more_than_it_holds_is_refused(reader, tmp_path, data):
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "one.npy").write_bytes(data)
    with pytest.raises(BadClip):
        reader.read(reader.entries(tmp_path)[0])


def test_a_folder_without_clips_is_refused(reader, tmp_path):
    (tmp_path / "wave").mkdir()
    with pytest.raises(UserError, match=r"class_name/clip\.npy"):
        reader.entries(tmp_path)
    with pytest.raises(UserError, match="nowhere"):
        reader.entries(tmp_path / "nowhere")
