"""Several people in a stream of frames."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploy_probes import SharedExport
from fake_recognizer import CLASSES, FakeRecognizer, body

import last
from last.live.settings import LiveSettings
from last.live.stream import Event, StreamRecognizer
from last.utils.errors import UserError

RAISED, LOW = 2.0, 0.5


def by_height(recording: Any) -> list[float]:
    """Return `wave` where the hands of the newest frame are raised, else nothing sure."""
    return [0.05, 0.9, 0.05] if recording[0, -1, 9, 1] - recording[0, -1, 0, 1] > 1.0 else [0.3, 0.3, 0.4]


def stream(answer: Any = by_height, bodies: int = 1, facts: Any = (), **settings: Any) -> StreamRecognizer:
    clock = itertools.count(0.0, 1 / 30).__next__
    return StreamRecognizer(FakeRecognizer(answer, bodies, **dict(facts)), LiveSettings(**settings), clock)


def test_an_action_is_reported_when_it_starts_and_when_it_ends() -> None:
    recognizer = stream()
    events = [
        event for number in range(150) for event in recognizer.push(body(0, RAISED if 30 <= number < 90 else LOW))
    ]
    assert [(event.kind, event.label, event.body) for event in events] == [("start", "wave", 1), ("end", "wave", 1)]
    assert 1.0 <= events[0].began <= 1.6 and events[0].time <= 2.2 and 3.0 <= events[1].time <= 4.5


def test_settings_of_another_kind_are_refused_at_once() -> None:
    with pytest.raises(UserError, match=r"settings should be last\.live\.settings\.LiveSettings"):
        StreamRecognizer(FakeRecognizer(by_height, 1), {"threshold": 0.9})  # type: ignore[arg-type]


def test_a_short_history_is_classified_as_it_is_and_never_padded() -> None:
    recognizer = stream(every=1, shortest=0.1)
    for _ in range(100):
        recognizer.push(body())
    lengths = [each.shape[1] for each in recognizer.recognizer.seen]
    assert lengths[0] == 4 and lengths == sorted(lengths) and lengths[-1] == 61  # 2 s at 30 frames per second
    assert not any(np.isnan(each).any() for each in recognizer.recognizer.seen)


def test_a_person_is_classified_at_every_few_of_their_frames() -> None:
    recognizer = stream(every=10, shortest=0.0)
    for _ in range(100):
        recognizer.push(body())
    assert len(recognizer.recognizer.seen) == 10


def test_people_without_ids_keep_their_numbers_when_their_order_changes() -> None:
    recognizer = stream()
    events = []
    for number in range(90):
        people = [body(0.01 * number, RAISED), body(3 - 0.01 * number, LOW)]
        events += recognizer.push(np.stack(people if number % 2 else people[::-1]))
    assert [status.body for status in recognizer.bodies] == [1, 2]
    waving = [status.label for status in recognizer.bodies]
    assert sorted(waving) == ["", "wave"] and len(events) == 1


def test_a_short_absence_is_bridged_and_a_long_one_ends_the_action() -> None:
    recognizer = stream()
    for _ in range(60):
        recognizer.push(body(0, RAISED))
    for _ in range(10):  # a third of a second
        assert recognizer.push(np.full((17, 3), np.nan)) == []
    assert recognizer.push(body(0, RAISED)) == [] and recognizer.bodies[0].label == "wave"
    events = [event for _ in range(20) for event in recognizer.push(np.zeros((17, 3)))]
    assert [event.kind for event in events] == ["end"] and recognizer.bodies == ()
    recognizer.push(body(0, RAISED))
    assert recognizer.bodies[0].body == 2


def test_ids_that_are_given_are_kept() -> None:
    recognizer = stream()
    for number in range(60):
        recognizer.push(body(0, RAISED), "anna", number / 30)
        recognizer.push(body(0.1, LOW), "ben", number / 30)
    assert {status.body: status.label for status in recognizer.bodies} == {"anna": "wave", "ben": ""}


def test_late_frames_find_their_place_and_too_late_and_repeated_ones_are_dropped() -> None:
    recognizer = stream(every=1, shortest=0.0)
    for time in (0.0, 0.1, 0.3, 0.2, 0.2, 3.0, 3.1, 0.5):
        recognizer.push(body(), 1, time)
    assert recognizer.dropped == {"duplicate": 1, "late": 1, "absent": 0}
    assert [round(each.shape[1] / 30, 1) for each in recognizer.recognizer.seen[:3]] == [0.0, 0.1, 0.3]


@pytest.mark.parametrize("ids", [None, "anna"])
def test_frames_that_come_in_another_order_are_those_of_one_person(ids: Any) -> None:
    recognizer, random = stream(), np.random.default_rng(0)
    order = np.argsort(np.arange(300) + random.uniform(0, 6, 300))  # each at most 5 frames late
    events = [event for n in order for event in recognizer.push(body(0.01 * n, RAISED), ids, n / 30)]
    assert [event.kind for event in events] == ["start"] and len(recognizer.bodies) == 1
    assert not any(recognizer.dropped.values())


def test_a_frame_that_comes_twice_is_no_second_person() -> None:
    recognizer = stream()
    for number in (0, 1, 2, 2, 1, 3):
        recognizer.push(body(0.01 * number), None, number / 30)
    assert len(recognizer.bodies) == 1 and recognizer.dropped["duplicate"] == 2


def test_people_whose_frames_come_with_different_delays_are_all_classified() -> None:
    recognizer, events = stream(), []
    for number in range(150):
        events += recognizer.push(body(0, RAISED), "anna", number / 30)
        events += recognizer.push(body(3, RAISED), "ben", number / 30 - 0.7)
    assert {event.body for event in events} == {"anna", "ben"} and {event.kind for event in events} == {"start"}


def test_one_frame_of_the_future_loses_nobody() -> None:
    recognizer, events = stream(), []
    for number in range(150):
        ahead = 1.5 if number == 60 else 0.0
        events += recognizer.push(body(0, RAISED), None, number / 30 + ahead)
    assert [event.kind for event in events] == ["start"]
    assert [status.body for status in recognizer.bodies] == [1] and recognizer.dropped["brief"] == 1


def test_people_who_are_seen_too_rarely_to_be_followed_are_counted() -> None:
    recognizer = stream()
    for number in range(20):
        recognizer.push(body(0, RAISED), None, float(number))
    recognizer.finish()
    assert recognizer.dropped["brief"] == 20


def test_a_person_who_is_seen_in_part_stays_the_same() -> None:
    recognizer = stream()
    for number in range(90):
        frame = body(0.01 * number)
        if number % 10 > 3:
            frame[1:] = np.nan
        recognizer.push(frame, None, number / 30)
    assert [status.body for status in recognizer.bodies] == [1]


def test_frames_that_come_faster_than_a_buffer_has_room_for_are_counted_and_the_window_stays_whole() -> None:
    recognizer = stream(every=10)
    for number in range(4000):
        recognizer.push(body(), "a", number / 1000)
    assert recognizer.recognizer.seen[-1].shape[1] == 61
    assert 2500 < recognizer.dropped["too fast"] < 3500


def test_people_who_are_tracked_get_no_id_that_was_given() -> None:
    recognizer = stream(most_bodies=3)
    recognizer.push(body(0), 1, 0.0)
    recognizer.push(np.stack([body(5), body(10), body(15)]), None, 1 / 30)
    assert [status.body for status in recognizer.bodies] == [1, 2, 3] and recognizer.dropped["too many"] == 1


def test_a_changing_frame_rate_gives_recordings_of_the_rate_of_the_model() -> None:
    recognizer = stream(every=1)
    times = np.concatenate([np.arange(0, 1, 1 / 15), np.arange(1, 3, 1 / 60)])
    for time in times:
        recognizer.push(body(), 1, float(time))
    assert recognizer.recognizer.seen[-1].shape[1] in (60, 61)


def test_a_jump_of_the_clock_starts_the_stream_anew() -> None:
    recognizer = stream()
    for number in range(60):
        recognizer.push(body(0, RAISED), timestamp=number / 30)
    (event,) = recognizer.push(body(0, RAISED), timestamp=1e6)
    assert (event.kind, event.time) == ("end", pytest.approx(59 / 30))
    for number in range(40):  # the clock was set back
        recognizer.push(body(0, LOW), timestamp=5.0 + number / 30)
    assert recognizer.bodies[0].since > 5.0 and recognizer.dropped["late"] == 29


def test_late_frames_between_others_do_not_start_the_stream_anew() -> None:
    recognizer, events = stream(), []
    for number in range(100):
        events += recognizer.push(body(0, RAISED), "a", number / 30)
        events += recognizer.push(body(0, RAISED), "a", number / 30 - 3.0)
    assert recognizer.dropped["late"] == 100 and [event.kind for event in events] == ["start"]


def test_people_who_came_together_take_turns_in_being_classified() -> None:
    recognizer, seen = stream(every=4, shortest=0.0), []
    for _ in range(40):
        before = len(recognizer.recognizer.seen)
        recognizer.push(np.stack([body(3.0 * number) for number in range(4)]))
        seen.append(len(recognizer.recognizer.seen) - before)
    assert set(seen[4:]) == {1}


def test_a_partner_who_came_later_is_absent_before() -> None:
    recognizer = stream(bodies=2, every=1, shortest=0.0)
    for number in range(30):
        recognizer.push(np.stack([body(0.0), body(0.6)]) if number >= 20 else body(0.0), timestamp=number / 30)
    first, second = (each for each in recognizer.recognizer.seen[-2])
    assert first.shape == second.shape == (30, 17, 3) and not np.isnan(first).any()
    assert np.isnan(second[:20]).all() and not np.isnan(second[20:]).any()


def test_the_present_action_stands_before_what_is_more_probable_by_now() -> None:
    answers = iter([[0.05, 0.9, 0.05]] * 20 + [[0.5, 0.45, 0.05]] * 20)
    recognizer = stream(lambda _: next(answers), every=1, shortest=0.0, smoothing=0.0, threshold=0.6)
    for _ in range(40):
        recognizer.push(body())
    (status,) = recognizer.bodies
    assert status.label == "wave" and [name for name, _ in status.top] == ["wave", "rise", "still"]


def test_two_people_who_are_near_are_classified_together_with_a_model_for_two() -> None:
    recognizer = stream(bodies=2)
    for _ in range(30):
        recognizer.push(np.stack([body(0.0), body(0.6), body(9.0)]))
    assert {each.shape[0] for each in recognizer.recognizer.seen} == {1, 2}
    assert [status.partner for status in recognizer.bodies] == [2, 1, None]
    alone = stream(bodies=1)
    for _ in range(30):
        alone.push(np.stack([body(0.0), body(0.6)]))
    assert {each.shape[0] for each in alone.recognizer.seen} == {1}


def test_who_has_just_left_is_no_partner() -> None:
    recognizer = stream(bodies=2, every=1)
    for _ in range(15):
        recognizer.push(np.stack([body(0.0), body(0.6)]))
    for _ in range(6):
        recognizer.push(body(0.0))
    assert [status.partner for status in recognizer.bodies] == [None, 1]
    assert recognizer.recognizer.seen[-1].shape[0] == 1


def test_more_people_than_the_limit_are_dropped_and_counted() -> None:
    recognizer = stream(most_bodies=3)
    for _ in range(10):
        recognizer.push(np.stack([body(3.0 * number) for number in range(5)]))
    assert len(recognizer.bodies) == 3 and recognizer.dropped["too many"] == 20


def test_thresholds_are_those_of_the_file_unless_one_is_given() -> None:
    calibration = {"calibration": {"temperature": 1.2, "thresholds": {"rise": 0.3, "wave": 0.95}}}
    np.testing.assert_allclose(stream(facts=calibration).thresholds, [0.3, 0.95, 0.5])
    np.testing.assert_allclose(stream(facts=calibration, threshold=0.7).thresholds, [0.7] * 3)
    np.testing.assert_allclose(stream().thresholds, [0.5] * 3)
    strict = stream(facts=calibration)
    assert not [event for _ in range(60) for event in strict.push(body(0, RAISED))]


def test_the_background_of_the_training_is_none_of_the_actions() -> None:
    known = stream(lambda _: [0.1, 0.1, 0.8])
    assert [event.label for _ in range(60) for event in known.push(body())] == ["still"]
    rest = stream(lambda _: [0.1, 0.1, 0.8], facts={"background": "still"})
    assert [event for _ in range(60) for event in rest.push(body())] == [] and rest.bodies[0].top[0][0] == "still"


@pytest.mark.long
def test_memory_is_the_same_after_many_frames() -> None:
    recognizer = stream(most_bodies=4, every=1000)
    sizes = []
    for number in range(12_000):
        recognizer.push(np.stack([body(3.0 * each + 0.2 * (number % 3)) for each in range(2)]))
        if number in (2_000, 11_999):
            sizes.append((recognizer.nbytes, len(recognizer.bodies), len(recognizer.dropped)))
    assert sizes[0] == sizes[1]


def test_what_is_refused_changes_nothing() -> None:
    recognizer = stream()
    for _ in range(60):
        recognizer.push(body(0, RAISED), "a")
    for frame, ids in ((np.zeros((25, 3)), "a"), (np.stack([body()] * 2), "a")):
        with pytest.raises(UserError):
            recognizer.push(frame, ids, 100.0)
    (event,) = recognizer.finish()
    assert (event.kind, event.body) == ("end", "a")


def test_the_end_of_the_stream_ends_what_goes_on() -> None:
    recognizer = stream()
    for _ in range(60):
        recognizer.push(body(0, RAISED), "a")
    (event,) = recognizer.finish()
    assert isinstance(event, Event) and (event.kind, event.label) == ("end", "wave") and recognizer.finish() == []


def test_an_exported_file_is_run(shared_export: SharedExport, tmp_path: Path) -> None:
    recognizer = last.StreamRecognizer(shared_export.model, LiveSettings(threshold=0.01, onset=0.0))
    random = np.random.default_rng(0)
    events = [
        event
        for number in range(40)
        for event in recognizer.push(random.normal(size=(2, 25, 3)), timestamp=number / 30)
    ]
    assert {event.body for event in events} >= {1} and all(event.label not in CLASSES[1:2] for event in events)
