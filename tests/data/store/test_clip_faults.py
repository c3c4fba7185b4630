"""The search for clips whose joints are all at one point, or that are not centred."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from store_probes import write

from last.data.store import clip_faults
from last.data.store.clip import Clip
from last.data.store.clip_faults import clips_at_one_point, clips_off_center, fault_message
from last.data.store.reader import open_store
from last.data.store.row_file import RowFile
from last.skeleton import load_layout

SOUND, ZEROS, POINT, GAP, SECOND, LATE = range(6)


def clip(name: str, joints: Any) -> Clip:
    joints = np.asarray(joints, np.float32)
    return Clip(name, joints, np.ones(joints.shape[:2], np.bool_), 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    moving = np.random.default_rng(0).normal(size=(2, 5, 25, 3)).astype(np.float32)
    walking_point = np.broadcast_to(np.arange(5.0)[None, :, None, None], (1, 5, 25, 3))
    gap, second, late = moving[:1].copy(), moving.copy(), np.zeros((1, 5, 25, 3))
    gap[:, 2], second[0], late[0, 4, 7, 1] = 0, 0, 0.1
    seen = replace(clip("gap", gap), frame_mask=np.array([[True, True, False, True, True]]))
    clips = [clip("sound", moving), clip("zeros", np.zeros((2, 5, 25, 3))), clip("point", walking_point)]
    write(tmp_path / "store", *clips, seen, clip("second", second), clip("late", late))
    return tmp_path / "store"


def test_clips_are_found_whose_joints_are_at_one_point_in_every_frame(folder: Path) -> None:
    store = open_store(folder)
    assert clips_at_one_point(store, np.arange(6)).tolist() == [ZEROS, POINT]
    assert clips_at_one_point(store, np.array([LATE, POINT, SOUND])).tolist() == [POINT]
    assert clips_at_one_point(store, np.zeros(0, np.int64)).tolist() == []


def test_a_sound_clip_costs_one_row_of_joints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moving = np.random.default_rng(0).normal(size=(1, 5, 25, 3))
    store = write(tmp_path / "store", *(clip(str(seed), moving + seed) for seed in range(9)))
    read: list[int] = []
    rows = RowFile.rows

    def note(file: RowFile, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
        read.append(wanted.size)
        return rows(file, wanted)

    monkeypatch.setattr(RowFile, "rows", note)
    monkeypatch.setattr(RowFile, "span", lambda *_: pytest.fail("a sound clip was read as a whole"))
    monkeypatch.setattr(clip_faults, "_BLOCK", 4)
    assert not len(clips_at_one_point(store, np.arange(9)))
    assert read == [4, 4, 1]


def test_clips_are_found_that_do_not_begin_at_the_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_faults, "_BLOCK", 2)
    moving = np.random.default_rng(0).normal(size=(2, 5, 25, 3)).astype(np.float32)
    center = load_layout("ntu25").center
    centred = moving - moving[0, 0, center]
    missing = centred + 1
    missing[0, 0, center] = 0
    store = write(
        tmp_path / "store", *(clip(*each) for each in zip("abcd", [centred, moving, missing, moving], strict=True))
    )
    assert clips_off_center(store, np.arange(4)).tolist() == [1, 3]
    assert clips_off_center(store, np.array([3, 0])).tolist() == [3]
    assert clips_off_center(store, np.zeros(0, np.int64)).tolist() == []


def test_the_message_has_number_share_and_names(folder: Path) -> None:
    text = fault_message(open_store(folder), np.array([ZEROS, POINT]), 6, "training", "have no shape")
    assert text == "2 of 6 training clips (33.3%) have no shape: zeros, point."
