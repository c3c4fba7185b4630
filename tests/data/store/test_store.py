"""The store: what is written is read back, and what is damaged or hostile is refused."""

import copy
import errno
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from last.data import open_store
from last.data.store.clip import Clip, confidence_bytes
from last.data.store.format import CLIP_NUMBERS, StoreMetadata, index_problem, index_type, pack
from last.data.store.reader import Store, write_store
from last.data.store.writer import StoreWriter
from last.skeleton import load_layout
from last.utils.errors import UserError
from last.utils.files import file_checksum

CLASSES = ["wave", "walk", "sit down"]


def make_clip(name: str = "a", bodies: int = 1, frames: int = 2, label: int = 0, seed: int = 0) -> Clip:
    random = np.random.default_rng(seed)
    valid = random.random((bodies, frames)) < 0.8
    valid[0, 0] = True
    joints = random.normal(size=(bodies, frames, 25, 3)).astype(np.float32) * valid[..., None, None]
    return Clip(name, joints, valid, label, subject=7, camera=2, setup=5, replication=1)


def write(path: Path, *clips: Clip) -> Store:
    return write_store(path, clips, name="tiny", layout="ntu25", classes=CLASSES, source={"raw": "here"})


def assert_same(found: Clip, expected: Clip) -> None:
    for field in ("name", "label", "subject", "camera", "setup", "replication"):
        assert getattr(found, field) == getattr(expected, field)
    np.testing.assert_array_equal(found.joints, expected.joints)
    np.testing.assert_array_equal(found.frame_mask, expected.frame_mask)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clips = [make_clip("first", 2, 3, label=1), make_clip("second", 1, 4, label=2, seed=1)]
    return write(tmp_path / "store", *clips).path


sizes = st.lists(st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(0, 2)), min_size=1, max_size=6)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9)


@settings(max_examples=25, deadline=None)
@given(sizes=sizes, prefix=names)
def test_clips_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, int, int]], prefix: str
) -> None:
    clips = [
        make_clip(f"{prefix}{number}", bodies, frames, label, seed=number)
        for number, (bodies, frames, label) in enumerate(sizes)
    ]
    store = write(tmp_path_factory.mktemp("round") / "store", *clips)
    assert len(store) == len(clips)
    for found, expected in zip(store, clips, strict=True):
        assert_same(found, expected)


def with_confidence(clip: Clip, seed: int = 0) -> Clip:
    certain = np.random.default_rng(seed).random(clip.joints.shape[:3])
    confidence = confidence_bytes(np.where(certain < 0.3, np.nan, certain))
    confidence[~clip.frame_mask] = 0
    confidence[..., 0] = np.where(clip.frame_mask, 255, 0)
    return replace(clip, confidence=confidence, joints=np.where(confidence[..., None] > 0, clip.joints, 0), fps=29.97)


def test_confidences_and_frame_rates_come_back_as_they_were_written(tmp_path: Path) -> None:
    clips = [
        make_clip("a", 2, 5),
        with_confidence(make_clip("b", 2, 4)),
        make_clip("c"),
        with_confidence(make_clip("d")),
    ]
    store = write(tmp_path / "store", *clips)
    assert store.confidence is not None
    for found, expected in zip(open_store(store.path), clips, strict=True):
        assert_same(found, expected)
        assert found.fps == pytest.approx(expected.fps, rel=1e-6)
        np.testing.assert_array_equal(found.joint_mask, expected.joint_mask)
        if expected.confidence is not None:
            np.testing.assert_array_equal(found.confidence, expected.confidence)


def test_full_confidences_need_no_file(tmp_path: Path) -> None:
    clip = make_clip("a", 2, 5)
    full = np.repeat(np.where(clip.frame_mask, 255, 0).astype(np.uint8)[..., None], 25, axis=2)
    store = write(tmp_path / "store", replace(clip, confidence=full))
    assert store.confidence is None
    assert not (store.path / "confidence.npy").exists()


def test_a_store_that_replaces_one_with_confidences_leaves_none_of_them(tmp_path: Path) -> None:
    path = write(tmp_path / "store", with_confidence(make_clip())).path
    layout = load_layout("ntu25")
    with StoreWriter(path, StoreMetadata("tiny", layout, CLASSES)) as writer:
        writer.append(pack([make_clip()], layout))
    assert open_store(path).confidence is None
    assert not (path / "confidence.npy").exists()


