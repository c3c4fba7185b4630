"""The plan of a training sequence: its runs in order, each with its whole configuration."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...runs.teacher_output_files import OUTPUT_FOLDER
from ...settings.distillation import DistillationConfig
from ...settings.run import RunConfig
from ...tasks.measures import CLASSIFICATION
from ...utils.dotted_keys import key_of
from ...utils.errors import UserError
from ...utils.names import file_name
from ..config import refuse_impossible_seeds, resolve
from ..folds import with_split

TEACHER, ALONE, DISTILLED = "teacher", "alone", "distilled"
TARGETS = {
    1: "Establish teacher accuracy",
    2: "Standalone student baseline",
    3: "Full variant sweep",
    4: "+2\u20134% over standalone",
    5: "Generalisation benchmark",
}
_FIRST_STUDENT_STEP, _OTHER_STUDENTS_STEP, _DISTILLATION_STEP, _SECOND_DATA_STEP = 2, 3, 4, 5
_FAMILIES = {"last_e": "LAST-E", "last_v2": "LAST-v2"}
_RESERVED = {
    "task": "the sequence itself, which trains classifiers",
    "seed": "--seeds and --teacher_seeds",
    "model.name": "--students and --teacher",
    "data.name": "--dataset and --then",
    "data.split": "--split and --then_split",
    "distillation.teachers": "--teacher and --teacher_seeds",
    "distillation.fixed_augmentations": "--cached",
    "distillation.cached": "--cached",
    "distillation.cache": "--cached",
    "output_root": "--output_root",
    "max_hours": "--max_hours",
}


@dataclass(frozen=True)
class SequenceSpec:
    """The options of a sequence.

    Attributes:
        dataset, split: the first data set and its protocol; if empty, the recipe's data set, the data set's protocol.
        then, then_split: the second data set and its protocol; empty for none.
        environment, recipe: as `resolve` takes them.
        teacher, teacher_seeds: the teacher model; several seeds make an ensemble.
        students, seeds: the student models, each trained with every seed.
        cached: number of augmented views of each clip with cached teacher outputs; 0 disables the cache.
        settings, teacher_settings, student_settings: `key=value` texts for all runs, the teachers and the students.
        flags: values of named flags by dotted key, None if not given.
    """

    dataset: str = ""
    split: str = ""
    then: str = ""
    then_split: str = ""
    environment: str = ""
    recipe: str = ""
    teacher: str = "base"
    teacher_seeds: Sequence[int] = (0,)
    students: Sequence[str] = ("base_e", "nano_e", "small_e", "large_e")
    seeds: Sequence[int] = (0,)
    cached: int = 0
    settings: Sequence[str] = ()
    teacher_settings: Sequence[str] = ()
    student_settings: Sequence[str] = ()
    flags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SequenceStep:
    """One model in one role on one data set, trained once with each of its seeds.

    Attributes:
        number: its step of the sequence, 1 to 5.
        role: `teacher`, `alone` or `distilled`.
        config: of all of its runs, without the seed, and with teacher names instead of their checkpoints.
        seeds: one for each of its runs.
    """

    number: int
    role: str
    config: RunConfig
    seeds: tuple[int, ...]

    @property
    def data(self) -> str:
        """Return the data set and the protocol."""
        return f"{self.config.data.name} {self.config.data.split}"

    @property
    def model(self) -> str:
        """Return the display name of the model, such as `LAST-E base`."""
        family = self.config.model.family
        name, title = self.config.model.name, self.config.model.title
        return f"{_FAMILIES.get(family, family)} {name.removesuffix('_e')}{title.removeprefix(name)}"

    @property
    def title(self) -> str:
        """Return a description of the step."""
        role = {TEACHER: ", the teacher,", ALONE: " alone", DISTILLED: " distilled"}[self.role]
        return f"{self.config.model.title}{role} on {self.data}"

    def run_config(self, seed: int, teachers: Sequence[str] = ()) -> RunConfig:
        """Return the configuration of one run; a distilled run needs `teachers`, the checkpoints."""
        if self.role != DISTILLED:
            return replace(self.config, seed=seed)
        distillation = replace(self.config.distillation, teachers=list(teachers))
        if distillation.cached:
            # One cache for all students, whose teacher outputs are equal; but held-out clips depend on the seed.
            name = f"{distillation.method}-{distillation.fixed_augmentations}" + (
                f"-seed{seed}" if self.config.validation == "split" else ""
            )
            folder = Path(self.config.output_root).parent / OUTPUT_FOLDER / name
            distillation = replace(distillation, cache=str(folder))
        return replace(self.config, seed=seed, distillation=distillation)

    def planned_config(self, seed: int) -> RunConfig:
        """Return the configuration of one run before there are teachers, with their names for their checkpoints."""
        return self.run_config(seed, self.config.distillation.teachers)


@dataclass(frozen=True)
class Plan:
    """A sequence: its folder, its steps in order, and its options."""

    folder: Path
    steps: Sequence[SequenceStep]
    spec: SequenceSpec

    def moved_to(self, folder: Path) -> "Plan":
        """Return the same sequence in another folder."""
        folders = [folder / Path(step.config.output_root).relative_to(self.folder) for step in self.steps]
        steps = [
            replace(step, config=replace(step.config, output_root=str(each)))
            for step, each in zip(self.steps, folders, strict=True)
        ]
        return replace(self, folder=folder, steps=steps)

    @property
    def runs(self) -> int:
        """Return the number of runs."""
        return sum(len(step.seeds) for step in self.steps)


def plan_sequence(spec: SequenceSpec) -> Plan:
    """Return the plan of a sequence; every configuration is resolved and validated.

    Raises:
        UserError: a model or data set is unknown or named twice, a setting is impossible or has its own option.
    """
    _refuse_impossible_lists(spec)
    _refuse_reserved_keys(spec)
    steps = _steps(spec, spec.dataset, spec.split)
    folder = Path(steps[0].config.output_root) / f"sequence-{_folder_name(steps[0])}"
    if spec.then:
        later = _steps(spec, spec.then, spec.then_split)
        if _folder_name(later[0]) == _folder_name(steps[0]):
            raise UserError(
                f"--then names {steps[0].data}, which is the first data set already. Name another data set, or another "
                "protocol of it with --then_split."
            )
        steps += [replace(step, number=_SECOND_DATA_STEP) for step in later]
    return Plan(folder, [_with_own_folder(folder, step) for step in steps], spec)


def teacher_name(model: str, seed: int) -> str:
    """Return the placeholder in a plan for a teacher's checkpoint, which is known once the teacher is trained."""
    return f"{model} of seed {seed}"


