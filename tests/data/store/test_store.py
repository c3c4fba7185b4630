"""The store: what is written is read back, and the folder holds nothing else."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_probes import CLASSES, assert_same, make_clip, with_confidence, write

from last.data import open_store
from last.data.store.clip import confidence_bytes
from last.data.store.format import StoreMetadata, index_type, pack
from last.data.store.writer import StoreWriter
from last.skeleton import load_layout
from last.utils.errors import UserError
from last.utils.files import file_checksum

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


def test_a_store_of_the_first_version_is_read(store_folder: Path) -> None:
    expected = list(open_store(store_folder))
    store = open_store(as_version_1(store_folder))
    assert store.confidence is None
    for found, one in zip(store, expected, strict=True):
        assert_same(found, one)
        assert found.fps == 0
        np.testing.assert_array_equal(found.joint_mask, np.repeat(one.frame_mask[..., None], 25, axis=2))


def test_a_store_has_the_fingerprint_that_its_clips_had_in_the_first_version(store_folder: Path) -> None:
    before = open_store(store_folder)
    after = open_store(as_version_1(store_folder))
    assert before.fingerprint == after.fingerprint == after.fingerprint_of_files != before.fingerprint_of_files


def test_a_row_is_offset_plus_body_times_frames_plus_frame(store_folder: Path) -> None:
    store = open_store(store_folder)
    for number, clip in enumerate(store):
        row = store.clips[number]
        for body in range(row["bodies"]):
            for frame in range(row["frames"]):
                place = row["offset"] + body * row["frames"] + frame
                np.testing.assert_array_equal(store.joints[place], clip.joints[body, frame])
                assert store.valid[place] == clip.frame_mask[body, frame]


def test_a_store_describes_its_content(store_folder: Path) -> None:
    store = open_store(store_folder)
    assert (store.name, store.layout, store.classes) == ("tiny", "ntu25", CLASSES)
    assert store.source == {"raw": "here"}
    assert store.joints.dtype == np.float32 and store.valid.dtype == np.bool_


def test_a_store_counts_from_the_end_and_slices_like_a_sequence(store_folder: Path) -> None:
    store = open_store(store_folder)
    assert store[-1].name == "second"
    assert [clip.name for clip in store[:1]] == ["first"]
    with pytest.raises(IndexError):
        store[2]


def test_the_arrays_of_a_store_cannot_be_written(store_folder: Path) -> None:
    store = open_store(store_folder)
    with pytest.raises(ValueError, match="read-only"):
        store[0].joints[:] = 1
    with pytest.raises(ValueError, match="read-only"):
        store.valid[:] = True


def test_reading_changes_nothing_in_the_folder(store_folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in store_folder.iterdir()}
    list(open_store(store_folder))
    assert {path.name: path.stat().st_mtime_ns for path in store_folder.iterdir()} == before
    assert set(before) == {"store.json", "joints.npy", "valid.npy", "clips.npy"}


def test_checksums_are_verified_only_on_request(store_folder: Path) -> None:
    joints = np.load(store_folder / "joints.npy")
    joints[0, 0, 0] += 1
    np.save(store_folder / "joints.npy", joints)
    assert len(open_store(store_folder, verify=False)) > 0
    with pytest.raises(UserError, match="checksum"):
        open_store(store_folder)


def test_a_copy_for_another_process_takes_the_path_and_not_the_arrays(store_folder: Path) -> None:
    store = open_store(store_folder)
    _, state = store.__reduce__()
    assert state == (store_folder, False)
    assert_same(copy.deepcopy(store)[1], store[1])


def test_a_folder_without_store_json_is_no_store(store_folder: Path) -> None:
    (store_folder / "store.json").unlink()
    with pytest.raises(UserError, match="no finished store"):
        open_store(store_folder)


def test_a_store_shows_itself_by_its_name_clips_and_layout(store_folder: Path) -> None:
    assert repr(open_store(store_folder)) == f"Store({str(store_folder)!r}: tiny, 2 clips, layout ntu25)"


def test_the_layout_of_a_store_that_does_not_hold_it_is_the_one_of_its_name(store_folder: Path) -> None:
    header = json.loads((store_folder / "store.json").read_text(encoding="utf-8"))
    del header["layout_facts"]
    (store_folder / "store.json").write_text(json.dumps(header), encoding="utf-8")
    assert open_store(store_folder).skeleton == load_layout("ntu25")
