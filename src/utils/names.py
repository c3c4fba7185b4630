"""Names that users give to classes, clips and folders are text, and equal if they read alike."""

import difflib
import unicodedata
from collections.abc import Sequence

from .foreign_text import readable

_LONGEST_NAME = 100


def normal_form(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), with the bytes of a file name that are no text written out.

    An accent may be written as one character with its letter or as two; file systems and editors choose
    differently, and nobody sees which.
    """
    return unicodedata.normalize("NFC", readable(name))


def suggestion(name: str, known: Sequence[str]) -> str:
    """Return the question whether the nearest known name was meant; empty where none is near."""
    if len(name) > _LONGEST_NAME:
        return ""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
