"""Calibrated probabilities and thresholds for a rate of false alarms."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploy_probes import SharedExport

import last
from last.data import open_store
from last.deploy.calibration import FALSE_ALARMS, calibrate

CLASSES = ("a", "b", "c")


def sampled(clips: int, scale: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return logits, and labels that are drawn with the probabilities of these logits divided by `scale`."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (clips, 3)) * scale
    probabilities = np.exp(logits / scale)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) > random.random((clips, 1))).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_is_that_by_which_logits_are_too_sure(scale: float) -> None:
    assert calibrate(*sampled(4000, scale), CLASSES, "made").temperature == pytest.approx(scale, rel=0.1)


def test_at_most_the_stated_share_of_other_clips_reaches_a_threshold() -> None:
    logits, labels = sampled(3000, 1.0)
    found = calibrate(logits, labels, CLASSES, "made")
    probabilities = np.exp(logits / found.temperature)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    for number, name in enumerate(CLASSES):
        others = probabilities[labels != number, number]
        share = float(np.mean(others >= found.thresholds[name]))
        assert share <= FALSE_ALARMS and found.thresholds[name] >= 0.5
        assert np.mean(others >= found.thresholds[name] - 0.02) > FALSE_ALARMS  # a lower one lets more through


def test_few_clips_and_a_class_without_any_have_thresholds_too() -> None:
    found = calibrate(np.array([[9.0, 0, 0], [0, 9.0, 0]]), np.array([0, 1]), CLASSES, "made")
    assert set(found.thresholds.values()) == {0.5} and found.clips == 2
    one = calibrate(np.array([[9.0, 0, 0]]), np.array([0]), CLASSES, "made")
    assert one.thresholds == dict.fromkeys(CLASSES, 0.5)


def test_an_exported_file_says_how_it_is_calibrated_and_has_these_probabilities(
    calibrated_export: SharedExport, data_yaml: Path
) -> None:
    store = open_store(data_yaml.parent / "data" / "tiny")
    recognizer = last.Recognizer(calibrated_export.model, threads=1)
    facts = recognizer.facts.all["calibration"]
    assert facts["clips"] == len(store) == 24
    assert facts["source"] == "24 training clips of tiny that the run held out"
    assert set(facts["thresholds"]) == {"rise", "fall", "still"} and facts["temperature"] != 1.0
    model = last.load_checkpoint(calibrated_export.checkpoint)
    logits = model(*last.model_inputs(model, store[0])).detach().numpy()[0] / facts["temperature"]
    expected = np.exp(logits - logits.max())
    found = [recognizer(store[0]).probabilities[name] for name in recognizer.classes]
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-3, atol=1e-5)
    card = calibrated_export.model.with_suffix(".md").read_text(encoding="utf-8")
    assert "Probabilities are calibrated (temperature" in card


def test_without_held_out_clips_the_file_says_that_nothing_was_measured(shared_export: SharedExport) -> None:
    facts = json.loads(shared_export.model.with_suffix(".json").read_text(encoding="utf-8"))["calibration"]
    assert (facts["temperature"], facts["clips"], facts["thresholds"]) == (1.0, 0, {})
    assert facts["source"].startswith("none: the run kept no training clips back")
