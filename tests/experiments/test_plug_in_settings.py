"""The settings of plug-ins in a configuration, and runs from before there were any."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from last.data.loading import augmentations
from last.experiments.config import resolve
from last.experiments.plug_in_settings import _KEYS
from last.experiments.run import train
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.runs.results import read_run
from last.settings.run import RunConfig
from last.training import optimizers
from last.utils.config import read_yaml
from last.utils.errors import UserError
from last.utils.yaml_text import yaml_of

EXAMPLES = Path(__file__).parents[1] / "extending"
HIDDEN_JOINTS, LION = EXAMPLES / "hidden_joints.py", EXAMPLES / "lion.py"
NEW = (
    "task_settings",
    "optimizer_settings",
    "metrics",
    "distillation.method_settings",
    "data.augment.added",
    "model.added_streams",
)


def without_new_keys(config: dict[str, Any]) -> dict[str, Any]:
    for key in NEW:
        *sections, name = key.split(".")
        section = config
        for each in sections:
            section = section[each]
        del section[name]
    return config


def test_a_run_from_before_there_were_plug_ins_is_resumed(
    tiny_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(tiny_config("epochs=1")).run
    before = read_checkpoint(run.last)
    with monkeypatch.context() as patch:
        patch.setattr("last.runs.checkpoint.asdict", lambda config: without_new_keys(asdict(config)))
        save_checkpoint(run.last, before)
    assert "optimizer_settings" not in torch.load(run.last)["config"]
    run.config.write_text(yaml_of(without_new_keys(read_yaml(run.config))))
    config = resolve(recipe=str(run.config))
    assert config == tiny_config("epochs=1")
    train(replace(config, epochs=2), str(run.path), explicit_keys=("epochs",))
    assert read_run(run.path).epochs_done == 2


def test_settings_without_a_plug_in_are_refused(tiny_config: Callable[..., RunConfig], tmp_path: Path) -> None:
    for key in ("task_settings", "optimizer_settings", "distillation.method_settings"):
        with pytest.raises(UserError, match=rf"--set: {key}: beta: unknown key"):
            tiny_config(f"{key}.beta=1")


def test_all_problems_of_plug_ins_and_of_other_keys_are_reported_at_once_with_where_they_are_from(
    data_yaml: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("{task: my_joint, epochs: many, distillation: {method: klx}}")
    settings = ["data.augment.added.my_hide.share=3", "optimizer=sgdd", "metrics.nosuch={}", "optimizer_settings.a=1"]
    settings += ["=3", "foo", "epochs=", "model.added_streams.speed={}"]
    with pytest.raises(UserError) as refused:
        resolve(model="nano_e", dataset=str(data_yaml), recipe=str(recipe), overrides=settings)
    lines = str(refused.value).splitlines()
    assert lines[0] == "The configuration cannot be used:"
    for beginning in (
        "--set '=3' should look like key=value",
        "--set 'foo' should look like key=value",
        f"{recipe}: epochs: 'many' should be",
        "--set: epochs: no value is given, and it should be",
        f"{recipe}: task: There is no task 'my_joint'.",
        "--set: optimizer: There is no optimizer 'sgdd'. Did you mean 'sgd'?",
        "--set: metrics.nosuch: There is no metric 'nosuch'",
        "--set: data.augment.added.my_hide: There is no augmentation 'my_hide'",
        "--set: model.added_streams.speed: There is no input stream 'speed'",
        f"{recipe}: distillation.method: There is no distillation method 'klx'. Did you mean 'kl'?",
    ):
        assert any(line.startswith(f"  {beginning}") for line in lines), beginning
    assert len(lines) == 11


def test_an_unknown_family_is_reported_with_the_other_problems(data_yaml: Path, tmp_path: Path) -> None:
    model = tmp_path / "mine.yaml"
    model.write_text("model: {family: last_f}")
    with pytest.raises(UserError) as refused:
        resolve(model=str(model), dataset=str(data_yaml), overrides=["optimizer=sgdd", "epochs=0"])
    message = str(refused.value)
    assert f"  {model}: model.family: There is no model family 'last_f'. Did you mean 'last_e'?" in message
    assert "--set: optimizer: There is no optimizer" in message and "--set: epochs: 0 should be at least 1" in message


def test_settings_in_a_wrong_order_are_reported_with_those_of_plug_ins(data_yaml: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)warmup_learning_rate 0\.5 should be at most.*no optimizer 'sgdd'"):
        resolve(model="nano_e", dataset=str(data_yaml), overrides=["warmup_learning_rate=0.5", "optimizer=sgdd"])


def test_every_choice_of_a_plug_in_is_looked_for_in_layers_that_cannot_be_merged() -> None:
    assert {*NEW, "task", "optimizer", "distillation.method"} == set(_KEYS)


@pytest.mark.parametrize("name", ["ntuu", "my_linse"])
def test_an_unknown_format_is_refused_with_where_it_is_from(
    name: str, cli: Callable[..., Any], data_yaml: Path, tmp_path: Path
) -> None:
    done = cli("preprocess", "--dataset", data_yaml, "--raw", tmp_path, "--set", f"data.format={name}")
    assert (done.code, f"--set: data.format: There is no format of recordings '{name}'." in done.err) == (2, True)


def test_settings_of_files_below_are_forgotten_where_a_plug_in_is_emptied_or_taken_away(
    data_yaml: Path, tmp_path: Path, plug_in: Callable[[ModuleType, Path], None]
) -> None:
    plug_in(augmentations, HIDDEN_JOINTS)
    recipe, key = tmp_path / "recipe.yaml", "data.augment.added"
    recipe.write_text("data: {augment: {added: {hidden_joints: {share: 0.4}}}}")

    def added(*settings: str) -> dict[str, dict[str, Any]]:
        chosen = resolve(model="nano_e", dataset=str(data_yaml), recipe=str(recipe), overrides=settings)
        return chosen.data.augment.added

    own, name = {"probability": 0.5, "share": 0.2}, f"{key}.hidden_joints"
    assert added() == {"hidden_joints": {**own, "share": 0.4}}
    assert added(f"{name}=null") == added(f"{key}={{}}") == {}
    assert added(f"{name}={{}}") == {"hidden_joints": own}, "{} are the defaults"
    again = {"hidden_joints": {**own, "probability": 0.1}}
    for emptied in (f"{name}=null", f"{name}={{}}", f"{key}={{}}"):
        assert added(emptied, f"{name}.probability=0.1") == again
    assert added(f"{name}.probability=0.1") == {"hidden_joints": {"probability": 0.1, "share": 0.4}}


def test_the_settings_of_a_chosen_plug_in_are_emptied_too(
    data_yaml: Path, tmp_path: Path, plug_in: Callable[[ModuleType, Path], None]
) -> None:
    plug_in(optimizers, LION)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{optimizer: lion, optimizer_settings: {beta1: 0.5}}")
    found = [
        resolve(model="nano_e", dataset=str(data_yaml), recipe=str(recipe), overrides=given).optimizer_settings["beta1"]
        for given in ([], ["optimizer_settings={}"])
    ]
    assert found == [0.5, 0.9]


def test_a_misspelt_plug_in_cannot_be_taken_away(data_yaml: Path) -> None:
    chosen: dict[str, Any] = {"model": "nano_e", "dataset": str(data_yaml)}
    resolve(**chosen, overrides=["model.added_streams.partner=null"])
    with pytest.raises(UserError, match=r"--set: model\.added_streams\.partnr: There is no input stream 'partnr'"):
        resolve(**chosen, overrides=["model.added_streams.partnr=null"])
