"""What is said of a protocol before it trains: by `preprocess`, `split` and `train` in the same words."""

import numpy as np
import pytest

from last.data.store.format import index_type
from last.data.store.protocols import divide
from last.data.store.suitability import split_warnings, suitability
from last.settings.data import DataConfig, ProtocolConfig

CONFIG = DataConfig(
    name="tiny", classes=["a", "b", "c"], split="own", protocols={"own": ProtocolConfig("subject", train=[1], test=[2])}
)


def index_of(train: list[int], test: list[int]) -> np.ndarray:
    """Return the index of clips of these labels: those of subject 1 train, those of subject 2 test."""
    clips = np.zeros(len(train) + len(test), index_type(8))
    clips["name"] = [f"clip{number:03}" for number in range(len(clips))]
    clips["label"], clips["subject"] = [*train, *test], [1] * len(train) + [2] * len(test)
    return clips


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ([0, 1, 2], [0, 1, 2], []),
        ([0, 1], [0, 1], ["1 of 3 classes of own has no training clip (c)."]),
        (
            [0, 1],
            [0, 2, 2],
            ["1 of 3 classes of own has no training clip (c); the accuracy of 2 test clips of it says nothing."],
        ),
        (
            [1, 1],
            [0, 1],
            [
                "All 2 training clips of own are of one class (b), so there is nothing to tell apart, and the accuracy "
                "says nothing.",
                "2 of 3 classes of own have no training clip (a, c); the accuracy of 1 test clip of them says nothing.",
            ],
        ),
    ],
)
def test_each_fault_of_the_classes_is_told_once_and_in_the_same_words_before_and_in_a_training(
    train: list[int], test: list[int], expected: list[str]
) -> None:
    clips = index_of(train, test)
    assert split_warnings(clips, CONFIG, "own", divide(clips, CONFIG, "own")) == expected
    assert list(suitability(clips, CONFIG)[0].warnings) == expected


def test_a_protocol_that_is_refused_has_its_problem_and_no_warnings_about_classes() -> None:
    (found,) = suitability(index_of([0, 0], []), CONFIG)
    assert "test part" in found.problem and not found.warnings
