"""The model card beside exported files."""

from pathlib import Path
from typing import Any

import pytest

from last.deploy.model_card import accuracy_in_training, licence_note, model_card
from last.utils.config import config_names

FACTS: dict[str, Any] = {
    "model": "nano_e", "last": "0.2.0", "parameters": 87_508, "date": "2026-11-27T16:05:36+00:00",
    "classes": ["sit down", "stand up"], "dataset": "mine", "split": "xsub", "epoch": 6, "seed": 0,
    "weights": "trained",
    "checkpoint": "best_model.pth", "checkpoint_sha256": "ab" * 32, "frame_rate": 30.0, "compared": "32 clips of mine",
    "layout": {"name": "kinect20", "joints": ["hip"] * 20, "coordinates": 3},
    "calibration": {"clips": 0}, "inside": {"sampling": {"method": "crop", "test_draws": 1}},
    "input": {"shape": ["clips", 2, "frames", 20, 3], "units": "metres", "missing": "NaN", "absent": "zeros"},
}  # fmt: skip


def card(metrics: dict[str, Any], *files: str, **facts: Any) -> str:
    given, paths = {**FACTS, **facts}, [Path(name) for name in files or ("nano_e.onnx",)]
    return model_card("nano_e", given, accuracy_in_training(metrics, given, paths), paths)


def test_it_says_what_the_file_takes_gives_and_was_made_from() -> None:
    text = card({"test_top1": 93.256})
    assert text.startswith("# nano_e\n\nA recogniser of 2 actions from 3D skeletons")
    for part in (
        "`kinect20` (20 joints, 3 coordinates), metres; 2 bodies, any number of frames",
        "Classes: `sit down`, `stand up`.",
        "Data set `mine`, split `xsub`, epoch 6, seed 0, trained weights; recordings of 30 frames per second",
        "93.26 % top-1 on the test clips",
        'last.Recognizer("nano_e.onnx")(joints).label',
    ):
        assert part in text


@pytest.mark.parametrize("metrics", [{}, {"test_top1": float("nan")}, {"test_top1": "93"}])
def test_no_accuracy_is_claimed_that_was_not_measured(metrics: dict[str, Any]) -> None:
    said = card(metrics)
    assert "Not measured in this epoch. Compared with the checkpoint on 32 clips of mine: `nano_e.onnx`." in said
    assert "top-1" not in said


def test_the_accuracy_is_that_of_the_weights_that_were_exported() -> None:
    row = {"test_top1": 90.0, "ema_test_top1": 93.0}
    assert "93.00 % top-1" in card(row, weights="averaged")
    assert "90.00 % top-1" in card(row, weights="trained")
    assert "Not measured in this epoch." in card({"test_top1": 90.0}, weights="averaged")


def test_weights_alone_are_not_said_to_be_compared() -> None:
    said = card({}, "nano_e.safetensors")
    assert "Compared" not in said and "Written without being run: the weights `nano_e.safetensors`." in said
    said = card({}, "nano_e.onnx", "nano_e.xml", "nano_e.bin", "nano_e.safetensors")
    assert "Compared with the checkpoint on 32 clips of mine: `nano_e.onnx` and `nano_e.xml`. Written without" in said


@pytest.mark.parametrize(
    ("method", "draws", "averages"), [("uniform", 8, True), ("uniform", 1, False), ("crop", 8, False)]
)
def test_it_says_that_the_file_samples_a_clip_less_often_than_the_tests_of_its_run(
    method: str, draws: int, averages: bool
) -> None:
    text = card({"test_top1": 93.256}, inside={"sampling": {"method": method, "test_draws": draws}})
    said = (
        "average the probabilities of 8 samplings of each clip (data.sampling.test_draws), and an exported file samples"
    )
    assert (said in text) == averages
    assert "Probabilities are not calibrated. " in text and " It has not been tested" in text


def test_different_frame_rates_are_not_shown_as_zero() -> None:
    assert "recordings of different or unknown frame rates." in card({}, frame_rate=0)


@pytest.mark.parametrize("name", config_names("data"))
def test_every_data_set_of_the_program_has_a_note_of_its_own(name: str) -> None:
    assert licence_note(name) != licence_note("mine")
    assert licence_note(name) in card({}, dataset=name)


def test_a_data_set_of_the_users_own_asks_for_its_licence() -> None:
    assert "LAST does not know it: write it here" in card({})
