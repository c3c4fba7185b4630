"""The picture of a training sequence."""

import math
from functools import cache
from pathlib import Path

import pytest

from last.experiments.sequence import figure as sequence_figure
from last.experiments.sequence.figure import draw_sequence
from last.experiments.sequence.plan import SequenceSpec, SequenceStep, plan_sequence
from last.experiments.sequence.table import DataResult, RunStatus, Student, TableRow
from last.utils.spread import MeanDeviation

pytest.importorskip("matplotlib")


pytestmark = pytest.mark.usefixtures("coarse_pictures")


UNKNOWN = MeanDeviation(math.nan, math.nan)


@cache
def teacher_step() -> SequenceStep:
    return plan_sequence(SequenceSpec(dataset="synthetic", students=["nano_e"])).steps[0]


def result(
    students: int,
    alone: MeanDeviation = UNKNOWN,
    distilled: MeanDeviation = UNKNOWN,
    teacher: bool = True,
    clips: int = 0,
) -> DataResult:
    step = teacher_step()
    summary = {"final_top1": 90.0, "parameters": 5} if teacher else {}
    summary |= {"test_clips": clips} if clips else {}
    gain = MeanDeviation(distilled.mean - alone.mean, alone.deviation)
    learned = [Student("nano_e", "nano_e", 92_000 if alone.known else None, alone, distilled, gain, 0.0)] * students
    return DataResult("data $x_1$", TableRow(step, [RunStatus(0, "done", None, "", summary)]), learned)


def height(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[20:24], "big")


def test_every_state_of_a_sequence_can_be_drawn(tmp_path: Path) -> None:
    one, seeds = MeanDeviation(80.0, math.nan), MeanDeviation(80.0, 1.5)
    states = [result(1, one, one), result(1, seeds, MeanDeviation(70.0, 0.0)), result(1, one), result(2, teacher=False)]
    for number, state in enumerate([*states, result(0)]):
        draw_sequence([state], tmp_path / f"{number}.png")
        assert height(tmp_path / f"{number}.png") > 40


def test_each_data_set_has_a_panel_and_each_student_a_line(tmp_path: Path) -> None:
    state = {students: result(students, MeanDeviation(80.0, 1.0), MeanDeviation(82.0, 1.0)) for students in (2, 6)}
    for name, found in {"small": [state[2]], "tall": [state[6]], "two": [state[2], state[2]]}.items():
        draw_sequence(found, tmp_path / name)
    assert height(tmp_path / "small") + 80 < height(tmp_path / "tall")
    assert height(tmp_path / "small") + 80 < height(tmp_path / "two")


@pytest.mark.parametrize(("clips", "share"), [(60, 1 / 20), (1000, 1 / 20), (16487, 1 / 300), (0, 1 / 20)])
def test_a_difference_of_one_clip_is_a_small_part_of_the_axis(clips: int, share: float) -> None:
    one = 100 / (clips or 1000)
    state = result(1, MeanDeviation(90.0, math.nan), MeanDeviation(90.0 + one, math.nan), clips=clips)
    low, high = sequence_figure._limits(state, MeanDeviation(90.0, math.nan))
    assert one / (high - low) < 1.001 * share
    assert low < 90.0 < 90.0 + one < high


def test_the_axis_stays_within_what_a_percentage_can_be() -> None:
    for top1 in (0.0, 100.0):
        low, high = sequence_figure._limits(result(1, MeanDeviation(top1, math.nan), clips=60), UNKNOWN)
        assert low > -2 and high < 102


def test_an_axis_that_is_wide_already_is_left_alone() -> None:
    state = result(1, MeanDeviation(30.0, math.nan), MeanDeviation(90.0, math.nan), clips=60)
    assert sequence_figure._limits(state, UNKNOWN) == pytest.approx((24.0, 96.0))
