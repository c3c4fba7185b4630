from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from config_schema import Loader, Protocol, Run, merged, problems, written
from hypothesis import given, settings
from hypothesis import strategies as st

from last.utils.config import (
    Layer,
    config_folder,
    file_layer,
    merge,
    named_layer,
    override_layer,
    read_yaml,
    to_yaml,
)
from last.utils.errors import UserError
from last.utils.yaml_text import parse_yaml

# --- merging


def test_nothing_given_leaves_the_defaults() -> None:
    assert merged() == Run()


def test_a_later_layer_wins_key_by_key() -> None:
    low = Layer("low", {"epochs": 5, "loader": {"workers": 2, "kind": "fast"}})
    high = Layer("high", {"epochs": 9, "loader": {"workers": 4}})
    assert merged(low, high) == Run(epochs=9, loader=Loader(4, "fast"))


def test_a_list_replaces_the_list_below_it() -> None:
    assert merged(Layer("file", {"angles": [3]})).angles == [3.0]


def test_sections_under_free_names_are_added_and_merged() -> None:
    low = Layer("low", {"protocols": {"xsub": {"train": [1, 2]}}})
    high = Layer("high", {"protocols": {"view.1": {"train": [3]}, "xsub": {}}})
    assert merged(low, high).protocols == {"xsub": Protocol([1, 2]), "view.1": Protocol([3])}


def test_a_section_whose_lines_are_all_commented_out_changes_nothing() -> None:
    assert merged(Layer("file", {"loader": None})) == Run()


def test_an_optional_value_can_be_taken_away() -> None:
    assert merged(Layer("low", {"limit": 3}), Layer("high", {"limit": None})).limit is None


def test_the_defaults_given_are_not_changed() -> None:
    defaults = Run()
    merge(defaults, [Layer("file", {"angles": [9], "loader": {"workers": 1}})])
    assert defaults == Run()


# --- refusing


def test_an_unknown_key_is_reported_with_file_key_value_and_the_nearest_known_one() -> None:
    message = problems(Layer("my.yaml", {"loader": {"wrokers": 3}}))
    assert "my.yaml: loader.wrokers: unknown key (its value is 3). Did you mean 'workers'?" in message


def test_a_key_in_another_section_is_named_with_its_section() -> None:
    assert "workers: unknown key (its value is 3). Did you mean 'loader.workers'?" in problems(
        Layer("my.yaml", {"workers": 3})
    )
    assert "loader.epochs: unknown key (its value is 3). Did you mean 'epochs'?" in problems(
        Layer("my.yaml", {"loader": {"epochs": 3}})
    )


def test_an_unknown_key_that_resembles_none_is_reported_with_all_known_ones() -> None:
    assert "Known here: workers, kind." in problems(Layer("my.yaml", {"loader": {"zzz": 3}}))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("epochs", "many", "'many' should be a whole number"),
        ("epochs", 1.5, "1.5 should be a whole number"),
        ("epochs", True, "True should be a whole number"),
        ("epochs", None, "no value is given, and it should be a whole number"),
        ("epochs", [1], "[1] should be a whole number"),
        ("rate", "fast", "'fast' should be a number"),
        ("name", {"a": 1}, "{'a': 1} should be text"),
        ("amp", "maybe", "'maybe' should be true or false"),
        ("angles", 5, "5 should be a list, each element a number"),
        ("angles", ["a"], "['a'] should be a list, each element a number"),
        ("angles", {"a": 1}, "{'a': 1} should be a list, each element a number"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(key: str, value: object, expected: str) -> None:
    assert f"my.yaml: {key}: {expected}" in problems(Layer("my.yaml", {key: value}))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("epochs", 0, "0 should be at least 1"),
        ("rate", 0.0, "0.0 should be above 0.0"),
        ("rate", float("nan"), "nan should be a finite number"),
        ("angles", [float("inf")], "[inf] should be a list, each element a finite number"),
    ],
)
def test_an_impossible_value_is_refused(key: str, value: object, expected: str) -> None:
    assert f"my.yaml: {key}: {expected}" in problems(Layer("my.yaml", {key: value}))


def test_an_impossible_word_is_refused_with_the_possible_ones() -> None:
    message = problems(Layer("my.yaml", {"loader": {"kind": "slow"}}))
    assert "loader.kind: 'slow' should be one of auto, fast." in message


def test_a_single_value_cannot_stand_for_a_section() -> None:
    message = problems(Layer("my.yaml", {"loader": 3, "protocols": 4}))
    assert "loader: is a section with the keys workers, kind, not the single value 3" in message
    assert "protocols: should be a mapping of names to sections, not 4" in message


