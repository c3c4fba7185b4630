"""What a refused preparation says about recordings that were left out."""

from last.data.preparation.advice import left_out, nothing_kept
from last.data.preparation.report import PreparationReport, SkippedRecording
from last.settings.data import DataConfig


def report_of(*recordings: SkippedRecording) -> PreparationReport:
    return PreparationReport("tiny", "raw", "out", len(recordings), 0, left_out=list(recordings))


def test_nothing_is_said_where_nothing_was_left_out() -> None:
    assert left_out(report_of()) == []


def test_damaged_and_empty_recordings_are_named_apart_and_in_full_up_to_ten() -> None:
    damaged = [SkippedRecording(f"c{number}", True, number, "is broken") for number in range(12)]
    lines = left_out(report_of(*damaged, SkippedRecording("e", False, 0, "no skeleton")))
    assert lines[0] == "Damaged, left out: 12 recordings:"
    assert lines[1:3] == ["  c0: is broken", "  c1, line 1: is broken"]
    assert lines[10:] == [
        "  c9, line 9: is broken",
        "  and 2 more",
        "Empty or not used, left out: 1 recording:",
        "  e: no skeleton",
    ]


def test_where_nothing_can_be_kept_every_reason_is_given_and_not_the_first_alone() -> None:
    damaged = [SkippedRecording("a", True, 0, "is no zip archive"), SkippedRecording("b", True, 0, "has 17 joints")]
    assert str(nothing_kept(report_of(*damaged), DataConfig(name="tiny"))).endswith("\n  b: has 17 joints")
    assert "\n" not in str(nothing_kept(report_of(damaged[0]), DataConfig(name="tiny")))
