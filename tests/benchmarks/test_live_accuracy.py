"""What counts as found, late and false in a stream whose actions are known."""

from live_accuracy import Counts, count, row

from last.live.stream import Event

TRUTH = [(1.0, 2.0, "wave"), (4.0, 5.0, "sit")]


def event(label: str, time: float, kind: str = "start") -> Event:
    return Event(kind, 1, label, 0.9, time, time)


def counted(events: list[Event], believed: dict[tuple[float, float], str]) -> Counts:
    frames = [
        next((label for (start, stop), label in believed.items() if start <= n / 10 < stop), "") for n in range(60)
    ]
    counts = Counts()
    count(counts, events, frames, TRUTH, 10.0)
    return counts


def test_frames_are_right_where_the_action_or_its_absence_was_believed() -> None:
    found = counted([], {(1.5, 2.5): "wave"})
    assert (found.frames, found.frames_in_actions, found.right_in_actions) == (60, 20, 5)
    assert found.right == 60 - 5 - 10 - 5  # half of the first action, the second one, and what was believed after it


def test_an_action_is_found_by_a_start_of_its_class_in_its_time_or_shortly_after() -> None:
    found = counted([event("wave", 1.4), event("wave", 2.2, "end"), event("sit", 5.8)], {})
    assert (found.found, found.actions, found.false_alarms) == (2, 2, 0)
    assert [round(delay, 6) for delay in found.delays] == [0.4, 1.8]


def test_other_starts_are_false_alarms() -> None:
    found = counted([event("wave", 0.5), event("sit", 1.5), event("sit", 6.5), event("wave", 1.6)], {})
    assert (found.found, found.false_alarms) == (1, 3)


def test_a_row_has_rates_an_hour() -> None:
    assert row("a way", counted([event("wave", 0.5)], {})) == "| a way | 66.7 | 0.0 | 0 of 2 | nan | 600 |"
