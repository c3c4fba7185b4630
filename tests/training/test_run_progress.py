"""The remaining time of a run, estimated from this process's measurements."""

import math
from collections.abc import Iterator

import pytest

from last.training import run_progress as progression
from last.training.run_progress import Pace


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(progression.time, "perf_counter", clock.perf_counter)
    return clock


def train_epoch(pace: Pace, clock: Clock, seconds: float, test_seconds: float = 0.0, saving: float = 0.0) -> None:
    """Train the 100 clips of an epoch in four steps, test 60 in two batches, and save."""
    for _ in range(4):
        clock.now += seconds / 4
        pace.trained(25)
    for _ in range(2 if test_seconds else 0):
        clock.now += test_seconds / 2
        pace.tested(30)
    clock.now += saving
    pace.closed_epoch()


def test_before_the_first_step_nothing_is_known(clock: Clock) -> None:
    assert math.isnan(Pace(5, 1, 100, 60).left_s(0, 0))


def test_within_the_first_epoch_the_fraction_done_counts_and_a_test_is_a_third_of_a_step(clock: Clock) -> None:
    pace = Pace(epochs=5, test_every=1, clips=100, test_clips=60)
    clock.now += 10
    pace.trained(25)  # 0.4 s a clip
    assert pace.left_s(0, 25) == pytest.approx(475 * 0.4 + 5 * 60 * 0.4 / 3)


def test_after_an_epoch_training_tests_and_saves_are_as_long_as_measured(clock: Clock) -> None:
    pace = Pace(epochs=5, test_every=1, clips=100, test_clips=60)
    train_epoch(pace, clock, seconds=40, test_seconds=12, saving=3)
    assert pace.left_s(1, 0) == pytest.approx(4 * (40 + 12 + 3))


@pytest.mark.parametrize(("epoch", "tests"), [(0, 4), (1, 4), (2, 3), (5, 2), (6, 1)])
def test_only_epochs_that_are_tested_have_a_test_to_wait_for(clock: Clock, epoch: int, tests: int) -> None:
    pace = Pace(epochs=7, test_every=2, clips=100, test_clips=60)  # tested after 2, 4, 6 and 7 epochs
    train_epoch(pace, clock, seconds=40, test_seconds=12)
    assert pace.left_s(epoch, 0) == pytest.approx((7 - epoch) * 40 + tests * 12)


def test_what_is_tested_of_an_epoch_is_no_longer_left(clock: Clock) -> None:
    pace = Pace(epochs=1, test_every=1, clips=100, test_clips=60)
    clock.now += 40
    pace.trained(100)
    clock.now += 6
    pace.tested(30)
    assert pace.left_s(0, 100) == pytest.approx(6)


def test_a_slow_first_epoch_is_forgotten(clock: Clock) -> None:
    pace = Pace(epochs=10, test_every=1, clips=100, test_clips=60)
    for seconds in (400, 40, 40):
        train_epoch(pace, clock, seconds, test_seconds=12)
    assert pace.left_s(3, 0) == pytest.approx(7 * (40 + 12))


def test_what_was_before_the_beginning_counts_for_nothing(clock: Clock) -> None:
    pace = Pace(epochs=2, test_every=3, clips=100, test_clips=0)
    clock.now += 1e6
    pace.begin()
    clock.now += 1
    pace.trained(50)
    assert pace.left_s(0, 50) == pytest.approx(3)
