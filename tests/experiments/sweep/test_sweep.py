"""Running a sweep: what is trained, what is skipped or repeated, and what stops it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TINY
from noted_progress import NotedProgress
from sweep_probes import SLOW, MakeSweep, SweepTrainings

from last.experiments import run as experiment
from last.experiments.sweep.plan import SweepPlan
from last.experiments.sweep.results import read_outcomes
from last.experiments.sweep.run import run_sweep
from last.runs.folder import RunFolder
from last.runs.history import find_runs
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import RunConfig
from last.utils.config import read_yaml
from last.utils.errors import TimeIsOver, TrainingDiverged, UserError
from last.utils.yaml_text import yaml_of


def statuses(plan: SweepPlan) -> list[str]:
    return [each.status for each in run_sweep(plan, 1)]


def test_a_sweep_trains_and_evaluates_every_run_once(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    plan = sweep_plan(seeds=[0, 1])
    assert statuses(plan) == statuses(plan) == ["done"] * 4
    assert [config.seed for config in sweep_trainings.trained] == [0, 0, 1, 1]
    assert [subset for _, subset in sweep_trainings.evaluated] == ["test"] * 4
    assert len(find_runs(plan.folder.parent)) == 4, "the command `runs` lists them"


def test_a_sweep_can_grow_by_variants_and_seeds(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    run_sweep(sweep_plan(), 1)
    outcomes = run_sweep(sweep_plan(seeds=[0, 1], variants={**SLOW, "long": ["epochs=2"]}), 1)
    assert [each.status for each in outcomes] == ["done"] * 6
    assert len(sweep_trainings.trained) == 6


def test_runs_that_were_started_with_other_settings_are_refused(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    run_sweep(sweep_plan(), 1)
    with pytest.raises(UserError, match=r"baseline on xsub, seed 0: epochs was 1 .* and is 2 now.*another --name"):
        run_sweep(sweep_plan(flags={"epochs": 2}), 1)
    run_sweep(sweep_plan(flags={"epochs": 2}, name="longer"), 1)
    assert len(sweep_trainings.trained) == 4


def test_a_sweep_of_before_lists_had_one_order_goes_on(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    settings = [*TINY, "epochs=1", "model.streams=[joint,bone]", "data.select.actions=[1,2,3]"]
    run_sweep(sweep_plan(settings=settings), 1)
    for outcome in read_outcomes(sweep_plan(settings=settings)):
        assert outcome.folder is not None
        path = outcome.folder / "config.yaml"
        values = read_yaml(path)
        values["model"]["streams"], values["data"]["select"]["actions"] = ["bone", "joint"], [3, 1, 2]
        path.write_text(yaml_of(values))
    run_sweep(sweep_plan(settings=settings), 1)
    assert len(sweep_trainings.trained) == 2
    with pytest.raises(UserError, match=r"data\.select\.actions was \[1, 2, 3\] when .* and is \[1, 2\] now"):
        run_sweep(sweep_plan(settings=[*settings[:-1], "data.select.actions=[2,1]"]), 1)


def test_a_stream_without_settings_is_a_setting(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    run_sweep(sweep_plan(variants={"partner": ["model.added_streams.partner={}", "data.augment.scale=0.2"]}), 1)
    assert len(sweep_trainings.trained) == 2
    with pytest.raises(
        UserError, match=r"partner on xsub.* model.added_streams was \{'partner': \{\}\} .* is \{\} now"
    ):
        run_sweep(sweep_plan(variants={"partner": ["data.augment.scale=0.2"]}), 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["distillation.teachers=[T]", "distillation.method=dkd", "data.augment.mix_add=0.3"],
            r"distillation\.method: dkd needs one label",
        ),
        (["class_weights=balanced", "class_sampling=balanced"], "class_sampling: balanced and class_weights: balanced"),
    ],
)
def test_a_variant_that_contradicts_itself_is_refused_before_anything_is_trained(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings, settings: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=f"both on xsub, seed 0: {message}"):
        run_sweep(sweep_plan(variants={"both": settings}), 1)
    assert not sweep_trainings.trained


@pytest.mark.parametrize("validation", ["test", "split"])
def test_a_variant_that_is_tested_on_other_clips_is_refused_before_anything_is_trained(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings, validation: str
) -> None:
    plan = sweep_plan(
        variants={"scaled": ["data.augment.scale=0.2"], "other": ["data.select.actions=[1,2]"]},
        settings=[*TINY, "epochs=1", f"validation={validation}", "validation_fraction=0.4"],
    )
    with pytest.raises(UserError, match=r"--variant other is tested on \d clips of xsub and the baseline on \d+, not"):
        run_sweep(plan, 1)
    assert not sweep_trainings.trained


def test_a_variant_that_is_trained_on_other_clips_and_tested_on_the_same_is_allowed(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    variants = {"swapped": ["data.protocols.xsub.train=[1,3]"]}
    assert statuses(sweep_plan(variants=variants, settings=[*TINY, "epochs=1"])) == ["done"] * 2


def test_a_sweep_warns_of_training_clips_of_one_class(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings, caplog: pytest.LogCaptureFixture
) -> None:
    run_sweep(sweep_plan(settings=[*TINY, "data.select.actions=[1]"]), 1)
    assert "All 4 training clips of xsub are of one class (rise)" in caplog.text


def test_a_run_that_diverges_is_not_trained_again_and_does_not_stop_the_others(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    sweep_trainings.fails = lambda config: TrainingDiverged("it diverged") if "baseline" in config.output_root else None
    assert statuses(sweep_plan()) == statuses(sweep_plan()) == ["diverged", "done"]
    assert len(sweep_trainings.trained) == 2


def test_a_run_that_cannot_be_trained_says_why_and_is_tried_again(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    sweep_trainings.fails = lambda config: UserError("no room left") if "slow" in config.output_root else None
    outcomes = run_sweep(sweep_plan(), 1)
    assert [each.text() for each in outcomes] == ["top-1 50.00, 1800 s", "failed: no room left"]
    sweep_trainings.fails = lambda _: None
    assert statuses(sweep_plan()) == ["done", "done"]


def test_a_run_that_stopped_is_resumed(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    sweep_trainings.fails = lambda config: Stop.TIME if "slow" in config.output_root else None
    assert statuses(sweep_plan()) == ["done", "stopped"]
    sweep_trainings.fails = lambda _: None
    assert statuses(sweep_plan()) == ["done", "done"]
    assert len(sweep_trainings.trained) == 3


def test_a_run_whose_time_ends_while_its_data_are_prepared_has_not_failed(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    sweep_trainings.fails = lambda config: TimeIsOver("no time") if "slow" in config.output_root else None
    plan = sweep_plan()
    assert [each.status for each in run_sweep(plan, 1)] == ["done", "stopped"]
    assert not any(run.failure.exists() for run in plan.runs)


def test_a_failure_after_the_end_of_the_time_is_no_lack_of_time(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_trainings.fails = lambda config: UserError("no room left") if "slow" in config.output_root else None
    monkeypatch.setattr(StopWatch, "is_over", True)
    assert [each.text() for each in run_sweep(sweep_plan(), 1)] == ["top-1 50.00, 1800 s", "failed: no room left"]


def test_nothing_begins_when_the_time_is_over(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    plan = sweep_plan(flags={"max_hours": 1e-9})
    assert statuses(plan) == ["pending", "pending"]
    assert not sweep_trainings.trained


def test_a_finished_run_without_predictions_is_evaluated(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    plan = sweep_plan()
    first = run_sweep(plan, 1)[0]
    first.predictions.unlink()
    first.predictions.parent.rmdir()
    run_sweep(plan, 1)
    assert len(sweep_trainings.evaluated) == 3


def test_clips_that_were_held_out_are_evaluated_instead_of_the_test_clips(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    run_sweep(sweep_plan(flags={"validation": "split", "validation_fraction": 0.4}), 1)
    assert {subset for _, subset in sweep_trainings.evaluated} == {"val"}


def test_progress_counts_the_epochs_of_all_runs(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    def counted(seeds: list[int], variants: dict[str, list[str]] = SLOW) -> tuple[int, int, int]:
        shown = NotedProgress()
        run_sweep(sweep_plan(flags={"epochs": 3}, seeds=seeds, variants=variants), 1, shown)
        (task,) = shown.tasks
        return task.total, task.before, sum(task.done)

    assert counted([0]) == (6, 0, 6)
    assert counted([0, 1]) == (12, 6, 6)
    assert counted([1], {**SLOW, "slower": ["learning_rate=0.0001"]}) == (9, 6, 3), "not those of the seed 0"


def test_progress_reaches_its_end_if_runs_end_early(sweep_plan: MakeSweep, sweep_trainings: SweepTrainings) -> None:
    sweep_trainings.length = lambda _: 1
    shown = NotedProgress()
    run_sweep(sweep_plan(flags={"epochs": 3}), 1, shown)
    (task,) = shown.tasks
    assert (task.total, task.before, sum(task.done)) == (6, 0, 6)


def test_the_files_show_the_results_while_the_sweep_runs(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    plan, seen = sweep_plan(), []
    train = sweep_trainings.train

    def looking(*arguments: object, **options: object) -> object:
        written = json.loads((plan.folder / "sweep.json").read_text())
        seen.append([each["status"] for each in written["runs"]])
        return train(*arguments, **options)  # type: ignore[arg-type]

    sweep_trainings.train = looking  # type: ignore[method-assign,assignment]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("last.experiments.sweep.run.train", looking)
        run_sweep(plan, 1)
    assert seen == [["pending", "pending"], ["done", "pending"]]


def test_a_part_that_does_not_exist_is_refused_before_anything_is_written(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    plan = sweep_plan(splits=["xsub", "xsubject"])
    with pytest.raises(UserError, match=r"no split of .* 'xsubject'"):
        run_sweep(plan, 1)
    assert not plan.folder.exists() and not sweep_trainings.trained


def test_a_sweep_without_data_is_refused_before_anything_is_written(sweep_plan: MakeSweep) -> None:
    plan = sweep_plan()
    missing = [
        replace(run, config=replace(run.config, data_root=str(plan.folder / "none"), input_roots=[]))
        for run in plan.runs
    ]
    with pytest.raises(UserError, match="tiny"):
        run_sweep(replace(plan, runs=missing), 1)
    assert not plan.folder.exists()


@pytest.mark.long
@pytest.mark.parametrize("names_the_file", [False, True])
def test_a_sweep_with_teachers_goes_on_while_they_are_the_same(
    sweep_plan: MakeSweep, tiny_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, names_the_file: bool
) -> None:
    first, second = (experiment.train(tiny_config("epochs=1", f"seed={seed}")).run for seed in (1, 2))
    monkeypatch.chdir(first.path.parent)

    def plan(teacher: RunFolder) -> SweepPlan:
        name = (teacher.last if names_the_file else teacher.path).relative_to(Path.cwd())
        return sweep_plan(variants={"taught": [f"distillation.teachers=[{name}]"]})

    assert [each.status for each in run_sweep(plan(first), 1)] == ["done", "done"]
    assert [each.status for each in run_sweep(plan(first), 1)] == ["done", "done"]
    with pytest.raises(UserError, match=r"taught on xsub, seed 0: distillation\.teachers was .* and is .* now"):
        run_sweep(plan(second), 1)


def test_a_sweep_whose_runs_would_all_lack_clips_is_refused(
    sweep_plan: MakeSweep, sweep_trainings: SweepTrainings
) -> None:
    plan = sweep_plan(settings=[*TINY, "epochs=1", "label_fraction=0.99"])
    with pytest.raises(UserError, match=r"xsub: label_fraction 0\.99 leaves none of .* labels out"):
        run_sweep(plan, 1)
    assert not sweep_trainings.trained
    assert not plan.folder.exists()
