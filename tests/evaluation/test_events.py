"""Figures of long recordings, frame by frame and event by event."""

import numpy as np
import pytest

from last.evaluation.events import (
    OVERLAPS,
    UNKNOWN,
    Event,
    class_frames,
    compare,
    events_of,
    frame_means,
    predicted_labels,
    together,
    without_short_runs,
)


def labels(text: str) -> np.ndarray:
    """Return labels of frames from digits; `.` is no class."""
    return np.array([UNKNOWN if each == "." else int(each) for each in text])


def text(values: np.ndarray) -> str:
    return "".join("." if value == UNKNOWN else str(value) for value in values)


def test_events_are_runs_of_a_class_without_the_background() -> None:
    assert events_of(labels("0011102.2"), background=0) == [Event(2, 5, 1), Event(6, 7, 2), Event(8, 9, 2)]
    assert events_of(labels("0011"), background=UNKNOWN) == [Event(0, 2, 0), Event(2, 4, 1)]
    assert events_of(labels("")) == []


def test_probabilities_of_the_windows_that_cover_a_frame_are_averaged() -> None:
    spans, scores = np.array([[0, 4], [2, 6]]), np.array([[0.9, 0.1], [0.0, 1.0]], np.float32)
    means = frame_means(8, spans, scores)
    assert np.allclose(means[:, 1], [0.1, 0.1, 0.55, 0.55, 1, 1, 0, 0])
    assert text(predicted_labels(means, otherwise=0)) == "00111100"
    assert text(predicted_labels(means, otherwise=UNKNOWN)) == "001111.."


def test_equal_means_are_the_first_class_whatever_is_summed() -> None:
    spans = np.array([[start, start + 50] for start in range(200)])
    scores = np.tile(np.float32([1 / 3, 1 / 3, 1 / 3]), (200, 1))
    assert not predicted_labels(frame_means(249, spans, scores), UNKNOWN).any()


def test_perfect_and_empty_predictions() -> None:
    true = labels("0011002200")
    same = compare(true, true, background=0)
    assert [same.f1(each) for each in OVERLAPS] == [100, 100, 100]
    assert (same.accuracy, same.edit) == (100, 100)
    nothing = compare(true, np.zeros(10, np.int64), background=0)
    assert [nothing.f1(each) for each in OVERLAPS] == [0, 0, 0]
    assert (nothing.accuracy, nothing.edit) == (60, 0)
    quiet = compare(np.zeros(5, np.int64), np.zeros(5, np.int64), background=0)
    assert (quiet.f1(50), quiet.edit) == (100, 100)


def test_f1_counts_each_true_event_once() -> None:
    # Two pieces of one event: at 10 % the first is correct, the second is not; at 50 % neither covers enough.
    found = compare(labels("0111111110"), labels("0111001110"), background=0)
    assert found.matched == (1, 1, 0)
    assert found.f1(10) == pytest.approx(2 * 1 / (1 + 2) * 100)
    assert found.edit == 50


def test_f1_at_an_overlap_is_reached_at_exactly_that_overlap() -> None:
    true = labels("0111100000")
    assert compare(true, labels("0110000000"), background=0).matched == (1, 1, 1)  # 2 of 4
    assert compare(true, labels("0100000000"), background=0).matched == (1, 1, 0)  # 1 of 4
    assert compare(true, labels("0222200000"), background=0).matched == (0, 0, 0)


def test_edit_score_compares_the_order_of_events() -> None:
    assert compare(labels("010203"), labels("010302"), background=0).edit == pytest.approx(100 / 3)
    assert compare(labels("010203"), labels("011103"), background=0).edit == pytest.approx(200 / 3)
    assert compare(labels("0102000"), labels("0102010"), background=0).edit == pytest.approx(200 / 3)


