"""The timeline of the page holds each event once, however often a recording is played."""

import json
from typing import Any

from node_probes import ROOT, answer

PROGRAM = f"""
class Node {{
  constructor() {{
    Object.assign(this, {{ children: [], attributes: {{}}, style: {{}}, classList: {{ toggle() {{}} }} }});
  }}
  append(...children) {{ this.children.push(...children); }}
  replaceChildren(...children) {{ this.children = children; }}
  setAttribute(name, value) {{ this.attributes[name] = value; }}
}}
globalThis.document = {{ createElement: () => new Node(), getElementById: () => new Node() }};
const {{ Timeline }} = await import("{(ROOT / "demo/src/ui/timeline.js").as_uri()}");
const timeline = new Timeline(() => {{}});
timeline.clear(60, ["walk", "kick"]);
for (const {{ close, move, ...event }} of JSON.parse(process.argv[1])) {{
  if (close !== undefined) timeline.close(close);
  else if (move !== undefined) timeline.move(move);
  else timeline.add(event);
}}
console.log(JSON.stringify({{
  spans: timeline.spans.map(({{ body, label, began, ended }}) => [body, label, began, ended]),
  lanes: timeline.lanes.children.map(({{ attributes }}) => attributes["data-body"]).filter(Number.isInteger),
  rest: timeline.rest.textContent,
}}));
"""


def started(label: str, began: float, body: int = 1) -> dict[str, Any]:
    return {"kind": "start", "body": body, "label": label, "began": began, "time": began + 0.2, "probability": 0.9}


def ended(label: str, began: float, time: float, body: int = 1) -> dict[str, Any]:
    return {"kind": "end", "body": body, "label": label, "began": began, "time": time, "probability": 0.9}


def shown(*events: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer(PROGRAM, json.dumps(events))
    return found


WALK = [started("walk", 1.0), ended("walk", 1.0, 4.0)]
KICK = [started("kick", 3.8), ended("kick", 3.8, 6.0)]
ANEW = {"close": 10.0}  # the recording begins again


def test_a_recording_that_is_played_twice_has_each_event_once() -> None:
    once = shown(*WALK, *KICK)["spans"]
    assert once == [[1, "walk", 1.0, 4.0], [1, "kick", 3.8, 6.0]]
    assert shown(*WALK, *KICK, ANEW, *WALK, *KICK)["spans"] == once
    assert shown(*WALK, *KICK, ANEW, *WALK)["spans"] == once


def test_an_event_that_is_longer_the_second_time_replaces_all_that_it_covers() -> None:
    longer = [started("walk", 1.2), ended("walk", 1.2, 6.5)]
    assert shown(*WALK, *KICK, ANEW, *longer)["spans"] == [[1, "walk", 1.2, 6.5]]


def test_an_event_that_goes_on_replaces_what_was_there_as_the_time_comes_to_it() -> None:
    assert shown(*KICK, ANEW, started("walk", 3.0), {"move": 3.6})["spans"] == [
        [1, "walk", 3.0, None],
        *shown(*KICK)["spans"],
    ]
    assert shown(*KICK, ANEW, started("walk", 3.0), {"move": 3.9})["spans"] == [[1, "walk", 3.0, None]]


def test_events_of_other_people_and_other_times_stay() -> None:
    other = [started("walk", 1.0, body=2), ended("walk", 1.0, 4.0, body=2)]
    late = [started("walk", 20.0), ended("walk", 20.0, 23.0)]
    found = shown(*WALK, *other, *late, ANEW, *WALK)["spans"]
    assert sorted(found) == [[1, "walk", 1.0, 4.0], [1, "walk", 20.0, 23.0], [2, "walk", 1.0, 4.0]]


def test_an_event_ends_where_the_time_jumps() -> None:
    assert shown(started("walk", 1.0), {"close": 2.5})["spans"] == [[1, "walk", 1.0, 2.5]]


def test_people_are_drawn_in_the_order_of_their_numbers_and_the_others_are_named() -> None:
    found = shown(*(started("walk", 1.0, body) for body in (10, 2, 11, 1, 3, 4, 12, 5)))
    assert found["lanes"] == [1, 2, 3, 4, 5, 10]
    assert found["rest"] == "Not drawn here, but listed: person 11, 12"
