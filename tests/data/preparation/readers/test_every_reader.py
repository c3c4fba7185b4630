"""What holds for every format alike: the same recording, written in each of them, gives the same clip."""

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
import pytest
from written_formats import LAYOUTS, ONE_BODY, WRITERS, a_recording

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader, list_formats
from last.data.preparation.formats.clip_builder import ClipMetadata, build_clip
from last.data.store.clip import Clip
from last.skeleton import LayoutFile, build_layout, build_layout_map, load_layout
from last.utils.errors import UserError

WRISTS = {"sbu": "left_hand"}
JSON_FOLDERS = ["coco", "zed", "kinect_azure", "mediapipe", "openpose", "tao"]
OTHER_FOLDERS = ["folder", "dlc", "c3d", "sleap"]
# The positions in a BVH file follow from rotations of bones, so the points of these tests cannot be written.
NOT_WRITTEN = ["bvh"]
every_format = pytest.mark.parametrize("name", sorted(WRITERS))


def reader_of(name: str, bodies: int = 2) -> Any:
    return get_reader(name, Source(load_layout(LAYOUTS.get(name, "ntu25")), bodies, ("first", "second")))


def read(name: str, folder: Path, joints: np.ndarray, bodies: int = 2) -> Clip:
    folder.mkdir(exist_ok=True)
    WRITERS[name](folder, joints)
    reader = reader_of(name, bodies)
    (entry,) = reader.entries(folder)
    return reader.read(entry)


def test_every_format_is_written_here() -> None:
    assert sorted([*WRITERS, *NOT_WRITTEN]) == list_formats()


@every_format
def test_frames_in_which_all_of_a_body_is_zero_are_as_if_it_were_not_there(name: str, tmp_path: Path) -> None:
    joints = a_recording(name)
    joints[:, :10] = 0
    clip = read(name, tmp_path / "zeros", joints)
    without = read(name, tmp_path / "without", joints[:, 10:])
    np.testing.assert_array_equal(clip.joints, without.joints)
    np.testing.assert_array_equal(clip.frame_mask, without.frame_mask)
    assert clip.joints.shape[1] == 20 and clip.frame_mask.all()


@every_format
def test_a_body_that_is_zero_in_the_middle_is_absent_there(name: str, tmp_path: Path) -> None:
    whole = read(name, tmp_path / "whole", a_recording(name))
    joints = a_recording(name)
    joints[-1, 12:15] = 0
    clip = read(name, tmp_path / "hole", joints)
    if len(joints) == 1:
        np.testing.assert_array_equal(clip.joints, np.delete(whole.joints, range(12, 15), axis=1))
    else:
        assert np.argwhere(~clip.frame_mask).tolist() == [[1, 12], [1, 13], [1, 14]]
        assert not clip.joints[1, 12:15].any()


@every_format
def test_joints_of_another_layout_are_mapped_before_the_clip_is_centred(name: str, tmp_path: Path) -> None:
    source = load_layout(LAYOUTS.get(name, "ntu25"))
    axes: Any = source.coordinates
    own = LayoutFile(joints=["left_wrist", "middle"], bones=[[1, 2]], root=2, center=2, coordinates=axes)
    joint_map = build_layout_map(
        source,
        build_layout("two", own, "two.yaml"),
        {"left_wrist": WRISTS.get(name, "left_wrist"), "middle": ["left_hip", "right_hip"]},
    )
    whole = read(name, tmp_path / "whole", a_recording(name))
    reader = get_reader(name, Source(source, 2, ("first", "second"), joint_map=joint_map))
    (entry,) = reader.entries(tmp_path / "whole")
    clip = reader.read(entry)
    mapped = joint_map(whole.joints)
    np.testing.assert_allclose(clip.joints, mapped - mapped[0, 0, 1], atol=1e-5)
    assert not clip.joints[0, 0, 1].any()


@pytest.mark.parametrize("name", sorted(set(WRITERS) - set(ONE_BODY)))
def test_bodies_beyond_the_limit_are_counted(name: str, tmp_path: Path) -> None:
    joints = a_recording(name)
    assert read(name, tmp_path / "two", joints).bodies_left_out == 0
    clip = read(name, tmp_path / "one", joints, bodies=1)
    assert (len(clip.joints), clip.bodies_left_out) == (1, 1)
    joints[0] = 0
    assert read(name, tmp_path / "zeros", joints, bodies=1).bodies_left_out == 0