@pytest.mark.parametrize("certain", [[0.0, 0.25, 0.3, 0.5, 0.999, 1.0]])
def test_a_confidence_is_never_below_a_threshold_that_it_reaches(certain: list[float]) -> None:
    stored = confidence_bytes(np.array([*certain, np.nan]))
    assert stored[-1] == 0 and stored[0] == 1 and stored[-2] == 255
    assert (np.abs((stored[:-1].astype(float) - 1) / 254 - certain) < 0.002).all()
    assert confidence_bytes(np.array(0.3)) <= stored[2]


def as_version_1(path: Path) -> Path:
    """Rewrite a store as the first version of the format had it."""
    clips = np.load(path / "clips.npy")
    old = np.zeros(len(clips), index_type(clips.dtype["name"].itemsize // 4, version=1))
    for name in old.dtype.names:
        old[name] = clips[name]
    np.save(path / "clips.npy", old)
    header = json.loads((path / "store.json").read_text(encoding="utf-8"))
    header["format_version"] = 1
    file = path / "clips.npy"
    header["files"]["clips.npy"] = {"bytes": file.stat().st_size, "sha256": file_checksum(file)}
    (path / "store.json").write_text(json.dumps(header), encoding="utf-8")
    return path


def test_a_store_of_the_first_version_is_read(folder: Path) -> None:
    expected = list(open_store(folder))
    store = open_store(as_version_1(folder))
    assert store.confidence is None
    for found, one in zip(store, expected, strict=True):
        assert_same(found, one)
        assert found.fps == 0
        np.testing.assert_array_equal(found.joint_mask, np.repeat(one.frame_mask[..., None], 25, axis=2))


def test_a_store_has_the_fingerprint_that_its_clips_had_in_the_first_version(folder: Path) -> None:
    before = open_store(folder)
    after = open_store(as_version_1(folder))
    assert before.fingerprint == after.fingerprint == after.fingerprint_of_files != before.fingerprint_of_files


def test_an_index_of_the_other_version_is_refused(folder: Path) -> None:
    change_header(folder, format_version=1)
    with pytest.raises(UserError, match="not a list of clips"):
        open_store(folder)


@pytest.mark.parametrize(
    ("confidence", "problem"),
    [
        (np.zeros((1, 2, 25), np.uint8), "present without a measured joint"),
        (np.full((1, 2, 25), 255, np.uint8), "absent with one"),
        (np.full((1, 2, 24), 255, np.uint8), r"uint8 \(1, 2, 24\), not uint8 \(1, 2, 25\)"),
        (np.ones((1, 2, 25), np.float32), "float32"),
    ],
)
def test_confidences_that_do_not_fit_a_clip_are_refused(tmp_path: Path, confidence: np.ndarray, problem: str) -> None:
    clip = make_clip()
    mask = clip.frame_mask.copy()
    mask[0, 1] = False
    joints = clip.joints * mask[..., None, None]
    with pytest.raises(UserError, match=problem):
        write(tmp_path / "store", replace(clip, joints=joints, frame_mask=mask, confidence=confidence))


def test_a_missing_joint_with_a_coordinate_is_refused(tmp_path: Path) -> None:
    clip = make_clip()
    confidence = np.where(clip.frame_mask[..., None], np.uint8(255), np.uint8(0)).repeat(25, axis=2)
    confidence[0, 0, 3] = 0
    with pytest.raises(UserError, match="a missing joint has a coordinate"):
        write(tmp_path / "store", replace(clip, confidence=confidence))


@pytest.mark.parametrize("fps", [-1.0, float("nan"), float("inf")])
def test_a_frame_rate_that_is_no_number_is_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(UserError, match="frame rate"):
        write(tmp_path / "store", replace(make_clip(), fps=fps))


@pytest.mark.parametrize("content", [np.zeros((3, 25), np.uint8), np.zeros((10, 25), np.float32)])
def test_a_file_of_confidences_that_does_not_fit_is_refused(tmp_path: Path, content: np.ndarray) -> None:
    path = write(tmp_path / "store", with_confidence(make_clip("a", 2, 5))).path
    np.save(path / "confidence.npy", content)
    file = path / "confidence.npy"
    header = json.loads((path / "store.json").read_text(encoding="utf-8"))
    files = {**header["files"], file.name: {"bytes": file.stat().st_size, "sha256": file_checksum(file)}}
    change_header(path, files=files)
    with pytest.raises(UserError, match=r"confidence\.npy is not uint8"):
        open_store(path)


def test_a_row_is_offset_plus_body_times_frames_plus_frame(folder: Path) -> None:
    store = open_store(folder)
    for number, clip in enumerate(store):
        row = store.clips[number]
        for body in range(row["bodies"]):
            for frame in range(row["frames"]):
                place = row["offset"] + body * row["frames"] + frame
                np.testing.assert_array_equal(store.joints[place], clip.joints[body, frame])
                assert store.valid[place] == clip.frame_mask[body, frame]


def test_a_store_describes_its_content(folder: Path) -> None:
    store = open_store(folder)
    assert (store.name, store.layout, store.classes) == ("tiny", "ntu25", CLASSES)
    assert store.source == {"raw": "here"}
    assert store.joints.dtype == np.float32 and store.valid.dtype == np.bool_


def test_a_store_counts_from_the_end_and_slices_like_a_sequence(folder: Path) -> None:
    store = open_store(folder)
    assert store[-1].name == "second"
    assert [clip.name for clip in store[:1]] == ["first"]
    with pytest.raises(IndexError):
        store[2]


def test_the_arrays_of_a_store_cannot_be_written(folder: Path) -> None:
    store = open_store(folder)
    with pytest.raises(ValueError, match="read-only"):
        store[0].joints[:] = 1
    with pytest.raises(ValueError, match="read-only"):
        store.valid[:] = True


def test_reading_changes_nothing_in_the_folder(folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    list(open_store(folder))
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert set(before) == {"store.json", "joints.npy", "valid.npy", "clips.npy"}


def test_checksums_are_verified_only_on_request(folder: Path) -> None:
    joints = np.load(folder / "joints.npy")
    joints[0, 0, 0] += 1
    np.save(folder / "joints.npy", joints)
    assert len(open_store(folder, verify=False)) > 0
    with pytest.raises(UserError, match="checksum"):
        open_store(folder)


def test_a_copy_for_another_process_takes_the_path_and_not_the_arrays(folder: Path) -> None:
    store = open_store(folder)
    _, state = store.__reduce__()
    assert state == (folder, False)
    assert_same(copy.deepcopy(store)[1], store[1])


def test_a_missing_folder_is_refused_with_the_way_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such folder.*last preprocess --dataset"):
        open_store(tmp_path / "nowhere")


def test_a_folder_without_store_json_is_no_store(folder: Path) -> None:
    (folder / "store.json").unlink()
    with pytest.raises(UserError, match="no finished store"):
        open_store(folder)


def test_a_file_or_a_folder_of_stores_is_refused_with_the_one_to_name(folder: Path) -> None:
    with pytest.raises(UserError, match=r"store.json is a file; a store is a folder"):
        open_store(folder / "store.json")
    with pytest.raises(UserError, match=f"There are stores in it: name one of .*{folder.name}"):
        open_store(folder.parent)


def change_header(folder: Path, **values: object) -> None:
    header = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    (folder / "store.json").write_text(json.dumps({**header, **values}), encoding="utf-8")


@pytest.mark.parametrize("version", [3, 0, True, 2.0, "2", None])
def test_another_format_version_is_refused(folder: Path, version: object) -> None:
    change_header(folder, format_version=version)
    with pytest.raises(UserError, match=r"store format .*reads the formats 1, 2\. Prepare it again"):
        open_store(folder)


@pytest.mark.parametrize("file", ["joints.npy", "valid.npy", "clips.npy"])
def test_one_changed_byte_is_noticed_by_its_checksum(folder: Path, file: str) -> None:
    content = bytearray((folder / file).read_bytes())
    content[-1] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(UserError, match=f"{file} does not match its recorded checksum"):
        open_store(folder)


@pytest.mark.parametrize("file", ["joints.npy", "valid.npy", "clips.npy"])
def test_a_truncated_array_is_refused_even_unverified(folder: Path, file: str) -> None:
    (folder / file).write_bytes((folder / file).read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{file} has .* bytes instead of"):
        open_store(folder, verify=False)


def test_a_missing_array_is_refused(folder: Path) -> None:
    (folder / "valid.npy").unlink()
    with pytest.raises(UserError, match=r"valid\.npy is missing"):
        open_store(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"classes": "wave"},
        {"classes": [1, 2, 3]},
        {"clips": None},
        {"files": []},
        {"rows": 3},
        {"clips": 3},
        {"layout": "kinect20"},
        {"layout": "../ntu25"},
        {"classes": ["wave"]},
    ],
)
def test_a_header_that_disagrees_with_the_arrays_is_refused(folder: Path, values: dict[str, object]) -> None:
    change_header(folder, **values)
    with pytest.raises(UserError):
        open_store(folder)


def forge(folder: Path, file: str, array: np.ndarray, allow_pickle: bool = False) -> None:
    """Replace an array together with its recorded size and checksum, as an attacker would."""
    np.save(folder / file, array, allow_pickle=allow_pickle)
    header = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    header["files"][file] = {"bytes": (folder / file).stat().st_size, "sha256": file_checksum(folder / file)}
    change_header(folder, **header)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("offset", 1 << 40),
        ("offset", -1),
        ("frames", 1 << 30),
        ("frames", 0),
        ("frames", -3),
        ("bodies", 0),
        ("bodies", 3),
        ("bodies", -2),
        ("label", 3),
        ("label", -1),
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_an_index_that_points_outside_is_refused(folder: Path, field: str, value: int, number: int) -> None:
    clips = np.load(folder / "clips.npy")
    clips[field][number] = value
    forge(folder, "clips.npy", clips)
    with pytest.raises(UserError, match="damaged"):
        open_store(folder)


def test_an_index_of_more_than_two_bodies_is_refused_though_it_points_inside(folder: Path) -> None:
    clips = np.load(folder / "clips.npy")
    clips["bodies"][0], clips["frames"][0] = 3, 2
    forge(folder, "clips.npy", clips)
    with pytest.raises(UserError, match="number of bodies"):
        open_store(folder)


@pytest.mark.parametrize(
    ("file", "array"),
    [
        ("joints.npy", np.zeros((10, 25, 3), np.float64)),
        ("joints.npy", np.zeros((10, 25, 2), np.float32)),
        ("joints.npy", np.zeros((9, 25, 3), np.float32)),
        ("valid.npy", np.zeros(10, np.uint8)),
        ("valid.npy", np.zeros((10, 1), np.bool_)),
        ("clips.npy", np.zeros((2, 1), index_type(6))),
        ("clips.npy", np.zeros(2, np.int64)),
        ("clips.npy", np.zeros(2, [("name", "f4")])),
        ("clips.npy", np.zeros(0, index_type(6))),
    ],
)
def test_an_array_of_another_kind_is_refused(folder: Path, file: str, array: np.ndarray) -> None:
    forge(folder, file, array)
    with pytest.raises(UserError, match="damaged"):
        open_store(folder)


def test_a_pickle_in_place_of_the_index_is_never_loaded(folder: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(folder / "sprung"),)

    forge(folder, "clips.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"clips\.npy cannot be read"):
        open_store(folder)
    assert not (folder / "sprung").exists()


def test_an_array_header_that_claims_more_than_the_file_holds_is_refused(folder: Path) -> None:
    content = (folder / "valid.npy").read_bytes().replace(b"(10,)", b"(1" + b"0" * 15 + b",)")
    (folder / "valid.npy").write_bytes(content)
    size = len(content)
    header = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    header["files"]["valid.npy"]["bytes"] = size
    change_header(folder, **header)
    with pytest.raises(UserError, match="damaged"):
        open_store(folder, verify=False)


def test_writing_over_a_finished_store_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="already holds a store"):
        write(folder, make_clip())


@pytest.mark.parametrize(
    "clip",
    [
        Clip("a", np.zeros((1, 2, 20, 3), np.float32), np.ones((1, 2), np.bool_), 0),
        Clip("a", np.zeros((1, 2, 25, 3), np.float32), np.ones((1, 3), np.bool_), 0),
        Clip("a", np.zeros((3, 2, 25, 3), np.float32), np.ones((3, 2), np.bool_), 0),
        Clip("a", np.zeros((1, 0, 25, 3), np.float32), np.ones((1, 0), np.bool_), 0),
        Clip("a", np.full((1, 2, 25, 3), np.nan, np.float32), np.ones((1, 2), np.bool_), 0),
        make_clip(label=3),
        make_clip("good"),  # the name of the clip before it
    ],
)
def test_a_clip_that_does_not_fit_leaves_no_file_behind(tmp_path: Path, clip: Clip) -> None:
    with pytest.raises(UserError):
        write(tmp_path / "store", make_clip("good"), clip)
    assert list((tmp_path / "store").iterdir()) == []


def test_a_store_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no clip"):
        write(tmp_path / "store")


def test_a_writer_that_is_interrupted_leaves_no_file_behind(tmp_path: Path) -> None:
    def clips() -> Iterator[Clip]:
        yield make_clip()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "store", clips(), name="tiny", layout="ntu25", classes=CLASSES)
    assert list((tmp_path / "store").iterdir()) == []


def test_a_full_disk_leaves_the_store_that_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(UserError, match="disk is full"),
        StoreWriter(folder, StoreMetadata("tiny", load_layout("ntu25"), CLASSES)) as writer,
    ):
        writer.append(pack([make_clip()], load_layout("ntu25")))
    assert [clip.name for clip in open_store(folder)] == ["first", "second"]
    assert len(list(folder.iterdir())) == 4


