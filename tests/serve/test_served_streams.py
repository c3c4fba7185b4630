"""What the server answers to a stream of frames."""

import json

import numpy as np
import pytest
from serve_probes import Running, Starts, body, frame, needs_addresses, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from last.live.settings import LiveSettings
from last.live.stream import StreamRecognizer
from last.serve.workers import SharedRecognizer

EAGER = {"threshold": 0.01, "onset": 0.0, "smoothing": 0.0}  # so that actions start, whatever the model says
FRAMES = 40


def rest(stream: ClientConnection) -> list[dict]:
    """Return all further messages, until the server closes the stream."""
    found = []
    try:
        while True:
            found.append(json.loads(stream.recv()))
    except ConnectionClosed:
        return found


def test_a_stream_brings_the_events_that_it_brings_in_this_process(
    server: Running, recognizer: SharedRecognizer
) -> None:
    live = StreamRecognizer(recognizer, LiveSettings(**EAGER, most_bodies=10))
    messages = [frame(number, body="anna") for number in range(FRAMES)]
    expected = []
    for text in messages:
        message = json.loads(text)
        expected += live.push(message["joints"], "anna", message["time"])
    expected += live.finish()
    with server.stream() as stream:
        stream.send(json.dumps({"settings": EAGER}))
        for text in messages:
            stream.send(text)
        stream.send(json.dumps({"finish": True}))
        *events, last = rest(stream)
        assert stream.close_code == 1000
    assert [event["kind"] for event in events] == ["start", "end"]
    for event, wanted in zip(events, expected, strict=True):
        assert event == pytest.approx({name: getattr(wanted, name) for name in event})
    assert last == {"dropped": {"absent": 0}}


BAD_FRAMES = {
    "wrong joint count": json.dumps({"joints": body()[:24].tolist()}),
    "NaN": json.dumps({"joints": (body() * np.nan).tolist()}),
    "a hundred bodies": json.dumps({"joints": [body().tolist()] * 100}),
    "no number as the time": frame(time="now"),
    "an infinite time": frame().replace('"time": 0.0', '"time": 1e999'),
    "a time beyond all clocks": frame(time=1e300),
    "too few ids": frame(body=["a", "b"]),
    "an id of a million characters": frame(body="a" * 100_000),
    "objects as joints": json.dumps({"joints": [{}] * 25}),
    "lists as confidences": frame(confidence=[[]] * 25),
    "a list as an id": frame(body=[["a"]]),
    "a confidence of another size": frame(confidence=[1.0]),
    "no JSON": "{",
    "nested without end": "[" * 100_000,
    "a number": "1",
    "nothing": "",
    "bytes": b"\xff\x00\xff",
    "two things at once": frame(finish=True),
    "an unknown key": frame(joint=1),
    "a lone surrogate": '{"joints": [], "body": "\\ud800"}',
    "settings between frames": json.dumps({"settings": {"every": 1}}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_a_bad_frame_is_an_error_and_the_stream_goes_on(server: Running, name: str) -> None:
    with server.stream() as stream:
        stream.send(frame())
        stream.send(BAD_FRAMES[name])
        assert list(json.loads(stream.recv())) == ["error"]
        stream.send(frame(1))
        stream.send(json.dumps({"finish": True}))
        assert rest(stream) == [{"dropped": {"absent": 0, "brief": 2}}]


def test_a_stream_of_bad_frames_is_closed_but_bad_ones_between_good_ones_are_not(server: Running) -> None:
    with server.stream() as stream:
        for number in range(50):
            stream.send("{")
            stream.send(frame(number))
            assert "error" in json.loads(stream.recv())
        for _ in range(20):
            stream.send("{")
        assert len(rest(stream)) == 20
        assert stream.close_code == 1008


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"window": 60}, "allows a window of 10 s"),
        ({"most_bodies": 50}, "and 10 bodies in a stream"),
        ({"every": 0}, "every: 0 should be"),
        ({"every": 1e308}, "every: 1e+308 should be a number from 1 to 1000"),
        ({"evry": 1}, "no setting 'evry'"),
        ({"rate": "fast"}, "settings.rate: should be a number"),
        ({"window": 10, "rate": 61}, "A window of 10 s at 61 frames a second is too long"),
        ({"every": 2, "most_bodies": 5}, "with `every` 2, `most_bodies` may be 4"),
    ],
)
def test_impossible_settings_are_an_error(server: Running, settings: dict[str, object], problem: str) -> None:
    with server.stream() as stream:
        stream.send(json.dumps({"settings": settings}))
        assert problem in json.loads(stream.recv())["error"]


def test_frames_that_are_late_or_repeated_are_dropped_and_counted(start: Starts) -> None:
    found = start()
    with found.stream() as stream:
        for time in (100.0, 100.0, 5.0, 100.1):
            stream.send(frame(time=time, body=1))
        stream.send(json.dumps({"finish": True}))
        assert rest(stream) == [{"dropped": {"absent": 0, "brief": 2, "duplicate": 1, "late": 1}}]
    assert found.metric('last_stream_dropped_total{reason="late"}') == 1
    assert found.metric("last_stream_frames_total") == 4


def test_a_frame_from_the_future_costs_others_nothing_and_the_stream_recovers(server: Running) -> None:
    with server.stream() as stream:
        stream.send(json.dumps({"settings": EAGER}))
        times = [number / 30 for number in range(20)] + [1e9] + [1 + number / 30 for number in range(60)]
        for time in times:
            stream.send(frame(time=time, body=1))
        stream.send(json.dumps({"finish": True}))
        kinds = [event.get("kind") for event in rest(stream)]
    assert kinds == ["start", "end", "start", "end", None]


def test_a_message_above_the_limit_closes_the_stream(server: Running) -> None:
    with server.stream(max_size=None) as stream:
        stream.send(" " * 300_000)
        assert rest(stream) == []
        assert stream.close_code == 1009


def test_a_stream_without_frames_is_closed(start: Starts) -> None:
    with start(timeout=0.2).stream() as stream:
        assert rest(stream) == []
        assert stream.close_code == 1008


def test_frames_that_come_faster_than_the_limit_are_all_used(start: Starts) -> None:
    found = start(frame_rate=100)
    with found.stream() as stream:
        for number in range(130):
            stream.send(frame(number))
        stream.send(json.dumps({"finish": True}))
        assert rest(stream)[-1] == {"dropped": {"absent": 0}}
    assert found.metric("last_stream_frames_total") == 130


@needs_addresses
def test_streams_are_limited_for_each_address_and_for_all_and_come_back(start: Starts) -> None:
    found = start(max_connections=3, max_per_address=2)

    def status(source: str) -> int:
        with pytest.raises(InvalidStatus) as refused, found.stream(source):
            pass
        return refused.value.response.status_code

    with found.stream("127.0.0.2"), found.stream("127.0.0.2"):
        assert status("127.0.0.2") == 429
        with found.stream("127.0.0.3"):
            assert status("127.0.0.4") == 503
    wait_until(lambda: found.gate.guard.streams.used == 0)
    with found.stream("127.0.0.2") as stream:
        stream.send(frame())
