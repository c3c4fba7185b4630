"""A run is tied to the data that it learned from."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import CLASSES, moving_clips

from last.data.store.clip import Clip, confidence_bytes
from last.data.store.reader import open_store, write_store
from last.evaluation import tested as evaluation
from last.evaluation.evaluate import evaluate
from last.evaluation.request import EvalRequest
from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]


@pytest.fixture
def on_a_copy(tiny_config: MakeConfig, tmp_path: Path) -> Callable[..., RunConfig]:
    """Return what makes the configuration of a tiny run on a copy of the data, which a test may change."""
    shutil.copytree(Path(tiny_config().data_root), tmp_path / "copy")
    return lambda *overrides: replace(tiny_config(*overrides), data_root=str(tmp_path / "copy"))


def prepare_again(config: RunConfig, **changes: object) -> None:
    """Rewrite the store with changes to every clip."""
    path = Path(config.data_root) / "tiny"
    store = open_store(path)
    clips = [replace(clip, **{name: change(clip) for name, change in changes.items()}) for clip in store]  # type: ignore[operator]
    shutil.rmtree(path)
    write_store(path, clips, name=store.name, layout=store.layout, classes=store.classes)


CHANGES = {
    "joints": lambda clip: clip.joints * 1.01,
    "label": lambda clip: (clip.label + 1) % 3,
    "subject": lambda clip: 3 - clip.subject,
    "name": lambda clip: f"other_{clip.name}",
}


@pytest.mark.parametrize(
    ("changed", "finished", "resume"),
    [
        *((changed, False, "auto") for changed in CHANGES),
        ("joints", True, "auto"),
        ("joints", True, "run"),
        ("joints", False, "run"),
        ("joints", False, "checkpoint"),
    ],
)
def test_a_run_is_not_resumed_on_other_data(on_a_copy: MakeConfig, changed: str, finished: bool, resume: str) -> None:
    run = experiment.train(on_a_copy("epochs=1")).run
    prepare_again(on_a_copy(), **{changed: CHANGES[changed]})
    path = {"auto": "auto", "run": str(run.path), "checkpoint": str(run.last)}[resume]
    before = run.last.read_bytes()
    again = on_a_copy("epochs=1" if finished else "epochs=2")
    with pytest.raises(UserError, match=r"learned from other data: the clips in the store.* start a new run"):
        experiment.train(again, resume=path, explicit_keys=["epochs"])
    assert run.last.read_bytes() == before
    assert run.finished


def test_a_copy_of_the_data_is_the_same_data(on_a_copy: MakeConfig, tiny_config: MakeConfig) -> None:
    run = experiment.train(on_a_copy("epochs=1")).run
    prepare_again(on_a_copy())
    shutil.rmtree(on_a_copy().data_root)
    assert (
        experiment.train(tiny_config("epochs=2"), resume=str(run.path), explicit_keys=["epochs"]).summary["best_top1"]
        >= 0
    )


def with_confidence(clip: Clip, certain: float) -> np.ndarray:
    """Return a confidence for the first joint of every present body, and full confidence for the others."""
    confidence = np.where(np.arange(clip.joints.shape[2]) == 0, certain, 1.0)
    return confidence_bytes(np.where(clip.frame_mask[..., None], confidence, np.nan))


MORE_IS_KNOWN = {
    "frame rates": {"fps": lambda _: 30.0},
    "confidences": {"confidence": lambda clip: with_confidence(clip, 0.4)},
    "both": {"fps": lambda _: 25.0, "confidence": lambda clip: with_confidence(clip, 0.4)},
}


@pytest.mark.parametrize("known", MORE_IS_KNOWN)
@pytest.mark.parametrize("finished", [False, True])
def test_a_run_is_resumed_and_evaluated_on_the_same_joints_of_which_more_is_known(
    on_a_copy: MakeConfig, known: str, finished: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = experiment.train(on_a_copy("epochs=1")).run
    prepare_again(on_a_copy(), **MORE_IS_KNOWN[known])
    evaluate(EvalRequest(run.last), tmp_path / "report")
    assert "differs" not in caplog.text
    experiment.train(on_a_copy(f"epochs={1 if finished else 2}"), resume=str(run.path), explicit_keys=["epochs"])


def test_a_run_is_not_resumed_on_joints_that_are_missing_by_their_confidence(on_a_copy: MakeConfig) -> None:
    run = experiment.train(on_a_copy("epochs=1", "data.min_confidence=0.5")).run
    prepare_again(on_a_copy(), **MORE_IS_KNOWN["confidences"])
    with pytest.raises(UserError, match="the clips in the store changed"):
        experiment.train(on_a_copy("epochs=2", "data.min_confidence=0.5"), str(run.path), explicit_keys=["epochs"])


def test_a_checkpoint_with_the_fingerprint_of_the_files_is_resumed(on_a_copy: MakeConfig) -> None:
    prepare_again(on_a_copy(), fps=lambda _: 30.0)
    run = experiment.train(on_a_copy("epochs=1")).run
    store = open_store(Path(on_a_copy().data_root) / "tiny")
    assert store.fingerprint != store.fingerprint_of_files
    for path in run.all_checkpoints():
        checkpoint = read_checkpoint(path)
        data = {**checkpoint.data, "store": store.fingerprint_of_files}
        save_checkpoint(path, replace(checkpoint, data=data))
    assert experiment.train(on_a_copy("epochs=2"), resume=str(run.path), explicit_keys=["epochs"]).summary


def test_an_evaluation_on_other_joints_of_the_same_clips_says_what_differs(
    on_a_copy: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = experiment.train(on_a_copy("epochs=1")).run
    prepare_again(on_a_copy(), joints=CHANGES["joints"])
    evaluate(EvalRequest(run.last), tmp_path / "report")
    assert "in the content of its clips: their names, and which of them train and test, are the same" in caplog.text
    assert "Evaluate on the store of the run" in caplog.text


def test_a_finished_run_whose_data_are_gone_is_still_finished(on_a_copy: MakeConfig) -> None:
    summary = experiment.train(on_a_copy("epochs=1")).summary
    shutil.rmtree(on_a_copy().data_root)
    assert experiment.train(on_a_copy("epochs=1"), resume="auto").summary == summary


def test_an_older_checkpoint_without_fingerprints_is_resumed(on_a_copy: MakeConfig) -> None:
    run = experiment.train(on_a_copy("epochs=1")).run
    for path in run.all_checkpoints():
        save_checkpoint(path, replace(read_checkpoint(path), data={}))
    assert experiment.train(on_a_copy("epochs=2"), resume=str(run.path), explicit_keys=["epochs"]).summary


def test_the_summary_names_the_data(on_a_copy: MakeConfig) -> None:
    config = on_a_copy("epochs=1")
    found = experiment.train(config).summary["data"]
    assert found["store"] == open_store(Path(config.data_root) / "tiny").fingerprint
    assert set(found) == {"store", "protocol", "layout"}


def test_evaluating_on_another_version_of_the_data_set_is_warned_of(
    on_a_copy: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = experiment.train(on_a_copy("epochs=1")).run
    evaluate(EvalRequest(run.last), tmp_path / "same")
    assert "differs from the one that the model was trained on" not in caplog.text
    prepare_again(on_a_copy(), name=CHANGES["name"])
    evaluate(EvalRequest(run.last), tmp_path / "other")
    assert "differs from the one that the model was trained on" in caplog.text


def test_clips_that_trained_the_model_are_reported_when_another_protocol_tests_them(
    on_a_copy: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = experiment.train(on_a_copy("epochs=1", "data.protocols.other={by: subject, test: [1]}")).run
    evaluate(EvalRequest(run.last), tmp_path / "own")
    evaluate(EvalRequest(run.last, subset="train"), tmp_path / "train")
    assert "have trained the model" not in caplog.text
    evaluate(EvalRequest(run.last, split="other"), tmp_path / "other")
    assert "12 of the 12 clips that are tested have trained the model" in caplog.text


def test_clips_that_the_protocol_of_an_older_run_does_not_divide_are_not_called_its_training_clips(
    on_a_copy: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = experiment.train(on_a_copy("epochs=1", "data.protocols.other={by: subject, test: [2]}")).run
    save_checkpoint(run.last, replace(read_checkpoint(run.last), data={}))  # it did not record its store
    tested = [clip for clip in moving_clips() if clip.subject == 2]
    write_store(tmp_path / "tested" / "tiny", tested, name="tiny", layout="ntu25", classes=CLASSES)
    request = EvalRequest(run.last, split="other", data_root=str(tmp_path / "tested"))
    result = evaluate(request, tmp_path / "report")
    assert sum(each.clips for each in result.metrics.per_class) == 12
    assert "trained the model" not in caplog.text and "was trained on" not in caplog.text


@pytest.mark.parametrize(
    ("tested", "trained", "message"),
    [
        (1, [4], "The 1 clip that is tested has trained the model."),
        (2, [4], "1 of the 2 clips that are tested has trained the model."),
        (1200, range(1100), "1,100 of the 1,200 clips that are tested have trained the model."),
    ],
)
def test_how_many_clips_trained_the_model_is_reported_in_the_right_number(
    on_a_copy: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tested: int,
    trained: Sequence[int],
    message: str,
) -> None:
    config = on_a_copy()
    store = open_store(Path(config.data_root) / "tiny")
    checkpoint = SimpleNamespace(config=config, data={})
    monkeypatch.setattr(evaluation, "training_clips", lambda *_: (np.array(trained), None))
    numbers = np.array([4]) if tested == 1 else np.arange(tested) + (4 if tested == 2 else 0)
    evaluation._warn_about_training_clips(checkpoint, store, numbers)
    assert caplog.messages == [message]


@pytest.mark.parametrize("key", ["data.protocols.xsub.train", "data.select.actions"])
def test_who_trains_cannot_change_within_a_run_even_on_purpose(on_a_copy: MakeConfig, key: str) -> None:
    run = experiment.train(on_a_copy("epochs=1")).run
    with pytest.raises(UserError, match=f"{key}: .*(.|\n)*cannot change within a run. To continue it as it is, give"):
        experiment.train(on_a_copy("epochs=2", f"{key}=[2]"), resume=str(run.path), explicit_keys=["epochs", key])
