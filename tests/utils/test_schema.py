import math
from dataclasses import fields, make_dataclass

import pytest

from last.utils.schema import broken_limit, setting


def limits_of(**limits: object) -> dict[str, object]:
    made = make_dataclass("Made", [("value", object, setting(None, **limits))])
    return dict(fields(made)[0].metadata)


@pytest.mark.parametrize(
    ("limits", "good", "bad", "wanted"),
    [
        ({"minimum": 1}, 1, 0, "at least 1"),
        ({"above": 0.0}, 0.1, 0.0, "above 0.0"),
        ({"maximum": 2}, 2, 3, "at most 2"),
        ({"choices": ("a", "b")}, "b", "c", "one of a, b"),
    ],
)
def test_a_limit_holds_at_its_edge_and_names_itself_beyond(
    limits: dict[str, object], good: object, bad: object, wanted: str
) -> None:
    assert broken_limit(good, limits_of(**limits)) == ""
    assert broken_limit(bad, limits_of(**limits)) == wanted


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_even_without_limits(value: float) -> None:
    assert broken_limit(value, {}) == "a finite number"


def test_each_element_of_a_list_keeps_the_limits() -> None:
    limits = limits_of(minimum=0.0)
    assert broken_limit([0.0, 1.0], limits) == ""
    assert broken_limit([1.0, -1.0], limits) == "a list, each element at least 0.0"
    assert broken_limit([1.0, math.nan], limits) == "a list, each element a finite number"


def test_a_list_keeps_one_of_the_lengths_allowed() -> None:
    limits = limits_of(lengths=(0, 3))
    assert broken_limit([], limits) == broken_limit([1.0, 2.0, 3.0], limits) == ""
    assert broken_limit([1.0, 2.0], limits) == "a list of 0 or 3 elements"


def test_a_default_list_is_copied_for_every_configuration() -> None:
    made = make_dataclass("Made", [("value", list, setting([1.0]))])
    made().value.append(2.0)
    assert made().value == [1.0]


def test_a_value_that_may_be_absent_breaks_no_limit() -> None:
    assert broken_limit(None, limits_of(minimum=1)) == ""


def test_a_setting_without_limits_keeps_none() -> None:
    assert limits_of() == {}
