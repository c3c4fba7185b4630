"""An inspection as a whole: when students are trained, and what it says if they are not."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from last.data.store.clip import Clip
from last.data.store.reader import write_store
from last.inspection import inspector
from last.inspection.clip_source import ClipSource, Sought, find_clips
from last.inspection.inspector import UNTRAINED, inspect_clips
from last.inspection.students import KIND, Studied
from last.utils.root_folders import RootFolders


def source_of(folder: Path, stills: int, clips: int = 48) -> ClipSource:
    """Return clips of two classes in turn, the first `stills` of them with one frame."""

    def made() -> Iterator[Clip]:
        random = np.random.default_rng(0)
        for number in range(clips):
            frames = 1 if number < stills else 9
            joints = random.normal(size=(1, 1, 20, 3)) + np.cumsum(random.normal(0, 0.05, (1, frames, 20, 3)), axis=1)
            mask = np.ones((1, frames), np.bool_)
            yield Clip(f"clip{number:02}", joints.astype(np.float32), mask, number % 2, subject=1 + number % 5)

    write_store(folder / "set", made(), name="set", layout="kinect20", classes=["down", "up"])
    return find_clips(Sought(str(folder / "set"), RootFolders("local", folder, folder)))


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the minutes of studies instead of training students."""
    seen: list[float] = []

    def study(*_: object, minutes: float, **__: object) -> Studied:
        seen.append(minutes)
        return Studied()

    monkeypatch.setattr(inspector, "study", study)
    return seen


@pytest.mark.parametrize("stills", [48, 40])
def test_no_student_is_trained_on_clips_of_one_frame(stills: int, tmp_path: Path, studies: list[float]) -> None:
    inspection = inspect_clips(source_of(tmp_path, stills), minutes=1.0)
    assert inspection.spoils and studies == []
    reason = f"{UNTRAINED}, for without the clips of one frame fewer than two classes have 8 clips"
    assert (inspection.checked[KIND], inspection.no_curve) == (reason, reason)


def test_students_are_trained_if_enough_clips_move(tmp_path: Path, studies: list[float]) -> None:
    inspection = inspect_clips(source_of(tmp_path, stills=30), minutes=1.0)
    assert inspection.spoils and studies == [1.0]
    assert (inspection.checked[KIND], inspection.no_curve) == ("", "")


def test_without_minutes_the_callers_reason_is_told(tmp_path: Path, studies: list[float]) -> None:
    inspection = inspect_clips(source_of(tmp_path, stills=0), untrained="nobody asked")
    assert (studies, inspection.no_curve) == ([], "nobody asked")
