"""What a search varies: ranges and lists of values, and the candidates drawn from them."""

from itertools import islice
from typing import Any

import pytest

from last.experiments.search.space import SearchedSetting, draw, searched_setting, split_setting, values_of
from last.utils.errors import UserError
from last.utils.yaml_text import decimal


def as_written(_: str, text: str) -> Any:
    return decimal(text)


def setting(text: str) -> SearchedSetting:
    return searched_setting(*split_setting(text), as_written)


def values(searched: SearchedSetting, count: int = 200) -> list[str]:
    return [searched.value_at((number + 0.5) / count) for number in range(count)]


def test_a_range_has_both_ends_and_nothing_beyond() -> None:
    searched = setting("data.augment.mix_add=0..0.6")
    assert (searched.value_at(0), searched.value_at(1)) == ("0", "0.6")
    assert all(0 <= float(each) <= 0.6 for each in values(searched))


def test_a_wide_range_of_positive_numbers_is_drawn_by_ratio() -> None:
    assert float(setting("learning_rate=0.001..0.1").value_at(0.5)) == pytest.approx(0.01)
    assert float(setting("learning_rate=0.1..0.8").value_at(0.5)) == pytest.approx(0.45)
    assert float(setting("learning_rate=0.1..0.4:log").value_at(0.5)) == pytest.approx(0.2)
    assert float(setting("learning_rate=0.001..0.1:linear").value_at(0.5)) == pytest.approx(0.0505)


@pytest.mark.parametrize(
    ("text", "between"),
    [
        ("ema.decay=0.999..0.9999", (0.9994, 0.9996)),
        ("ema.decay=0.99..0.9999", (0.999, 0.9999)),
        ("ema.decay=0.99..0.9999:log", (0.999, 0.9999)),
        ("learning_rate=1000.1..1000.2", (1000.15, 1000.16)),
    ],
)
def test_a_narrow_range_far_from_zero_is_drawn_as_evenly_as_any_other(text: str, between: tuple[float, float]) -> None:
    searched = setting(text)
    found = values(searched, 1000)
    expected = (between[1] - between[0]) / (searched.high - searched.low)
    assert sum(between[0] <= float(each) < between[1] for each in found) / 1000 == pytest.approx(expected, abs=0.01)
    assert len(set(found)) >= 90


def test_drawn_numbers_are_short_and_the_ends_as_they_were_given() -> None:
    assert setting("learning_rate=0.05..0.8:linear").value_at(0.65432) == "0.541"
    assert setting("ema.decay=0.99..0.9999").value_at(0.5432) == "0.99538"
    assert max(map(len, values(setting("learning_rate=0.001..0.1"), 1000))) <= len("0.00123")
    precise = setting("ema.decay=0.123456789..0.1234568")
    assert (precise.value_at(0), precise.value_at(1)) == ("0.123456789", "0.1234568")
    assert precise.text() == "ema.decay: 0.123456789 to 0.1234568"


def test_whole_numbers_stay_whole_and_each_is_drawn_equally_often() -> None:
    searched = setting("warmup_epochs=2..5")
    found = values(searched)
    assert {each: found.count(each) for each in sorted(set(found))} == {"2": 50, "3": 50, "4": 50, "5": 50}
    assert set(values(setting("batch_size=1..64"))) >= {"1", "2", "4", "8", "16", "32", "64"}


def test_the_values_of_a_list_are_drawn_equally_often_and_may_have_brackets() -> None:
    found = values(setting("optimizer=sgd,adamw"))
    assert (found.count("sgd"), found.count("adamw")) == (100, 100)
    assert values_of("[20,60,10], [], {a: 1, b: 2}") == ["[20,60,10]", "[]", "{a: 1, b: 2}"]


def test_candidates_are_always_the_same_and_cover_every_part_of_each_range() -> None:
    settings = [setting("a=0.0..0.999"), setting("b=0.0..0.999"), setting("c=x,y")]
    found = list(islice(draw(settings), 30))
    assert found == list(islice(draw(settings), 30))
    for key in "ab":
        assert {int(float(each[key]) * 10) for each in found} == set(range(10)), "each tenth of a range has some"
    assert 12 <= sum(each["c"] == "x" for each in found) <= 18


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate", "should look like --search learning_rate="),
        ("=1..2", "should look like"),
        ("learning_rate=", "should look like"),
        ("learning_rate=0.8..0.05", r"the range is reversed: write 0\.05\.\.0\.8"),
        ("learning_rate=0.1..0.1", "the range is empty"),
        ("learning_rate=low..high", "ends of a range should be numbers"),
        ("learning_rate=0..inf", "ends of a range should be numbers"),
        ("learning_rate=0.1", "has one value. Set it with --set"),
        ("optimizer=sgd,sgd", "has a value twice"),
        ("data.augment.mix_add=0..0.6:log", "begins above 0"),
    ],
)
def test_what_is_no_range_and_no_list_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        setting(text)


def test_a_range_of_a_text_or_a_switch_is_refused() -> None:
    for value in ("sgd", True, [1]):
        with pytest.raises(UserError, match="a range is of numbers, and key is none"):
            searched_setting("key", "0..1", lambda *_, value=value: value)  # type: ignore[misc]
