"""Names that users give to classes, clips and folders are text, and equal if they read alike."""

import unicodedata


def normal_form(name: str) -> str:
    """Return a name in Unicode's composed form (NFC).

    An accent may be written as one character with its letter or as two; file systems and editors choose
    differently, and nobody sees which.
    """
    return unicodedata.normalize("NFC", name)
