"""The whole training sequence: its plan, its trainings with their teachers, and its table of progress."""

import json
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from conftest import CLASSES, TINY, moving_clips

from last.data.store.reader import write_store
from last.experiments import sequence
from last.experiments.run import Result
from last.experiments.sequence import run_sequence
from last.experiments.sequence_plan import Plan, SequenceSpec, plan_sequence
from last.experiments.sequence_table import RunStatus, TableRow, read_rows, results
from last.runs.folder import RunFolder
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import RunConfig
from last.utils.config import read_yaml, to_yaml
from last.utils.errors import TrainingDiverged, UserError
from last.utils.files import write_json, write_text
from last.utils.spread import MeanDeviation

TWO = ["nano_e", "base_e"]
MakePlan = Callable[..., Plan]
Train = Callable[..., Result]


@pytest.fixture(scope="module")
def two_data_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `one.yaml`, `two.yaml` and, in `data`, their stores."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("one", "two"):
        write_store(folder / "data" / name, moving_clips(), name=name, layout="ntu25", classes=CLASSES)
        protocols = "{xsub: {by: subject, train: [1]}, other: {by: subject, train: [2]}}"
        text = f"data: {{name: {name}, classes: {CLASSES}, split: xsub, protocols: {protocols}}}"
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture
def plan(two_data_sets: Path, tmp_path: Path) -> MakePlan:
    """Return a function that plans a tiny sequence; its arguments are those of a request."""
    roots = {"data_root": str(two_data_sets / "data"), "output_root": str(tmp_path / "runs"), "device": "cpu"}

    def make(then: bool | str = False, flags: dict[str, object] | None = None, **changes: object) -> Plan:
        request: dict[str, object] = {
            "dataset": str(two_data_sets / "one.yaml"),
            "then": str(two_data_sets / "two.yaml") if then is True else then or "",
            "environment": "local",
            "teacher": "small_e",
            "students": ["nano_e"],
            "settings": [*TINY, "epochs=1"],
            "flags": {**roots, **(flags or {})},
        }
        return plan_sequence(SequenceSpec(**{**request, **changes}))  # type: ignore[arg-type]

    return make


class Trainings:
    """Replace `train`: record its arguments, and write a run's folder with the top-1 from `accuracy`."""

    def __init__(self) -> None:
        self.configs: list[RunConfig] = []
        self.began: set[float] = set()
        self.endings: list[object] = []
        self.stop_at: dict[int, Stop | Exception] = {}
        self.tables: list[str] = []

    def __call__(
        self,
        config: RunConfig,
        resume: str,
        _: object,
        *,
        started_at: float,
        search_inputs: bool,
        on_end: object = None,
    ) -> Result:
        assert (resume, search_inputs) == ("auto", False)  # the sequence brings its own runs from an input folder
        self.configs.append(config)
        self.began.add(started_at)
        self.endings.append(on_end)
        run = RunFolder.create(Path(config.output_root))
        write_text(run.config, to_yaml(config))
        self.tables.append((run.path.parents[2] / "sequence.md").read_text())
        stop = self.stop_at.get(len(self.configs))
        if isinstance(stop, Exception):
            write_json(run.divergence, {})
            raise stop
        if stop is not None:
            return Result(run, {}, stop)
        write_json(run.summary, {"final_top1": accuracy(config), "parameters": 1000})
        return Result(run, {})


def accuracy(config: RunConfig) -> float:
    """Return 60 alone; distilled 64 and 65 with the seeds 0 and 1; and a point more for the seed."""
    return 60.0 + config.seed + (4.0 + config.seed if config.distillation.teachers else 0.0)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    stand_in = Trainings()
    monkeypatch.setattr(sequence, "train", stand_in)
    return stand_in


def statuses(plan: Plan) -> list[str]:
    return [row.status for row in read_rows(plan)]


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
        ({"student_settings": ["distillation.alpha_of={nano_e: 7}"]}, "alpha_of: .* each value at most 1.0"),
    ],
)
def test_impossible_sequences_are_refused(plan: MakePlan, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(**changes)


def write_model(folder: Path, name: str = "tiny_e") -> str:
    folder.mkdir(exist_ok=True)
    sizes = "channels: [8, 8, 8], blocks: [1, 1, 1], attention: [false, false, false]"
    (folder / "size.yaml").write_text(f"model: {{name: {name}, family: last_e, {sizes}}}")
    return str(folder / "size.yaml")


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


def test_a_diverged_run_is_reported_in_the_table(plan: MakePlan, trainings: Trainings) -> None:
    trainings.stop_at = {2: TrainingDiverged("no number")}
    whole = plan()
    with pytest.raises(TrainingDiverged, match="no number"):
        run_sequence(whole)
    assert statuses(whole) == ["done", "diverged", "planned"]
    assert "| diverged |" in (whole.folder / "sequence.md").read_text()


def test_what_a_run_refuses_names_its_step(plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: object, **__: object) -> Result:
        raise UserError("the disk is full")

    monkeypatch.setattr(sequence, "train", train)
    with pytest.raises(UserError, match=r"\[1/3\] small_e, the teacher, on one xsub: the disk is full"):
        run_sequence(plan())


def test_missing_data_of_the_second_set_are_reported_before_anything_is_trained(
    plan: MakePlan, trainings: Trainings
) -> None:
    with pytest.raises(UserError, match="no prepared data set 'ntu120'"):
        run_sequence(plan(then="ntu120"))
    assert trainings.configs == []


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


def test_a_time_limit_that_ends_while_teachers_are_asked_stops_the_sequence(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> Result:
        monkeypatch.setattr(StopWatch, "is_over", True)
        raise UserError("The time limit ended here.")

    monkeypatch.setattr(sequence, "train", refuse)
    assert run_sequence(plan()) is Stop.TIME
    assert "The time limit ended here." in caplog.text


def test_the_split_of_a_text_file_is_in_the_configuration_of_every_run(plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("train:\nclip00\nclip01\ntest:\nclip20\n")
    planned = plan(split=str(tmp_path / "mine.txt"))
    assert {step.config.data.split for step in planned.steps} == {"mine"}
    assert {step.config.data.protocols["mine"].by for step in planned.steps} == {"list"}


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