def test_a_store_with_a_clip_of_no_body_is_refused_by_writer_and_reader(folder: Path, tmp_path: Path) -> None:
    empty_clip = make_clip()
    empty_clip.frame_mask[:] = False
    with pytest.raises(UserError, match="no body in any frame"):
        write(tmp_path / "other", empty_clip)
    valid = np.load(folder / "valid.npy")
    valid[6:] = False
    forge(folder, "valid.npy", valid)
    with pytest.raises(UserError, match="'second' has no body in any frame"):
        open_store(folder)


@pytest.mark.parametrize("value", [3e38, -3e6, np.inf, np.nan])
def test_a_coordinate_that_no_camera_sees_is_not_written(tmp_path: Path, value: float) -> None:
    clip = make_clip()
    clip.joints[0, 1, 3, 2] = value
    with pytest.raises(UserError, match="a coordinate is"):
        write(tmp_path / "store", clip)
    clip.joints[0, 1, 3, 2] = 1.9e6
    assert len(write(tmp_path / "sound", clip)) == 1


def test_bytes_that_are_neither_true_nor_false_are_refused(folder: Path) -> None:
    forge(folder, "valid.npy", np.full(10, 2, np.uint8).view(np.bool_))
    with pytest.raises(UserError, match="0 and 1"):
        open_store(folder)


