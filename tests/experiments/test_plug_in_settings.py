"""The settings of plug-ins in a configuration, and runs from before there were any."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from last.experiments.config import resolve
from last.experiments.run import train
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.runs.results import read_run
from last.settings.run import RunConfig
from last.utils.config import read_yaml
from last.utils.errors import UserError
from last.utils.yaml_text import yaml_of

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
