"""Mean and deviation, as text and in JSON."""

import math

import pytest

from last.utils.spread import MeanDeviation, finite_or_none


def test_the_deviation_is_that_of_a_sample() -> None:
    assert MeanDeviation.of([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))


@pytest.mark.parametrize(
    ("values", "text", "facts"),
    [
        ([93.0, 94.0], "93.50 ± 0.71", {"mean": 93.5, "standard_deviation": pytest.approx(math.sqrt(0.5))}),
        ([93.0], "93.00", {"mean": 93.0, "standard_deviation": None}),
        ([], "-", {"mean": None, "standard_deviation": None}),
        ([93.0, math.nan], "-", {"mean": None, "standard_deviation": None}),
    ],
)
def test_what_is_unknown_is_left_out(values: list[float], text: str, facts: dict[str, object]) -> None:
    found = MeanDeviation.of(values)
    assert (str(found), found.facts(), found.known) == (text, facts, text != "-")


def test_a_gain_has_its_sign() -> None:
    assert MeanDeviation(0.5, 0.1).text("+") == "+0.50 ± 0.10"


def test_json_has_no_infinite_number() -> None:
    assert (finite_or_none(1.0), finite_or_none(math.inf)) == (1.0, None)
