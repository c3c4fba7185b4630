"""Names of classes, clips and folders, compared in one Unicode form."""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

from .foreign_text import readable

_LONGEST_NAME = 100
_LONGEST_FILE_NAME = 200
_FORBIDDEN = '<>:"\\|?*/'  # in the name of a file, on one system or another


def normal_form(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), with the bytes of a file name that are not text escaped.

    An accented letter may be one character or two; file systems and editors differ, and the difference is invisible.
    """
    return unicodedata.normalize("NFC", readable(name))


def first_few(texts: Sequence[str], most: int) -> str:
    """Return the first of many texts, and how many there are more: `a, b and 3 more`."""
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def contrast(names: Sequence[str], others: Sequence[str], most: int = 3) -> str:
    """Return how a list differs from another one, as ` (with a, b and 2 more, without c)`; empty if it does not.

    Args:
        names: the list.
        others: the one that it is compared with.
        most: how many names of each kind are written.
    """
    added, lacking = (
        [name for name in these if name not in those] for these, those in ((names, others), (others, names))
    )
    texts = [f"{word} {first_few(found, most)}" for word, found in (("with", added), ("without", lacking)) if found]
    if not texts:
        return "" if list(names) == list(others) else " (in another order)"
    return f" ({', '.join(texts)})"


def squash(text: str) -> str:
    """Return a name without case, spaces and punctuation: `Left Wrist` is `left_wrist`."""
    return "".join(character for character in text.casefold() if character.isalnum())


def alike(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of names that differ only in case or in accents, each later one with the first like it."""
    first: dict[str, str] = {}
    pairs = []
    for name in dict.fromkeys(names):
        letters = unicodedata.normalize("NFKD", name.casefold())
        plain = "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()
        if first.setdefault(plain, name) != name:
            pairs.append((first[plain], name))
    return pairs


def suggestion(name: str, known: Sequence[str]) -> str:
    """Return "Did you mean ...?" with the nearest known name; empty if none is near."""
    if len(name) > _LONGEST_NAME:
        return ""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def sharing_a_file(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two different names whose `file_name` is one file on some system; None if there are none."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(file_name(name).casefold(), name)
        if other != name:
            return other, name
    return None


def file_name(text: str) -> str:
    """Return a text as a name that every system accepts for a file."""
    kept = "".join("_" if each in _FORBIDDEN or not each.isprintable() else each for each in text)
    kept = kept.rstrip(" .")[:_LONGEST_FILE_NAME] or "_"
    return f"_{kept[1:]}" if kept.startswith(".") else kept
