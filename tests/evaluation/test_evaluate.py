"""From a checkpoint to its report."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CLASSES, moving_clips

from last.data.store.clip import Clip
from last.data.store.reader import open_store, write_store
from last.evaluation.evaluate import evaluate
from last.evaluation.request import EvalRequest
from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]


@pytest.fixture
def run(trained_run: Callable[..., RunFolder]) -> RunFolder:
    return trained_run("epochs=2", "validation=split", "validation_fraction=0.3")


def test_figures_of_the_last_epoch_equal_those_of_training(run: RunFolder, tmp_path: Path) -> None:
    result = evaluate(EvalRequest(run.last), tmp_path / "report")
    summary = json.loads(run.summary.read_text())
    assert result.metrics.top1 == pytest.approx(summary["final_top1"])
    assert result.facts["epoch"] == "1"


def test_report_holds_every_clip_and_every_class(run: RunFolder, tmp_path: Path, coarse_pictures: None) -> None:
    result = evaluate(EvalRequest(run.last), tmp_path / "report")
    with result.files["predictions"].open() as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert names == [f"clip{number:02}" for number in range(12, 24)]
    assert result.files["confusion_picture"].stat().st_size > 1000
    assert result.class_names == ["rise", "fall", "still"]


@pytest.mark.parametrize(("subset", "clips"), [("train", 9), ("val", 3), ("test", 12)])
def test_subsets_are_the_parts_that_training_used(run: RunFolder, tmp_path: Path, subset: str, clips: int) -> None:
    result = evaluate(EvalRequest(run.best, subset=subset), tmp_path / "report")
    assert sum(each.clips for each in result.metrics.per_class) == clips


def test_validation_part_of_a_run_without_one_is_refused(tiny_config: MakeConfig, tmp_path: Path) -> None:
    run = experiment.train(tiny_config("epochs=1")).run
    with pytest.raises(UserError, match="held out no clips"):
        evaluate(EvalRequest(run.last, subset="val"), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def store_of(clips: list[Clip], folder: Path) -> str:
    write_store(folder / "tiny", clips, name="tiny", layout="ntu25", classes=CLASSES)
    return str(folder)


def test_a_store_with_test_clips_alone_is_enough_to_test_on(
    run: RunFolder, tmp_path: Path, tiny_config: MakeConfig
) -> None:
    tested = [clip for clip in moving_clips() if clip.subject != 1]
    root = store_of(tested, tmp_path / "tested")
    result = evaluate(EvalRequest(run.last, data_root=root), tmp_path / "report")
    assert result.metrics.top1 == evaluate(EvalRequest(run.last), tmp_path / "whole").metrics.top1
    for request in (EvalRequest(run.last, "train", data_root=root), EvalRequest(run.last, "val", data_root=root)):
        with pytest.raises(UserError, match="The train part of tiny xsub holds no clip"):
            evaluate(request, tmp_path / "other")
    with pytest.raises(
        UserError, match=r"--statistics measured needs the training clips of the model\. The train part"
    ):
        evaluate(EvalRequest(run.last, data_root=root, statistics="measured"), tmp_path / "other")
    with pytest.raises(UserError, match="The train part of tiny xsub holds no clip"):
        experiment.train(replace(tiny_config("epochs=1"), data_root=root))


def test_a_store_with_training_clips_alone_is_enough_for_their_part(run: RunFolder, tmp_path: Path) -> None:
    root = store_of([clip for clip in moving_clips() if clip.subject == 1], tmp_path / "trained")
    for subset, clips in (("train", 9), ("val", 3)):
        result = evaluate(EvalRequest(run.last, subset, data_root=root), tmp_path / subset)
        assert sum(each.clips for each in result.metrics.per_class) == clips
    with pytest.raises(UserError, match="The test part of tiny xsub holds no clip"):
        evaluate(EvalRequest(run.last, data_root=root), tmp_path / "other")


def test_data_set_with_other_classes_is_refused(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trained on tiny \(3 classes, ntu25\); synthetic has 12 classes"):
        evaluate(EvalRequest(run.last, dataset="synthetic"), tmp_path / "report")


def test_unknown_protocol_is_refused(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no split of tiny 'xview'"):
        evaluate(EvalRequest(run.last, split="xview"), tmp_path / "report")


def test_another_data_set_is_seen_as_the_run_saw_its_own(tiny_config: MakeConfig, tmp_path: Path) -> None:
    run = experiment.train(tiny_config("epochs=1", "data.normalize.scale=unit")).run
    config = read_checkpoint(run.last).config
    own = open_store(Path(config.data_root) / "tiny")
    write_store(tmp_path / "data" / "twin", own, name="twin", layout=own.layout, classes=own.classes)
    (tmp_path / "twin.yaml").write_text(
        f"data: {{name: twin, classes: {own.classes}, split: xsub, protocols: {{xsub: {{by: subject, train: [1]}}}}}}"
    )
    twin = EvalRequest(run.last, dataset=str(tmp_path / "twin.yaml"), data_root=str(tmp_path / "data"))
    results = [evaluate(request, tmp_path / "report") for request in (EvalRequest(run.last), twin)]
    assert results[1].metrics.loss == pytest.approx(results[0].metrics.loss, rel=1e-6)
    assert results[1].facts["dataset"] == "twin"


def test_missing_data_root_is_reported(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no prepared data set 'tiny'"):
        evaluate(EvalRequest(run.last, data_root=str(tmp_path)), tmp_path / "report")
