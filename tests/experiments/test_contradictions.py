"""Settings that contradict each other are refused before anything is trained."""

from collections.abc import Callable

import pytest

from last.experiments.contradictions import refuse_contradictory
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
TAUGHT, CACHED = "distillation.teachers=[T]", ("distillation.fixed_augmentations=4", "distillation.cached=true")
UNLABELLED = ("label_fraction=0.5", "distillation.unlabelled=true")
MIXED, DKD = "data.augment.mix_add=0.3", "distillation.method=dkd"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((TAUGHT, *CACHED, MIXED), "Cached teacher outputs are of single clips"),
        ((TAUGHT, *CACHED, "data.augment.anneal=0.3"), r"data\.augment\.anneal: 0\.3"),
        ((TAUGHT, DKD, MIXED), "distillation.method: dkd needs one label for each clip"),
        (("class_sampling=balanced", "class_weights=balanced"), "class_sampling: balanced and class_weights: balanced"),
        ((TAUGHT, *UNLABELLED, "class_sampling=square_root"), "class_sampling: square_root needs the class of every"),
        ((TAUGHT, "hardware.whole_step_graph=true"), "hardware.whole_step_graph cannot be used with teachers"),
    ],
)
def test_a_contradiction_is_refused_with_the_title_of_the_run(
    tiny_config: MakeConfig, settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=f"a student: {message}"):
        refuse_contradictory("a student", tiny_config(*settings))


@pytest.mark.parametrize(
    "settings",
    [
        (),
        (MIXED, "data.augment.anneal=0.3"),
        (TAUGHT, MIXED),
        (TAUGHT, *CACHED),
        ("class_sampling=balanced",),
        ("class_weights=balanced",),
        ("class_sampling=balanced", "label_fraction=0.5"),
        (TAUGHT, *UNLABELLED),
        (DKD, MIXED),  # of a student without teachers
        ("hardware.whole_step_graph=true",),
    ],
)
def test_other_settings_are_allowed(tiny_config: MakeConfig, settings: tuple[str, ...]) -> None:
    refuse_contradictory("a run", tiny_config(*settings))


def test_the_number_of_processes_counts(tiny_config: MakeConfig) -> None:
    with pytest.raises(UserError, match=r"a run: .* 2 processes"):
        refuse_contradictory("a run", tiny_config("hardware.whole_step_graph=true"), 2)
