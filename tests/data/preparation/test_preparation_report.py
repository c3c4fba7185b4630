"""The report of a preparation: its rows about joints and time."""

import numpy as np
import pytest

from last.data.preparation.report import PreparationReport
from last.data.store.format import Rows, index_type
from last.settings.data import DataConfig


def rows_of(report: PreparationReport) -> dict[str, str]:
    return {name.strip(): value for name, value in report.summary()}


def test_missing_and_uncertain_joints_of_present_bodies_are_counted() -> None:
    report = PreparationReport("tiny", "raw", "out", 1, 100)
    confidence = np.array([[0, 255, 128, 255], [0, 0, 0, 0]], np.uint8)
    clips = np.zeros(1, index_type(1))
    report.count_joints(Rows(clips, np.zeros((2, 4, 3), np.float32), np.array([True, False]), confidence))
    report.count_joints(Rows(clips, np.zeros((2, 4, 3), np.float32), np.array([True, True])))
    found = rows_of(report)
    assert found["joints missing"] == "1 of 12, 8.3 %"
    assert found["joints of less than full confidence"] == "1 of 12, 8.3 %"


def test_a_report_of_whole_bodies_says_nothing_of_joints_and_of_unknown_rates() -> None:
    assert not {"joints missing", "frames per second"} & rows_of(PreparationReport("tiny", "raw", "out", 1, 100)).keys()


@pytest.mark.parametrize(("rates", "text"), [([25.0, 25.0], "25"), ([12.5, 30.0], "12.5 to 30")])
def test_frame_rates_are_a_number_or_a_range(rates: list[float], text: str) -> None:
    assert rows_of(PreparationReport("tiny", "raw", "out", 1, 100, frame_rates=rates))["frames per second"] == text


def test_a_report_with_impossible_numbers_is_still_shown() -> None:
    report = PreparationReport("tiny", "raw", "out", 1, 100, joints_missing=3, joints_uncertain=2)
    assert rows_of(report)["joints missing"].startswith("3 of 0")


def test_irregular_timestamps_and_left_out_bodies_are_named_up_to_three() -> None:
    retimed = {f"clip{number}": "1 gap" for number in range(5)}
    (remark,) = PreparationReport("tiny", "raw", "out", 1, 100, retimed=retimed).remarks()
    assert remark == "5 recordings had irregular timestamps: clip0 (1 gap), clip1 (1 gap), clip2 (1 gap) and 2 more."


@pytest.mark.parametrize(("stills", "told"), [(1, False), (2, True), (20, True)])
def test_clips_of_one_frame_are_told_unless_they_are_few(stills: int, told: bool) -> None:
    clips = np.zeros(20, index_type(1))
    clips["bodies"], clips["frames"] = 1, 30
    clips["frames"][:stills] = 1
    report = PreparationReport("tiny", "raw", "out", 20, 100)
    report.count(clips, DataConfig(classes=["a"]))
    assert any(f"{stills} of 20 clips ({stills / 20:.1%}) have one frame" in each for each in report.warnings) == told


def test_clips_that_were_not_resampled_are_counted_with_the_remedy() -> None:
    clips = np.zeros(5, index_type(1))
    clips["bodies"] = clips["frames"] = 1
    clips["fps"][:2] = 15
    for fps, unknown in ((0.0, 0), (15.0, 3)):
        report = PreparationReport("tiny", "raw", "out", 5, 100)
        report.count(clips, DataConfig(classes=["a"], fps=fps))
        assert rows_of(report).get("not resampled, of unknown rate", "0") == str(unknown)
        assert any("3 clips of 5 could not" in each and "data.source_fps" in each for each in report.warnings) == (
            unknown > 0
        )
