"""Which clips of a store train, choose the best epoch, and test."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from last.data.loading.run_data import TestPart, TrainingData, training_data
from last.data.store.clip import Clip, confidence_bytes
from last.data.store.find_store import find_store
from last.data.store.reader import write_store
from last.data.store.row_file import RowFile
from last.experiments import run as experiment
from last.settings.run import RunConfig


def made(config: RunConfig) -> TrainingData:
    return training_data(config, find_store(config.data, Path(config.data_root)))


def numbers(part: TestPart) -> list[int]:
    return [number for batch in part.loaders[0] for number in batch.indices.tolist()]


def test_without_validation_the_whole_train_part_trains(tiny_config: Callable[..., RunConfig]) -> None:
    data = made(tiny_config())
    assert data.validation is None
    assert data.sampler.indices.tolist() == list(range(12))
    assert numbers(data.test) == list(range(12, 24))


def test_held_out_clips_do_not_train(tiny_config: Callable[..., RunConfig]) -> None:
    data = made(tiny_config("validation=split", "validation_fraction=0.3"))
    assert data.validation is not None
    held_out = numbers(data.validation)
    assert 0 < len(held_out) == data.validation.num_clips < 12
    assert sorted([*held_out, *data.sampler.indices.tolist()]) == list(range(12))
    assert numbers(data.test) == list(range(12, 24))


def test_clips_without_a_label_do_not_train(tiny_config: Callable[..., RunConfig]) -> None:
    data, other = made(tiny_config("label_fraction=0.5")), made(tiny_config("label_fraction=0.5", "seed=5"))
    known = data.sampler.indices.tolist()
    assert known == other.sampler.indices.tolist() == data.labelled.tolist()
    assert [number % 3 for number in known].count(0) == [number % 3 for number in known].count(1) == 2
    assert made(tiny_config()).labelled.tolist() == list(range(12))


@pytest.mark.parametrize("placement", ["ram", "disk"])
def test_the_confidences_are_read_once_when_a_training_begins(
    placement: str, tiny_config: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("data.min_confidence=0.5", f"hardware.data_placement={placement}")
    config.data_root = str(tmp_path)
    clips = [
        Clip(f"clip{number}", np.ones((1, 4, 25, 3), np.float32), np.ones((1, 4), bool), number % 3, subject=1 + number)
        for number in range(12)
    ]
    certain = confidence_bytes(np.random.default_rng(0).random((1, 4, 25)))
    uncertain = [replace(clip, confidence=certain) for clip in clips]
    store = write_store(tmp_path / "tiny", uncertain, name="tiny", layout="ntu25", classes=config.data.classes)
    spans: list[slice] = []
    read = RowFile.span

    def counted(file: RowFile, start: int, stop: int) -> np.ndarray:
        found = read(file, start, stop)
        spans.extend([slice(start, stop)] if found.dtype == np.uint8 else [])
        return found

    monkeypatch.setattr(RowFile, "span", counted)
    training_data(config, store)
    assert spans == [slice(0, 48)]


def test_a_class_without_training_clips_is_reported_when_training_begins(
    tiny_config: Callable[..., RunConfig], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment.train(tiny_config("epochs=1"))
    assert "no training clip" not in caplog.text
    store = find_store(tiny_config().data, Path(tiny_config().data_root))
    store.clips["subject"][store.clips["label"] == 1] = 2
    monkeypatch.setattr(experiment, "find_store", lambda *_: store)
    with caplog.at_level(logging.INFO):
        experiment.train(tiny_config("epochs=1"))
    assert caplog.text.count("no training clip (fall); the accuracy of 8 test clips of it says nothing") == 1
