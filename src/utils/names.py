"""Names that users give to classes, clips and folders are text, and equal if they read alike."""

import unicodedata

from .foreign_text import readable


def normal_form(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), with the bytes of a file name that are no text written out.

    An accent may be written as one character with its letter or as two; file systems and editors choose
    differently, and nobody sees which.
    """
    return unicodedata.normalize("NFC", readable(name))
