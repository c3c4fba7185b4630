"""Names in one Unicode form, and the nearest known one."""

import pytest

from last.utils.names import alike, contrast, normal_form, sharing_a_file, suggestion


def test_an_accented_letter_is_one_character() -> None:
    assert normal_form("e\u0301te\u0301") == "\u00e9t\u00e9"


def test_names_that_differ_in_case_or_accents_are_paired_with_the_first_of_them() -> None:
    assert alike(["Wave", "clap", "wave", "w\u00e0ve", "Wave"]) == [("Wave", "wave"), ("Wave", "w\u00e0ve")]
    assert alike(["wave", "waves"]) == []


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a", "b", "c"], ""),
        (["b", "a", "c"], " (in another order)"),
        (["a", "b"], " (without c)"),
        (["a", "b", "c", "d"], " (with d)"),
        (["k", "l", "m", "n", "c"], " (with k, l, m and 1 more, without a, b)"),
    ],
)
def test_a_list_of_names_is_told_from_another_by_what_it_adds_and_lacks(names: list[str], text: str) -> None:
    assert contrast(names, ["a", "b", "c"]) == text


@pytest.mark.parametrize(("name", "near"), [("wvae", " Did you mean 'wave'?"), ("jump", ""), ("wave" * 50, "")])
def test_a_near_name_is_suggested_and_no_other(name: str, near: str) -> None:
    assert suggestion(name, ["wave", "clap"]) == near


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (["a/b", "c", "a_b"], ("a/b", "a_b")),
        (["xsub", "XSub"], ("xsub", "XSub")),
        (["a/b", "a/b", "a-b"], None),
        ([], None),
    ],
)
def test_different_names_that_would_give_one_file_are_found(names: list[str], pair: tuple[str, str] | None) -> None:
    assert sharing_a_file(names) == pair
