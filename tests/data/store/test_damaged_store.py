"""What is refused of a store: what is damaged, hostile, or does not fit."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from store_probes import CLASSES, change_header, forge, make_clip, with_confidence, write

from last.data import open_store
from last.data.store.clip import Clip
from last.data.store.format import CLIP_NUMBERS, StoreMetadata, index_problem, index_type, pack
from last.data.store.reader import write_store
from last.data.store.writer import StoreWriter
from last.skeleton import load_layout
from last.utils.errors import UserError
from last.utils.files import file_checksum


def test_an_index_of_the_other_version_is_refused(store_folder: Path) -> None:
    change_header(store_folder, format_version=1)
    with pytest.raises(UserError, match="not a list of clips"):
        open_store(store_folder)


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


def test_a_missing_folder_is_refused_with_the_way_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such folder.*last preprocess --dataset"):
        open_store(tmp_path / "nowhere")


def test_a_file_or_a_folder_of_stores_is_refused_with_the_one_to_name(store_folder: Path) -> None:
    with pytest.raises(UserError, match=r"store.json is a file; a store is a folder"):
        open_store(store_folder / "store.json")
    with pytest.raises(UserError, match=f"There are stores in it: name one of .*{store_folder.name}"):
        open_store(store_folder.parent)


@pytest.mark.parametrize("version", [3, 0, True, 2.0, "2", None])
def test_another_format_version_is_refused(store_folder: Path, version: object) -> None:
    change_header(store_folder, format_version=version)
    with pytest.raises(UserError, match=r"store format .*reads the formats 1, 2\. Prepare it again"):
        open_store(store_folder)


@pytest.mark.parametrize("file", ["joints.npy", "valid.npy", "clips.npy"])
def test_one_changed_byte_is_noticed_by_its_checksum(store_folder: Path, file: str) -> None:
    content = bytearray((store_folder / file).read_bytes())
    content[-1] ^= 1
    (store_folder / file).write_bytes(content)
    with pytest.raises(UserError, match=f"{file} does not match its recorded checksum"):
        open_store(store_folder)


@pytest.mark.parametrize("file", ["joints.npy", "valid.npy", "clips.npy"])
def test_a_truncated_array_is_refused_even_unverified(store_folder: Path, file: str) -> None:
    (store_folder / file).write_bytes((store_folder / file).read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{file} has .* bytes instead of"):
        open_store(store_folder, verify=False)


def test_a_missing_array_is_refused(store_folder: Path) -> None:
    (store_folder / "valid.npy").unlink()
    with pytest.raises(UserError, match=r"valid\.npy is missing"):
        open_store(store_folder)


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
def test_a_header_that_disagrees_with_the_arrays_is_refused(store_folder: Path, values: dict[str, object]) -> None:
    change_header(store_folder, **values)
    with pytest.raises(UserError):
        open_store(store_folder)


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
def test_an_index_that_points_outside_is_refused(store_folder: Path, field: str, value: int, number: int) -> None:
    clips = np.load(store_folder / "clips.npy")
    clips[field][number] = value
    forge(store_folder, "clips.npy", clips)
    with pytest.raises(UserError, match="damaged"):
        open_store(store_folder)


def test_an_index_of_more_than_two_bodies_is_refused_though_it_points_inside(store_folder: Path) -> None:
    clips = np.load(store_folder / "clips.npy")
    clips["bodies"][0], clips["frames"][0] = 3, 2
    forge(store_folder, "clips.npy", clips)
    with pytest.raises(UserError, match="number of bodies"):
        open_store(store_folder)


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
def test_an_array_of_another_kind_is_refused(store_folder: Path, file: str, array: np.ndarray) -> None:
    forge(store_folder, file, array)
    with pytest.raises(UserError, match="damaged"):
        open_store(store_folder)


def test_a_pickle_in_place_of_the_index_is_never_loaded(store_folder: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(store_folder / "sprung"),)

    forge(store_folder, "clips.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"clips\.npy cannot be read"):
        open_store(store_folder)
    assert not (store_folder / "sprung").exists()


def test_an_array_header_that_claims_more_than_the_file_holds_is_refused(store_folder: Path) -> None:
    content = (store_folder / "valid.npy").read_bytes().replace(b"(10,)", b"(1" + b"0" * 15 + b",)")
    (store_folder / "valid.npy").write_bytes(content)
    size = len(content)
    header = json.loads((store_folder / "store.json").read_text(encoding="utf-8"))
    header["files"]["valid.npy"]["bytes"] = size
    change_header(store_folder, **header)
    with pytest.raises(UserError, match="damaged"):
        open_store(store_folder, verify=False)


def test_writing_over_a_finished_store_is_refused(store_folder: Path) -> None:
    with pytest.raises(UserError, match="already holds a store"):
        write(store_folder, make_clip())


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


def test_a_full_disk_leaves_the_store_that_was_there(store_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(UserError, match="disk is full"),
        StoreWriter(store_folder, StoreMetadata("tiny", load_layout("ntu25"), CLASSES)) as writer,
    ):
        writer.append(pack([make_clip()], load_layout("ntu25")))
    assert [clip.name for clip in open_store(store_folder)] == ["first", "second"]
    assert len(list(store_folder.iterdir())) == 4


def test_a_store_with_a_clip_of_no_body_is_refused_by_writer_and_reader(store_folder: Path, tmp_path: Path) -> None:
    empty_clip = make_clip()
    empty_clip.frame_mask[:] = False
    with pytest.raises(UserError, match="no body in any frame"):
        write(tmp_path / "other", empty_clip)
    valid = np.load(store_folder / "valid.npy")
    valid[6:] = False
    forge(store_folder, "valid.npy", valid)
    with pytest.raises(UserError, match="'second' has no body in any frame"):
        open_store(store_folder)


@pytest.mark.parametrize("value", [3e38, -3e6, np.inf, np.nan])
def test_a_coordinate_that_no_camera_sees_is_not_written(tmp_path: Path, value: float) -> None:
    clip = make_clip()
    clip.joints[0, 1, 3, 2] = value
    with pytest.raises(UserError, match="a coordinate is"):
        write(tmp_path / "store", clip)
    clip.joints[0, 1, 3, 2] = 1.9e6
    assert len(write(tmp_path / "sound", clip)) == 1


def test_bytes_that_are_neither_true_nor_false_are_refused(store_folder: Path) -> None:
    forge(store_folder, "valid.npy", np.full(10, 2, np.uint8).view(np.bool_))
    with pytest.raises(UserError, match="0 and 1"):
        open_store(store_folder)


@pytest.mark.parametrize("code", [0x110000, 0xD800, 0xFFFFFFFF])
def test_a_name_that_is_not_text_is_refused(store_folder: Path, code: int) -> None:
    clips = np.load(store_folder / "clips.npy")
    names = np.ascontiguousarray(clips["name"])
    names.view(np.uint32)[3] = code
    clips["name"] = names
    forge(store_folder, "clips.npy", clips)
    with pytest.raises(UserError, match="name that is not text"):
        open_store(store_folder)


def test_a_header_without_a_checksum_and_rows_in_another_order_are_refused(store_folder: Path) -> None:
    joints = np.load(store_folder / "joints.npy")
    forge(store_folder, "joints.npy", np.asfortranarray(joints))
    with pytest.raises(UserError, match="damaged"):
        open_store(store_folder)
    forge(store_folder, "joints.npy", joints)
    header = json.loads((store_folder / "store.json").read_text(encoding="utf-8"))
    del header["files"]["joints.npy"]["sha256"]
    change_header(store_folder, files=header["files"])
    with pytest.raises(UserError, match="without its checksum"):
        open_store(store_folder, verify=False)


def test_protocols_that_would_take_much_memory_are_refused_before_they_do(store_folder: Path) -> None:
    change_header(store_folder, protocols={f"p{number}": "T" for number in range(50_000)})
    with pytest.raises(UserError, match="one of the letters"):
        open_store(store_folder)


# --- numbers and names that an index cannot hold


@pytest.mark.parametrize("number", CLIP_NUMBERS)
@pytest.mark.parametrize("value", [-1, 2**31, 2**40, 10**30])
def test_a_clip_with_a_number_that_no_index_holds_is_refused(tmp_path: Path, number: str, value: int) -> None:
    with pytest.raises(UserError, match=f"its {number} is {value}, not 0 to 2147483647"):
        write(tmp_path / "store", replace(make_clip(), **{number: value}))


@pytest.mark.parametrize("code", [0xD800, 0xDCE9, 0x110000, 0x7FFFFFFF])
def test_an_index_with_a_name_that_is_not_text_is_refused(store_folder: Path, code: int) -> None:
    clips = np.load(store_folder / "clips.npy")
    content = code.to_bytes(4, "little") + clips.tobytes()[4:]
    assert "a name that is not text" in index_problem(np.frombuffer(content, clips.dtype), 10, 3)


def test_a_clip_whose_name_is_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its name is not UTF-8 text"):
        write(tmp_path / "store", make_clip("caf\udce9"))


def test_an_array_that_cannot_be_read_for_its_checksum_is_refused(
    store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("last.data.store.reader.file_checksum", fail)
    with pytest.raises(UserError, match=r"permission was denied\. Check its permissions"):
        open_store(store_folder)
