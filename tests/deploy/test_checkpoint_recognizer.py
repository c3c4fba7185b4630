"""A checkpoint classifies clips with the probabilities of `evaluate` and of its exported file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from deploy_probes import SharedExport

import last
from last.data import open_store
from last.deploy.checkpoint_recognizer import CheckpointRecognizer
from last.deploy.export import random_recordings
from last.deploy.recognizer import NoBody
from last.utils.errors import UserError


@pytest.fixture(scope="module")
def checkpoint(shared_export: SharedExport) -> Path:
    return shared_export.checkpoint


@torch.no_grad()
def test_its_probabilities_are_those_of_the_model(checkpoint: Path, data_yaml: Path) -> None:
    recognizer, model = CheckpointRecognizer(checkpoint), last.load_checkpoint(checkpoint)
    for clip in open_store(data_yaml.parent / "data" / "tiny")[:4]:
        expected = model(*last.model_inputs(model, clip)).softmax(dim=1).numpy()[0]
        np.testing.assert_allclose(recognizer.probabilities(clip), expected, rtol=1e-3, atol=1e-5)


def test_its_probabilities_are_those_of_the_exported_file(shared_export: SharedExport) -> None:
    of_file, of_checkpoint = last.Recognizer(shared_export.model), CheckpointRecognizer(shared_export.checkpoint)
    for recording in random_recordings(25, 3, bodies=2):
        expected = of_file.probabilities(recording)
        np.testing.assert_allclose(of_checkpoint.probabilities(recording), expected, rtol=1e-3, atol=1e-5)


def test_its_facts_are_those_of_the_exported_file(shared_export: SharedExport) -> None:
    ours, theirs = CheckpointRecognizer(shared_export.checkpoint).facts, last.Recognizer(shared_export.model).facts
    for name in ("model", "layout", "classes", "bodies", "frame_rate", "min_confidence"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_a_recording_without_a_body_is_refused(checkpoint: Path) -> None:
    with pytest.raises(NoBody, match="No body is present"):
        CheckpointRecognizer(checkpoint)(np.zeros((1, 5, 25, 3)))


def test_a_checkpoint_of_another_version_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    values = torch.load(checkpoint, weights_only=True)
    torch.save({**values, "format_version": 99}, tmp_path / "new.pth")
    with pytest.raises(UserError, match="has the format version 99; this program reads version 2"):
        CheckpointRecognizer(tmp_path / "new.pth")
