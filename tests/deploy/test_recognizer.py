"""A recognizer: predictions of an exported file for recordings, without torch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from core_packages import BLOCK
from deploy_probes import SharedExport
from patience import PATIENCE_S

import last
from last.data import open_store
from last.utils.errors import UserError

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def checkpoint(shared_export: SharedExport) -> Path:
    return shared_export.checkpoint


@pytest.fixture(scope="module")
def model_file(shared_export: SharedExport) -> Path:
    return shared_export.model


@pytest.fixture(scope="module")
def recognizer(model_file: Path) -> last.Recognizer:
    return last.Recognizer(model_file, threads=1)


def recording(bodies: int = 2, frames: int = 21) -> Array:
    return np.random.default_rng(3).normal(2, 1, size=(bodies, frames, 25, 3))


@torch.no_grad()
def expected_probabilities(checkpoint: Path, *arguments: Any, temperature: float = 1.0, **options: Any) -> Array:
    model = last.load_checkpoint(checkpoint)
    logits = model(*last.model_inputs(model, *arguments, **options))
    found: Array = (logits / temperature).softmax(dim=1).numpy()[0]
    return found


def assert_close(recognizer: last.Recognizer, found: Any, expected: Array) -> None:
    by_class = [found.probabilities[name] for name in recognizer.classes]
    np.testing.assert_allclose(by_class, expected, rtol=1e-3, atol=1e-5)
    assert found.label == recognizer.classes[int(expected.argmax())]
    assert found.probability == max(by_class) == next(iter(found.probabilities.values()))


@pytest.mark.parametrize("bodies", [1, 2, 3])
def test_predictions_are_those_of_the_model(recognizer: last.Recognizer, checkpoint: Path, bodies: int) -> None:
    joints = recording(bodies)
    joints[0, 3:6, 4] = np.nan
    assert_close(recognizer, recognizer(joints), expected_probabilities(checkpoint, joints))


def test_one_body_needs_no_axis_for_it(recognizer: last.Recognizer, checkpoint: Path) -> None:
    assert_close(recognizer, recognizer(recording(1)[0]), expected_probabilities(checkpoint, recording(1)))


def test_uncertain_joints_are_missing(recognizer: last.Recognizer, checkpoint: Path) -> None:
    confidence = np.random.default_rng(6).choice([0.0, 0.1, 0.4, 1.0], size=(2, 21, 25))
    expected = expected_probabilities(checkpoint, recording(), confidences=confidence)
    assert_close(recognizer, recognizer(recording(), confidence), expected)


def test_clips_of_a_store_and_lists_are_taken(calibrated_export: SharedExport, data_yaml: Path) -> None:
    clips = list(open_store(data_yaml.parent / "data" / "tiny")[:3])
    recognizer = last.Recognizer(calibrated_export.model)
    temperature = recognizer.facts.all["calibration"]["temperature"]
    for clip, found in zip(clips, recognizer(clips), strict=True):
        assert_close(
            recognizer, found, expected_probabilities(calibrated_export.checkpoint, clip, temperature=temperature)
        )


def test_features_are_those_of_the_model(recognizer: last.Recognizer, checkpoint: Path) -> None:
    model = last.load_checkpoint(checkpoint)
    with torch.no_grad():
        expected = model.forward_features(*last.model_inputs(model, recording()))[0]
    np.testing.assert_allclose(recognizer.embed(recording()), expected.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("joints", "problem"),
    [
        (np.zeros((2, 9, 25, 3)), "No body is present"),
        (np.full((9, 25, 3), np.nan), "No body is present"),
        (
            np.ones((2, 9, 17, 3)),
            r"\(2, 9, 17, 3\); .*nano_e.onnx takes \(frames, 25, 3\) or \(bodies, frames, 25, 3\), the layout ntu25",
        ),
        (np.ones((9, 25)), r"have the shape \(9, 25\)"),
        (np.ones((40, 17, 3)), r"have the shape \(40, 17, 3\)"),
        (np.ones((9, 25, 3)).tolist(), r"Wrap nested lists of numbers in numpy\.array"),
        (((1.0, 2.0, 3.0),), r"not a tuple\. Wrap nested lists of numbers in numpy\.array"),
        (np.ones((0, 25, 3)), "No body is present"),
        (np.full((9, 25, 3), 1e9), r"up to 1e\+06"),
        (np.full((9, 25, 3), np.inf), r"up to 1e\+06"),
        (np.array([["a"]]), "an array of <U1"),
        ("clip.npy", "not str"),
    ],
)
def test_what_is_no_recording_of_the_layout_is_refused(recognizer: last.Recognizer, joints: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        recognizer(joints)


def test_confidences_that_do_not_fit_are_refused(recognizer: last.Recognizer) -> None:
    with pytest.raises(UserError, match=r"have the shape \(9, 25\); the joints need \(2, 21, 25\)"):
        recognizer(recording(), np.ones((9, 25)))


@pytest.mark.parametrize("impossible", [50.0, -5.0, np.inf])
def test_impossible_confidences_are_refused(recognizer: last.Recognizer, impossible: float) -> None:
    confidence = np.ones((2, 21, 25))
    confidence[1, 3, 4] = impossible
    with pytest.raises(UserError, match=r"The confidences are from .*; they should be 0 to 1"):
        recognizer(recording(), confidence)


def test_it_is_shown_with_its_model_and_layout(recognizer: last.Recognizer) -> None:
    assert repr(recognizer).endswith("nano_e.onnx': nano_e, 3 classes, layout ntu25)")


def test_it_needs_no_package_but_those_of_the_core_and_the_runtime(model_file: Path) -> None:
    program = f"""{BLOCK}
import numpy as np
import last
print(last.Recognizer({str(model_file)!r}, threads=1)(np.random.default_rng(0).normal(size=(30, 25, 3))).label)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0 and done.stdout.strip() in ("rise", "fall", "still"), done.stderr


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_documents_run(
    number: int, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    programs = [
        part.split("```")[0] for part in text.split("```python\n") if "exports/nano_e.onnx" in part.split("```")[0]
    ]
    assert len(programs) == 2
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "nano_e.onnx").write_bytes(model_file.read_bytes())
    np.save(tmp_path / "recording.npy", recording(1))
    monkeypatch.chdir(tmp_path)
    exec(compile(programs[number], "example", "exec"), {})  # noqa: S102 - a program of our documents
    label = capsys.readouterr().out.split()[0]
    assert label == last.Recognizer(model_file)(recording(1)).label
