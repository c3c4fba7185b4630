"""The best settings of a search as a recipe and as a command."""

import shlex
from pathlib import Path

import pytest
from search_probes import MakeSearch

from last.experiments.config import resolve
from last.experiments.search.recipe import recipe_text, train_command
from last.experiments.sweep.results import VariantResult
from last.utils.config import read_yaml
from last.utils.spread import MeanDeviation

RESULT = VariantResult("c002", [], {}, MeanDeviation.of([50.0]), MeanDeviation.of([50.0]), None, (1, 1), 0.1)


def test_the_recipe_resolves_to_the_settings_of_the_candidate(search_plan: MakeSearch, tmp_path: Path) -> None:
    search = search_plan("learning_rate=0.02..0.4", "data.augment.mirror_probability=0.1,0.5", flags={"amp": True})
    best = search.candidates.first(2)[-1]
    path = tmp_path / "best.yaml"
    path.write_text(recipe_text(search, best, 9, RESULT))
    assert "# python -m last train --config best.yaml --dataset FILE" in path.read_text().replace(
        "last-har", "python -m last"
    )
    config = resolve(dataset=search.spec.dataset, environment="local", recipe=str(path))
    assert config.learning_rate == float(best.values["learning_rate"])
    assert config.data.augment.mirror_probability == float(best.values["data.augment.mirror_probability"])
    assert (config.epochs, config.batch_size, config.amp) == (9, 4, True)
    assert config.validation == "test", "held-out clips were of the search"
    assert config.output_root != str(search.spec.flags["output_root"])


def test_a_recipe_is_built_on_that_of_the_search(search_plan: MakeSearch, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("momentum: 0.8\ndata: {augment: {scale: 0.3}}\nmodel: {name: base_e}\n")
    search = search_plan(recipe=str(own))
    path = tmp_path / "best.yaml"
    path.write_text(recipe_text(search, search.own, 3, RESULT))
    assert "after 3 epochs" in path.read_text()
    config = resolve(dataset=search.spec.dataset, environment="local", recipe=str(path))
    assert (config.momentum, config.model.name) == (0.8, "nano_e")
    assert config.epochs == search.lengths[-1] > 3, "the longest schedule, though the result is of a shorter one"
    assert config.data.augment.scale == 0.1, "--set has it so"


def test_the_recipe_keeps_of_another_model_what_the_search_trained_with(
    search_plan: MakeSearch, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "model: {name: small_e, channels: [8, 8, 8], added_streams: {partner: {}}}\n"
        "data: {name: sbu, split: fold2, augment: {shear: 0.3}}\n"
    )
    search = search_plan(recipe=str(own))
    path = tmp_path / "best.yaml"
    path.write_text(recipe_text(search, search.own, 3, RESULT))
    config, searched = (
        resolve(dataset=search.spec.dataset, environment="local", recipe=str(path)),
        next(iter(search.own.parts.values())),
    )
    assert config.model == searched.model and config.model.added_streams == {"partner": {}}
    assert config.data.augment == searched.data.augment and config.data.augment.shear == 0.3


def test_the_command_trains_on_the_whole_training_part(search_plan: MakeSearch) -> None:
    search = search_plan(settings=["validation=split", "data.select.subjects=[1]", "grad_clip=0.5", "epochs=9"])
    words = shlex.split(train_command(search, search.candidates.first(1)[0]))
    settings = words[words.index("--set") + 1 :]
    assert settings[0] == "grad_clip=0.5"
    assert settings[1].startswith("learning_rate=")
    assert len(settings) == 2
    assert words[words.index("--epochs") + 1] == "9"
    assert "--max_hours" not in words


@pytest.mark.parametrize("where", ["--set", "recipe", "--search"])
def test_the_best_of_a_search_with_early_stopping_can_be_trained(
    search_plan: MakeSearch, tmp_path: Path, where: str
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("early_stopping: {patience: 5}\n" if where == "recipe" else "momentum: 0.9\n")
    settings = ["validation=split", "validation_fraction=0.2", "data.select.subjects=[1]", "epochs=9"]
    settings += ["early_stopping.patience=5"] if where == "--set" else []
    searched = ["early_stopping.patience=4,5"] if where == "--search" else ["learning_rate=0.02,0.4"]
    search = search_plan(*searched, recipe=str(own), settings=settings)
    best = search.candidates.first(1)[0]
    path = tmp_path / "best.yaml"
    path.write_text(recipe_text(search, best, 9, RESULT))
    words = shlex.split(train_command(search, best))
    texts = words[words.index("--set") + 1 :]
    dataset = search.spec.dataset
    for config in (
        resolve(dataset=dataset, environment="local", recipe=str(path)),
        resolve(model="nano_e", dataset=dataset, environment="local", recipe=str(own), overrides=texts),
    ):
        assert config.early_stopping == best.parts["xsub"].early_stopping and config.early_stopping.patience >= 4
        assert (config.validation, config.validation_fraction) == ("split", 0.2)
        assert not config.data.select.subjects, "all subjects are trained on"


@pytest.mark.parametrize("recipe", ["", "nw_ucla"])
def test_a_named_recipe_needs_no_file(search_plan: MakeSearch, recipe: str) -> None:
    search = search_plan(recipe=recipe, settings=["validation=split"])
    assert ("input_frames: 32" in recipe_text(search, search.own, 3, RESULT)) == bool(recipe)


def test_a_search_chooses_between_a_stream_and_none(search_plan: MakeSearch, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("model: {added_streams: {partner: {}}}\ndata: {augment: {shear: 0.3}}\n")
    key, settings = "model.added_streams.partner", ["validation=split", "data.augment={}"]
    search = search_plan(f"{key}={{}},null", "learning_rate=0.1,0.2", recipe=str(own), settings=settings)
    found = search.candidates.first(9)
    assert {each.values[key]: each.parts["xsub"].model.added_streams for each in found} == {
        "{}": {"partner": {}},
        "null": {},
    }
    best = next(each for each in found if each.values[key] == "null")
    path = tmp_path / "best.yaml"
    path.write_text(recipe_text(search, best, 3, RESULT))
    config = resolve(dataset=search.spec.dataset, environment="local", recipe=str(path))
    assert (config.model.added_streams, config.data.augment.shear) == ({}, 0.3)
    words = shlex.split(train_command(search, best))[3:]
    assert f"{key}=null" in words


def test_a_mapping_that_all_runs_empty_is_refilled_by_a_candidate(search_plan: MakeSearch, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("distillation: {alpha_of: {base_e: 0.3}}\n")
    settings = ["validation=split", "distillation.alpha_of={}", "distillation.peers=1"]
    search = search_plan("distillation.alpha_of.nano_e=0.1,0.2", recipe=str(own), settings=settings)
    path = tmp_path / "best.yaml"
    path.write_text(recipe_text(search, search.candidates.first(1)[0], 3, RESULT))
    assert read_yaml(path)["distillation"]["alpha_of"].keys() == {"nano_e"}
