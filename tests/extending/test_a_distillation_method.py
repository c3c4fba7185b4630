"""A distillation method is one file: a student learns by it, live and from stored outputs, and resumes to the bit."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import TINY

from last.distillation import methods
from last.experiments.run import train
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runs.results import read_run
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]

LABELLED = """
from last.distillation.methods import LOGITS

COMPARES, USES_LABELS = LOGITS, True

def loss(student, teachers, context):
    return student.logits.gather(1, context.labels[:, None]).square().mean()
"""


@pytest.fixture(autouse=True)
def added(plug_in: Callable[[ModuleType, Path], None]) -> None:
    plug_in(methods, Path(__file__).with_name("similarity.py"))


@pytest.fixture
def student_config(tiny_config: MakeConfig, teacher: Path) -> MakeConfig:
    """Return a function that resolves the configuration of a student; its arguments are `--set` texts."""
    how = (f"distillation.teachers=[{teacher}]", "distillation.method=similarity", "epochs=2")
    return lambda *overrides: tiny_config(*how, *overrides)


def weights_of(run: RunFolder) -> torch.Tensor:
    return read_checkpoint(run.last).model["classifier.weight"]


def test_a_student_learns_by_it_and_by_its_settings(student_config: MakeConfig) -> None:
    runs = [train(student_config(*more)).run for more in ((), (), ("distillation.method_settings.weight=50",))]
    weights = [weights_of(run) for run in runs]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert all(row["train_teachers_loss"] > 0 for row in read_run(runs[0].path).rows)


def test_it_learns_from_stored_outputs_too(student_config: MakeConfig) -> None:
    stored = ("distillation.fixed_augmentations=2", "distillation.cached=true")
    live, cached = (train(student_config("distillation.fixed_augmentations=2")).run, train(student_config(*stored)).run)
    torch.testing.assert_close(weights_of(live), weights_of(cached), rtol=1e-4, atol=1e-5)


def test_it_is_an_option_of_distill_and_its_run_is_resumed(
    cli: Callable[..., Any], data_yaml: Path, tmp_path: Path, teacher: Path
) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    chosen = ("--teacher", teacher, "--method", "similarity", "--model", "nano_e", "--dataset", data_yaml)
    done = cli("distill", *chosen, *roots, "--epochs", 1, "--set", *TINY, "distillation.method_settings.weight=2")
    assert done.code == 0, done.err
    run = max((tmp_path / "runs").glob("run-*"), key=lambda path: path.stat().st_mtime)
    assert "weight: 2.0" in (run / "config.yaml").read_text()
    assert cli("distill", "--resume", run, *roots, "--set", "epochs=2").code == 0


def test_a_method_that_uses_labels_gets_them_and_is_refused_clips_without(
    student_config: MakeConfig, plug_in: Callable[[ModuleType, Path], None], tmp_path: Path
) -> None:
    (tmp_path / "labelled.py").write_text(LABELLED)
    plug_in(methods, tmp_path / "labelled.py")
    assert train(student_config("distillation.method=labelled")).summary["final_top1"] >= 0
    with pytest.raises(UserError, match="needs a method without labels, and labelled uses them"):
        train(student_config("distillation.method=labelled", "label_fraction=0.5", "distillation.unlabelled=true"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "distillation.method=similar",
            "There is no distillation method 'similar'. Did you mean 'similarity'? Known: kl, dkd, features",
        ),
        ("distillation.method_settings.wait=1", "--set: distillation.method_settings: wait: unknown key"),
        (
            "distillation.method_settings.weight=-1",
            "--set: distillation.method_settings: weight: -1 should be at least",
        ),
    ],
)
def test_an_unknown_name_or_setting_is_refused_before_anything_is_built(
    setting: str, message: str, student_config: MakeConfig
) -> None:
    with pytest.raises(UserError) as refused:
        student_config(setting)
    assert message in str(refused.value)
