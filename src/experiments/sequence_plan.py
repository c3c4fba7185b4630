"""The plan of a training sequence: which runs, in which order, each with its whole configuration."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..settings.run import RunConfig
from ..tasks.measures import CLASSIFICATION
from ..utils.errors import UserError
from .config import resolve

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
_DECIDED = {
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
class Request:
    """What a user asks of a sequence.

    Attributes:
        dataset, split: the first data set and its protocol; empty: the recipe's data set, the data set's protocol.
        then, then_split: the second one; empty: none.
        environment, recipe: as `resolve` takes them.
        teacher, teacher_seeds: the model that teaches; several seeds make an ensemble.
        students, seeds: the models that learn, each with every seed.
        cached: of so many variations of each clip the teachers' outputs are stored; 0: none are.
        settings, teacher_settings, student_settings: `key=value` texts for all runs, the teachers' and the students'.
        flags: values of named flags by dotted key, None where not given.
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
class Step:
    """One model in one role on one data set, trained once with each of its seeds.

    Attributes:
        number: its step of the sequence, 1 to 5.
        role: `teacher`, `alone` or `distilled`.
        config: of all of its runs but for the seed and the teachers, whose names stand for their checkpoints.
        seeds: of its runs.
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
        """Return what people call the model, such as `LAST-E base`."""
        family = self.config.model.family
        return f"{_FAMILIES.get(family, family)} {self.config.model.name.removesuffix('_e')}"

    @property
    def title(self) -> str:
        """Return what the step does."""
        role = {TEACHER: ", the teacher,", ALONE: " alone", DISTILLED: " distilled"}[self.role]
        return f"{self.config.model.name}{role} on {self.data}"

    def run_config(self, seed: int, teachers: Sequence[str] = ()) -> RunConfig:
        """Return the configuration of one run; `teachers` are checkpoints, which a distilled run needs."""
        if self.role != DISTILLED:
            return replace(self.config, seed=seed)
        lesson = replace(self.config.distillation, teachers=list(teachers))
        if lesson.cached:
            # One folder for all students, which are taught the same; but held-out clips differ with the seed.
            name = f"{lesson.method}-{lesson.fixed_augmentations}" + (
                f"-seed{seed}" if self.config.validation == "split" else ""
            )
            lesson = replace(lesson, cache=str(Path(self.config.output_root).parent / "teacher_outputs" / name))
        return replace(self.config, seed=seed, distillation=lesson)


@dataclass(frozen=True)
class Plan:
    """A sequence: its folder, its steps in their order, and the request that it came from."""

    folder: Path
    steps: Sequence[Step]
    request: Request

    def moved_to(self, folder: Path) -> "Plan":
        """Return the same sequence in another folder."""
        places = [folder / Path(step.config.output_root).relative_to(self.folder) for step in self.steps]
        steps = [
            replace(step, config=replace(step.config, output_root=str(place)))
            for step, place in zip(self.steps, places, strict=True)
        ]
        return replace(self, folder=folder, steps=steps)

    @property
    def runs(self) -> int:
        """Return how many runs it has."""
        return sum(len(step.seeds) for step in self.steps)


def plan_sequence(request: Request) -> Plan:
    """Return the plan that a request makes; every configuration is resolved, so nothing is wrong with one later.

    Raises:
        UserError: a model or data set is unknown or named twice, a setting is impossible or has an option of its own.
    """
    _refuse_repetitions(request)
    _refuse_decided_keys(request)
    steps = _steps(request, request.dataset, request.split)
    folder = Path(steps[0].config.output_root) / f"sequence-{_folder_name(steps[0])}"
    if request.then:
        later = _steps(request, request.then, request.then_split)
        if _folder_name(later[0]) == _folder_name(steps[0]):
            raise UserError(
                f"--then names {steps[0].data} again, which the sequence begins with. Name another data set, or "
                "another protocol of it with --then_split."
            )
        steps += [replace(step, number=_SECOND_DATA_STEP) for step in later]
    return Plan(folder, [_within(folder, step) for step in steps], request)


def teacher_name(model: str, seed: int) -> str:
    """Return what stands in a plan for a teacher's checkpoint, which is known once the teacher is trained."""
    return f"{model} of seed {seed}"


