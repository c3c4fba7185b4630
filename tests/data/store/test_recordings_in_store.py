"""Long recordings in the header of a store."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.data import open_store
from last.data.store.clip import Clip
from last.data.store.format import StoreMetadata, pack
from last.data.store.reader import Store
from last.data.store.recordings import LEFT_OUT, Recording, Recordings, read_recordings, recordings_of
from last.data.store.writer import StoreWriter
from last.skeleton import load_layout
from last.utils.errors import UserError

LAYOUT = load_layout("coco17_2d")
RECORDINGS = Recordings(
    (Recording("day/one", 30, 25.0, ((0, 10, 1), (20, 25, LEFT_OUT))), Recording("two", 20, 0.0)),
    background=0,
    are_windows=True,
    parts=np.array([[0, 0, 10], [0, 10, 20], [1, 0, 20]]),
)


def write(folder: Path, recordings: Recordings | None = RECORDINGS) -> Store:
    joints = np.random.default_rng(0).normal(size=(1, 10, 17, 2)).astype(np.float32)
    clips = [Clip(f"c{number}", joints, np.ones((1, 10), bool), number % 2) for number in range(3)]
    metadata = StoreMetadata("mine", LAYOUT, ["none", "wave"], recordings=recordings)
    with StoreWriter(folder, metadata) as writer:
        writer.append(pack(clips, LAYOUT))
    return open_store(folder)


def test_a_store_keeps_the_recordings_of_its_clips(tmp_path: Path) -> None:
    store = write(tmp_path)
    assert store.recordings is not None
    assert (store.recordings.all, store.recordings.background) == (RECORDINGS.all, 0)
    assert store.recordings.are_windows
    assert store.clips[["recording", "start", "stop"]].tolist() == [(0, 0, 10), (0, 10, 20), (1, 0, 20)]
    assert recordings_of(store.clips).tolist() == [0, 0, 1]
    assert RECORDINGS.all[0].labels(0).tolist() == [1] * 10 + [0] * 10 + [LEFT_OUT] * 5 + [0] * 5


def test_a_store_of_single_clips_is_written_as_before(tmp_path: Path) -> None:
    store = write(tmp_path, None)
    assert store.recordings is None
    assert "recordings" not in json.loads((tmp_path / "store.json").read_text())
    assert "recording" not in (store.clips.dtype.names or ())
    assert recordings_of(store.clips).tolist() == [0, 1, 2]


def test_other_intervals_are_another_fingerprint(tmp_path: Path) -> None:
    other = replace(RECORDINGS, all=(replace(RECORDINGS.all[0], intervals=()), RECORDINGS.all[1]))
    prints = {write(tmp_path / name, each).fingerprint for name, each in (("a", RECORDINGS), ("b", other), ("c", None))}
    assert len(prints) == 3


WRONG: list[tuple[list[Any], Any]] = [
    ([], "text"),
    (["all"], {}),
    (["background"], 2),
    (["background"], True),
    (["are_windows"], "yes"),
    (["parts"], "0 0 10,0 10 20"),
    (["parts"], "0 0 10,0 10 20,2 0 20"),
    (["parts"], "0 0 10,0 10 31,1 0 20"),
    (["parts"], "0 0 10,0 20 10,1 0 20"),
    (["parts"], "0 0 10,0 10 20,1 0 2_0"),
    (["parts"], "0 0 10,0 10 20,1 0"),
    (["parts"], f"0 0 10,0 10 20,1 0 {'9' * 30}"),
    (["all", 0, "name"], 3),
    (["all", 0, "frames"], 0),
    (["all", 0, "frames"], 1 << 40),
    (["all", 0, "fps"], -1.0),
    (["all", 0, "fps"], float("nan")),
    (["all", 0, "intervals"], "0 10 2"),
    (["all", 0, "intervals"], "0 10 -2"),
    (["all", 0, "intervals"], "0 31 1"),
    (["all", 0, "intervals"], "0 10 1,9 12 1"),
    (["all", 0, "intervals"], "10 10 1"),
    (["all", 0], []),
]


@pytest.mark.parametrize(("place", "value"), WRONG, ids=str)
def test_recordings_that_are_not_what_is_written_are_damage(place: list[Any], value: Any, tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "store.json"
    header = json.loads(path.read_text())
    at: Any = header
    for key in ["recordings", *place][:-1]:
        at = at[key]
    at[["recordings", *place][-1]] = value
    path.write_text(json.dumps(header))
    with pytest.raises(UserError, match=r"is damaged: store\.json"):
        open_store(tmp_path)


def test_what_a_header_holds_is_read_as_it_was() -> None:
    read = read_recordings(RECORDINGS.header(), 3, 2)
    assert read is not None
    assert read.header() == RECORDINGS.header()