def _steps(spec: SequenceSpec, dataset: str, split: str) -> list[SequenceStep]:
    """Return the steps on one data set, with the output root of the options."""
    teacher = _resolve(spec, TEACHER, spec.teacher, dataset, split)
    names = [teacher_name(teacher.model.name, seed) for seed in spec.teacher_seeds]
    distilled = [_resolve(spec, DISTILLED, student, dataset, split, names) for student in spec.students]
    _refuse_equal_names([config.model.name for config in distilled])
    for config in distilled:
        config.distillation.ce_weight(config.model.name, 0, config.epochs)
        _refuse_unseen_only(config.distillation)
        _refuse_other_clips(teacher, config)
    # Students alone have the default distillation settings in their configuration.
    alone = [replace(config, distillation=teacher.distillation) for config in distilled]
    seeds, teacher_seeds = tuple(spec.seeds), tuple(spec.teacher_seeds)
    return [
        SequenceStep(1, TEACHER, teacher, teacher_seeds),
        SequenceStep(_FIRST_STUDENT_STEP, ALONE, alone[0], seeds),
        *(SequenceStep(_OTHER_STUDENTS_STEP, ALONE, config, seeds) for config in alone[1:]),
        *(SequenceStep(_DISTILLATION_STEP, DISTILLED, config, seeds) for config in distilled),
    ]


