"""A sequence that was stopped, that is started again, or that continues elsewhere."""

import json
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from conftest import TINY
from sequence_probes import TWO, MakePlan, Trainings, statuses

from last.experiments.run import Result
from last.experiments.sequence import run as sequence
from last.experiments.sequence.run import run_sequence
from last.experiments.sequence.table import read_rows
from last.runtime.stop_requests import Stop, StopWatch
from last.utils.config import read_yaml
from last.utils.errors import TimeIsOver, TrainingDiverged, UserError
from last.utils.yaml_text import yaml_of


def test_hours_are_those_of_the_whole_sequence(plan: MakePlan, trainings: Trainings) -> None:
    assert run_sequence(plan()) is None
    assert len(trainings.began) == 1


def test_time_that_is_over_between_two_runs_stops_the_sequence(plan: MakePlan, trainings: Trainings) -> None:
    assert run_sequence(plan(flags={"max_hours": 1e-9})) is Stop.TIME
    assert trainings.configs == []


@pytest.mark.parametrize("reason", list(Stop))
def test_a_run_that_stops_ends_the_sequence_and_the_table_says_where(
    plan: MakePlan, trainings: Trainings, reason: Stop
) -> None:
    trainings.stop_at = {2: reason}
    whole = plan(then=True, students=TWO)
    assert run_sequence(whole) is reason
    assert len(trainings.configs) == 2
    assert statuses(whole) == ["done", "stopped", "pending", *["planned"] * 7]
    steps = json.loads((whole.folder / "sequence.json").read_text())["steps"]
    assert [step["status"] for step in steps] == statuses(whole)


def test_a_run_whose_time_ends_while_its_data_are_prepared_stops_the_sequence(
    plan: MakePlan, trainings: Trainings, caplog: pytest.LogCaptureFixture
) -> None:
    trainings.stop_at = {2: TimeIsOver("max_hours 1 passed while something was computed")}
    assert run_sequence(plan()) is Stop.TIME
    assert len(trainings.configs) == 2
    assert "passed while something was computed" in caplog.text


