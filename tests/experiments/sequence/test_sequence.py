"""The whole training sequence: its plan, its trainings with their teachers, and its table of progress."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from sequence_probes import TWO, MakePlan, Trainings, statuses, write_model

from last.experiments.run import Result
from last.experiments.sequence import run as sequence
from last.experiments.sequence.plan import SequenceSpec, plan_sequence
from last.experiments.sequence.run import run_sequence
from last.experiments.sequence.table import RunStatus, TableRow, read_rows, results
from last.runs.folder import RunFolder
from last.runtime.stop_requests import Stop
from last.utils.errors import UserError
from last.utils.spread import MeanDeviation


def test_every_run_of_a_sequence_gets_what_is_to_happen_at_its_end(plan: MakePlan, trainings: Trainings) -> None:
    def ending(run: RunFolder) -> None:
        assert run

    run_sequence(plan(), on_end=ending)
    assert trainings.endings == [ending] * 3


# --- the plan


def test_steps_come_in_the_order_of_the_table(plan: MakePlan) -> None:
    steps = [(step.number, step.title) for step in plan(then=True, students=TWO).steps]
    assert steps[:5] == [
        (1, "small_e, the teacher, on one xsub"),
        (2, "nano_e alone on one xsub"),
        (3, "base_e alone on one xsub"),
        (4, "nano_e distilled on one xsub"),
        (4, "base_e distilled on one xsub"),
    ]
    assert steps[5:] == [(5, title.replace("one xsub", "two xsub")) for _, title in steps[:5]]


def test_the_second_step_is_last_e_base_by_default() -> None:
    plan = plan_sequence(SequenceSpec(dataset="synthetic"))
    assert [step.config.model.name for step in plan.steps[:3]] == ["base", "base_e", "nano_e"]
    assert [step.model for step in plan.steps[:2]] == ["LAST-v2 base", "LAST-E base"]
    assert plan.runs == 9


def test_settings_of_a_role_win_over_those_of_all_runs_and_over_flags(plan: MakePlan) -> None:
    changes = {"teacher_settings": ["batch_size=6"], "student_settings": ["batch_size=12", "learning_rate=0.5"]}
    teacher, student = plan(flags={"batch_size": 2}, **changes).steps[:2]
    assert (teacher.config.batch_size, student.config.batch_size) == (6, 12)
    assert (teacher.config.learning_rate, student.config.learning_rate) == (0.01, 0.5)


def test_what_concerns_distillation_leaves_the_runs_alone_as_they_are(plan: MakePlan) -> None:
    plain, changed = plan(), plan(settings=[*TINY, "epochs=1", "distillation.tau=2"], cached=3)
    assert [step.config for step in plain.steps[:2]] == [step.config for step in changed.steps[:2]]
    assert changed.steps[2].config.distillation.tau == 2.0


def test_all_students_of_a_data_set_share_the_teacher_outputs(plan: MakePlan) -> None:
    steps = plan(then=True, students=TWO, cached=3).steps
    caches = [step.run_config(seed).distillation.cache for step in steps for seed in (0, 1) if step.role == "distilled"]
    assert len(caches) == 8
    assert len(set(caches)) == 2
    held_out = plan(cached=3, settings=[*TINY, "validation=split"]).steps[-1]
    assert held_out.run_config(0).distillation.cache != held_out.run_config(1).distillation.cache


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"students": ["nano_e", "nano"]}, "no model 'nano'.*Did you mean"),
        ({"teacher": "huge"}, "no model 'huge'"),
        ({"students": ["nano_e", "nano_e"]}, "--students has a duplicate"),
        ({"students": []}, "--students is empty. Leave it out for the default"),
        ({"seeds": [1, 1]}, "--seeds has a duplicate"),
        ({"seeds": [2**64]}, "--seeds: 18446744073709551616 should be 0 to"),
        ({"teacher_seeds": [2**64]}, "--teacher_seeds: 18446744073709551616 should be 0 to"),
        ({"then_split": "other"}, "--then_split is the protocol"),
        ({"student_settings": ["learning_rat=1"]}, "(?s)--student_set.*Did you mean 'learning_rate'"),
        ({"teacher_settings": ["epochs=none"]}, "(?s)--teacher_set.*epochs"),
        ({"teacher_settings": ["distillation.tau=2"]}, "teachers train without distillation"),
        ({"settings": ["seed=3"]}, "seed=... has no effect: in a sequence it is set by --seeds"),
        ({"student_settings": ["output_root=here"]}, "it is set by --output_root"),
        ({"teacher_settings": ["task=other"]}, "it is set by the sequence itself, which trains classifiers"),
        ({"student_settings": ["input_frames=16"]}, "input_frames is 8 for the teacher small_e and 16 for the student"),
        ({"student_settings": ["data.normalize.face_camera=true"]}, "data.normalize is"),
        (
            {"student_settings": ["distillation.unseen_only=true"]},
            "unseen_only: the teachers of a sequence are trained",
        ),
        ({"student_settings": ["distillation.alpha_of={nano_e: 7}"]}, "alpha_of: .* each value at most 1.0"),
    ],
)
def test_impossible_sequences_are_refused(plan: MakePlan, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(**changes)


def test_models_of_ones_own_teach_and_learn_and_are_found_again(plan: MakePlan, tmp_path: Path) -> None:
    own = write_model(tmp_path / "own")
    made = plan(teacher=own, students=["nano_e", own])
    assert [step.title for step in made.steps][-1] == "tiny_e distilled on one xsub"
    assert made.steps[-1].config.distillation.teachers == ["tiny_e of seed 0"]
    run_sequence(made)
    runs = sorted((tmp_path / "runs").rglob("checkpoints/last.pth"))
    run_sequence(made)
    assert sorted((tmp_path / "runs").rglob("checkpoints/last.pth")) == runs
    assert [student.model for student in results(read_rows(made))[0].students] == ["nano_e", "tiny_e"]


def test_two_students_of_one_name_are_refused(plan: MakePlan, tmp_path: Path) -> None:
    twins = [write_model(tmp_path / "one"), write_model(tmp_path / "two")]
    with pytest.raises(UserError, match="two models with the same name: tiny_e, tiny_e"):
        plan(students=twins)


def test_the_same_data_set_a_second_time_is_refused_unless_its_protocol_is_another(
    plan: MakePlan, two_data_sets: Path
) -> None:
    again = str(two_data_sets / "one.yaml")
    with pytest.raises(UserError, match="--then names one xsub, which is the first data set already"):
        plan(then=again)
    assert plan_sequence(SequenceSpec(dataset="synthetic", then="synthetic", then_split="xview")).runs == 18


def test_the_name_of_a_protocol_leads_out_of_no_folder(plan: MakePlan, two_data_sets: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text((two_data_sets / "one.yaml").read_text().replace("xsub", "'../../x'"))
    made = plan(dataset=str(tmp_path / "own.yaml"))
    assert made.folder.parent == tmp_path / "runs"
    for step in made.steps:
        assert Path(step.config.output_root).parent.parent == made.folder


# --- the runs


def test_students_learn_from_the_last_checkpoints_of_all_teachers_of_their_data(
    plan: MakePlan, trainings: Trainings
) -> None:
    run_sequence(plan(then=True, teacher_seeds=[0, 7]))
    folders = {
        config.data.name: Path(config.output_root) for config in trainings.configs if "-teacher" in config.output_root
    }
    for config in trainings.configs:
        runs = sorted(folders[config.data.name].iterdir(), key=lambda path: len(path.name))
        distilled = config.output_root.endswith("-distilled")
        assert config.distillation.teachers == ([str(RunFolder(run).last) for run in runs] if distilled else [])


def test_each_role_of_a_model_has_a_folder_of_its_own(plan: MakePlan, trainings: Trainings, tmp_path: Path) -> None:
    run_sequence(plan(students=["small_e"], then=True))
    folder = tmp_path / "runs" / "sequence-one-xsub"
    places = [Path(config.output_root).relative_to(folder).as_posix() for config in trainings.configs]
    first = ["one-xsub/small_e-teacher", "one-xsub/small_e", "one-xsub/small_e-distilled"]
    assert places == [*first, *(place.replace("one", "two") for place in first)]


def test_what_a_run_refuses_names_its_step(plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: object, **__: object) -> Result:
        raise UserError("the disk is full")

    monkeypatch.setattr(sequence, "train", train)
    with pytest.raises(UserError, match=r"\[1/3\] small_e, the teacher, on one xsub: the disk is full"):
        run_sequence(plan())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cached": 4, "settings": [*TINY, "data.augment.mix_add=0.3"]}, "Cached teacher outputs are of single clips"),
        ({"cached": 4, "settings": [*TINY, "data.augment.anneal=0.3"]}, "the augmented views of a clip are the same"),
        ({"settings": [*TINY, "hardware.whole_step_graph=true"]}, "whole_step_graph cannot be used with teachers"),
    ],
)
def test_a_contradiction_of_the_last_runs_is_reported_before_anything_is_trained(
    plan: MakePlan, trainings: Trainings, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"nano_e distilled on one xsub: .*{message}"):
        run_sequence(plan(**changes))
    assert trainings.configs == []


def test_missing_data_of_the_second_set_are_reported_before_anything_is_trained(
    plan: MakePlan, trainings: Trainings
) -> None:
    with pytest.raises(UserError, match="no prepared data set 'ntu120'"):
        run_sequence(plan(then="ntu120"))
    assert trainings.configs == []


# --- the table


def test_the_table_says_what_is_running(plan: MakePlan, trainings: Trainings) -> None:
    run_sequence(plan(students=TWO))
    shown = [[line.split("|")[5].strip() for line in table.splitlines()[4:9]] for table in trainings.tables]
    assert shown[0] == ["running", "pending", "pending", "planned", "planned"]
    assert shown[3] == ["done", "done", "done", "running", "planned"]


def test_gain_is_the_mean_of_the_differences_seed_by_seed(plan: MakePlan, trainings: Trainings) -> None:
    whole = plan(seeds=[0, 1])
    run_sequence(whole)
    student = results(read_rows(whole))[0].students[0]
    assert (student.alone.mean, student.distilled.mean) == (60.5, 65.0)
    assert (student.gain.mean, student.gain.deviation) == (4.5, pytest.approx(0.5**0.5))
    assert student.errors_removed == pytest.approx(100 * 4.5 / 39.5)
    line = next(line for line in (whole.folder / "sequence.md").read_text().splitlines() if "nano, dis" in line)
    assert line.startswith("| 4 | LAST-E nano, distilled | one xsub | local | done | +2\u20134% over standalone |")
    assert "| 65.00 ± 1.41 | 60.50 ± 0.71 | +4.50 ± 0.71 |" in line
    facts = json.loads((whole.folder / "sequence.json").read_text())
    assert facts["gains"][0]["gain"] == {"mean": 4.5, "standard_deviation": pytest.approx(0.5**0.5)}


def test_the_gain_compares_only_seeds_that_are_done_both_ways(plan: MakePlan, trainings: Trainings) -> None:
    whole = plan(seeds=[0, 1])
    trainings.stop_at = {5: Stop.TIME}
    run_sequence(whole)
    student = results(read_rows(whole))[0].students[0]
    assert student.gain == MeanDeviation(4.0, pytest.approx(float("nan"), nan_ok=True))
    assert statuses(whole)[-1] == "stopped"


def test_smaller_students_come_first_in_the_results(plan: MakePlan, trainings: Trainings) -> None:
    whole = plan(students=["base_e", "nano_e"])
    run_sequence(whole)
    assert [student.model for student in results(read_rows(whole))[0].students] == ["nano_e", "base_e"]


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (["done", "done"], "done"),
        (["done", "pending"], "stopped"),
        (["done", "running"], "running"),
        (["stopped", "diverged"], "diverged"),
        (["planned", "planned"], "planned"),
    ],
)
def test_a_step_has_the_status_of_its_runs(plan: MakePlan, found: list[str], status: str) -> None:
    run_statuses = [RunStatus(seed, each, None, "", {}) for seed, each in enumerate(found)]
    assert TableRow(plan().steps[0], run_statuses).status == status


def test_links_of_the_table_lead_to_the_runs(plan: MakePlan, trainings: Trainings) -> None:
    whole = plan()
    run_sequence(whole)
    text = (whole.folder / "sequence.md").read_text()
    places = [part.partition(")")[0] for part in text.split("](")[1:]]
    assert len(places) == 3
    assert all((whole.folder / place / "config.yaml").exists() for place in places)


def test_the_table_reads_the_configuration_of_each_run_once(
    plan: MakePlan, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plan()
    run_sequence(whole)
    read: list[Path] = []
    read_config = RunFolder.read_config

    def note(run: RunFolder) -> dict[str, object]:
        read.append(run.path)
        return read_config(run)

    monkeypatch.setattr(RunFolder, "read_config", note)
    read_rows(whole)
    assert len(read) == len(set(read)) == whole.runs


def test_teachers_in_a_distilled_runs_configuration_are_not_used_for_other_runs(plan: MakePlan, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "distillation: {teachers: [x.pth], fingerprints: [abc], weights: [1], fixed_augmentations: 4, cached: true}"
    )
    by_role = {step.role: step.config.distillation for step in plan(recipe=str(recipe)).steps}
    for role in ("teacher", "alone"):
        how = by_role[role]
        assert (how.teachers, how.fingerprints, how.weights, how.fixed_augmentations, how.cached) == (
            [],
            [],
            [],
            0,
            False,
        )
    how = by_role["distilled"]
    assert (how.teachers, how.fingerprints, how.fixed_augmentations, how.cached) == (
        ["small_e of seed 0"],
        [],
        0,
        False,
    )


def test_the_split_of_a_text_file_is_in_the_configuration_of_every_run(plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("train:\nclip00\nclip01\ntest:\nclip20\n")
    planned = plan(split=str(tmp_path / "mine.txt"))
    assert {step.config.data.split for step in planned.steps} == {"mine"}
    assert {step.config.data.protocols["mine"].by for step in planned.steps} == {"list"}
