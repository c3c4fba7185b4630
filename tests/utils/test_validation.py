"""The valid values of a configuration, and the errors for others."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt

from last.experiments.config import resolve
from last.models.registry import family_config
from last.settings.run import RunConfig
from last.utils.config import Layer, merge, override_layer
from last.utils.dotted_keys import set_nested
from last.utils.errors import UserError
from last.utils.limits import Lengths, annotations_of
from last.utils.validation import validated


@dataclass
class Base:
    name: str = ""


@dataclass
class Family(Base):
    width: Annotated[int, Interval(ge=1, le=64)] = 8


@dataclass
class Settings:
    least: Annotated[int, Ge(1)] = 1
    above: Annotated[float, Gt(0.0)] = 1.0
    most: Annotated[int, Le(2)] = 2
    below: Annotated[int, Lt(2)] = 1
    word: Literal["a", "b"] = "a"
    words: list[Literal["a", "b"]] = field(default_factory=list)
    maybe: Annotated[int, Ge(1)] | None = None
    rate: float = 0.0
    on: bool = False
    text: str = ""
    each: list[Annotated[float, Ge(0.0)]] = field(default_factory=list)
    three: Annotated[list[float], Lengths((0, 3))] = field(default_factory=list)
    shares: dict[str, Annotated[float, Interval(ge=0.0, le=1.0)]] = field(default_factory=dict)
    model: Base = field(default_factory=Base)


def merged(**values: Any) -> Settings:
    return merge(Settings(), [Layer("my.yaml", values)])


def problem(**values: Any) -> str:
    with pytest.raises(UserError) as raised:
        merged(**values)
    return str(raised.value)


@pytest.mark.parametrize(
    ("key", "good", "bad", "wanted"),
    [
        ("least", 1, 0, "0 should be at least 1."),
        ("above", 0.1, 0.0, "0.0 should be above 0.0."),
        ("most", 2, 3, "3 should be at most 2."),
        ("below", 1, 2, "2 should be below 2."),
        ("word", "b", "c", "'c' should be one of a, b."),
        ("words", ["b"], ["c"], "['c'] should be a list, each element one of a, b."),
        ("maybe", 1, 0, "0 should be at least 1."),
    ],
)
def test_a_limit_holds_at_its_edge_and_names_itself_beyond(key: str, good: object, bad: object, wanted: str) -> None:
    assert getattr(merged(**{key: good}), key) == good
    assert f"my.yaml: {key}: {wanted}" in problem(**{key: bad})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_even_without_limits(value: float) -> None:
    assert f"rate: {value} should be a finite number." in problem(rate=value)


def test_each_element_of_a_list_keeps_the_limits() -> None:
    assert merged(each=[0.0, 1.0]).each == [0.0, 1.0]
    assert "each: [1.0, -1.0] should be a list, each element at least 0.0." in problem(each=[1.0, -1.0])
    assert "each: [1.0, nan] should be a list, each element a finite number." in problem(each=[1.0, math.nan])


def test_each_value_of_a_mapping_keeps_the_limits() -> None:
    assert merged(shares={"a": 1}).shares == {"a": 1.0}
    assert "shares: {'a': 1, 'b': 2} should be a mapping, each value at most 1.0." in problem(shares={"a": 1, "b": 2})


def test_a_list_keeps_one_of_the_lengths_allowed() -> None:
    assert merged(three=[]).three == []
    assert merged(three=[1.0, 2.0, 3.0]).three == [1.0, 2.0, 3.0]
    assert "three: [1.0, 2.0] should be a list of 0 or 3 elements." in problem(three=[1.0, 2.0])


def test_a_default_list_is_copied_for_every_configuration() -> None:
    merged().each.append(2.0)
    assert merged().each == []


def test_a_value_that_may_be_absent_breaks_no_limit() -> None:
    assert merged(maybe=None).maybe is None


def test_a_whole_number_is_a_float_where_one_is_needed() -> None:
    assert isinstance(merged(rate=3).rate, float)


def test_a_tuple_is_a_list_as_callers_from_python_write_it() -> None:
    assert merged(each=(1, 2)).each == [1.0, 2.0]


@pytest.mark.parametrize("value", ["yes", "true", "1", 1, 0, 1.0])
def test_only_a_bool_is_a_bool(value: object) -> None:
    assert f"on: {value!r} should be true or false." in problem(on=value)


@pytest.mark.parametrize("value", [True, 1, 1.0])
def test_only_a_text_is_a_text(value: object) -> None:
    assert f"text: {value!r} should be text." in problem(text=value)


def test_a_word_of_several_is_taken_as_it_is_written() -> None:
    with pytest.raises(UserError, match=r"--set: word: 'no' should be one of a, b\."):
        merge(Settings(), [override_layer(["word=no"])])


@pytest.mark.parametrize(
    ("value", "shown"), [([1], "[1]"), (None, "no value is given, and it"), ({"a": 1}, "{'a': 1}")]
)
def test_what_is_no_word_is_refused_by_its_type(value: object, shown: str) -> None:
    assert f"word: {shown} should be text." in problem(word=value)


def test_a_section_has_the_keys_of_what_stands_there() -> None:
    settings = merge(Settings(model=Family()), [Layer("my.yaml", {"model": {"width": 9}})])
    assert settings.model == Family(width=9)
    assert "model.width: unknown key" in problem(model={"width": 9})


def test_of_the_wrong_elements_of_a_list_one_is_reported() -> None:
    assert problem(each=["a", "b", "c"]).count("\n") == 1


@pytest.mark.parametrize("name", [1, "a\0b"])
def test_a_name_that_is_no_text_is_refused(name: object) -> None:
    assert f"shares.{name}: a name should be UTF-8 text." in problem(shares={name: 1.0})


def test_a_word_of_yaml_that_means_true_is_quoted_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("epochs: yes\n")
    with pytest.raises(UserError, match="epochs: 'yes' should be a whole number"):
        resolve(recipe=str(tmp_path / "own.yaml"), model="nano_e", dataset="synthetic", environment="local")


def test_errors_have_the_annotations_as_people_write_them(tmp_path: Path) -> None:
    found = problem(maybe="x", shares=1, words=1, each=1)
    for name in (
        "a whole number or nothing",
        "a mapping of names, each value a number",
        "a list, each element text",
        "a list, each element a number",
    ):
        assert f"should be {name}." in found


def test_an_unknown_key_of_a_large_section_is_refused_with_a_few_of_its_keys() -> None:
    kind = make_dataclass("Large", [(f"key_{number}", int, 0) for number in range(40)])
    with pytest.raises(UserError) as refused:
        merge(kind(), [Layer("mine", {"zzz": 1, "<<": {"a": 1}})])
    message = str(refused.value)
    assert "key_11 and 28 more." in message and "key_12" not in message
    assert "YAML's merging of mappings has no meaning here" in message


def test_types_have_the_same_names_in_messages_as_in_the_comments_of_the_configurations() -> None:
    folder = Path(__file__).parents[2] / "configs"
    comments = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*/default.yaml"))
    assert not re.search(r"# (yes or no|word|str|int|bool|float)\b", comments)
    for name in ("true or false", "text", "whole number"):
        assert f"# {name};" in comments or f"# a {name};" in comments


def fields_of(section: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield the path, the annotation and the default of each setting of a configuration, section by section."""
    for name, annotation in annotations_of(section).items():
        value = getattr(section, name)
        if is_dataclass(value):
            yield from fields_of(value, (*path, name))
        else:
            yield (*path, name), annotation, value


def takes_numbers(annotation: Any) -> bool:
    """Tell whether a setting is a number, or a list of numbers, and cannot be a text."""
    if get_origin(annotation) is dict or str in get_args(annotation):
        return False
    return annotation in (int, float) or any(takes_numbers(part) for part in get_args(annotation))


@pytest.mark.parametrize("family", ["last_e", "last_v2"])
def test_a_number_in_quotes_is_refused_by_every_setting_that_is_one(family: str) -> None:
    config = replace(RunConfig(), model=family_config(family))
    quoted: dict[str, Any] = {}
    numbers = {path: value for path, annotation, value in fields_of(config) if takes_numbers(annotation)}
    for path, value in numbers.items():
        set_nested(quoted, path, ["30"] if isinstance(value, list) else "30")
    assert len(numbers) > 60
    problems = {tuple(path): problem for path, problem in validated(config, quoted, quoted)[1]}
    assert set(problems) == set(numbers)
    assert all(problem.endswith(", without quotes.") for problem in problems.values())


def test_a_text_of_digits_stays_one_where_a_text_is_wanted() -> None:
    assert merged(text="30").text == "30"
