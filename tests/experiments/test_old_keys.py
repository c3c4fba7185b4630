"""Runs of a version whose configuration keys had other names: resumed, evaluated, exported, listed and compared."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import last
from last.evaluation.evaluate import evaluate
from last.evaluation.request import EvalRequest
from last.experiments import run as experiment
from last.runs.checkpoint import _checksum, read_checkpoint
from last.runs.comparison import differing_keys, seed_spreads
from last.runs.folder import RunFolder
from last.runs.results import read_run
from last.settings.run import RunConfig
from last.utils.dotted_keys import flatten, set_nested
from last.utils.renamed_keys import RENAMED_KEYS

MakeConfig = Callable[..., RunConfig]
CHANGED = ("repeats_per_epoch=2", "label_fraction=0.5", "validation=split", "validation_fraction=0.3")


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        set_nested(tree, key.split("."), value)
    return tree


def with_old_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as an earlier version wrote it."""
    old_names = {new: old for old, new in RENAMED_KEYS.items()}
    return nested({old_names.get(key, key): value for key, value in flatten(values).items()})


def age(run: RunFolder) -> RunFolder:
    """Rewrite the configuration of a run and of its checkpoints with old keys."""
    run.config.write_text(yaml.safe_dump(with_old_keys(yaml.safe_load(run.config.read_text()))))
    for path in run.all_checkpoints():
        values = torch.load(path, weights_only=True)
        values["config"] = with_old_keys(values["config"])
        body = {name: each for name, each in values.items() if name not in ("format", "format_version", "checksum")}
        torch.save({**values, "checksum": _checksum({"measures": {}, **body})}, path)
    assert "\nrepeat: 2\n" in run.config.read_text()
    return run


@pytest.fixture
def old_run(tiny_config: MakeConfig) -> RunFolder:
    return age(experiment.train(tiny_config("epochs=1", *CHANGED)).run)


def test_an_old_checkpoint_gives_the_same_configuration_and_weights(
    tiny_config: MakeConfig, old_run: RunFolder
) -> None:
    config = read_checkpoint(old_run.last).config
    assert config == tiny_config("epochs=1", *CHANGED)
    assert last.load_checkpoint(old_run.path)


def test_an_old_run_is_resumed_as_if_its_keys_had_always_had_these_names(
    tiny_config: MakeConfig, old_run: RunFolder, tmp_path: Path
) -> None:
    more = ("epochs=2", *CHANGED)
    whole = experiment.train(tiny_config(*more)).run
    shutil.rmtree(whole.path.rename(tmp_path / "whole") / "tensorboard", ignore_errors=True)
    resumed = experiment.train(tiny_config(*more), str(old_run.last), explicit_keys=["epochs"]).run
    assert resumed.path == old_run.path
    one, other = (read_checkpoint(RunFolder(each).last) for each in (tmp_path / "whole", resumed.path))
    assert all(torch.equal(one.model[name], other.model[name]) for name in one.model)


@pytest.mark.long
def test_an_old_run_is_resumed_evaluated_and_exported_by_the_commands(
    old_run: RunFolder, cli: Callable[..., Any], tmp_path: Path
) -> None:
    done = cli("train", "--resume", old_run.path, "--epochs", 2, "--quiet")
    assert done.code == 0, done.err
    assert read_checkpoint(old_run.last).epoch == 1
    done = cli("evaluate", "--checkpoint", old_run.best, "--subset", "val", "--out", tmp_path / "report", "--quiet")
    assert done.code == 0, done.err
    done = cli(
        "export", "--checkpoint", old_run.best, "--format", "safetensors", "--out", tmp_path / "files", "--quiet"
    )
    assert done.code == 0, done.err


def test_an_old_configuration_serves_as_a_recipe(old_run: RunFolder, cli: Callable[..., Any], tmp_path: Path) -> None:
    done = cli("train", "--config", old_run.config, "--output_root", tmp_path / "again", "--quiet")
    assert done.code == 0, done.err
    (again,) = (tmp_path / "again").glob("run-*")
    assert RunFolder(again).read_config()["repeats_per_epoch"] == 2


def test_old_runs_and_present_ones_are_compared_by_what_differs(tiny_config: MakeConfig, old_run: RunFolder) -> None:
    present = experiment.train(tiny_config("epochs=1", "seed=1", *CHANGED)).run
    runs = [read_run(old_run.path), read_run(present.path)]
    assert differing_keys(runs) == {"seed": ["0", "1"]}
    (spread,) = seed_spreads(runs)
    assert len(spread.runs) == 2


def test_the_held_out_part_of_an_old_run_is_the_same(old_run: RunFolder, tmp_path: Path) -> None:
    row = json.loads((old_run.path / "metrics.jsonl").read_text().splitlines()[-1])
    result = evaluate(EvalRequest(old_run.last, subset="val"), tmp_path / "report")
    assert result.metrics.top1 == pytest.approx(row["val_top1"])
    assert asdict(read_checkpoint(old_run.last).config)["validation_fraction"] == 0.3