def _steps(request: Request, dataset: str, split: str) -> list[Step]:
    """Return the steps on one data set; they still have the output root of the request."""
    teacher = _resolve(request, TEACHER, request.teacher, dataset, split)
    names = [teacher_name(teacher.model.name, seed) for seed in request.teacher_seeds]
    distilled = [_resolve(request, DISTILLED, student, dataset, split, names) for student in request.students]
    _refuse_twins([config.model.name for config in distilled])
    for config in distilled:
        config.distillation.ce_weight(config.model.name, 0, config.epochs)
        _refuse_other_clips(teacher, config)
    # Alone, the students have nothing in their configuration of how they would be taught.
    alone = [replace(config, distillation=teacher.distillation) for config in distilled]
    seeds, teacher_seeds = tuple(request.seeds), tuple(request.teacher_seeds)
    return [
        Step(1, TEACHER, teacher, teacher_seeds),
        Step(_FIRST_STUDENT_STEP, ALONE, alone[0], seeds),
        *(Step(_OTHER_STUDENTS_STEP, ALONE, config, seeds) for config in alone[1:]),
        *(Step(_DISTILLATION_STEP, DISTILLED, config, seeds) for config in distilled),
    ]


def _resolve(
    request: Request, role: str, model: str, dataset: str, split: str, teachers: Sequence[str] = ()
) -> RunConfig:
    """Return the configuration of a model in a role; settings of the role win over those of all runs and flags."""
    option, own = "--student_set", request.student_settings
    if role == TEACHER:
        option, own = "--teacher_set", request.teacher_settings
    settings = [*request.settings, *own]
    flags = {"data.split": split or None, **request.flags}
    taught = role == DISTILLED
    flags |= {  # whatever a recipe says, such as the configuration of a distilled run
        "task": CLASSIFICATION.task,
        "distillation.teachers": list(teachers) if taught else [],
        "distillation.weights": None if taught else [],
        "distillation.fingerprints": [],
        "distillation.fixed_augmentations": request.cached if taught else 0,
        "distillation.cached": taught and request.cached > 0,
        "distillation.cache": "",
    }
    if not taught:
        settings = [text for text in settings if not _key(text).startswith("distillation.")]
    try:
        return resolve(
            model=model,
            dataset=dataset,
            environment=request.environment,
            recipe=request.recipe,
            overrides=settings,
            flags={key: value for key, value in flags.items() if key not in map(_key, own)},
        )
    except UserError as error:
        raise UserError(f"{model}, with --set and {option}: {error}" if own else str(error)) from error


def _within(folder: Path, step: Step) -> Step:
    """Return a step whose runs lie in a folder of their own within the sequence's."""
    name = step.config.model.name + {ALONE: ""}.get(step.role, f"-{step.role}")
    place = folder / _folder_name(step) / name
    return replace(step, config=replace(step.config, output_root=str(place)))


def _folder_name(step: Step) -> str:
    return f"{step.config.data.name}-{step.config.data.split}"


def _key(setting: str) -> str:
    return setting.partition("=")[0].strip()


def _refuse_other_clips(teacher: RunConfig, student: RunConfig) -> None:
    """Refuse a teacher that cannot say anything of the clips as its student sees them."""
    for name, theirs, ours in (
        ("input_frames", teacher.input_frames, student.input_frames),
        ("data.normalize", teacher.data.normalize, student.data.normalize),
    ):
        if theirs != ours:
            raise UserError(
                f"{name} is {theirs} for the teacher {teacher.model.name} and {ours} for the student "
                f"{student.model.name}. A student learns from what its teacher says of the same clip: set it for both, "
                "with --set."
            )


def _refuse_repetitions(request: Request) -> None:
    named: Mapping[str, Collection[object]] = {
        "--students": request.students,
        "--seeds": request.seeds,
        "--teacher_seeds": request.teacher_seeds,
    }
    for option, values in named.items():
        if not values:
            raise UserError(f"{option} names nothing. Leave it out for the default.")
        if len(set(values)) != len(values):
            raise UserError(f"{option} names one twice: {', '.join(map(str, values))}.")
    if request.then_split and not request.then:
        raise UserError("--then_split is the protocol of the data set that --then names; name one.")


def _refuse_twins(students: Sequence[str]) -> None:
    """Refuse two students of one name, such as those of two files, whose runs would share a folder."""
    if len(set(students)) != len(students):
        raise UserError(f"--students names models of which two have the same name: {', '.join(students)}.")


def _refuse_decided_keys(request: Request) -> None:
    """Refuse settings that the sequence makes itself, which would have no effect."""
    settings = [*request.settings, *request.teacher_settings, *request.student_settings]
    for key in map(_key, settings):
        if key in _DECIDED:
            raise UserError(f"{key} is not set with {key}=...: in a sequence it comes from {_DECIDED[key]}.")
    for key in map(_key, request.teacher_settings):
        if key.startswith("distillation."):
            raise UserError(f"--teacher_set {key}: teachers are trained alone. Set it with --student_set or --set.")
