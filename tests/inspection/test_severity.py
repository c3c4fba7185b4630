"""The rule by which a finding matters."""

import numpy as np
import pytest

from last.inspection.findings import Severity
from last.inspection.severity import Harm, severity_of

LABELS = np.repeat(np.arange(10), 20)  # 200 clips of ten classes


def affected(*numbers: int) -> np.ndarray:
    return np.isin(np.arange(200), numbers)


@pytest.mark.parametrize(
    ("clips", "grave", "mild"),
    [
        (affected(0), Severity.NOTE, Severity.NOTE),
        (affected(0, 40), Severity.WARNING, Severity.NOTE),  # a hundredth
        (affected(0, 1), Severity.WARNING, Severity.NOTE),
        (affected(*range(0, 200, 10)), Severity.SPOILS, Severity.WARNING),  # a tenth
        (affected(*range(10)), Severity.SPOILS, Severity.WARNING),  # half of a class
        (affected(*range(9)), Severity.WARNING, Severity.NOTE),
    ],
)
def test_the_share_of_clips_and_of_a_class_decides(clips: np.ndarray, grave: Severity, mild: Severity) -> None:
    assert severity_of(clips, LABELS, Harm.GRAVE) is grave
    assert severity_of(clips, LABELS, Harm.MILD) is mild
    assert severity_of(clips, LABELS, Harm.NONE) is Severity.NOTE


def test_without_labels_only_the_share_of_all_clips_counts() -> None:
    assert severity_of(affected(*range(19)), np.full(200, -1), Harm.GRAVE) is Severity.WARNING