@pytest.mark.parametrize("name", sorted(set(WRITERS) - set(ONE_BODY)))
@pytest.mark.parametrize("zeros", [0, 1])
def test_a_body_that_is_always_zero_is_none(name: str, zeros: int, tmp_path: Path) -> None:
    joints = a_recording(name)
    joints[zeros] = 0
    clip = read(name, tmp_path / "zeros", joints)
    alone = read(name, tmp_path / "alone", joints[1 - zeros :][:1], bodies=1)
    np.testing.assert_array_equal(clip.joints, alone.joints)
    assert clip.frame_mask.shape == (1, 30)


@every_format
def test_a_recording_of_zeros_is_dropped_for_holding_no_skeleton(name: str, tmp_path: Path) -> None:
    with pytest.raises(DroppedClip, match="no skeleton"):
        read(name, tmp_path, np.zeros_like(a_recording(name)))


@every_format
def test_one_joint_at_zero_is_a_joint_like_any_other(name: str, tmp_path: Path) -> None:
    joints = a_recording(name)
    joints[:, :, 3] = 0
    assert read(name, tmp_path, joints).frame_mask.all()


TEXTS = ["ntu", "nw_ucla", "sbu"]
text_format = pytest.mark.parametrize("name", TEXTS)


def change_the_file(name: str, folder: Path, change: Callable[[Path], object]) -> Clip:
    """Write a recording, change its file, and read what is found then."""
    folder.mkdir(exist_ok=True)
    WRITERS[name](folder, a_recording(name))
    path, *others = sorted(path for path in folder.rglob("*") if path.is_file())
    assert not others or name == "openpose"
    change(path)
    reader = reader_of(name)
    (entry,) = reader.entries(folder)
    return reader.read(entry)


