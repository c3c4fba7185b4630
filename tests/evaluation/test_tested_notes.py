"""What is said of a tested part whose figures say less than they seem to."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from last.data.store.format import index_type
from last.evaluation.tested import TestedModel
from last.evaluation.tested_notes import notes_on


def notes(classes: list[str], untrained: set[int], labels: list[int], frames: int = 9) -> str:
    clips = np.zeros(len(labels) + 3, index_type(8))  # the first three are not tested
    clips["label"][3:], clips["frames"] = labels, frames
    model = SimpleNamespace(
        classes=classes,
        untrained=lambda: untrained,
        store=SimpleNamespace(clips=clips),
        indices=np.arange(3, len(clips)),
    )
    return " ".join(notes_on(cast(TestedModel, model)))


@pytest.mark.parametrize(
    ("untrained", "labels", "told", "untold"),
    [
        (set(), [0, 1, 2], (), ("class",)),
        ({2}, [0, 1, 1], (), ("class",)),
        ({1, 2}, [0, 1, 0], ("All training clips are of one class (a)", "1 tested clip of 1 class"), ("All tested",)),
        ({1, 2}, [0, 0], ("All training clips are of one class (a)", "All tested clips are of one class (a)"), ()),
        (set(), [1, 1], ("All tested clips are of one class (b)",), ("All training",)),
        ({1, 2}, [1, 2, 2, 0], ("3 tested clips of 2 classes without any training clip (b, c)",), ()),
    ],
)
def test_classes_that_were_not_trained_or_not_tested_are_told(
    untrained: set[int], labels: list[int], told: tuple[str, ...], untold: tuple[str, ...]
) -> None:
    found = notes(["a", "b", "c"], untrained, labels)
    assert all(each in found for each in told) and not any(each in found for each in untold)


def test_one_class_alone_is_told_in_one_sentence() -> None:
    assert notes(["only"], set(), [0, 0]) == (
        "There is one class only, so every clip is recognised, whatever the model has learned."
    )


def test_tested_clips_of_one_frame_are_told_with_their_share() -> None:
    assert notes(["a", "b"], set(), [0, 1], frames=1).startswith("2 of 2 tested clips (100.0%) have one frame")