def _resolve(
    spec: SequenceSpec, role: str, model: str, dataset: str, split: str, teachers: Sequence[str] = ()
) -> RunConfig:
    """Return the configuration of a model in a role; settings of the role override those of all runs and flags."""
    option, own = "--student_set", spec.student_settings
    if role == TEACHER:
        option, own = "--teacher_set", spec.teacher_settings
    settings = [*spec.settings, *own]
    flags = {"data.split": split or None, **spec.flags}
    is_distilled = role == DISTILLED
    flags |= {  # also over a recipe, such as the configuration of a distilled run
        "task": CLASSIFICATION.task,
        "distillation.teachers": list(teachers) if is_distilled else [],
        "distillation.weights": None if is_distilled else [],
        "distillation.fingerprints": [],
        "distillation.fixed_augmentations": spec.cached if is_distilled else 0,
        "distillation.cached": is_distilled and spec.cached > 0,
        "distillation.cache": "",
    }
    if not is_distilled:
        settings = [text for text in settings if not key_of(text).startswith("distillation.")]
    try:
        config = resolve(
            model=model,
            dataset=dataset,
            environment=spec.environment,
            recipe=spec.recipe,
            overrides=settings,
            flags={key: value for key, value in flags.items() if key not in map(key_of, own)},
        )
    except UserError as error:
        raise UserError(f"{model}, with --set and {option}: {error}" if own else str(error)) from error
    return with_split(config, None)


def _with_own_folder(folder: Path, step: SequenceStep) -> SequenceStep:
    """Return a step with its own output folder in that of the sequence."""
    name = step.config.model.name + {ALONE: ""}.get(step.role, f"-{step.role}")
    output_root = folder / _folder_name(step) / name
    return replace(step, config=replace(step.config, output_root=str(output_root)))


def _folder_name(step: SequenceStep) -> str:
    return file_name(f"{step.config.data.name}-{step.config.data.split}")


def _refuse_other_clips(teacher: RunConfig, student: RunConfig) -> None:
    """Refuse a teacher whose inputs differ from those of its student."""
    for name, theirs, ours in (
        ("input_frames", teacher.input_frames, student.input_frames),
        ("data.normalize", teacher.data.normalize, student.data.normalize),
    ):
        if theirs != ours:
            raise UserError(
                f"{name} is {theirs} for the teacher {teacher.model.name} and {ours} for the student "
                f"{student.model.name}. Teacher and student need the same input: set it for both, with --set."
            )


def _refuse_unseen_only(student: DistillationConfig) -> None:
    """Refuse to teach each clip by teachers that never saw it."""
    if student.unseen_only:
        raise UserError(
            "distillation.unseen_only: the teachers of a sequence are trained on all clips of their students, so none "
            "could teach any clip. Set distillation.unseen_only=false, or train teachers of folds and use `distill`."
        )


def _refuse_impossible_lists(spec: SequenceSpec) -> None:
    named: Mapping[str, Collection[object]] = {
        "--students": spec.students,
        "--seeds": spec.seeds,
        "--teacher_seeds": spec.teacher_seeds,
    }
    for option, values in named.items():
        if not values:
            raise UserError(f"{option} is empty. Leave it out for the default.")
    if len(set(spec.students)) != len(spec.students):
        raise UserError(f"--students has a duplicate: {', '.join(spec.students)}.")
    refuse_impossible_seeds("--seeds", spec.seeds)
    refuse_impossible_seeds("--teacher_seeds", spec.teacher_seeds)
    if spec.then_split and not spec.then:
        raise UserError("--then_split is the protocol of the data set that --then names; name one.")


def _refuse_equal_names(students: Sequence[str]) -> None:
    """Refuse two students with the same name, such as from two files: their runs would share a folder."""
    if len(set(students)) != len(students):
        raise UserError(f"--students has two models with the same name: {', '.join(students)}.")


def _refuse_reserved_keys(spec: SequenceSpec) -> None:
    """Refuse settings that the sequence sets itself, which would have no effect."""
    settings = [*spec.settings, *spec.teacher_settings, *spec.student_settings]
    for key in map(key_of, settings):
        if key in _RESERVED:
            raise UserError(f"{key}=... has no effect: in a sequence it is set by {_RESERVED[key]}.")
    for key in map(key_of, spec.teacher_settings):
        if key.startswith("distillation."):
            raise UserError(f"--teacher_set {key}: teachers train without distillation. Use --student_set or --set.")
