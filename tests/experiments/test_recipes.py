"""The recipes that come with the program: each resolves, and says what was decided about it."""

import re
from pathlib import Path

import pytest

from last.experiments.config import resolve
from last.training.schedule import scaled
from last.utils.config import MODEL_FILES, config_folder, config_names

README = Path(__file__).parents[2] / "README.md"
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


@pytest.mark.parametrize("name", ["ntu60", "ntu120"])
def test_the_rate_of_the_recipes_of_ntu_grows_with_the_batches(name: str) -> None:
    for batch, rate in ((16, 0.01), (128, 0.08)):
        config = resolve(recipe=name, environment="local", overrides=[f"batch_size={batch}"])
        assert scaled(config.learning_rate, config.optimization) == pytest.approx(rate)


def test_documented_commands_of_ntu_with_large_batches_have_a_rate_for_them() -> None:
    texts = [README, *(README.parent / "docs").glob("*.md"), *(README.parent / "docs").glob("*.ipynb")]
    texts += [*(README.parent / "src" / "cli").glob("*.py"), *(README.parent / "scripts").rglob("*.sh")]
    lines = [line for text in texts for line in text.read_text(encoding="utf-8").replace("\\\n", "").splitlines()]
    large = [line for line in lines if re.search(r"--dataset ntu.*batch_size[ =](32|64|128|256)", line)]
    assert len(large) >= 10
    ours = [line for line in large if "--env lambda" not in line]  # those of Lambda are as they were specified
    assert [line for line in ours if not re.search("reference_batch_size=16|learning_rate=", line)] == []


@pytest.mark.parametrize("name", ["ntu60", "ntu120", "sbu"])
def test_recipes_for_two_people_turn_about_the_vertical_and_exchange_the_bodies(name: str) -> None:
    augment = resolve(recipe=name, environment="local").data.augment
    about_x, about_y, about_z = augment.rotation_degrees
    assert about_y > max(about_x, about_z)
    assert (augment.exchange_bodies, augment.mirror_probability) == (0.5, 0.5)


@pytest.mark.parametrize("name", ["ntu60", "ntu120", "sbu"])
def test_a_recipe_that_was_not_measured_says_so(name: str) -> None:
    assert "not yet measured" in (config_folder() / "training" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", ["ntu60", "ntu120", "nw_ucla", "sbu"])
def test_a_recipe_of_a_data_set_names_its_hardware_its_time_and_a_longer_one(name: str) -> None:
    text = " ".join((config_folder() / "training" / f"{name}.yaml").read_text().replace("#", "").split())
    assert "Hardware: one " in text
    assert "A longer one: " in text
    assert re.search(r"Expected time|takes \d+ to \d+ minutes", text)


def test_the_document_of_training_has_a_time_for_every_size_with_every_recipe_of_a_data_set() -> None:
    lines = (README.parent / "docs" / "training.md").read_text(encoding="utf-8").splitlines()
    (header,) = [line for line in lines if line.startswith("| `SIZE` |")]
    assert re.findall(r"--config (\w+)", header) == ["nw_ucla", "sbu", "ntu60", "h200"]
    for size in MODEL_FILES:
        (row,) = [line for line in lines if line.startswith(f"| `{size}` |")]
        cells = row.strip("|").split("|")[1:]
        assert len(cells) == 4
        for cell in cells:
            assert "not yet measured" in cell or re.search(r"\d+ (minutes|s)\b.*\(|\[\d.*\]\(", cell)