@pytest.mark.parametrize("code", [0x110000, 0xD800, 0xFFFFFFFF])
def test_a_name_that_is_not_text_is_refused(folder: Path, code: int) -> None:
    clips = np.load(folder / "clips.npy")
    names = np.ascontiguousarray(clips["name"])
    names.view(np.uint32)[3] = code
    clips["name"] = names
    forge(folder, "clips.npy", clips)
    with pytest.raises(UserError, match="name that is not text"):
        open_store(folder)


def test_a_header_without_a_checksum_and_rows_in_another_order_are_refused(folder: Path) -> None:
    joints = np.load(folder / "joints.npy")
    forge(folder, "joints.npy", np.asfortranarray(joints))
    with pytest.raises(UserError, match="damaged"):
        open_store(folder)
    forge(folder, "joints.npy", joints)
    header = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    del header["files"]["joints.npy"]["sha256"]
    change_header(folder, files=header["files"])
    with pytest.raises(UserError, match="without its checksum"):
        open_store(folder, verify=False)


def test_protocols_that_would_take_much_memory_are_refused_before_they_do(folder: Path) -> None:
    change_header(folder, protocols={f"p{number}": "T" for number in range(50_000)})
    with pytest.raises(UserError, match="one of the letters"):
        open_store(folder)


