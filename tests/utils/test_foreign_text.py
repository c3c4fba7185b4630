import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.utils.errors import UserError
from last.utils.foreign_text import are_characters, harmless, is_readable, printable, readable, shortened

ANY_TEXT = st.text(st.characters())  # halves of characters and control characters too


@given(ANY_TEXT)
def test_no_text_steers_a_terminal_or_breaks_its_encoding(text: str) -> None:
    assert all(line.isprintable() for line in harmless(text).split("\n"))
    assert printable(text).isprintable()
    harmless(text).encode()


@given(ANY_TEXT)
def test_a_text_that_is_fit_to_be_shown_stays_as_it_is(text: str) -> None:
    assert harmless(harmless(text)) == harmless(text)


@given(ANY_TEXT)
def test_every_text_can_be_made_one_that_a_file_holds(text: str) -> None:
    assert readable(text).encode().decode() == readable(text)
    assert (readable(text) == text) == is_readable(text.replace("\0", ""))


@given(ANY_TEXT, st.sampled_from(["<", ">"]))
def test_an_array_of_text_is_judged_as_a_text_is(text: str, byte_order: str) -> None:
    array = np.array([text, "x"], f"{byte_order}U{len(text) + 1}")
    judged = are_characters(array.tobytes(), array.dtype.byteorder)
    assert judged == is_readable(text.replace("\0", ""))
    assert are_characters(array.astype(f"=U{len(text) + 1}").tobytes(), "=") == judged


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize(
    ("code", "whole"),
    [
        *((0, True), (0xD7FF, True), (0xD800, False), (0xDFFF, False), (0xE000, True), (0xFEFF, True), (0xFFFE, True)),
        *((0x10FFFF, True), (0x110000, False), (2**32 - 1, False)),
    ],
)
def test_every_number_beyond_the_characters_and_between_them_is_none(code: int, whole: bool, byte_order: str) -> None:
    assert are_characters(np.array([65, code, 66], f"{byte_order}u4").tobytes(), byte_order) == whole


def test_names_in_other_scripts_stay() -> None:
    for name in ("写字", "ходьба", "marcher à pied", "👋"):
        assert printable(name) == harmless(name) == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "?]0;title?"),
        ("a\rb\tc", "a b c"),
        ("\u202eabc", "?abc"),
        (b"caf\xe9".decode(errors="surrogateescape"), "caf\\udce9"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_what_acts_on_a_terminal_is_written_out_or_replaced(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_a_message_that_quotes_something_long_keeps_its_beginning_and_its_end() -> None:
    message = str(UserError(f"The key {'x' * 100_000} is unknown. Remove it."))
    assert len(message) < 1_100
    assert message.startswith("The key xxx")
    assert message.endswith("xxx is unknown. Remove it.")


def test_of_a_message_of_many_lines_the_first_and_the_last_are_kept() -> None:
    lines = shortened("\n".join(map(str, range(5_000)))).split("\n")
    assert len(lines) == 41
    assert (lines[0], lines[-1]) == ("0", "4999")
    assert "4960 lines more" in lines[36]
