"""Labels of people have places of their own."""

import json
from itertools import combinations
from typing import Any

import pytest
from node_probes import ROOT, answer

PROGRAM = f"""
import {{ Labels }} from "{(ROOT / "demo/src/ui/labels.js").as_uri()}";
const drawn = [];
const context = {{
  measureText: (text) => ({{ width: 7 * text.length }}),
  roundRect: (left, top, width, height) => drawn.push({{ left, top, width, height }}),
  fillText: (text) => (drawn.at(-1).text = text),
  beginPath() {{}}, fill() {{}}, moveTo() {{}}, lineTo() {{}}, stroke() {{}},
}};
const labels = new Labels();
const pictures = JSON.parse(process.argv[1]).map(({{ area, people }}) => {{
  drawn.length = 0;
  labels.draw(context, people, area, 1, {{ ink: "black", background: "white" }});
  return [...drawn];
}});
console.log(JSON.stringify(pictures));
"""
PHONE = {"top": 40, "width": 340, "height": 320}


def person(number: int, x: float, y: float, text: str = "circle arms forwards") -> dict[str, Any]:
    return {"id": number, "number": str(number), "text": text, "x": x, "y": y}


def pictures(*given: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the labels that are drawn in each picture, one after the other."""
    found: list[list[dict[str, Any]]] = answer(PROGRAM, json.dumps(given))
    return found


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    apart = [
        one[start] + one[size] <= other[start] or other[start] + other[size] <= one[start]
        for start, size in (("left", "width"), ("top", "height"))
    ]
    return not any(apart)


@pytest.mark.parametrize("count", [2, 5, 20])
def test_no_label_covers_another_one_also_where_all_people_stand_together(count: int) -> None:
    people = [person(number, 150 + 10 * number, 150 + 3 * (number % 4)) for number in range(1, count + 1)]
    (found,) = pictures({"area": PHONE, "people": people})
    assert len(found) == count
    assert not any(overlap(one, other) for one, other in combinations(found, 2))
    for box in found:
        assert box["left"] >= 0 and box["left"] + box["width"] <= PHONE["width"]
        assert box["top"] >= PHONE["top"] and box["top"] + box["height"] <= PHONE["height"]


def test_where_there_is_no_room_for_all_actions_the_numbers_stay() -> None:
    area = {"top": 0, "width": 200, "height": 60}
    (found,) = pictures({"area": area, "people": [person(number, 100, 60) for number in range(1, 5)]})
    assert [box["text"] for box in found] == ["1", "2", "3", "4"]
    assert not any(overlap(one, other) for one, other in combinations(found, 2))


def test_a_label_that_has_room_is_right_above_its_person() -> None:
    (found,) = pictures({"area": PHONE, "people": [person(1, 80, 200, "kick"), person(2, 260, 200, "kick")]})
    assert [box["left"] + box["width"] / 2 for box in found] == [80, 260]
    assert all(170 < box["top"] + box["height"] < 200 for box in found)


def test_a_label_that_had_to_move_stays_there_while_its_own_place_is_barely_free() -> None:
    def people(distance: float) -> list[dict[str, Any]]:
        return [person(1, 100, 200, "kick"), person(2, 100 + distance, 200, "kick")]

    width = 7 * len("1  kick") + 14
    given = [{"area": PHONE, "people": people(width + more)} for more in (-5, 4, 30, 4)]
    tops = [picture[1]["top"] - picture[0]["top"] for picture in pictures(*given)]
    assert tops[0] == tops[1] != 0
    assert tops[2] == tops[3] == 0
