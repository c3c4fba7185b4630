"""Makes text from files, file names and arguments safe to show and to store.

A name may contain control sequences for a terminal, or bytes that are not text. All output to users passes through this
module, so that other modules do not have to handle this.
"""

import reprlib
import sys
from typing import Any

_LONGEST_LINE, _KEPT_OF_ITS_END = 1_000, 300
_MOST_LINES, _KEPT_LAST_LINES = 40, 4
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100


def printable(text: str) -> str:
    """Return a text on one line, with `?` in place of control characters."""
    return harmless(" ".join(text.split()))


def harmless(text: str) -> str:
    """Return a text of several lines with `?` in place of control characters, and with escaped bytes."""
    if text.isprintable():
        return text
    return "".join(map(_harmless, readable(text)))


def readable(text: str) -> str:
    r"""Return a text that can be written as UTF-8: bytes that are not text become escapes such as `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()


def is_readable(text: str) -> bool:
    """Tell whether a text can be passed to the operating system and has no lone surrogates.

    Python represents bytes of a file name that are not UTF-8 as lone surrogates, and JSON can contain any of them.
    """
    return "\0" not in text and are_characters(text.encode("utf-32-le", "surrogatepass"), "<")


def are_characters(content: bytes, byte_order: str) -> bool:
    """Tell whether every four bytes of a text array are a valid Unicode character, including NUL.

    Args:
        content: the bytes of the array.
        byte_order: the byte order of its type in NumPy's notation: `<`, `>` or `=`.
    """
    names = {"<": "little", ">": "big"}
    try:
        content.decode(f"utf-32-{names.get(byte_order, sys.byteorder)[0]}e")
    except UnicodeDecodeError:
        return False
    return True


def short(value: Any) -> str:
    """Return the `repr` of a value, shortened if it is long."""
    return _SHORT.repr(value)


def shortened(message: str) -> str:
    """Return a message with long lines shortened in the middle, and only the first and last of very many lines."""
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
