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
UNIT = "data.normalize.scale=unit"
FLAT, ATTENTION = "data.layout=coco17_2d", "model.attention=[true]"


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
        (("data.augment.mix_add=0.5", "batch_size=1"), 2, "data.augment.mix_add"),
        (("data.augment.mix_splice=0.5", "batch_size=1"), 2, "data.augment.mix_splice"),
        (("data.augment.mix_axes=0.5", "batch_size=1"), 2, "data.augment.mix_axes"),
        (("data.augment.drop_joints=0.5", "data.augment.drop_probability=0"), 2, "data.augment.drop_joints"),
        (("data.augment.mask_crop=0.5", "data.augment.drop_probability=0"), 2, "data.augment.mask_crop"),
        (("data.sampling.crop_min=0.7", "data.sampling.method=uniform"), 2, "data.sampling.crop_min"),
        (("data.sampling.crop_max=0.7", "data.sampling.method=uniform"), 2, "data.sampling.crop_max"),
        (("data.sampling.test_crop=0.7", "data.sampling.method=uniform"), 2, "data.sampling.test_crop"),
        (("data.augment.rotation_degrees=[0,60,17]", FLAT), 2, "data.augment.rotation_degrees"),
        (("data.augment.scale=0.2", UNIT), 2, "data.augment.scale"),
        (("data.augment.anneal=0.5", "data.augment.rotation_degrees=[]"), 2, "data.augment.anneal"),
        (("data.augment.anneal=0.5", "data.augment.mix_add=0.5", "epochs=1"), 2, "data.augment.mix_add"),
        (("model.drop_path=0.1", "model.channels=[8]", "model.blocks=[1]", ATTENTION), 2, "model.drop_path"),
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
        ("data.augment.mix_add=0.5", "batch_size=2"),
        ("data.augment.drop_joints=0.5", "data.augment.mask_crop=0.3"),
        ("data.sampling.crop_min=0.7", "data.sampling.crop_max=0.8", "data.sampling.test_crop=0.9"),
        ("data.augment.rotation_degrees=[10,60,10]",),
        ("data.augment.rotation_degrees=[0,0,10]", FLAT),
        (FLAT,),
        ("data.augment.scale=0.2",),
        ("data.augment.scale=0.2", "data.augment.shear=0.1", UNIT),
        ("data.augment.scale=0.2", "data.augment.jitter_metres=0.01", UNIT),
        ("data.augment.scale=0.2", "data.augment.drift_metres=0.01", UNIT),
        ("data.augment.anneal=0.5", "data.augment.mix_add=0.5", "epochs=2"),
        ("data.augment.anneal=0.5", "data.augment.rotation_degrees=[]", "data.augment.mix_add=0.5", "epochs=2"),
        ("model.drop_path=0.1",),
        ("hardware.amp_dtype=bf16",),  # which an environment sets for its machine
    ],
)
def test_a_setting_with_an_effect_is_not(tiny_config: MakeConfig, settings: tuple[str, ...]) -> None:
    assert unused_settings(tiny_config(*settings), 2) == {}


@pytest.mark.parametrize("others", [TAUGHT, "distillation.peers=1"])
def test_an_alpha_of_a_misspelt_student_is_told_with_the_model_that_is_meant(
    tiny_config: MakeConfig, others: str
) -> None:
    wrong = "distillation.alpha_of.nanoe=0.1"
    key, _ = wrong.split("=")
    assert unused_settings(tiny_config(others, wrong), 2) == {
        key: "for a model that is not known (Did you mean 'nano_e'?)"
    }
    assert unused_settings(tiny_config(others, "distillation.alpha_of.xyz=0.1"), 2) == {
        "distillation.alpha_of.xyz": "for a model that is not known"
    }
    for right in ("distillation.alpha_of.base_e=0.1", "distillation.alpha=0.5"):
        assert unused_settings(tiny_config(others, right), 2) == {}
    own = tiny_config(others, "distillation.alpha_of.mine=0.1")
    own.model.name = "mine"
    assert unused_settings(own, 2) == {}


def test_mixing_needs_two_clips_in_the_part_of_a_process(tiny_config: MakeConfig) -> None:
    config = tiny_config("data.augment.mix_add=0.5", "batch_size=4")
    assert unused_settings(config, 2, processes=2) == {}
    assert list(unused_settings(config, 2, processes=4)) == ["data.augment.mix_add"]


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


def test_a_run_warns_of_rates_for_more_clips_than_an_epoch_has(
    tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    train(tiny_config("epochs=1", "batch_size=512", "reference_batch_size=16"))
    assert len([message for message in caplog.messages if "no update has more" in message]) == 1