# --- numbers and names that an index cannot hold


@pytest.mark.parametrize("number", CLIP_NUMBERS)
@pytest.mark.parametrize("value", [-1, 2**31, 2**40, 10**30])
def test_a_clip_with_a_number_that_no_index_holds_is_refused(tmp_path: Path, number: str, value: int) -> None:
    with pytest.raises(UserError, match=f"its {number} is {value}, not 0 to 2147483647"):
        write(tmp_path / "store", replace(make_clip(), **{number: value}))


@pytest.mark.parametrize("code", [0xD800, 0xDCE9, 0x110000, 0x7FFFFFFF])
def test_an_index_with_a_name_that_is_not_text_is_refused(folder: Path, code: int) -> None:
    clips = np.load(folder / "clips.npy")
    content = code.to_bytes(4, "little") + clips.tobytes()[4:]
    assert "a name that is not text" in index_problem(np.frombuffer(content, clips.dtype), 10, 3)


def test_a_clip_whose_name_is_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its name is not UTF-8 text"):
        write(tmp_path / "store", make_clip("caf\udce9"))


def test_a_store_shows_itself_by_its_name_clips_and_layout(folder: Path) -> None:
    assert repr(open_store(folder)) == f"Store({str(folder)!r}: tiny, 2 clips, layout ntu25)"


def test_the_layout_of_a_store_that_does_not_hold_it_is_the_one_of_its_name(folder: Path) -> None:
    header = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    del header["layout_facts"]
    (folder / "store.json").write_text(json.dumps(header), encoding="utf-8")
    assert open_store(folder).skeleton == load_layout("ntu25")


def test_an_array_that_cannot_be_read_for_its_checksum_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("last.data.store.reader.file_checksum", fail)
    with pytest.raises(UserError, match=r"Permission denied. Check its permissions"):
        open_store(folder)
