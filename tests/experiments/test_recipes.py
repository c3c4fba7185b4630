"""The recipes that come with the program: each resolves, and says what was decided about it."""

import pytest

from last.experiments.config import resolve
from last.utils.config import config_folder, config_names

RECIPES = [name for name in config_names("training") if name not in ("default", "h200")]  # which name their data set


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_without_further_options(name: str) -> None:
    config = resolve(recipe=name, environment="local")
    assert config.model.name
    assert config.data.split in config.data.protocols
    assert f"--config {name}" in (config_folder() / "training" / f"{name}.yaml").read_text() or name == "demo"


@pytest.mark.parametrize("name", ["ntu60", "ntu120"])
@pytest.mark.parametrize("model", ["nano_e", "base_e", "base"])
def test_the_recipes_of_ntu_have_the_documented_training_for_every_model(name: str, model: str) -> None:
    config = resolve(recipe=name, model=model, environment="local")
    assert (config.model.name, config.data.name, config.data.split) == (model, name, "xsub")
    found = (config.optimizer, config.momentum, config.nesterov, config.weight_decay, config.label_smoothing)
    assert found == ("sgd", 0.9, True, 0.0004, 0.1)
    assert (config.epochs, config.batch_size, config.input_frames, config.warmup_epochs) == (70, 16, 64, 10)
    assert (config.warmup_learning_rate, config.learning_rate, config.min_learning_rate) == (0.001, 0.01, 1e-5)
    assert (config.grad_clip, config.gradient_accumulation_steps, config.validation) == (1.0, 1, "test")


@pytest.mark.parametrize("name", ["ntu60", "ntu120", "sbu"])
def test_recipes_for_two_people_turn_about_the_vertical_and_exchange_the_bodies(name: str) -> None:
    augment = resolve(recipe=name, environment="local").data.augment
    about_x, about_y, about_z = augment.rotation_degrees
    assert about_y > max(about_x, about_z)
    assert (augment.exchange_bodies, augment.mirror_probability) == (0.5, 0.5)


@pytest.mark.parametrize("name", ["ntu60", "ntu120", "sbu"])
def test_a_recipe_that_was_not_measured_says_so(name: str) -> None:
    assert "not yet measured" in (config_folder() / "training" / f"{name}.yaml").read_text()