def edit_distance(one: str, other: str) -> int:
    """Return the number of insertions, deletions and replacements, as it is defined."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        edit_distance(one[1:], other) + 1,
        edit_distance(one, other[1:]) + 1,
        edit_distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


def test_edit_score_is_that_of_its_definition() -> None:
    random = np.random.default_rng(0)
    for _ in range(30):
        one, other = ("".join(random.choice(list("123"), random.integers(1, 6))) for _ in range(2))
        expected = 100 * (1 - edit_distance(one, other) / max(len(one), len(other)))
        spread = (labels("0".join(each) + "0" * (20 - 2 * len(each))) for each in (one, other))
        assert compare(*spread, background=0).edit == pytest.approx(expected)


def slow_matched(true: np.ndarray, predicted: np.ndarray, share: float) -> int:
    """Return the number of correct events as Lea et al. describe it: each takes the true one it overlaps most."""
    real, found = events_of(true, 0), events_of(predicted, 0)
    hits: set[int] = set()
    for event in found:
        ious = []
        for other in real:
            one, two = (set(range(each.start, each.stop)) for each in (event, other))
            ious.append(len(one & two) / len(one | two) if event.label == other.label else 0.0)
        best = int(np.argmax(ious)) if ious else 0
        if ious and ious[best] >= share and best not in hits:
            hits.add(best)
    return len(hits)


def test_matched_events_are_those_of_the_slow_definition() -> None:
    random = np.random.default_rng(1)
    for _ in range(60):
        true, predicted = (np.repeat(random.integers(0, 3, 12), random.integers(1, 6, 12))[:30] for _ in range(2))
        size = min(len(true), len(predicted))
        true, predicted = true[:size], predicted[:size]
        expected = tuple(slow_matched(true, predicted, each / 100) for each in OVERLAPS)
        assert compare(true, predicted, background=0).matched == expected


def test_frames_of_unknown_class_are_in_no_figure() -> None:
    found = compare(labels("..11..22"), labels("22111122"), background=0)
    assert (found.frames, found.correct, found.predicted_events) == (4, 4, 2)
    counted = class_frames(labels("..11..22"), labels("11110022"), 3)
    assert [each.frames for each in counted] == [0, 2, 2]
    assert [each.predicted for each in counted] == [0, 2, 2]


def test_figures_of_classes() -> None:
    zero, one, two = class_frames(labels("000111"), labels("001110"), 3)
    assert (zero.recall, zero.precision) == (pytest.approx(200 / 3), pytest.approx(200 / 3))
    assert one.f1 == pytest.approx(200 / 3)
    assert (two.recall, two.precision, two.f1) == (None, None, None)


def test_figures_of_several_recordings_are_sums_and_a_mean_edit_score() -> None:
    one, other = (
        compare(labels("0011"), labels("0011"), background=0),
        compare(labels("0110"), labels("0000"), background=0),
    )
    both = together([one, other])
    assert (both.frames, both.correct, both.true_events, both.predicted_events) == (8, 6, 2, 1)
    assert (both.edit, both.matched) == (50, (1, 1, 1))


@pytest.mark.parametrize(
    ("before", "shortest", "after"),
    [
        ("0001000", 2, "0000000"),
        ("0001122", 2, "0001122"),
        ("0012222", 2, "0022222"),
        ("0101010", 2, "1111111"),  # the first run goes first
        ("11", 5, "11"),
        ("0001222", 2, "0000222"),  # as long on both sides: the earlier one
        ("1110222", 1, "1110222"),
    ],
)
def test_short_runs_become_part_of_the_longer_one_beside_them(before: str, shortest: int, after: str) -> None:
    assert text(without_short_runs(labels(before), shortest)) == after


def test_no_run_is_shorter_than_asked_unless_it_is_the_only_one() -> None:
    random = np.random.default_rng(2)
    for _ in range(40):
        smoothed = without_short_runs(random.integers(0, 3, 60), 5)
        edges = np.flatnonzero(np.diff(smoothed)) + 1
        assert len(smoothed) == 60
        assert (np.diff(np.r_[0, edges, 60]) >= 5).all()
