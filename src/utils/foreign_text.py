"""Text that comes from files, file names and arguments, made fit to be shown and kept.

A name may hold the bytes by which a terminal is steered, or bytes that are no text at all. What is shown to people
passes through here, so that no module has to remember it.
"""

import reprlib
import sys
from typing import Any

_LONGEST_LINE, _KEPT_OF_ITS_END = 1_000, 300
_MOST_LINES, _KEPT_LAST_LINES = 40, 4
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100


def printable(text: str) -> str:
    """Return a foreign text on one line, with `?` for what would do something to a terminal or to a file."""
    return harmless(" ".join(text.split()))


def harmless(text: str) -> str:
    """Return a text of several lines with `?` for what would do something to a terminal, and bytes written out."""
    if text.isprintable():
        return text
    return "".join(map(_harmless, readable(text)))


def readable(text: str) -> str:
    r"""Return a text that can be written as UTF-8: bytes of a file name that are no text become `\udcff` or alike."""
    return text.encode("utf-8", "backslashreplace").decode()


def is_readable(text: str) -> bool:
    """Tell whether a text can be named to the operating system and holds whole characters only.

    Half of a character is how Python hands over the bytes of a file name that are no UTF-8, and how JSON can claim any.
    """
    return "\0" not in text and are_characters(text.encode("utf-32-le", "surrogatepass"), "<")


def are_characters(content: bytes, byte_order: str) -> bool:
    """Tell whether there is a whole character of Unicode in every four bytes of an array of text, NUL included.

    Args:
        content: of the array.
        byte_order: of its type, as NumPy names it: `<`, `>` or `=`.
    """
    names = {"<": "little", ">": "big"}
    try:
        content.decode(f"utf-32-{names.get(byte_order, sys.byteorder)[0]}e")
    except UnicodeDecodeError:
        return False
    return True


def short(value: Any) -> str:
    """Return `value` as Python writes it, cut where it is long."""
    return _SHORT.repr(value)


def shortened(message: str) -> str:
    """Return a message with its long lines cut in the middle, and of very many lines the first and the last ones."""
    lines = message.split("\n")
    if len(lines) > _MOST_LINES:
        first = _MOST_LINES - _KEPT_LAST_LINES
        left_out = f"  ... and {len(lines) - _MOST_LINES} lines more ..."
        lines = [*lines[:first], left_out, *lines[-_KEPT_LAST_LINES:]]
    return "\n".join(map(_cut, lines))


def _cut(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[: _LONGEST_LINE - _KEPT_OF_ITS_END]} [...] {line[-_KEPT_OF_ITS_END:]}"


def _harmless(character: str) -> str:
    if character == "\n" or character.isprintable():
        return character
    return " " if character.isspace() else "?"
