"""A stream in the page brings the events that `last.StreamRecognizer` brings for the same frames and probabilities."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_recognizer import CLASSES, FakeRecognizer, body
from node_probes import ROOT, answer

from last.live.settings import LiveSettings
from last.live.stream import StreamRecognizer
from last.skeleton import layout_facts

PROGRAM = f"""
import {{ readFile }} from "node:fs/promises";
import {{ StreamRecognizer }} from "{(ROOT / "demo/src/live/stream.js").as_uri()}";
import {{ DEFAULTS }} from "{(ROOT / "demo/src/live/settings.js").as_uri()}";

const {{ facts, settings, frames, table }} = JSON.parse(await readFile(process.argv[1], "utf8"));
const stream = new StreamRecognizer(facts, settings);
const events = [];
const seen = [];
for (const {{ bodies, ids, time }} of frames) {{
  const joints = bodies.map((each) => Float32Array.from(each.flat(), (value) => value ?? NaN));
  const {{ events: found, due }} = stream.accept(joints, ids, time);
  events.push(...found);
  for (const window of due) {{
    seen.push({{ dims: window.dims, data: [...window.data].map((value) => (Number.isNaN(value) ? null : value)) }});
    events.push(...stream.decide(window.name, window.time, Float32Array.from(table[seen.length - 1] ?? table.at(-1))));
  }}
}}
events.push(...stream.finish());
console.log(JSON.stringify({{ events, seen, dropped: stream.dropped, defaults: DEFAULTS }}));
"""
Frame = tuple[list[np.ndarray[Any, Any]], list[Any] | None, float]


def in_the_page(
    folder: Path, frames: list[Frame], table: Any, bodies: int, settings: dict[str, Any], **facts: Any
) -> Any:
    """Return what a stream in the page does with frames."""
    fake = FakeRecognizer(lambda _: [], bodies)
    described = {
        "classes": CLASSES, "layout": layout_facts(fake.facts.layout), "frame_rate": 30.0,
        "input": {"shape": ["clips", bodies, "frames", 17, 3]}, **facts,
    }  # fmt: skip
    listed = [{"bodies": [each.tolist() for each in there], "ids": ids, "time": time} for there, ids, time in frames]
    content = {"facts": described, "settings": settings, "frames": listed, "table": np.asarray(table).tolist()}
    (folder / "stream.json").write_text(json.dumps(content).replace("NaN", "null"))
    return answer(PROGRAM, folder / "stream.json")


def in_python(frames: list[Frame], table: Any, bodies: int, settings: dict[str, Any], **facts: Any) -> Any:
    """Return the same of `last.StreamRecognizer`: its events, what was classified, and what was dropped."""
    count = iter(range(10_000))
    fake = FakeRecognizer(lambda _: table[min(next(count), len(table) - 1)], bodies, **facts)
    stream = StreamRecognizer(fake, LiveSettings(**settings))
    events = []
    for there, ids, time in frames:
        if there:
            events += stream.push(np.stack(there), ids, time)
    return [asdict(event) for event in [*events, *stream.finish()]], fake.seen, stream.dropped


def probabilities(seed: int, count: int = 200) -> Any:
    """Return probabilities that stay near one class for a while, then near another."""
    generator = np.random.default_rng(seed)
    wanted = np.repeat(np.eye(3)[generator.integers(0, 3, count // 4)], 4, axis=0)
    mixed = 0.8 * wanted + 0.2 * generator.dirichlet([1, 1, 1], len(wanted))
    return mixed.astype(np.float32)


def walking(people: int, seed: int, ids: bool) -> list[Frame]:
    """Return frames of people who walk at an uneven rate, with missing joints, late frames and someone who leaves."""
    generator = np.random.default_rng(seed)
    times = np.cumsum(generator.choice([1 / 30, 1 / 15, 1 / 60], 240)).tolist()
    frames: list[Frame] = []
    for number, time in enumerate(times):
        there = [body(1.5 * person + 0.05 * np.sin(time), 1 + 0.3 * np.cos(2 * time)) for person in range(people)]
        if people > 1 and 100 < number < 160:
            there = there[:-1]
        for each in there:
            each[generator.integers(0, 17)] = np.nan
        given = [f"p{person}" for person in range(len(there))] if ids else None
        frames.append((there, given, time - (0.2 if number % 37 == 5 else 0.0)))
    return frames


@pytest.mark.parametrize(
    ("people", "bodies", "ids", "settings", "facts"),
    [
        (1, 1, True, {}, {}),
        (3, 1, False, {"smoothing": 0.0, "onset": 0.0, "offset": 0.1}, {}),
        (2, 2, True, {"window": 1.0, "every": 3}, {"calibration": {"thresholds": {"rise": 0.7, "wave": 0.6}}}),
        (3, 2, False, {"threshold": 0.4, "most_bodies": 2}, {"background": "still"}),
    ],
)
def test_the_page_finds_the_events_of_the_same_stream(
    tmp_path: Path, people: int, bodies: int, ids: bool, settings: dict[str, Any], facts: dict[str, Any]
) -> None:
    frames, table = walking(people, 3, ids), probabilities(people)
    events, seen, dropped = in_python(frames, table, bodies, settings, **facts)
    found = in_the_page(tmp_path, frames, table, bodies, settings, **facts)
    assert len(events) > 4
    assert len(found["seen"]) == len(seen)
    for given, wanted in zip(found["seen"], seen, strict=True):
        joints = np.array(given["data"], np.float32).reshape(given["dims"])[0]
        np.testing.assert_allclose(joints[: len(wanted)], wanted, atol=1e-6)
        assert np.isnan(joints[len(wanted) :]).all()
    assert len(found["events"]) == len(events)
    for given, wanted in zip(found["events"], events, strict=True):
        numbers = ("probability", "began", "time")
        assert {key: value for key, value in given.items() if key not in numbers} == {
            key: value for key, value in wanted.items() if key not in numbers
        }
        np.testing.assert_allclose([given[key] for key in numbers], [wanted[key] for key in numbers], atol=1e-5)
    assert {key: count for key, count in found["dropped"].items() if count} == dict(+dropped)


def test_the_settings_are_those_of_python(tmp_path: Path) -> None:
    found = in_the_page(tmp_path, [], [[0, 0, 0]], 1, {})
    assert found["defaults"] == asdict(LiveSettings())


def test_time_that_jumps_starts_the_stream_anew(tmp_path: Path) -> None:
    frames: list[Frame] = [([body()], ["a"], number / 30) for number in range(60)]
    frames += [([body()], ["a"], 100 + number / 30) for number in range(60)]
    frames += [([body()], ["a"], number / 30) for number in range(60)]
    table = [[0.9, 0.05, 0.05]]
    events, seen, dropped = in_python(frames, table, 1, {})
    found = in_the_page(tmp_path, frames, table, 1, {})
    assert [(each["kind"], each["label"]) for each in found["events"]] == [
        (each["kind"], each["label"]) for each in events
    ]
    assert len(found["seen"]) == len(seen)
    assert found["dropped"]["late"] == dropped["late"] > 0
