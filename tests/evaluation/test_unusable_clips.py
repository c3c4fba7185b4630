"""One damaged recording ends nothing and changes no other clip's figures, wherever it comes in."""

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_run

from last.evaluation.evaluate import evaluate
from last.evaluation.request import EvalRequest
from last.evaluation.scoring import NO_SCORE, has_no_score
from last.evaluation.unusable_clips import LARGEST, unusable
from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.runtime.distributed import ALONE
from last.training.classification import measure_scores
from last.training.epoch_metrics import EpochMetrics
from last.utils.files import read_json

VALUES = [math.nan, math.inf, -math.inf, 3e38]
TRAINED, TESTED = 3, 17  # clips of the tiny data set's two parts


@pytest.fixture
def spoilt(data_yaml: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that returns the YAML of the tiny data set with one value changed in some clips."""

    def make(value: float, *clips: int) -> Path:
        shutil.copy(data_yaml, tmp_path / "tiny.yaml")
        store = Path(shutil.copytree(data_yaml.parent / "data" / "tiny", tmp_path / "data" / "tiny"))
        offsets = np.load(store / "clips.npy")["offset"]
        joints = np.load(store / "joints.npy")
        joints[offsets[list(clips)] + 4, 3, 1] = value
        np.save(store / "joints.npy", joints)
        header = json.loads((store / "store.json").read_text())
        header["files"]["joints.npy"]["sha256"] = hashlib.sha256((store / "joints.npy").read_bytes()).hexdigest()
        (store / "store.json").write_text(json.dumps(header))
        return tmp_path / "tiny.yaml"

    return make


def figures_of(run: RunFolder) -> list[tuple[float, float]]:
    return [(float(row["test_loss"]), float(row["test_top1"])) for row in read_rows(run.path / "metrics.jsonl")]


@pytest.mark.parametrize("value", VALUES)
def test_a_tested_clip_counts_as_not_recognised_and_is_named_once(
    spoilt: Callable[..., Path], tmp_path: Path, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    run = experiment.train(tiny_run(spoilt(value, TESTED), tmp_path / "runs", "epochs=2")).run
    found_unusable = [message for message in caplog.messages if "no model can take" in message]
    assert len(found_unusable) == 1
    assert (
        f"1 clip has values that no model can take (not finite, too large, or no body): clip{TESTED}."
        in found_unusable[0]
    )
    assert all(math.isfinite(loss) and top1 <= 100 * 11 / 12 for loss, top1 in figures_of(run))
    assert run.best.exists()
    assert "no answer" in run.confusion.read_text()


def test_a_tested_clip_changes_nothing_of_what_is_trained(
    spoilt: Callable[..., Path], data_yaml: Path, tmp_path: Path
) -> None:
    runs = [
        experiment.train(tiny_run(path, tmp_path / name, "epochs=2")).run
        for name, path in (("sound", data_yaml), ("spoilt", spoilt(math.nan, TESTED)))
    ]
    sound, damaged = (read_checkpoint(run.last).model for run in runs)
    assert all(torch.equal(sound[name], damaged[name]) for name in sound)


@pytest.mark.parametrize("value", VALUES)
def test_evaluation_reports_it_in_every_file(
    spoilt: Callable[..., Path], data_yaml: Path, tmp_path: Path, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = experiment.train(tiny_run(data_yaml, tmp_path / "runs", "epochs=1")).run.last
    sound = evaluate(EvalRequest(checkpoint, pictures=False), tmp_path / "sound").metrics
    root = str(spoilt(value, TESTED).parent / "data")
    result = evaluate(EvalRequest(checkpoint, data_root=root, pictures=False), tmp_path / "report")
    assert result.metrics.unusable.sum() == 1
    assert result.metrics.top1 in (sound.top1, pytest.approx(sound.top1 - 100 / 12))
    assert sum(each.clips for each in result.metrics.per_class) == 12
    assert f"clip{TESTED}" in caplog.text
    written = {name: path.read_text() for name, path in result.files.items()}
    assert read_json(result.files["metrics"])["unusable_clips"] == [f"clip{TESTED}"]
    assert "no answer" in written["confusion"]
    (line,) = (line for line in written["predictions"].splitlines() if line.startswith(f"clip{TESTED},"))
    assert line.endswith(",,,,0,,")
    assert "NaN" not in written["metrics"]
    assert "Infinity" not in written["metrics"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("cached", ["true", "false"])
def test_teachers_pass_over_a_training_clip_as_training_does(
    spoilt: Callable[..., Path], teacher: Path, tmp_path: Path, value: float, cached: str
) -> None:
    distillation_settings = [
        f"distillation.teachers=[{teacher}]",
        "distillation.fixed_augmentations=2",
        f"distillation.cached={cached}",
    ]
    run = experiment.train(tiny_run(spoilt(value, TRAINED), tmp_path / "runs", "epochs=2", *distillation_settings)).run
    assert read_json(run.summary)["skipped_batches"] == 2
    assert all(math.isfinite(loss) for loss, _ in figures_of(run))


@pytest.mark.parametrize("value", [*VALUES, 1e25])
def test_a_training_clip_spoils_no_test(spoilt: Callable[..., Path], tmp_path: Path, value: float) -> None:
    run = experiment.train(tiny_run(spoilt(value, TRAINED), tmp_path / "runs", "epochs=2")).run
    assert read_json(run.summary)["statistics"] == "measured"
    assert all(math.isfinite(loss) for loss, _ in figures_of(run))


# --- who is at fault


def found_unusable(value: float, output: float, valid: bool = True, other: float = 1.0) -> list[bool]:
    """Return who is at fault of two clips, where a value of the first clip's second body and an output are given."""
    stream = torch.ones(2, 3, 4, 5, 2)
    stream[0, 1, 2, 3, 1] = value
    bodies = torch.tensor([[True, valid], [True, True]])
    outputs = torch.tensor([[output, 0.0], [other, 0.0]])
    return unusable({"joint": torch.ones_like(stream), "bone": stream}, bodies, outputs).tolist()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_at_fault_whatever_the_model_returns(value: float) -> None:
    assert found_unusable(value, 0.5) == [True, False]
    assert found_unusable(value, math.nan) == [True, False]


@pytest.mark.parametrize("value", [2 * LARGEST, -3e38])
def test_a_large_value_is_at_fault_where_the_model_fails_on_it(value: float) -> None:
    assert found_unusable(value, math.nan) == [True, False]
    assert found_unusable(value, 0.5) == [False, False]


def test_a_model_that_fails_on_sound_clips_is_at_fault_itself() -> None:
    assert found_unusable(1.0, math.nan, other=math.nan) == [False, False]
    assert found_unusable(LARGEST, math.nan) == [False, False]


def test_what_an_absent_body_holds_does_not_matter() -> None:
    assert found_unusable(math.nan, 0.5, valid=False) == [False, False]


def test_a_clip_without_a_body_is_at_fault() -> None:
    streams = {"joint": torch.zeros(1, 3, 4, 5, 2)}
    assert unusable(streams, torch.zeros(1, 2, dtype=torch.bool), torch.zeros(1, 3)).tolist() == [True]


def test_a_clip_without_a_score_is_wrong_and_has_no_part_in_the_loss() -> None:
    metrics = EpochMetrics(torch.device("cpu"), classes=2)
    labels = torch.tensor([0, 0])
    metrics.add_test(measure_scores(torch.tensor([[0.5, 0.5], [NO_SCORE, NO_SCORE]]), labels), labels)
    figures = metrics.read(ALONE)
    assert (figures.unusable, figures.metrics[0], figures.loss) == (1, 50.0, pytest.approx(math.log(2)))
    assert metrics.confusion(ALONE).tolist() == [[1, 0, 1], [0, 0, 0]]


def test_a_single_score_of_minus_infinity_is_a_failure_of_the_model() -> None:
    assert has_no_score(torch.tensor([[NO_SCORE, 0.5], [NO_SCORE, NO_SCORE]])).tolist() == [False, True]
