from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.utils.yaml_text import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-1E5", -1e5),
        ("+.5e1", 5.0),
        ("4.0e-4", 0.0004),
        ("12", 12),
        ("1e-3x", "1e-3x"),
        ("e5", "e5"),
    ],
)
def test_numbers_with_an_exponent_are_floats(text: str, value: object) -> None:
    assert parse_yaml(text) == value
    assert type(parse_yaml(text)) is type(value)


def test_a_date_stays_the_text_that_it_is() -> None:
    assert parse_yaml("started: 2025-11-23") == {"started": "2025-11-23"}


def test_keys_are_the_text_that_stands_there() -> None:
    assert parse_yaml("1: a\non: b\n1e-3: c\n") == {"1": "a", "on": "b", "1e-3": "c"}


def test_nothing_is_none() -> None:
    assert parse_yaml("# only a comment\n") is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: &x [1]\nb: *x", "aliases"),
        ("a: &a [*a]", "aliases"),
        ("a: !!python/object/apply:os.system [x]", "tags"),
        ("a: !!bool maybe", "tags"),
        ("a: 1\nb:\n  c: 1\n  c: 2", "'c' stands twice"),
        ("? [a]\n: 1", "a key should be a word"),
        ("[" * 2_000, "nested too deeply"),
        ("a: " + "9" * 5_000, "digits"),
        ("a: 1\n---\nb: 2", "single document"),
        ("a: [1", "expected"),
        ("a: \0", "special characters"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("[", r"\[")):
        parse_yaml(text)


def test_a_few_lines_cannot_grow_beyond_memory() -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    doublings = (f"{new}: &{new} [*{old}, *{old}]" for old, new in pairwise(names))
    bomb = "\n".join(["a: &a [x, x]", *doublings])
    with pytest.raises(ValueError, match="aliases"):
        parse_yaml(bomb)


@given(st.text())
def test_any_text_is_read_or_refused_and_nothing_else_happens(text: str) -> None:
    with suppress(ValueError):
        parse_yaml(text)
