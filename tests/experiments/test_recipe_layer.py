"""What remains of a recipe beside the model and the data set that flags name."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from last.experiments.config import resolve
from last.utils.config import MODEL_FILES, to_yaml
from last.utils.errors import UserError


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("model: {name: small_e, dropout: 0.5}\ndata: {name: nw_ucla}\nepochs: 7\n")
    return path


@pytest.mark.parametrize("model", ["nano_e", "base"])
def test_a_recipe_trains_another_model_in_its_way_but_not_with_its_sizes(model: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    of_family = "joint_embedding: true, " if model == "nano_e" else ""
    path.write_text(
        f"model: {{name: small_e, channels: [8], kernel_frames: 5, dropout: 0.5, {of_family}"
        "added_streams: {partner: {}}}\n"
        "data: {name: nw_ucla}\nepochs: 7\n"
    )
    plain, config = resolve(model=model, dataset="nw_ucla"), resolve(recipe=str(path), model=model)
    changes = {"dropout": 0.5, "added_streams": {"partner": {}}, **({"joint_embedding": True} if of_family else {})}
    assert (config.model, config.epochs) == (replace(plain.model, **changes), 7)


def test_a_switch_of_another_family_is_left_out_with_its_model(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model: {name: small_e, joint_embedding: true}\ndata: {name: nw_ucla}\n")
    assert resolve(recipe=str(path), model="base").model == resolve(model="base", dataset="nw_ucla").model


def test_a_recipe_samples_and_augments_another_data_set_in_its_way(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "model: {name: small_e}\ndata: {name: nw_ucla, split: view1to2, select: {subjects: [1]}, "
        "sampling: {method: uniform}, augment: {scale: 0.3}}\n"
    )
    plain, config = resolve(model="small_e", dataset="sbu").data, resolve(recipe=str(path), dataset="sbu").data
    assert config == replace(
        plain, sampling=replace(plain.sampling, method="uniform"), augment=replace(plain.augment, scale=0.3)
    )


def test_the_saved_configuration_of_a_run_is_of_its_own_model_and_data_set_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    settings = ["model.dropout=0.5", "data.augment.scale=0.3", "epochs=7"]
    path.write_text(to_yaml(resolve(model="small_e", dataset="nw_ucla", overrides=settings)))
    plain, config = resolve(model="base", dataset="sbu"), resolve(recipe=str(path), model="base", dataset="sbu")
    assert (config.model, config.data, config.epochs) == (plain.model, plain.data, 7)


@pytest.mark.parametrize("model", sorted(MODEL_FILES))
def test_every_model_trains_on_sbu_with_the_stream_of_its_recipe(model: str) -> None:
    assert resolve(recipe="sbu", model=model).model.added_streams == {"partner": {}}


def test_keys_that_a_flag_of_another_model_or_data_set_leaves_out_are_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model: {name: small_e, dropout: 0.5, joint_embedding: true}\ndata: {name: nw_ucla}\n")
    for _ in range(2):
        resolve(recipe=str(path), model="base")
    (message,) = [each.getMessage() for each in caplog.records]
    wanted = f"{path} is for small_e, and --model names another: its model.joint_embedding is left out."
    assert message == f"{wanted} To keep what fits, give it with --set."
    caplog.clear()
    resolve(recipe=str(path), model="nano_e", dataset="sbu")
    assert not caplog.records, "all keys fit"


def test_flag_of_the_same_model_keeps_the_section_of_the_recipe(recipe: Path) -> None:
    assert resolve(recipe=str(recipe), model="small_e").model.dropout == 0.5  # type: ignore[attr-defined]


def test_section_of_a_recipe_for_any_model_holds_for_the_flags_one(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("model: {dropout: 0.5}\ndata: {augment: {scale: 0.2}}")
    config = resolve(model="nano_e", dataset="synthetic", recipe=str(tmp_path / "recipe.yaml"))
    assert (config.model.dropout, config.data.augment.scale) == (0.5, 0.2)  # type: ignore[attr-defined]


def test_a_key_that_a_flag_gives_is_not_named_as_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model: {name: small_e}\ndata: {name: nw_ucla, split: view1to2}\n")
    assert resolve(recipe=str(path), dataset="sbu", flags={"data.split": "fold2"}).data.split == "fold2"
    assert not caplog.records
    resolve(recipe=str(path), dataset="sbu", flags={"data.split": None})
    assert "its data.split is left out" in caplog.text


@pytest.mark.parametrize(
    ("section", "flags"),
    [
        ("model: {name: small_e, drop_pth: 0.1}", {"model": "base"}),
        ("data: {name: nw_ucla, augmnt: {}}", {"dataset": "sbu"}),
    ],
)
def test_a_misspelt_key_is_refused_also_beside_another_model_or_data_set(
    section: str, flags: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(section)
    with pytest.raises(UserError, match=r"(model\.drop_pth|data\.augmnt): unknown key"):
        resolve(recipe=str(path), **{"model": "nano_e", "dataset": "nw_ucla", **flags})


@pytest.mark.parametrize("known", [True, False])
def test_a_saved_configuration_names_what_was_changed_and_is_left_out_as_a_recipe_does(
    known: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "config.yaml"
    changes = ["model.dropout=0.5", "data.augment.scale=0.3", "data.split=view1to2"]
    config = resolve(model="small_e", dataset="nw_ucla", overrides=changes)
    if not known:  # of files that are not here
        config = replace(config, model=replace(config.model, name="mine"), data=replace(config.data, name="others"))
    path.write_text(to_yaml(config))
    for _ in range(2):
        resolve(recipe=str(path), model="base", dataset="sbu", flags={"epochs": 1})
    model, data = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    named = config.model.name, config.data.name
    assert model == (
        f"{path} is for {named[0]}, and --model names another: its model.dropout is left out. To keep what fits, give "
        "it with --set."
    )
    start = f"{path} is for {named[1]}, and --dataset names another: its "
    assert data.startswith(start) and "data.augment.scale" in data
    assert ("data.split" in data) == known and "data.classes" not in data


def test_a_saved_configuration_without_changes_of_its_model_leaves_nothing_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(resolve(model="small_e", dataset="nw_ucla")))
    resolve(recipe=str(path), model="base", dataset="sbu")
    assert not caplog.records


def test_what_is_given_again_beside_a_saved_configuration_is_not_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(resolve(model="small_e", dataset="nw_ucla", overrides=["model.dropout=0.5"])))
    assert resolve(recipe=str(path), model="nano_e", overrides=["model.dropout=0.5"]).model.name == "nano_e"
    assert not caplog.records