def add_mark(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def pack(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def pack_marked_text(path: Path) -> None:
    add_mark(path)
    path.rename(path.with_name(f"{path.name}.TXT"))
    pack(path.with_name(f"{path.name}.TXT"))


def zip_on_windows(path: Path) -> None:
    """Pack as some programs do: with backslashes, and with what macOS adds."""
    parts = path.parts[-4:]
    with ZipFile(path.with_name("a.ZIP"), "w") as archive:
        info = ZipInfo("x")
        info.filename = "\\".join(parts)
        archive.writestr(info, path.read_bytes())
        archive.writestr("__MACOSX/" + "/".join([*parts[:-1], f"._{parts[-1]}"]), b"\0\5\x16\7")
    path.unlink()


@text_format
@pytest.mark.parametrize(
    "change",
    [
        add_mark,
        pack,
        pack_marked_text,
        zip_on_windows,
        lambda path: path.rename(path.with_name(f"{path.name}.txt")),
        lambda path: path.rename(path.with_name(path.name.swapcase())),
        lambda path: (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7"),
    ],
    ids=["byte order mark", "gz", "txt.gz with mark", "zip of Windows", "txt", "swapped case", "macOS"],
)
def test_a_text_is_read_alike_under_the_names_and_packings_that_it_travels_in(
    name: str, change: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = read(name, tmp_path / "plain", a_recording(name))
    clip = change_the_file(name, tmp_path / "changed", change)
    assert (clip.name, clip.label, clip.subject) == (expected.name, expected.label, expected.subject)
    assert caplog.text == ""
    np.testing.assert_array_equal(clip.joints, expected.joints)


FOREIGN = [
    (b"", "is an empty file"),
    (b"\n<!DOCTYPE html><html>Sign in", "is an HTML page"),
    (gzip.compress(b"x", mtime=0), r"is a gzip file \(unpack it\)"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
    ("1\n".encode("utf-16"), "is text in UTF-16"),
    (bytes(2000), "is a file of zero bytes"),
    (b"PK\x03\x04" + bytes(40), "is a zip archive"),
]
foreign_content = pytest.mark.parametrize(("content", "reason"), FOREIGN, ids=[reason for _, reason in FOREIGN])


@every_format
@foreign_content
def test_a_file_that_is_something_else_is_named_for_what_it_is(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    if name == "ctrgcn" and reason == "is a zip archive":
        reason = "is not a readable .npz file"  # an .npz is a zip archive itself, but not this one
    with pytest.raises(BadClip if name in {*TEXTS, *OTHER_FOLDERS, *JSON_FOLDERS} else UserError, match=reason):
        change_the_file(name, tmp_path, lambda path: path.write_bytes(content))


@text_format
@pytest.mark.parametrize("damage", [lambda data: data[:-10], lambda data: data[:20] + b"\xff" * 20, lambda data: b"x"])
def test_a_damaged_gz_is_one_bad_clip(name: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    def spoil(path: Path) -> None:
        data = damage(gzip.compress(path.read_bytes()))
        path.with_name(f"{path.name}.gz").write_bytes(data)
        path.unlink()

    with pytest.raises(BadClip, match="cannot be unpacked"):
        change_the_file(name, tmp_path, spoil)


@text_format
def test_a_damaged_recording_keeps_its_copies(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path, a_recording(name))
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.write_bytes(path.read_bytes()[:-20])
    reader = reader_of(name)
    (entry,) = reader.entries(tmp_path)
    with pytest.raises(BadClip):
        reader.read(entry)
    (copy,) = entry.copies
    assert reader.read(copy).name == entry.name


@pytest.mark.parametrize("what", ["label", "subject", "camera", "setup", "replication"])
@pytest.mark.parametrize("number", [-1, 2**31, pytest.param(10**5000, id="huge")])
def test_a_number_that_a_store_cannot_hold_is_refused_for_every_format(what: str, number: int) -> None:
    source = Source(load_layout("ntu25"), 2, ())
    about = {"label": 0, what: 2**31 - 1}
    assert getattr(build_clip("one", ClipMetadata(**about), np.ones((1, 2, 25, 3)), source), what) == 2**31 - 1
    with pytest.raises(BadClip, match=f"one: its {what} is not a whole number from 0 to 2147483647"):
        build_clip("one", ClipMetadata(**{**about, what: number}), np.ones((1, 2, 25, 3)), source)


@pytest.mark.parametrize("array", [np.full((1, 2, 25, 3), "x"), np.ones((1, 2, 25, 3), bool), np.ones((2, 25, 3))])
def test_an_array_of_no_numbers_or_of_another_shape_is_refused_for_every_format(array: np.ndarray) -> None:
    with pytest.raises(BadClip):
        build_clip("one", ClipMetadata(0), array, Source(load_layout("ntu25"), 2, ()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@every_format
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    def replace_by_a_pipe(path: Path) -> None:
        path.unlink()
        os.mkfifo(path)

    with pytest.raises((BadClip, UserError)):
        change_the_file(name, tmp_path, replace_by_a_pipe)


@pytest.mark.parametrize("name", ["ntu", "nw_ucla", "sbu"])
def test_a_recording_without_the_name_that_its_format_gives_is_bad(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path, a_recording(name))
    reader = reader_of(name)
    (entry,) = reader.entries(tmp_path)
    with pytest.raises(BadClip, match=r"is not (named|in folders)"):
        reader.read(replace(entry, name="one"))


@pytest.mark.parametrize(
    ("name", "module", "limit", "complaint"),
    [
        ("ntu", "readers.ntu", "_MOST_FRAMES", "has more than the 2 frames allowed"),
        ("sbu", "formats.clip_builder", "MAX_COORDINATES", "has more than 2 coordinates"),
        ("folder", "readers.folder", "_LIMIT_BYTES", "is larger than 2 bytes"),
        ("pyskl", "readers.pyskl", "_MOST_ANNOTATIONS", "holds more than 0 annotations"),
    ],
)
def test_a_recording_beyond_a_limit_is_refused(
    name: str, module: str, limit: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"last.data.preparation.{module}.{limit}", 0 if name == "pyskl" else 2)
    with pytest.raises((BadClip, UserError), match=complaint):
        read(name, tmp_path, a_recording(name))


def test_a_number_that_no_float_can_hold_is_bad(tmp_path: Path) -> None:
    def make_huge(path: Path) -> None:
        content = json.loads(path.read_text())
        content["skeletons"][0][0][0] = 10**400
        path.write_text(json.dumps(content))

    with pytest.raises(BadClip, match="a number that is impossibly large"):
        change_the_file("nw_ucla", tmp_path, make_huge)


def test_a_file_that_is_gone_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    WRITERS["ctrgcn"](tmp_path, a_recording("ctrgcn"))
    reader = reader_of("ctrgcn")
    entries = reader.entries(tmp_path)
    entries[0].path.unlink()
    with pytest.raises(UserError, match="No such file"):
        reader.read(entries[0])


def test_a_format_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"There is no format of recordings 'fbx'.* Known: .*ntu"):
        get_reader("fbx", Source(load_layout("ntu25"), 2, ()))
