"""Calibration: bins, error, and what a temperature changes."""

import numpy as np
import pytest

from last.evaluation.metrics import Predictions
from last.evaluation.reliability import BINS, bins_of, calibration_error, measure_reliability


def predicted(clips: int, seed: int, sharpness: float = 1.0) -> Predictions:
    """Return predictions whose labels are drawn with their probabilities, made sharper afterwards."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (clips, 4))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) > random.random((clips, 1))).argmax(axis=1)
    shown = np.exp(sharpness * logits)
    scores = (shown / shown.sum(axis=1, keepdims=True)).astype(np.float32)
    return Predictions([str(number) for number in range(clips)], labels.astype(np.int64), scores)


def test_the_error_is_the_weighted_distance_of_confidence_and_accuracy() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    bins = bins_of(scores, np.array([0, 1, 1, 1]))
    assert [each.clips for each in bins if each.clips] == [2, 2]
    assert calibration_error(bins) == pytest.approx(0.5 * abs(0.9 - 0.5) + 0.5 * abs(0.6 - 1.0))


def test_the_bins_cover_all_probabilities_and_the_upper_limit_belongs_to_each() -> None:
    scores = np.array([[1.0, 0.0], [2 / 3, 1 / 3]])
    bins = bins_of(scores, np.array([0, 0]))
    assert len(bins) == BINS and bins[-1].clips == 1 and bins[9].clips == 1
    assert bins[0].confidence is None and bins[0].accuracy is None


def test_a_temperature_from_held_out_clips_calibrates_the_tested_ones() -> None:
    found = measure_reliability(predicted(4000, 1, 3.0), predicted(3000, 2, 3.0))
    assert found.temperature == pytest.approx(3.0, rel=0.1)
    assert found.error is not None and found.error_with_temperature is not None
    assert found.error > 0.1 > 0.03 > found.error_with_temperature
    assert found.source == "fitted on 3,000 training clips that the run held out"


def test_without_held_out_clips_there_is_no_temperature_and_the_reason_is_given() -> None:
    found = measure_reliability(predicted(50, 1), None)
    assert found.temperature is None and found.error_with_temperature is None
    assert found.source == "not available: the run held out no clips"


def test_one_class_has_no_calibration_error() -> None:
    one = Predictions(["a"], np.zeros(1, np.int64), np.ones((1, 1), np.float32))
    found = measure_reliability(one, None)
    assert found.error is None and found.problem == "with one class every probability is 1"