def test_all_problems_of_all_layers_are_reported_at_once() -> None:
    message = problems(
        Layer("one.yaml", {"epoch": 1, "loader": {"workers": 99}}),
        Layer("--set", {"rate": "x", "protocols": {"xsub": {"trian": 1}}}),
    )
    assert message.count("\n") == 4
    for part in (
        "one.yaml: epoch:",
        "one.yaml: loader.workers:",
        "--set: rate:",
        "--set: protocols.xsub.trian:",
    ):
        assert part in message


@pytest.mark.parametrize("text", ["0x10", "1_000", "1:30", "0b11"])
def test_a_number_that_is_not_written_in_decimal_digits_is_refused(text: str) -> None:
    for key in ("epochs", "rate", "limit"):
        assert f"--set: {key}: '{text}' should be a" in (message := problems(override_layer([f"{key}={text}"])))
        assert "in decimal digits" in message


def test_leading_zeros_do_not_change_a_number() -> None:
    assert merged(override_layer(["epochs=010", "limit=08", "angles=[007, 09]"])) == Run(
        epochs=10, limit=8, angles=[7.0, 9.0]
    )


@pytest.mark.parametrize("value", ["caf\udce9", "a\0b"])
def test_what_is_no_text_is_refused_wherever_it_stands(value: str) -> None:
    for values in ({"name": value}, {"names": ["a", value]}, {"rate": value}):
        assert "should be UTF-8 text" in problems(Layer("a checkpoint", values))
    assert "should be UTF-8 text" in problems(Layer("a checkpoint", {"protocols": {value: {}}}))


@pytest.mark.parametrize("value", [10**99, -(10**99), 1e308])
def test_a_number_that_no_field_can_have_is_refused_and_nothing_else_happens(value: float) -> None:
    for key in ("epochs", "rate", "limit", "angles"):
        with suppress(UserError):
            merge(Run(), [Layer("file", {key: [value] if key == "angles" else value})])


def test_of_very_many_problems_the_first_are_reported() -> None:
    message = problems(Layer("my.yaml", {f"key{number}": number for number in range(10_000)}))
    assert message.count("\n") == 31
    assert message.endswith("my.yaml: there may be more problems.")


@pytest.mark.parametrize(
    "quote",
    [
        lambda long: merged(Layer("my.yaml", {long: 1})),
        lambda long: override_layer([long]),
        lambda long: override_layer([f"a=[{long}"]),
        lambda long: named_layer("data", long, "dataset"),
    ],
)
def test_what_a_message_quotes_is_cut(quote: Callable[[str], object]) -> None:
    with pytest.raises(UserError) as raised:
        quote("x" * 100_000)
    assert len(str(raised.value)) < 400


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(problems(Layer("my.yaml", {"epochs": "x" * 10_000}))) < 300


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "${epochs}", "a ${bad", "???"])
@pytest.mark.parametrize("key", ["name", "angles"])
def test_a_value_that_stands_for_another_is_refused(key: str, value: str) -> None:
    assert "should be written out" in problems(Layer("my.yaml", {key: [value] if key == "angles" else value}))


# --- files


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "# nothing yet\n")) == {}


def test_a_number_with_an_exponent_reaches_its_field_as_a_float(tmp_path: Path) -> None:
    assert merged(file_layer(written(tmp_path, "rate: 1e-3\n"))).rate == 0.001


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "\ufeffepochs: 3\n")) == {"epochs": 3}


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "just words\n", "5\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"recipe.yaml should hold `key: value` lines"):
        read_yaml(written(tmp_path, text))


def test_a_file_that_is_not_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"recipe.yaml is not valid YAML(.|\n)*line 2"):
        read_yaml(written(tmp_path, "epochs: 3\nrate: [1\n"))


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\x80\x02\xff\xfe")
    with pytest.raises(UserError, match="not valid YAML"):
        read_yaml(path)


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too large for a configuration"):
        read_yaml(written(tmp_path, "a: 1\n" * 300_000))


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot read the configuration .*absent.yaml"):
        read_yaml(tmp_path / "absent.yaml")
    with pytest.raises(UserError, match="Cannot read the configuration"):
        read_yaml(tmp_path)


def test_every_file_of_the_package_can_be_read() -> None:
    files = sorted(config_folder().glob("*/*.yaml"))
    assert files
    for path in files:
        assert read_yaml(path), path


# --- round trip

_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="$?"), max_size=20)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=30)
@given(
    st.builds(
        Run,
        epochs=st.integers(1, 10**9),
        rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        name=_WORDS,
        amp=st.booleans(),
        limit=st.none() | st.integers(),
        angles=st.lists(_NUMBERS, max_size=3),
        loader=st.builds(Loader, st.integers(0, 8), st.sampled_from(["auto", "fast"])),
        protocols=st.dictionaries(_WORDS, st.builds(Protocol, st.lists(st.integers())), max_size=2),
    )
)
def test_a_saved_configuration_is_read_back_to_the_same_values(run: Run) -> None:
    assert merged(Layer("config.yaml", parse_yaml(to_yaml(run)))) == run