def test_a_failure_after_the_end_of_the_time_is_an_error_of_its_run(
    plan: MakePlan, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = count()
    monkeypatch.setattr(StopWatch, "is_over", property(lambda _: next(looks) > 0))  # once the first run has begun
    trainings.stop_at = {1: UserError("no room left")}
    with pytest.raises(UserError, match="no room left"):
        run_sequence(plan())


def test_a_diverged_run_is_reported_in_the_table(plan: MakePlan, trainings: Trainings) -> None:
    trainings.stop_at = {2: TrainingDiverged("no number")}
    whole = plan()
    with pytest.raises(TrainingDiverged, match="no number"):
        run_sequence(whole)
    assert statuses(whole) == ["done", "diverged", "planned"]
    assert "| diverged |" in (whole.folder / "sequence.md").read_text()


def test_a_sequence_begun_with_other_options_is_refused_with_all_that_differs(
    plan: MakePlan, trainings: Trainings
) -> None:
    run_sequence(plan())
    trained = len(trainings.configs)
    with pytest.raises(UserError, match="epochs was 1, is 2 now: small_e, the teacher, on one xsub, and 2 more runs"):
        run_sequence(plan(settings=[*TINY, "epochs=2"]))
    with pytest.raises(UserError, match=r"tau was 4\.0, is 2\.0 now: nano_e distilled on one xsub\n"):
        run_sequence(plan(student_settings=["distillation.tau=2"]))
    with pytest.raises(UserError, match=r"teachers was \['small_e of seed 0'\], is \['small_e of seed 5'\] now"):
        run_sequence(plan(teacher_seeds=[5]))
    assert len(trainings.configs) == trained


def test_options_that_change_no_result_may_be_others(plan: MakePlan, trainings: Trainings) -> None:
    run_sequence(plan())
    run_sequence(plan(flags={"max_hours": 9.0}, settings=[*TINY, "epochs=1", "test_every=5"]))
    assert len(trainings.configs) == 6


def test_weights_of_teachers_are_compared_too(plan: MakePlan, trainings: Trainings) -> None:
    weighted = {"teacher_seeds": [0, 1], "student_settings": ["distillation.weights=[2,1]"]}
    run_sequence(plan(**weighted))
    run_sequence(plan(**weighted))
    with pytest.raises(UserError, match=r"weights was \[2\.0, 1\.0\], is \[3\.0, 1\.0\] now"):
        run_sequence(plan(teacher_seeds=[0, 1], student_settings=["distillation.weights=[3,1]"]))
    assert len(trainings.configs) == 8


# --- for real


def test_a_sequence_trains_everything_once_and_starting_it_again_trains_nothing(plan: MakePlan) -> None:
    whole = plan(then=True)
    assert run_sequence(whole) is None
    assert statuses(whole) == ["done"] * 6
    written = {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*.pth")}
    distilled = [path for path in written if "-distilled" in str(path)]
    teachers = [read_yaml(path.parents[1] / "config.yaml")["distillation"]["teachers"] for path in distilled]
    assert all(len(each) == 1 and Path(each[0]).exists() for each in teachers)
    assert run_sequence(whole) is None
    assert {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*.pth")} == written


def interrupted_at(number: int) -> Callable[..., Result]:
    """Return what trains as `train` does until the training of that number, counted from 1, which is interrupted."""
    train, trainings = sequence.train, count(1)

    def interrupted(*arguments: object, **named: object) -> Result:
        if next(trainings) == number:
            raise KeyboardInterrupt
        return train(*arguments, **named)  # type: ignore[arg-type]

    return interrupted


def test_an_interrupted_sequence_ends_as_one_that_was_not(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uninterrupted = plan()
    run_sequence(uninterrupted)
    whole = plan(flags={"output_root": str(tmp_path / "again")})
    monkeypatch.setattr(sequence, "train", interrupted_at(3))
    with pytest.raises(KeyboardInterrupt):
        run_sequence(whole)
    assert statuses(whole) == ["done", "done", "planned"]
    run_sequence(whole)
    assert [row.accuracies for row in read_rows(whole)] == [row.accuracies for row in read_rows(uninterrupted)]


def test_a_sequence_continues_in_another_session_from_an_input_folder(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = plan()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sequence, "train", interrupted_at(3))
        run_sequence(first)
    place = tmp_path / "input" / "session-1" / first.folder.name
    place.parent.mkdir(parents=True)
    shutil.move(first.folder, place)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    second = plan(flags={"output_root": str(tmp_path / "working"), "input_roots": [str(tmp_path / "input")]})
    run_sequence(second)
    assert statuses(second) == ["done", "done", "done"]
    assert [row.status for row in read_rows(second)] == ["done"] * 3
    kept = second.folder / "one-xsub" / "nano_e"
    assert [path.name for path in kept.iterdir()] == [path.name for path in (place / "one-xsub" / "nano_e").iterdir()]
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_a_sequence_of_other_options_in_an_input_folder_is_left_there_and_a_new_one_starts(
    plan: MakePlan, trainings: Trainings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = plan()
    run_sequence(first)
    place = tmp_path / "input" / "session-1" / first.folder.name
    place.parent.mkdir(parents=True)
    shutil.move(first.folder, place)
    flags = {"output_root": str(tmp_path / "working"), "input_roots": [str(tmp_path / "input")]}
    other = plan(flags=flags, settings=[*TINY, "epochs=2"])
    run_sequence(other)
    assert statuses(other) == ["done", "done", "done"]
    assert f"not continued: {place}" in caplog.text
    assert {config.epochs for config in trainings.configs[-3:]} == {2}


def test_of_several_attached_sequences_the_one_that_came_furthest_is_continued(
    plan: MakePlan, trainings: Trainings, tmp_path: Path
) -> None:
    first = plan()
    run_sequence(first)
    for number, session_name in enumerate(("a", "b", "c")):
        folder = tmp_path / "input" / session_name / first.folder.name
        shutil.copytree(first.folder, folder)
        for summary in sorted(folder.rglob("summary.json"))[: 0 if session_name == "b" else 1 + number]:
            summary.unlink()
    flags = {"output_root": str(tmp_path / "working"), "input_roots": [str(tmp_path / "input")]}
    second = plan(flags=flags)
    sequence._copy_from_inputs(second)
    assert statuses(second) == ["done", "done", "done"]


def test_a_distilled_run_whose_teacher_was_removed_is_refused_with_the_folder_that_is_gone(
    plan: MakePlan, trainings: Trainings
) -> None:
    run_sequence(plan())
    (teacher,) = trainings.configs[-1].distillation.teachers
    shutil.rmtree(Path(teacher).parents[1])
    with pytest.raises(UserError) as refusal:
        run_sequence(plan())
    run = Path(teacher).parents[1]
    assert f"distilled on one xsub learned from the teacher in {run}, and that folder is gone" in str(refusal.value)
    assert "other options" not in str(refusal.value)
    assert len(trainings.configs) == 3


def test_a_distilled_run_whose_configuration_names_no_list_of_teachers_is_refused_with_what_differs(
    plan: MakePlan, trainings: Trainings
) -> None:
    run_sequence(plan())
    (distilled,) = [run for row in read_rows(plan()) if row.step.role == "distilled" for run in row.runs]
    assert distilled.run is not None
    path = distilled.run / "config.yaml"
    values = read_yaml(path)
    values["distillation"]["teachers"] = None
    path.write_text(yaml_of(values))
    with pytest.raises(UserError, match=r"teachers was \[\], is \['small_e of seed 0'\] now"):
        run_sequence(plan())
