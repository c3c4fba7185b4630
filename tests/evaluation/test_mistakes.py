"""Which mistakes are shown, beside which recognised clips."""

import numpy as np

from last.evaluation.metrics import Predictions
from last.evaluation.mistakes import cut, played, worst_mistakes
from last.plots.player import PlayedClip, Version
from last.skeleton import load_layout


def predictions(rows: list[tuple[int, int, float]]) -> Predictions:
    """Return predictions of three classes from (true, predicted, probability)."""
    scores = np.zeros((len(rows), 3), np.float32)
    for number, (_, predicted, probability) in enumerate(rows):
        scores[number] = (1 - probability) / 2
        scores[number, predicted] = probability
    return Predictions([f"c{number}" for number in range(len(rows))], np.array([row[0] for row in rows]), scores)


def test_the_surest_mistakes_come_first_with_at_most_two_of_a_pair_of_classes() -> None:
    rows = [(0, 1, 0.9), (0, 1, 0.8), (0, 1, 0.95), (2, 1, 0.6), (1, 1, 0.7), (1, 1, 0.99)]
    found = worst_mistakes(predictions(rows))
    assert [each.clip for each in found] == [2, 0, 3]
    assert [each.other for each in found] == [5, 4, 5]


def test_a_class_of_which_no_clip_is_recognised_has_no_example_and_the_caption_says_so() -> None:
    (mistake,) = worst_mistakes(predictions([(0, 2, 0.9), (1, 1, 0.9)]))
    assert mistake.other is None

    def clip_of(number: int) -> PlayedClip:
        return PlayedClip(f"c{number}", load_layout("sbu15"), [Version(np.ones((1, 2, 15, 3)))])

    clip = played(mistake, ["wave", "clap", "walk"], clip_of)
    assert clip.caption == "wave, taken for walk with 90 %; no clip of walk was recognised"
    assert len(clip.versions) == 1


def test_there_are_none_if_everything_is_recognised_or_unusable() -> None:
    right = predictions([(0, 0, 0.9), (1, 0, 0.9)])
    unusable = Predictions(right.names, right.labels, right.scores, np.array([False, True]))
    assert worst_mistakes(unusable) == []


def test_long_names_are_cut_in_the_middle() -> None:
    assert cut("a" * 60) == "a" * 60
    assert cut("a" * 55 + "b" * 50) == "a" * 48 + "…" + "b" * 11
