"""Settings without effect in a run are told in one sentence, and only those that were changed."""

from collections.abc import Callable

import pytest

from last.experiments.config import resolve
from last.experiments.run import train
from last.experiments.unused_settings import unused_settings
from last.settings.run import RunConfig
from last.utils.config import config_names

MakeConfig = Callable[..., RunConfig]
TAUGHT, UNLABELLED = "distillation.teachers=[T]", "distillation.unlabelled=true"


@pytest.mark.parametrize(
    ("settings", "bodies", "unused"),
    [
        (("data.sampling.test_draws=8",), 2, "data.sampling.test_draws"),
        (("data.augment.exchange_bodies=0.5",), 1, "data.augment.exchange_bodies"),
        (("data.augment.drop_body=0.2",), 1, "data.augment.drop_body"),
        (("data.augment.mix_share=0.3",), 2, "data.augment.mix_share"),
        (("data.augment.mix_share=0.3", "data.augment.mix_axes=0.3"), 2, "data.augment.mix_share"),
        (("data.augment.drop_probability=1",), 2, "data.augment.drop_probability"),
        ((TAUGHT, UNLABELLED), 2, "distillation.unlabelled"),
    ],
)
def test_a_setting_without_effect_is_found(
    tiny_config: MakeConfig, settings: tuple[str, ...], bodies: int, unused: str
) -> None:
    assert list(unused_settings(tiny_config(*settings), bodies)) == [unused]


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("data.sampling.test_draws=8", "data.sampling.method=uniform"),
        ("data.augment.exchange_bodies=0.5", "data.augment.drop_body=0.2"),
        ("data.augment.mix_share=0.3", "data.augment.mix_splice=0.3"),
        ("data.augment.drop_probability=1", "data.augment.drop_frames=0.3"),
        ("data.augment.drop_probability=1", "data.augment.mask_crop=0.3"),
        (TAUGHT, UNLABELLED, "label_fraction=0.5"),
        ("hardware.amp_dtype=bf16",),  # which an environment sets for its machine
    ],
)
def test_a_setting_with_an_effect_is_not(tiny_config: MakeConfig, settings: tuple[str, ...]) -> None:
    assert unused_settings(tiny_config(*settings), 2) == {}


@pytest.mark.parametrize("recipe", config_names("training"))
def test_no_recipe_of_the_program_has_a_setting_without_effect(recipe: str) -> None:
    names = {"model": "nano_e", "dataset": "ntu60"} if recipe in ("default", "h200") else {}
    config = resolve(recipe=recipe, environment="local", **names)
    assert unused_settings(config, config.data.bodies) == {}


def test_a_run_tells_all_of_them_in_one_sentence(tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture) -> None:
    train(tiny_config("epochs=1", "data.sampling.test_draws=8", "data.augment.drop_probability=1"))
    assert [message for message in caplog.messages if "Without effect" in message] == [
        "Without effect in this run: data.sampling.test_draws with data.sampling.method crop, only with uniform; "
        "data.augment.drop_probability without drop_joints, drop_limbs, drop_frames or mask_crop."
    ]
