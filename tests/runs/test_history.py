import errno
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from written_runs import epoch, with_teachers, write_run

from last.experiments import run as experiment
from last.runs.comparison import record, write_comparison
from last.runs.folder import RunFolder
from last.runs.history import choose_runs, find_runs
from last.runs.results import read_run
from last.settings.run import RunConfig
from last.utils.errors import UserError

# --- a run's folder


def test_a_finished_run_is_read_with_its_results(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run-2026-11-23", [40.0, 60.0, 50.0]))
    assert (run.model, run.dataset, run.split, run.seed) == ("nano_e", "tiny", "xsub", 0)
    assert (run.finished, run.epochs_done, run.epochs, str(run.begun)) == (True, 3, 3, "2026-11-23")
    assert (run.figure("best_top1"), run.figure("final_top1"), run.figure("best_epoch")) == (60.0, 50.0, 1)
    assert (run.figure("train_seconds"), run.figure("parameters"), run.figure("skipped_batches")) == (7.5, 1234, 3)
    assert run.problems == []


def test_an_unfinished_run_has_the_results_of_its_epochs_so_far(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", [60.0, 50.0], finished=False))
    assert (run.finished, run.epochs_done, run.epochs, run.problems) == (False, 2, 3, [])
    assert (run.figure("best_top1"), run.figure("final_top1"), run.figure("train_seconds")) == (60.0, 50.0, 4.0)


def test_the_best_epoch_of_an_unfinished_run_is_chosen_on_its_validation_part(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [], finished=False)
    rows = [epoch(0, 70.0, val_top1=10.0), epoch(1, 50.0, val_top1=20.0)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_run(path).figure("best_top1") == 50.0


def test_averaged_weights_count_where_there_are_any(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [], finished=False)
    rows = [epoch(0, 70.0, ema_test_top1=10.0), epoch(1, 50.0, ema_test_top1=20.0)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert (read_run(path).figure("best_top1"), read_run(path).weights_prefix) == (20.0, "ema_")


def test_a_run_that_diverged_is_called_so(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [40.0], finished=False)
    assert read_run(path).state == "unfinished"
    (path / "divergence.json").write_text("{}")
    assert read_run(path).state == "diverged"


def test_a_run_without_an_epoch_yet_is_no_problem(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", [], finished=False))
    assert (run.epochs_done, run.problems, math.isnan(run.figure("best_top1"))) == (0, [], True)


def test_rows_with_impossible_epochs_are_skipped_and_reported(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [], finished=False)
    (path / "metrics.jsonl").write_text('{"epoch": 0}\n{"epoch": -5}\n')
    run = read_run(path)
    assert (len(run.rows), run.epochs_done) == (1, 1)
    assert run.problems == ["metrics.jsonl: rows with impossible epochs are left out: 1."]


def test_older_rows_without_some_columns_are_read(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [], finished=False)
    (path / "metrics.jsonl").write_text('{"epoch": 0, "test_top1": 30.0}\n')
    run = read_run(path)
    assert (run.figure("final_top1"), math.isnan(run.figure("clips_per_second"))) == (30.0, True)


def test_a_run_that_training_wrote_is_read_as_it_was_summarised(tiny_config: Callable[..., RunConfig]) -> None:
    result = experiment.train(tiny_config("epochs=2"))
    folder, summary = result.run, result.summary
    run = read_run(folder.path)
    assert run.problems == []
    assert (run.finished, run.epochs_done, run.model, run.data) == (True, 2, "nano_e", "tiny xsub")
    shared = ("best_epoch", "best_top1", "final_top1", "final_top5", "parameters", "train_seconds")
    assert {name: run.figure(name) for name in shared} == {name: summary[name] for name in shared}
    folder.summary.unlink()
    from_rows = read_run(folder.path)
    assert {name: from_rows.figure(name) for name in shared if name != "parameters"} == pytest.approx(
        {name: summary[name] for name in shared if name != "parameters"}
    )


BROKEN = {
    "config.yaml": ["model: [unclosed", "- a list\n", "\x00", "model: 3\ndata: [1]\nseed: x\nepochs: many\n"],
    "metrics.jsonl": [
        '{"epoch": 0}\nno row\n{"epoch": 1}\n',
        '{"epoch": -5}\n',
        '{"epoch": 0, "test_top1": "high", "seconds": ' + "9" * 400 + "}\n",
        '{"epoch": ' + "9" * 400 + "}\n",
        '{"epoch": 0, "test_top1": NaN}\n{"epoch": 1, "test_top1": null}\n',
    ],
    "summary.json": ['{"mod', "[]", '{"best_top1": "x", "model": {}, "final_top1": null, "seed": "0"}'],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_a_broken_file_leaves_the_rest_of_the_run_readable(tmp_path: Path, name: str, text: str) -> None:
    path = write_run(tmp_path / "run-2026-11-23", [40.0, 50.0, 60.0])
    (path / name).write_text(text)
    (run,) = find_runs(tmp_path)
    json.dumps(record(run), allow_nan=False)
    write_comparison(tmp_path / "runs.csv", [run])
    assert run.dataset == "tiny"


@pytest.mark.parametrize("name", BROKEN)
def test_what_could_not_be_read_is_reported(tmp_path: Path, name: str) -> None:
    path = write_run(tmp_path / "run", [40.0])
    (path / name).write_text(BROKEN[name][0])
    (problem,) = [each for each in read_run(path).problems if "not valid" in each or "not a row" in each]
    assert "\n" not in problem


def test_an_empty_folder_named_like_a_run_is_listed_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "run-2026-11-23").mkdir()
    (run,) = find_runs(tmp_path)
    assert (run.finished, run.epochs_done) == (False, None)
    assert "config.yaml: No such file" in run.problems[0]


def test_foreign_text_cannot_steer_a_terminal(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run-\x1b[31m", [40.0], finished=False, model={"name": "evil\x1b[2J\nname"})
    run = read_run(path)
    assert (run.name, run.model) == ("run-?[31m", "evil?[2J name")


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs Unix permissions")
def test_a_folder_that_may_not_be_entered_does_not_end_the_search(tmp_path: Path) -> None:
    closed = write_run(tmp_path / "run-2026-11-23", [40.0])
    closed.chmod(0)
    try:
        (run,) = find_runs(tmp_path)
    finally:
        closed.chmod(0o755)
    assert run.problems


# --- finding and choosing


def test_runs_are_found_one_folder_deeper_too_and_the_newest_comes_first(tmp_path: Path) -> None:
    for name in ("run-2026-11-23_2", "run-2026-11-23_10", "seeds/run-2026-11-24", "run-2026-11-23", "too/deep/run-x"):
        write_run(tmp_path / name, [1.0])
    (tmp_path / "comparison").mkdir()
    (tmp_path / "notes.txt").write_text("no run")
    names = [run.name for run in find_runs(tmp_path)]
    assert names == ["seeds/run-2026-11-24", "run-2026-11-23_10", "run-2026-11-23_2", "run-2026-11-23"]


def test_the_runs_of_a_sequence_are_found_where_they_lie(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "sequence-tiny-xsub" / "tiny-xsub" / "nano_e" / "run-2026-11-23", [1.0])
    write_run(tmp_path / "runs" / "sequence-tiny-xsub" / "a" / "b" / "c" / "run-2026-11-23", [1.0])  # too deep
    (tmp_path / "runs" / "sequence-tiny-xsub" / "sequence.json").write_text("{}")
    below = "tiny-xsub/nano_e/run-2026-11-23"
    roots = {
        tmp_path: f"runs/sequence-tiny-xsub/{below}",
        tmp_path / "runs": f"sequence-tiny-xsub/{below}",
        tmp_path / "runs" / "sequence-tiny-xsub": below,
    }
    assert {root: [run.name for run in find_runs(root)] for root in roots} == {
        root: [name] for root, name in roots.items()
    }
    (chosen,) = choose_runs(tmp_path / "runs", [roots[tmp_path / "runs"]])
    assert chosen.name == roots[tmp_path / "runs"]


def test_a_distilled_run_names_its_teachers(tmp_path: Path) -> None:
    base, large = (write_run(tmp_path / name, [1.0], model={"name": name}) for name in ("base", "large"))
    teachers = [run / "checkpoints" / "last.pth" for run in (base, large, base)]
    run = read_run(write_run(tmp_path / "student", [1.0], **with_teachers(*teachers)))
    assert (run.teachers, run.distillation_label) == (["base", "large"], "distilled from base and large")
    assert record(run)["teachers"] == "base, large"
    assert (read_run(base).teachers, read_run(base).distillation_label) == ([], "")


def test_teachers_that_moved_together_with_their_student_are_found(tmp_path: Path) -> None:
    old = Path("/gone/sequence/tiny-xsub/base-teacher/run-2026-11-22/checkpoints/last.pth")
    write_run(tmp_path / "tiny-xsub" / "base-teacher" / "run-2026-11-22", [1.0], model={"name": "base"})
    student = tmp_path / "tiny-xsub" / "nano_e-distilled" / "run-2026-11-23"
    assert read_run(write_run(student, [1.0], **with_teachers(old))).teachers == ["base"]
    beside = tmp_path / "tiny-xsub" / "base-teacher" / "run-2026-11-24"
    assert read_run(write_run(beside, [1.0], **with_teachers(old))).teachers == ["base"]


@pytest.mark.parametrize(
    ("path", "name"),
    [("/x/run-2026-11-22/checkpoints/last.pth", "run-2026-11-22"), ("teacher.pth", "teacher.pth"), ("", "")],
)
def test_a_teacher_that_is_not_there_is_reported_by_its_place(tmp_path: Path, path: str, name: str) -> None:
    assert read_run(write_run(tmp_path / "student", [1.0], **with_teachers(path))).teachers == [name]


@pytest.mark.parametrize("teachers", ["x", 3, None, [3], {"a": 1}])
def test_teachers_that_cannot_be_read_are_none(tmp_path: Path, teachers: object) -> None:
    run = read_run(write_run(tmp_path / "student", [1.0], distillation={"teachers": teachers}))
    assert (run.teachers, run.problems) == ([], [])


def test_a_renamed_run_is_found_and_dated_by_its_folder(tmp_path: Path) -> None:
    os.utime(write_run(tmp_path / "baseline", [1.0]), (1e9, 1e9))
    (run,) = find_runs(tmp_path)
    assert (run.name, str(run.begun)[:7]) == ("baseline", "2001-09")


def test_an_output_root_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert find_runs(tmp_path / "nowhere") == []


def test_an_output_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot read the folder of runs"):
        find_runs(tmp_path / "file")


def test_a_run_is_chosen_by_its_name_or_by_its_path(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "run-1", [1.0])
    elsewhere = write_run(tmp_path / "elsewhere" / "run-2", [1.0])
    runs = choose_runs(tmp_path / "runs", ["run-1", str(elsewhere)])
    assert [run.name for run in runs] == ["run-1", "run-2"]


def test_an_unknown_run_is_refused_with_the_near_names(tmp_path: Path) -> None:
    write_run(tmp_path / "run-2026-11-23", [1.0])
    with pytest.raises(UserError, match=r"'run-2026-11-32' is no run under .* Did you mean run-2026-11-23\?"):
        choose_runs(tmp_path, ["run-2026-11-32", "run-2026-11-23"])


def test_of_many_runs_the_newest_are_named_with_how_many_there_are(tmp_path: Path) -> None:
    for number in range(1, 8):
        write_run(tmp_path / f"run-2026-11-0{number}", [1.0])
    with pytest.raises(UserError, match=r"Newest 5 of 7 runs there: run-2026-11-07, "):
        choose_runs(tmp_path, ["x"])


def test_a_run_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run-1", [1.0])
    with pytest.raises(UserError, match="named twice"):
        choose_runs(tmp_path, ["run-1", str(path)])


def test_the_parts_of_a_loss_are_known_by_the_columns_of_any_task(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [1.0])
    rows = [epoch(0, 1.0, train_joints_loss=math.nan, train_bones_loss=2.0)]
    rows += [epoch(1, 1.0, train_joints_loss=1.0, train_bones_loss=2.0)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = read_run(path)
    assert (run.terms, run.comparable_loss_column) == (("joints", "bones"), "train_joints_loss")


def test_a_run_whose_files_cannot_be_looked_at_is_listed_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = write_run(tmp_path / "run-2026-11-23", [40.0])
    write_run(tmp_path / "run-2026-11-24", [50.0])
    stat = Path.stat

    def refuse_inside(path: Path, **options: Any) -> os.stat_result:
        if closed in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied")
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse_inside)
    assert [run.name for run in find_runs(tmp_path)] == ["run-2026-11-24", "run-2026-11-23"]
    run = RunFolder(closed)
    assert (run.finished, run.origin_path, run.read_measures().task) == (False, "", "classification")
