"""Students that judge a data set: from a store to a finding and a learning curve."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from last.data.store.clip import Clip
from last.data.store.reader import Store, write_store
from last.inspection import student_training
from last.inspection import students as studying
from last.inspection.findings import Severity
from last.inspection.student_folds import FOLDS, Division
from last.inspection.student_training import Students, Trial, TrialJob, run_trial, student_settings
from last.inspection.students import KIND, SHARES, study
from last.settings.data import DataConfig
from last.settings.run import RunConfig
from last.utils.progress import Progress


def moving_store(folder: Path, swapped: int = -1, clips: int = 48) -> Store:
    """Return clips of joints that go up or down, in turn; the label of the clip `swapped` is wrong."""

    def made() -> Iterator[Clip]:
        generator = np.random.default_rng(0)
        body = generator.normal(size=(20, 3))
        for number in range(clips):
            label = number % 2
            joints = np.tile(body, (1, 12, 1, 1)) + generator.normal(0, 0.02, (1, 12, 20, 3))
            joints[..., 4:12, 1] += np.linspace(0, 1 if label else -1, 12)[:, None]
            yield Clip(
                name=f"clip{number:03}",
                joints=joints.astype(np.float32),
                frame_mask=np.ones((1, 12), np.bool_),
                label=1 - label if number == swapped else label,
                subject=1 + number // 6,
            )

    return write_store(folder / "tiny", made(), name="tiny", layout="kinect20", classes=["down", "up"])


@pytest.fixture
def tiny_students(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let students be tiny, and temporary files be in the folder that is returned."""
    own = student_settings

    def tiny(data: DataConfig) -> RunConfig:
        config = own(data)
        model = replace(config.model, channels=[12], blocks=[1], attention=[False])
        return replace(config, input_frames=8, batch_size=12, model=model)

    monkeypatch.setattr(student_training, "student_settings", tiny)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class _Counted(Progress):
    done = 0

    def advance(self, done: int = 1, note: str = "", run_left_s: float = 0.0) -> None:
        self.done += done


def test_a_swapped_label_is_found_and_the_curve_has_a_point_for_each_share(tmp_path: Path, tiny_students: Path) -> None:
    progress = _Counted()
    studied = study(moving_store(tmp_path, swapped=13), updates=26, repeats=1, progress=progress)
    assert not studied.refused
    assert studied.wrong_labels is not None
    assert (studied.wrong_labels.kind, studied.wrong_labels.severity) == (KIND, Severity.WARNING)
    assert [each.clip for each in studied.wrong_labels.evidence] == [13]
    assert studied.wrong_labels.evidence[0].detail.startswith("labelled down (")
    assert "more like up (" in studied.wrong_labels.evidence[0].detail
    assert studied.curve is not None
    assert [(each.share, each.clips) for each in studied.curve.points] == [(0.25, 9), (0.5, 18), (1.0, 36)]
    assert list(studied.curve.forecast) == [72, 144]
    assert progress.done == 6
    assert not list(tiny_students.glob("last-*"))


@pytest.mark.usefixtures("tiny_students")
def test_without_time_labels_are_judged_all_the_same_and_the_curve_is_left_out(tmp_path: Path) -> None:
    progress = _Counted()
    studied = study(moving_store(tmp_path), minutes=0.0, progress=progress)
    assert (studied.refused, studied.curve, progress.done) == ("", None, FOLDS)
    assert studied.no_curve.startswith("no time was left") and "inspect PATH --minutes " in studied.no_curve


def test_what_takes_a_little_longer_than_planned_still_measures_a_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: list[float] = []
    monkeypatch.setattr(studying.time, "monotonic", lambda: clock[-1])
    limits = studying._Limits(0.0, minutes=1.0)
    for seconds, goes_on_after in ((50.0, (4, 5, 6)), (70.0, (4, 5)), (130.0, ())):
        clock.append(seconds)
        assert tuple(count for count in (4, 5, 6) if not limits.is_over(count)) == goes_on_after
    assert not limits.is_over(3), "all labels are judged"
    assert not studying._Limits(0.0, 1.0, updates=26).is_over(6)


