"""From a clip of a store, or plain joints, to what a model takes."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import last
from last.data.store.clip import Clip
from last.data.store.reader import Store, open_store
from last.evaluation.evaluate import evaluate
from last.evaluation.request import EvalRequest
from last.experiments import run as experiment
from last.models.classifier import SkeletonClassifier
from last.models.multi_body import STREAMS
from last.runs.folder import RunFolder
from last.settings.run import RunConfig


@pytest.fixture
def run(tiny_config: Callable[..., RunConfig]) -> RunFolder:
    normalize = ("data.normalize.scale=unit", "data.normalize.face_camera=true", "data.sampling.method=uniform")
    return experiment.train(tiny_config("epochs=1", *normalize)).run


@pytest.fixture
def model(run: RunFolder) -> SkeletonClassifier:
    return last.load_checkpoint(run.last)


@pytest.fixture
def store(data_yaml: Path) -> Store:
    return open_store(data_yaml.parent / "data" / "tiny")


def scores(model: SkeletonClassifier, inputs: tuple[dict[str, Tensor], Tensor]) -> Tensor:
    with torch.no_grad():
        return model(*inputs).softmax(dim=1)


def test_a_clip_of_a_store_gets_the_scores_that_evaluate_gives_it(
    run: RunFolder, model: SkeletonClassifier, store: Store, tmp_path: Path
) -> None:
    with evaluate(EvalRequest(run.last), tmp_path).files["predictions"].open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    tested = [clip for clip in store if clip.name in rows]
    together = scores(model, last.model_inputs(model, tested))
    for clip, expected in zip(tested, together, strict=True):
        (alone,) = scores(model, last.model_inputs(model, clip))
        torch.testing.assert_close(alone, expected)
        assert float(rows[clip.name]["probability"]) == pytest.approx(float(alone.max()), abs=1e-5)


def test_bodies_that_a_model_cannot_take_are_named_in_a_warning(
    model: SkeletonClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    joints = np.random.default_rng(0).normal(size=(4, 10, 25, 3))
    few, _ = last.model_inputs(model, [joints[:2]])
    assert not caplog.records
    many, _ = last.model_inputs(model, [joints[:1], joints])
    assert caplog.messages == ["clip 1 has 4 bodies; the model takes 2: the first that are present are used."]
    torch.testing.assert_close(many["joint"][1], few["joint"][0])


def test_a_whole_store_may_be_given(model: SkeletonClassifier, store: Store) -> None:
    streams, body_mask = last.model_inputs(model, store)
    assert set(streams) == set(STREAMS) and streams["joint"].shape == (24, 3, 8, 25, 2)
    assert body_mask.sum(dim=1).tolist() == [1, 2] * 12


def test_plain_joints_are_read_as_preprocess_reads_a_recording(model: SkeletonClassifier) -> None:
    joints = np.random.default_rng(0).normal(size=(2, 30, 25, 3)) + 5.0
    joints[1, :4] = 0.0  # the second body comes late
    origin = joints[0, 0, model.facts.layout.center]
    valid = joints.any(axis=(2, 3))
    centred = np.where(valid[..., None, None], joints - origin, 0.0).astype(np.float32)
    expected, there = last.model_inputs(model, Clip("clip", centred, valid, label=0))
    for given in (joints, torch.from_numpy(joints)):
        streams, present = last.model_inputs(model, given)
        assert torch.equal(present, there)
        for name in STREAMS:
            torch.testing.assert_close(streams[name], expected[name])


def test_one_body_may_come_without_its_dimension_and_several_recordings_in_a_list(model: SkeletonClassifier) -> None:
    joints = np.random.default_rng(0).normal(size=(30, 25, 3))
    (alone, _), (twice, valid) = last.model_inputs(model, joints[None]), last.model_inputs(model, [joints, joints])
    assert valid.shape == (2, 1)
    torch.testing.assert_close(twice["bone"][1:], alone["bone"])


def test_a_model_without_training_takes_clips_of_its_layout_in_its_own_number_format(store: Store) -> None:
    model = last.create_model("nano_e", num_classes=3).double().eval()
    streams, body_mask = last.model_inputs(model, store[0])
    assert streams["joint"].shape[2] == RunConfig.input_frames
    assert model(streams, body_mask).shape == (1, 3)
    assert last.model_inputs(model, store[0], frames=16)[0]["joint"].shape[2] == 16


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (np.zeros((1, 8, 25, 3)), "no skeleton"),
        (np.ones((8, 24, 3)), r"has the shape \(1, 8, 24, 3\); ntu25 has 25 joints of 3 coordinates"),
        (torch.ones(1, 3, 8, 25, 1), r"array \(bodies, frames, 25, 3\) of joints; it is an array of shape"),
        ("clip", "it is str"),
        (None, "it is NoneType"),
        ([], "list of clips is empty"),
    ],
)
def test_what_is_no_clip_of_the_layout_is_refused(model: SkeletonClassifier, clips: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        last.model_inputs(model, clips)


def test_what_is_no_model_is_refused_with_where_to_get_one(store: Store) -> None:
    with pytest.raises(ValueError, match=r"from last\.load_checkpoint or last\.create_model, not a Linear"):
        last.model_inputs(torch.nn.Linear(1, 1), store[0])


def test_confidences_of_plain_joints_are_read_as_those_of_a_clip(tiny_config: Callable[..., RunConfig]) -> None:
    run = experiment.train(tiny_config("epochs=1", "data.min_confidence=0.5")).run
    model = last.load_checkpoint(run.last)
    joints = np.random.default_rng(0).normal(size=(1, 30, 25, 3))
    certain = np.ones((1, 30, 25))
    certain[0, :, 7], certain[0, 10:20, 9] = 0.4, np.nan
    missing = joints.copy()
    missing[0, :, 7], missing[0, 10:20, 9] = np.nan, np.nan
    expected, _ = last.model_inputs(model, missing)
    for recording, confidences in (
        (joints, certain),
        (joints[0], certain[0]),
        ([joints], [certain]),
        (torch.from_numpy(joints), torch.from_numpy(certain)),
    ):
        streams, _ = last.model_inputs(model, recording, confidences=confidences)
        for name in STREAMS:
            torch.testing.assert_close(streams[name], expected[name])
    whole, _ = last.model_inputs(model, [joints, joints], confidences=[None, certain])
    assert whole["joint"][0, :, :, 7].any() and not whole["joint"][1, :, :, 7].any()
    with pytest.raises(ValueError, match=r"No joint of clip 1 has at least the confidence 0\.5 of the"):
        last.model_inputs(model, [joints, joints], confidences=[None, np.full((1, 30, 25), 0.4)])


def test_confidences_that_do_not_fit_the_clips_are_refused(model: SkeletonClassifier, store: Store) -> None:
    joints, certain = np.ones((1, 8, 25, 3)), np.ones((1, 8, 25))
    for clips, confidences, problem in (
        ([joints, joints], [certain], r"one array for each of 2 clips; it is a list of 1"),
        ([joints], certain, "one array for each of 1 clip; it is ndarray"),
        (joints, certain[:, :4], r"expected one number per joint, \(1, 8, 25\)"),
        (store[0], certain, "clip of a store, which has its own confidences"),
        (joints, 2 * certain, "COCO's flags"),
    ):
        with pytest.raises(ValueError, match=problem):
            last.model_inputs(model, clips, confidences=confidences)
