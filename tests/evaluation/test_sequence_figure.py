"""The picture of a training sequence."""

import math
from functools import cache
from pathlib import Path

import pytest

from last.evaluation import figures
from last.evaluation.sequence_figure import draw_sequence
from last.training.sequence_plan import Request, Step, plan_sequence
from last.training.sequence_table import DataResult, Outcome, Row, Spread, Student

pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def coarse_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw with a third of the pixels, for speed."""
    monkeypatch.setattr(figures, "_DOTS_PER_INCH", 50)


UNKNOWN = Spread(math.nan, math.nan)


@cache
def teacher_step() -> Step:
    return plan_sequence(Request(dataset="synthetic", students=["nano_e"])).steps[0]


def result(students: int, alone: Spread = UNKNOWN, distilled: Spread = UNKNOWN, teacher: bool = True) -> DataResult:
    step = teacher_step()
    summary = {"final_top1": 90.0, "parameters": 5} if teacher else {}
    gain = Spread(distilled.mean - alone.mean, alone.deviation)
    learned = [Student("nano_e", 92_000 if alone.known else None, alone, distilled, gain, 0.0)] * students
    return DataResult("data $x_1$", Row(step, [Outcome(0, "done", None, "", summary)]), learned)


def height(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[20:24], "big")


def test_every_state_of_a_sequence_can_be_drawn(tmp_path: Path) -> None:
    one, seeds = Spread(80.0, math.nan), Spread(80.0, 1.5)
    states = [result(1, one, one), result(1, seeds, Spread(70.0, 0.0)), result(1, one), result(2, teacher=False)]
    for number, state in enumerate([*states, result(0)]):
        draw_sequence([state], tmp_path / f"{number}.png")
        assert height(tmp_path / f"{number}.png") > 40


def test_each_data_set_has_a_panel_and_each_student_a_line(tmp_path: Path) -> None:
    state = {students: result(students, Spread(80.0, 1.0), Spread(82.0, 1.0)) for students in (2, 6)}
    for name, found in {"small": [state[2]], "tall": [state[6]], "two": [state[2], state[2]]}.items():
        draw_sequence(found, tmp_path / name)
    assert height(tmp_path / "small") + 80 < height(tmp_path / "tall")
    assert height(tmp_path / "small") + 80 < height(tmp_path / "two")
