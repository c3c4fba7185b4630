"""The power law through accuracies, its forecast, and the advice."""

import numpy as np
import pytest

from last.inspection.learning_curve import Measured, PowerLaw, fit_power_law, learning_curve


@pytest.mark.parametrize("law", [PowerLaw(0.0, 2.0, 0.5), PowerLaw(0.05, 3.0, 0.6), PowerLaw(0.1, 1.0, 0.3)])
def test_an_exact_power_law_is_found_and_extrapolated(law: PowerLaw) -> None:
    clips = [250, 500, 1000]
    found = fit_power_law(clips, [law.error(each) for each in clips])
    assert found.error(4000) == pytest.approx(law.error(4000), abs=1e-9)


@pytest.mark.parametrize("errors", [[0.2, 0.2, 0.2], [0.1, 0.2, 0.3], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
def test_errors_that_do_not_fall_are_forecast_to_stay_at_their_mean(errors: list[float]) -> None:
    assert fit_power_law([10, 20, 40], errors).error(160) == pytest.approx(sum(errors) / 3)


def test_an_error_never_falls_below_zero() -> None:
    assert 0 <= fit_power_law([10, 20, 40], [0.5, 0.2, 0.01]).error(1e6) < 0.01


def _measured(accuracies: list[float], clips: int = 1000) -> Measured:
    correct = np.zeros((3, clips))
    for row, accuracy in zip(correct, accuracies, strict=True):
        row[: round(accuracy * clips / 2)] = row[clips // 2 : clips // 2 + round(accuracy * clips / 2)] = 1
    return Measured([0.25, 0.5, 1.0], [250, 500, 1000], correct, np.arange(clips) // (clips // 2), np.arange(clips) % 2)


def test_the_forecast_of_a_curve_that_rises_lies_above_it_and_within_its_interval() -> None:
    curve = learning_curve(_measured([0.6, 0.7, 0.78]), ["a", "b"])
    assert [point.clips for point in curve.points] == [250, 500, 1000]
    assert curve.points[2].accuracies == pytest.approx([0.78, 0.78])
    assert list(curve.forecast) == [2000, 4000]
    (low, likely, high), (_, more, _) = curve.forecast.values()
    assert 0.78 < low <= likely <= high < 1
    assert more > likely
    assert "With twice as many clips" in curve.advice
    assert "Classes that would benefit most: " in curve.advice


def test_the_same_seed_gives_the_same_interval() -> None:
    measured = _measured([0.6, 0.7, 0.78])
    assert learning_curve(measured, ["a", "b"], 1) == learning_curve(measured, ["a", "b"], 1)


def test_a_flat_curve_is_called_enough_only_if_nearly_everything_is_right() -> None:
    assert "There are enough clips" in learning_curve(_measured([1.0, 1.0, 1.0]), ["a", "b"]).advice
    assert "More clips of this kind would help little" in learning_curve(_measured([0.6, 0.6, 0.6]), ["a", "b"]).advice


def test_classes_are_named_in_the_order_of_what_more_clips_brought_and_those_without_errors_are_not() -> None:
    measured = _measured([0.5, 0.5, 0.5], 1200)
    labels = np.arange(1200) % 3
    correct = np.zeros((3, 1200))
    for label, recalls in enumerate([(0.5, 0.6, 0.7), (0.3, 0.5, 0.65), (1.0, 1.0, 1.0)]):
        for row, recall in zip(correct, recalls, strict=True):
            row[np.flatnonzero(labels == label)[: round(400 * recall)]] = 1
    advice = learning_curve(
        Measured(measured.shares, measured.clips, correct, measured.folds, labels), ["wave", "sit", "stand"]
    ).advice
    assert advice.endswith("Classes that would benefit most: sit, wave.")
