"""The reader of a plain folder of `.npy` arrays."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.data.preparation.formats.class_folders import unread_marks
from last.skeleton import load_layout
from last.utils.errors import UserError

JOINTS = 20


@pytest.fixture
def layout():
    return load_layout("kinect20")


@pytest.fixture
def reader(layout):
    return get_reader("folder", Source(layout, 2, ("wave",)))


@pytest.fixture
def reader_of(layout):
    return lambda *classes: get_reader("folder", Source(layout, 2, classes))


def write(raw, *names):
    """Write a small clip under each name; a name that ends in / becomes an empty folder."""
    for name in names:
        path = raw / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".npy":
            with path.open("wb") as file:
                np.save(file, points(4))
        elif not name.endswith("/"):
            path.write_text("something else")


@pytest.fixture
def read(reader, tmp_path):
    def read_array(array):
        (tmp_path / "wave").mkdir()
        np.save(tmp_path / "wave" / "one.npy", array, allow_pickle=True)
        return reader.read(reader.entries(tmp_path)[0])

    return read_array


def points(*shape):
    return np.random.default_rng(0).normal(size=(*shape, JOINTS, 3)).astype(np.float32)


def test_labels_follow_the_classes_of_the_data_set(reader_of, tmp_path):
    write(tmp_path, "wave/one.npy", "clap/one.npy", "sit/one.npy", "rest/")
    reader = reader_of("wave", "rest", "sit", "clap")
    clips = [reader.read(entry) for entry in reader.entries(tmp_path)]
    assert [(clip.name, clip.label) for clip in clips] == [("clap/one", 3), ("sit/one", 2), ("wave/one", 0)]


def test_an_array_without_bodies_is_one_body_centred_in_its_first_frame(read, layout):
    array = points(4)
    clip = read(array)
    np.testing.assert_allclose(clip.joints[0], array - array[0, layout.center], atol=1e-6)


@pytest.mark.parametrize(
    ("file", "subject", "camera", "setup", "replication"),
    [
        ("walk_P007", 7, 0, 0, 0),
        ("S001C002P003R004", 3, 2, 1, 4),
        ("S1C2P3R4", 3, 2, 1, 4),
        ("take_P1", 1, 0, 0, 0),
        ("P123456", 123456, 0, 0, 0),
        ("C002-morning-P110", 110, 2, 0, 0),
        ("P7/C2/take1", 7, 2, 0, 0),
        ("P7/C2/P8", 8, 2, 0, 0),
        ("MAP003", 0, 0, 0, 0),
        ("P1234567", 0, 0, 0, 0),
        ("p3", 0, 0, 0, 0),
        ("one", 0, 0, 0, 0),
    ],
)
def test_marks_in_a_path_tell_who_was_recorded_and_how(reader_of, tmp_path, file, subject, camera, setup, replication):
    reader = reader_of("P999_wave")  # the class's name has no meaning
    write(tmp_path, f"P999_wave/{file}.npy")
    clip = reader.read(reader.entries(tmp_path)[0])
    assert (clip.subject, clip.camera, clip.setup, clip.replication) == (subject, camera, setup, replication)


def test_what_looks_like_a_mark_and_is_none_is_reported():
    assert unread_marks(["wave/p3", "wave/p3_b", "p1/take_P1", "wave/MAP003", "wave/take3", "wave/P004"]) == "p3"
    assert unread_marks(["wave/s01/subject_7", "wave/P-2"]) == "s01, subject_7, P-2"
    assert unread_marks([f"wave/p{number}" for number in range(5)]) == "p0, p1, p2 and 2 more"
    assert unread_marks(["wave/P1234567"]) == "P1234567"
    assert unread_marks(["wave/one", "S001C001P001R001"]) == ""


def test_clips_that_lie_deeper_are_named_by_their_path(reader, tmp_path):
    write(tmp_path, "wave/day1/P001/take.npy", "wave/day2/take.NPY", "wave/take.2.npy")
    assert [entry.name for entry in reader.entries(tmp_path)] == [
        "wave/day1/P001/take",
        "wave/day2/take",
        "wave/take.2",
    ]


def test_clips_in_a_linked_folder_are_found_and_a_circle_of_links_ends(reader, tmp_path):
    write(tmp_path, "raw/wave/one.npy", "elsewhere/two.npy")
    try:
        (tmp_path / "raw" / "wave" / "more").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "raw" / "wave")
    except OSError:
        pytest.skip("links cannot be made here")
    assert [entry.name for entry in reader.entries(tmp_path / "raw")] == ["wave/more/two", "wave/one"]


def test_other_files_are_named_and_counted_and_junk_is_not(reader, tmp_path, caplog):
    write(tmp_path, "wave/one.npy", "wave/a.log", "wave/deep/b.LOG", "wave/c.mat", "loose.npy")
    write(tmp_path, "wave/._one.npy", "wave/.DS_Store", "wave/Thumbs.db", "__MACOSX/x.npy", ".git/x.npy")
    assert [entry.name for entry in reader.entries(tmp_path)] == ["wave/one"]
    assert f"2 .log ({Path('wave', 'a.log')}), 1 .mat ({Path('wave', 'c.mat')}), 1 .npy (loose.npy)" in caplog.text
    for word in ("DS_Store", "Thumbs", "MACOSX", "._one"):
        assert word not in caplog.text


@pytest.mark.parametrize("folder_form", ["NFC", "NFD"])
@pytest.mark.parametrize("listed_form", ["NFC", "NFD"])
def test_an_accent_is_the_same_in_both_of_its_forms(reader_of, tmp_path, folder_form, listed_form):
    name = "\N{LATIN SMALL LETTER E WITH ACUTE}tude"
    reader = reader_of("walk", unicodedata.normalize(listed_form, name))
    write(tmp_path, "walk/", unicodedata.normalize(folder_form, f"{name}/{name}.npy"))
    (entry,) = reader.entries(tmp_path)
    assert entry.name == f"{name}/{name}"
    assert reader.read(entry).label == 1


def test_folders_or_classes_that_differ_only_in_how_an_accent_is_written_are_refused(reader_of, tmp_path):
    forms = [unicodedata.normalize(form, "\N{LATIN SMALL LETTER E WITH ACUTE}tude") for form in ("NFC", "NFD")]
    write(tmp_path, "wave/one.npy", *(f"{form}/one.npy" for form in forms))
    if len(list(tmp_path.iterdir())) == 2:
        pytest.skip("this file system takes both for one name")
    with pytest.raises(UserError, match=r"folders .*'e\\u0301tude'.* are the same name"):
        reader_of("wave", forms[0]).entries(tmp_path)
    write(tmp_path / "other", f"{forms[0]}/one.npy")
    with pytest.raises(UserError, match=r"data\.classes .* are the same name"):
        reader_of(*forms).entries(tmp_path / "other")


def refusal(reader, raw):
    with pytest.raises(UserError) as caught:
        reader.entries(raw)
    return str(caught.value)


def test_folders_that_are_not_listed_and_classes_without_a_folder_are_named_with_the_nearest(reader_of, tmp_path):
    write(tmp_path, "walk/one.npy", "Wawe/one.npy", "zzz/one.npy")
    message = refusal(reader_of("walk", "wave", "sit"), tmp_path)
    assert (
        "the folder 'Wawe' is not listed in data.classes (nearest: 'wave'); the folder 'zzz' is not listed" in message
    )
    assert "the class 'wave' has no folder (nearest: 'Wawe'); the class 'sit' has no folder" in message
    assert "'walk'" not in message and "Rename" in message


def test_of_many_folders_that_are_not_listed_the_first_are_named(reader_of, tmp_path):
    write(tmp_path, "walk/one.npy", *(f"x{number}/" for number in range(9)))
    message = refusal(reader_of("walk"), tmp_path)
    assert "'x2'" in message and "'x3'" not in message and "the same for 6 more" in message


def test_a_raw_folder_a_level_too_high_or_too_low_is_refused_with_the_right_one(reader_of, tmp_path):
    reader = reader_of("walk", "wave")
    write(tmp_path, "raw/dataset/walk/one.npy", "raw/dataset/wave/one.npy", "raw/readme.txt")
    assert f"use --raw {tmp_path / 'raw' / 'dataset'}." in refusal(reader, tmp_path / "raw")
    assert f"use --raw {tmp_path / 'raw' / 'dataset'}." in refusal(reader, tmp_path / "raw" / "dataset" / "walk")
    write(tmp_path, "raw/other/walk/one.npy")
    assert f"--raw {tmp_path / 'raw' / 'dataset'} or --raw {tmp_path / 'raw' / 'other'}" in refusal(
        reader, tmp_path / "raw"
    )


@pytest.mark.parametrize("absent", [0.0, np.nan])
def test_a_body_of_zeros_or_nan_in_a_frame_is_absent_there(read, absent):
    array = points(2, 4)
    array[1, 2] = absent
    clip = read(array)
    assert clip.frame_mask.tolist() == [[True] * 4, [True, True, False, True]]
    assert not clip.joints[1, 2].any()


def test_the_first_bodies_that_are_ever_there_are_kept(read):
    array = points(4, 5)
    array[0] = 0.0
    clip = read(array)
    assert clip.joints.shape == (2, 5, JOINTS, 3)
    bones = array[1:3] - array[1:3, :, :1]
    np.testing.assert_allclose(clip.joints - clip.joints[:, :, :1], bones, atol=1e-5)


def test_a_joint_with_a_nan_is_missing_and_the_others_of_its_body_stay(read):
    array = points(2, 4)
    array[1, 2, 7, 0] = np.nan
    clip = read(array)
    assert clip.frame_mask.all()
    assert np.argwhere(~clip.joint_mask).tolist() == [[1, 2, 7]]
    assert not clip.joints[1, 2, 7].any() and np.isfinite(clip.joints).all()


@pytest.fixture
def read_npz(reader, tmp_path):
    def read_arrays(**arrays):
        (tmp_path / "wave").mkdir(exist_ok=True)
        np.savez(tmp_path / "wave" / "one.npz", **arrays)
        return reader.read(reader.entries(tmp_path)[0])

    return read_arrays


def test_an_npz_has_joints_confidences_and_a_frame_rate(read_npz):
    confidence = np.full((4, JOINTS), 0.5)
    confidence[2, 7] = np.nan
    clip = read_npz(joints=points(4), confidence=confidence, fps=25)
    assert clip.fps == 25
    assert np.argwhere(~clip.joint_mask).tolist() == [[0, 2, 7]]
    assert set(np.unique(clip.confidence)) == {0, 128}


@pytest.mark.parametrize("timing", [{"fps": 25}, {"times": np.arange(9) / 25}, {"fps": 25, "times": np.arange(9) / 25}])
def test_frames_without_a_body_stay_where_the_frame_rate_is_known(read_npz, timing):
    array = points(9)
    array[3:6] = np.nan
    assert read_npz(joints=array, **timing).frame_mask.tolist() == [[True] * 3 + [False] * 3 + [True] * 3]
    assert read_npz(joints=array).frame_mask.tolist() == [[True] * 6]


def test_an_npz_with_timestamps_gets_frames_at_equal_intervals(read_npz):
    array = points(5)
    clip = read_npz(joints=array, times=np.array([0.0, 0.1, 0.2, 0.2, 0.3]))
    assert clip.fps == pytest.approx(10)
    origin = array[0] - clip.joints[0, 0]
    np.testing.assert_allclose(clip.joints[0] + origin, array[[0, 1, 2, 4]], atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"skeleton": points(4)}, "holds skeleton; expected an array named `joints`"),
        ({"joints": points(4), "fps": np.ones(4)}, "`fps` should be one number"),
        ({"joints": points(4), "confidences": np.ones((4, JOINTS))}, r"holds confidences\.npy; known are joints, conf"),
        ({"joints": points(4), "fps": 25, "times": np.arange(4) / 30}, "its fps is 25, but its times are those of 30"),
        ({"joints": points(4), "fps": 0, "times": np.arange(4) / 30}, "its fps is 0, but its times are those of 30"),
        ({"joints": points(4), "fps": 0}, "`fps` should be a number from 0.5 to 1000, not 0"),
        ({"joints": points(4), "times": np.array(["a"] * 4)}, "readable"),
        ({"joints": points(4), "times": np.arange(4) * 33.0}, "in seconds, not in another unit"),
        ({"joints": points(4), "times": np.arange(3.0)}, r"shape \(3,\) for 4 frames"),
        ({"joints": points(4), "times": -np.arange(4.0)}, "run backwards"),
        ({"joints": points(4), "confidence": np.full((4, JOINTS), 90.0)}, "should be from 0 to 1"),
        ({"joints": points(4), "confidence": np.zeros((4, JOINTS))}, "every confidence is 0"),
        ({"joints": points(4), "confidence": np.ones((4, 2))}, "expected one number per joint"),
    ],
)
def test_an_npz_of_other_content_is_refused(read_npz, arrays, problem):
    with pytest.raises(BadClip, match=problem):
        read_npz(**arrays)


def test_a_clip_whose_every_joint_is_missing_is_dropped(read_npz):
    array = points(4)
    array[:, :, 1] = np.nan
    with pytest.raises(DroppedClip, match="no skeleton"):
        read_npz(joints=array)
    with pytest.raises(DroppedClip):
        read_npz(joints=points(4), confidence=np.full((4, JOINTS), np.nan))


def test_an_infinite_coordinate_is_refused_with_its_place(read):
    array = points(2, 4)
    array[1, 2, 7, 0] = np.inf
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


def test_a_folder_without_clips_is_refused_with_what_lies_there(reader, tmp_path):
    write(tmp_path, "wave/")
    with pytest.raises(UserError, match=r"class_name/clip\.npy"):
        reader.entries(tmp_path)
    write(tmp_path, "wave/one.mat", "wave/two.mat")
    with pytest.raises(UserError, match=r"2 \.mat"):
        reader.entries(tmp_path)
    with pytest.raises(UserError, match="nowhere"):
        reader.entries(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"one\.mat is a file"):
        reader.entries(tmp_path / "wave" / "one.mat")


def test_a_file_name_that_is_no_text_becomes_one(reader, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/wave/caf\xe9_P3.npy"))
    path.parent.mkdir()
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes text only")
    np.save(path, points(4))
    (entry,) = reader.entries(tmp_path)
    assert entry.name == "wave/caf\\udce9_P3"
    assert reader.read(entry).subject == 3
