import re
from contextlib import suppress
from itertools import pairwise

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from last.utils import yaml_text
from last.utils.yaml_text import inline, parse_with_texts, parse_yaml, yaml_of

READERS = {reader.__name__: reader for reader in (getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader)}


@pytest.fixture(autouse=True, params=READERS)
def _reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read with libyaml, and as it is read where PyYAML was built without it."""
    monkeypatch.setattr(yaml_text, "_READER", READERS[request.param])


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
        ("010", 10),
        ("-08", -8),
        ("0.50", 0.5),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
    ],
)
def test_a_number_is_what_it_says_in_decimal_digits(text: str, value: object) -> None:
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
        ("a: 1\nb:\n  c: 1\n  c: 2", "'c' occurs twice"),
        ("? [a]\n: 1", "a key should be a word"),
        ("[" * 2_000, "nested too deeply"),
        ("a: " + "9" * 5_000, "digits"),
        ("a: 1\n---\nb: 2", "single document"),
        ("a: [1", "expected"),
        ("a: \0", "special characters"),
        ("a: \ud800", "special characters"),
        ('a: "\\ud800"', "line 1, column [47]: (it has an invalid character|.*invalid Unicode)"),
        ('a: "\\0"', "line 1, column 4: it has an invalid character"),
        ("- " * 70, "line 1, column 129: it is nested too deeply"),
        ("a:\n  b: [c\n", "line 2, column 6: while parsing a flow sequence"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint if "column" in complaint else re.escape(complaint)) as raised:
        parse_yaml(text)
    assert len(str(raised.value)) < 200
    assert "\n" not in str(raised.value)


def test_a_few_lines_cannot_grow_beyond_memory() -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    doublings = (f"{new}: &{new} [*{old}, *{old}]" for old, new in pairwise(names))
    bomb = "\n".join(["a: &a [x, x]", *doublings])
    with pytest.raises(ValueError, match="aliases"):
        parse_yaml(bomb)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters()))
def test_any_text_is_read_or_refused_and_nothing_else_happens(text: str) -> None:
    with suppress(ValueError):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["0x10", "0b11", "0o17", "1_000", "1:30", "1:30.5", "1_0.5", "١٢", "1e", "+"])
def test_what_yaml_counts_in_another_way_stays_a_text(text: str) -> None:
    assert parse_with_texts(f"a: {text}") == ({"a": text}, {"a": text})


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**90), 10**90) | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_VALUES)
def test_what_is_written_is_read_back(values: object) -> None:
    written = yaml_of({"a": values})
    with suppress(ValueError):  # a text with NUL, or one that YAML forbids
        assert repr(parse_yaml(written)) == repr({"a": values})


@pytest.mark.parametrize(
    ("value", "text"),
    [("kl", "kl"), ("", '""'), ("010", '"010"'), ("a: b", '"a: b"'), ([1, "it's"], '[1, "it\'s"]'), (None, "null")],
)
def test_a_value_in_one_line_has_quotes_where_it_needs_them(value: object, text: str) -> None:
    assert inline(value) == text
    assert parse_yaml(text) == value
