"""The first part of an exported network does what preparation and the data loader do, to recordings of any length."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import last
from last.data.preparation.formats import Source
from last.data.preparation.formats.clip_builder import ClipMetadata, build_clip
from last.data.store.clip import Clip
from last.deploy.arrays import array_of_clip, with_bodies
from last.deploy.inputs import model_inputs
from last.deploy.network import ExportedNetwork, network_of
from last.models.last_e import LastE
from last.settings.data import DataConfig, NormalizeConfig, SamplingConfig

Array = np.ndarray[Any, Any]
TINY = {"channels": [8, 12, 16], "blocks": [1, 1, 1]}
FRAMES = 8


def nothing_changed(joints: Array) -> None:
    pass


def one_joint_in_one_frame(joints: Array) -> None:
    joints[np.arange(joints.size).reshape(joints.shape) // 3 != 25 * 3 + 9] = np.nan


def one_joint_of_all_frames(joints: Array) -> None:
    joints[:, :, 1:] = np.nan


def absent_frames(joints: Array) -> None:
    joints[:, 3:6], joints[1, 8:10] = 0, np.nan


def absent_at_both_ends(joints: Array) -> None:
    joints[:, :3], joints[:, -2:] = np.nan, 0


def short_and_long_gaps(joints: Array) -> None:
    joints[0, 6:9, 4], joints[0, 6:17, 11], joints[1, 9, 12] = np.nan, np.nan, np.nan


def single_coordinates(joints: Array) -> None:
    joints[0, 4:9, 7, 1], joints[0, :, 8, 2] = np.nan, np.nan


def no_centre(joints: Array) -> None:
    joints[0, :, 1] = np.nan


def no_centre_at_first(joints: Array) -> None:
    joints[0, :5, 1] = np.nan


def a_second_body_alone(joints: Array) -> None:
    joints[0] = np.nan


def a_first_body_that_comes_later(joints: Array) -> None:
    joints[0, :7] = 0


CHANGES = [
    *(nothing_changed, one_joint_in_one_frame, one_joint_of_all_frames, absent_frames, absent_at_both_ends),
    *(short_and_long_gaps, single_coordinates, no_centre, no_centre_at_first, a_second_body_alone),
    a_first_body_that_comes_later,
]
SETTINGS = {
    "crop": DataConfig(),
    "uniform": DataConfig(sampling=SamplingConfig(method="uniform"), max_gap=0),
    "facing": DataConfig(normalize=NormalizeConfig(face_camera=True, scale="unit")),
}


def a_model(data: DataConfig) -> LastE:
    model = last.create_model("nano_e", num_classes=5, **TINY).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    known = {"sampling": data.sampling, "normalize": data.normalize, "max_gap": data.max_gap, "bodies": 2}
    model.facts = type(model.facts)(model.facts.name, model.facts.layout, input_frames=FRAMES, **known)
    return model


def recording(frames: int) -> Array:
    return np.random.default_rng(5).normal(3, 1, size=(2, frames, 25, 3))


@torch.no_grad()
def assert_equal(model: LastE, network: ExportedNetwork, joints: Array) -> None:
    expected = model(*model_inputs(model, joints))
    _, logits, _ = network(torch.from_numpy(with_bodies(joints, 2)))
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("change", CHANGES)
def test_logits_are_those_of_a_prepared_recording(change: Callable[[Array], None], name: str) -> None:
    torch.manual_seed(0)
    model = a_model(SETTINGS[name])
    joints = recording(21)
    change(joints)
    assert_equal(model, network_of(model, SETTINGS[name], FRAMES), joints)


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 150])
def test_a_recording_may_have_any_length(frames: int) -> None:
    torch.manual_seed(0)
    model = a_model(DataConfig())
    assert_equal(model, network_of(model, DataConfig(), FRAMES), recording(frames))


@torch.no_grad()
def test_frames_without_a_body_are_kept_between_others_if_the_frame_rate_is_known() -> None:
    torch.manual_seed(0)
    joints = recording(21)
    joints[:, :3], joints[:, 9:14] = np.nan, 0
    model, data = a_model(DataConfig()), DataConfig()
    source = Source(data.skeleton, data.bodies, (), source_fps=30.0)
    clip = build_clip("a", ClipMetadata(label=0), joints, source)
    assert clip.joints.shape[1] == 18
    recorded = torch.from_numpy(with_bodies(joints, 2))
    _, kept, _ = network_of(model, data, FRAMES, keep_gaps=True)(recorded)
    _, left_out, _ = network_of(model, data, FRAMES)(recorded)
    torch.testing.assert_close(kept, model(*model_inputs(model, clip)), rtol=1e-4, atol=1e-5)
    assert (kept - left_out).abs().max() > 1e-3


@torch.no_grad()
def test_clips_that_were_not_centred_in_training_are_not() -> None:
    torch.manual_seed(0)
    model = a_model(DataConfig())
    clip = Clip("a", recording(9).astype(np.float32), np.ones((2, 9), bool), label=0)
    _, logits, _ = network_of(model, DataConfig(), FRAMES, centers=False)(torch.from_numpy(array_of_clip(clip, 2)))
    torch.testing.assert_close(logits, model(*model_inputs(model, clip)), rtol=1e-4, atol=1e-5)


def test_clips_of_a_batch_do_not_affect_each_other() -> None:
    torch.manual_seed(0)
    network = network_of(a_model(DataConfig()), DataConfig(), FRAMES)
    clips = torch.from_numpy(np.concatenate([with_bodies(recording(21) * size, 2) for size in (1, 2, 3)]))
    clips[1, 0] = torch.nan
    clips[2, :, 10:] = 0.0
    with torch.no_grad():
        together = network(clips)
        alone = [network(clip[None]) for clip in clips]
    for number, outputs in enumerate(alone):
        for whole, one in zip(together, outputs, strict=True):
            torch.testing.assert_close(whole[number : number + 1], one)


@pytest.mark.parametrize("empty", [0.0, np.nan])
def test_outputs_of_a_clip_without_a_body_are_nan(empty: float) -> None:
    network = network_of(a_model(DataConfig()), DataConfig(), FRAMES)
    clips = torch.from_numpy(np.concatenate([with_bodies(recording(21), 2)] * 2))
    clips[1] = empty
    with torch.no_grad():
        for output in network(clips):
            assert output[0].isfinite().all() and output[1].isnan().all()


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    network = network_of(a_model(DataConfig()), DataConfig(), FRAMES)
    with torch.no_grad():
        probabilities, logits, features = network(torch.from_numpy(with_bodies(recording(9), 2)))
    torch.testing.assert_close(probabilities, logits.softmax(dim=1))
    assert features.shape == (1, 16)