def test_the_minutes_that_are_enough_for_a_curve_are_those_of_its_students(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studying.time, "monotonic", lambda: 250.0)
    limits = studying._Limits(0.0, minutes=1.0)
    assert "--minutes 7`" in studying._no_time(limits, 10.0, 4), "10 seconds, and six students of 60 seconds each"
    assert "--minutes 11`" in studying._no_time(studying._Limits(0.0, 10.0), 10.0, 4), (
        "never fewer than were not enough"
    )


def test_a_set_that_cannot_be_studied_is_refused_in_a_sentence(tmp_path: Path) -> None:
    studied = study(moving_store(tmp_path, clips=10))
    assert studied.wrong_labels is None
    assert studied.curve is None
    assert (
        studied.refused
        == "Students need two classes with 8 clips or more, and the data set has 0 classes of that size."
    )


@pytest.mark.usefixtures("tiny_students")
def test_an_exam_in_another_process_gives_the_same_probabilities(tmp_path: Path) -> None:
    store, data = moving_store(tmp_path), DataConfig()
    labels = 1 - store.clips["label"].astype(np.int64)  # not those of the store
    trial = Trial(np.arange(36), np.arange(36, 48), updates=3, seed=5)
    torch.rand(7)
    run_trial(TrialJob(trial, store.path, data, labels, tmp_path / "result.npy"))
    result = np.load(tmp_path / "result.npy")
    assert result.shape == (12, 2)
    assert np.allclose(result.sum(axis=1), 1)
    assert np.array_equal(result, Students.of(store, data, labels).probabilities(trial))


def test_an_interrupted_study_in_several_processes_leaves_no_file(
    tmp_path: Path, tiny_students: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(
        work: Callable[[Any], None], jobs: Sequence[TrialJob], processes: int, _lost: str
    ) -> Iterator[TrialJob]:
        assert (work, processes) == (run_trial, 2)
        np.save(jobs[0].result, np.zeros((12, 2)))
        assert jobs[0].result.is_relative_to(tiny_students)
        yield jobs[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(studying, "work_in_order", interrupted)
    monkeypatch.setattr(studying, "usable_cores", lambda: 2)
    monkeypatch.setattr(studying, "_STARTING_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        study(moving_store(tmp_path), updates=5)
    assert not list(tiny_students.glob("last-*"))


class _Timed:
    """Students of which the seconds of a step are known."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.config, self.device = seconds, RunConfig(batch_size=32), torch.device("cpu")

    def step_seconds(self, clips: np.ndarray) -> float:
        assert len(clips)
        return self.seconds


def _effort(seconds: float, minutes: float, clips: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int, int]:
    monkeypatch.setattr(studying, "usable_cores", lambda: 2)
    monkeypatch.setattr(studying.time, "monotonic", lambda: 0.0)
    numbers = np.arange(clips)
    division = Division(numbers, 1 + numbers % FOLDS, numbers % 2, "clip")
    students: Any = _Timed(seconds)
    return studying._effort(students, division, studying._Limits(0.0, minutes))


def test_the_number_of_updates_fits_the_time_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    repeats, updates, processes = _effort(0.05, 2.0, 1500, monkeypatch)
    assert (repeats, processes) == (FOLDS, 2)
    runs = FOLDS + FOLDS * (len(SHARES) - 1)
    assert 160 < updates * runs * 0.05 < 2 * 60 * 2 / 1.3, "two cores for two minutes, less the start"
    assert _effort(0.05, 1.0, 1500, monkeypatch)[0] == FOLDS // 2, "fewer folds for the curve before too few updates"
    assert _effort(10.0, 1.0, 1500, monkeypatch)[1] == 20, "never fewer than that"
    assert _effort(0.001, 60.0, 1600, monkeypatch)[1] == 40 * 1200 / 32, "never more than forty epochs"
    assert _effort(0.001, 60.0, 48, monkeypatch) == (FOLDS, 200, 1), "one process for what is soon done"
