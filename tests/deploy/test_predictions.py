"""Windows over a recording, and single bodies of it, are classified as if they were clips of their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from deploy_probes import write_checkpoint

from last.data.preparation.formats import BadClip, Source
from last.data.preparation.formats.clip_builder import ClipMetadata, build_clip
from last.data.preparation.formats.timing import Timing
from last.data.store.clip import Clip
from last.deploy.checkpoint_recognizer import CheckpointRecognizer
from last.deploy.predictions import NOBODY, Choices, Length, Span, Track, classify
from last.deploy.recognizer import NoBody, Recognizer
from last.skeleton import load_layout

SOURCE = Source(load_layout("ntu25"), 3, (), unlabelled=True)
JOINTS = np.random.default_rng(0).uniform(0.1, 1, size=(2, 40, 25, 3))


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory, data_yaml: Path) -> Recognizer:
    torch.manual_seed(0)
    return CheckpointRecognizer(write_checkpoint(tmp_path_factory.mktemp("one") / "last.pth", data_yaml))


def clip_of(joints: np.ndarray, fps: float = 0.0, confidence: np.ndarray | None = None) -> Clip:
    timing = Timing(fps=fps) if fps else Timing()
    return build_clip("clip", ClipMetadata(0), joints, SOURCE, confidence=confidence, timing=timing)


def windows(length: int, stride: int) -> Choices:
    return Choices(window=Length(length, in_frames=True), stride=Length(stride, in_frames=True))


def test_a_window_is_classified_as_the_clip_of_its_frames(recognizer: Recognizer) -> None:
    (track,) = classify(recognizer, clip_of(JOINTS), windows(16, 12)).tracks
    assert [(span.start, span.stop) for span in track.windows] == [(0, 16), (12, 28), (24, 40)]
    for span in track.windows:
        expected = recognizer.probabilities(clip_of(JOINTS[:, span.start : span.stop]))
        np.testing.assert_allclose(span.probabilities, expected, atol=1e-5)


def test_a_body_alone_is_classified_as_the_clip_that_it_would_be(recognizer: Recognizer) -> None:
    joints = JOINTS.copy()
    joints[1, 15:25] = 0  # these frames are none of the second body alone
    tracks = classify(recognizer, clip_of(joints), Choices(per_body=True)).tracks
    assert [track.body for track in tracks] == [1, 2]
    for number, track in enumerate(tracks):
        assert track.whole is not None
        expected = recognizer.probabilities(clip_of(joints[number][None]))
        np.testing.assert_allclose(track.whole.probabilities, expected, atol=1e-5)


def test_seconds_become_frames_by_the_rate_of_the_recording(recognizer: Recognizer) -> None:
    choices = Choices(window=Length(1.0, in_frames=False))
    (track,) = classify(recognizer, clip_of(JOINTS, fps=20), choices).tracks
    assert [(span.start, span.stop) for span in track.windows] == [(0, 20), (10, 30), (20, 40)]
    with pytest.raises(BadClip, match="its frame rate is unknown"):
        classify(recognizer, clip_of(JOINTS), choices)


def test_a_window_may_be_longer_than_the_recording(recognizer: Recognizer) -> None:
    (track,) = classify(recognizer, clip_of(JOINTS), windows(100, 100)).tracks
    assert [(span.start, span.stop) for span in track.windows] == [(0, 40)]


def test_a_window_in_which_nobody_is_has_no_class(recognizer: Recognizer) -> None:
    joints = JOINTS.copy()
    joints[:, 10:20] = 0
    (track,) = classify(recognizer, clip_of(joints, fps=30), windows(10, 10)).tracks
    assert [span.best == NOBODY for span in track.windows] == [False, True, False, False]
    (alone,) = (each for each in track.intervals() if each.probabilities is None)
    assert (alone.start, alone.stop) == (10, 20)


def test_a_clip_without_a_certain_joint_is_refused(tmp_path: Path, data_yaml: Path) -> None:
    strict = CheckpointRecognizer(
        write_checkpoint(tmp_path / "last.pth", data_yaml, "nano_e", False, "data.min_confidence=0.5")
    )
    clip = clip_of(JOINTS, confidence=np.full(JOINTS.shape[:3], 0.2))
    for choices in (Choices(), windows(10, 10)):
        with pytest.raises(NoBody, match=r"confidence 0\.5 that the model wants"):
            classify(strict, clip, choices)


def test_too_many_windows_are_refused(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("last.deploy.predictions.MOST_WINDOWS", 3)
    with pytest.raises(BadClip, match="would have 31 windows; at most 3 are possible"):
        classify(recognizer, clip_of(JOINTS), windows(10, 1))


def shares(*values: float) -> Any:
    return np.array(values, np.float32)


def test_successive_windows_of_a_class_are_one_interval_without_an_overlap() -> None:
    a, b, c = shares(0.9, 0.1), shares(0.7, 0.3), shares(0.2, 0.8)
    track = Track(0, None, [Span(0, 20, a), Span(10, 30, b), Span(20, 40, c), Span(30, 50, c)])
    assert [(span.start, span.stop) for span in track.running()] == [(0, 15), (15, 25), (25, 35), (35, 50)]
    first, second = track.intervals()
    assert (first.start, first.stop, second.start, second.stop) == (0, 25, 25, 50)
    np.testing.assert_allclose(first.probabilities, [0.8, 0.2], atol=1e-6)


@pytest.mark.parametrize("second", [(1, 0), (0, 1)])
def test_frames_between_distant_windows_belong_to_the_nearest_whatever_the_classes(second: tuple[int, int]) -> None:
    track = Track(0, None, [Span(0, 10, shares(1, 0)), Span(30, 40, shares(*second))])
    assert [(span.start, span.stop) for span in track.running()] == [(0, 20), (20, 40)]
    found = [(span.start, span.stop) for span in track.intervals()]
    assert found == ([(0, 40)] if second == (1, 0) else [(0, 20), (20, 40)])
