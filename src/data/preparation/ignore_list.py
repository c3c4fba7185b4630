"""Lists of recordings that `preprocess --ignore` leaves out: text files with one name per line."""

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ...utils.errors import UserError
from ...utils.files import read_whole
from ...utils.names import first_few, normal_form
from ...utils.numbers import counted
from ...utils.system_errors import reason

_logger = logging.getLogger(__name__)
_LIMIT_BYTES = 64 << 20
_LINE_END = re.compile(r"\r\n|\r|\n")  # not the further ones of `splitlines`, which a name may contain
_NAME_ENDING = re.compile(r"(\.(skeleton|json|npy))?(\.txt)?(\.gz)?$", re.IGNORECASE)
_COMMENT = re.compile(r"\s#")
_PART = re.compile(r"(.+)/\d{6,}-\d{6,}$")  # see `intervals/cutting.py`
_SHOWN = 3


def read_ignore_list(path: Path) -> list[str]:
    """Return the lines of a text file with one name per line, each once; headings and comments are among them.

    A name may have several words, as a heading does: only the recordings tell them apart, see `named_recordings`.

    Raises:
        UserError: it cannot be read or is empty.
    """
    try:
        text = read_whole(path, _LIMIT_BYTES, "a list of names").decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"Cannot read the ignore list {path}: {reason(error)}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"The ignore list {path} is not a text file: {error}.") from error
    lines = [line for each in _LINE_END.split(text) if (line := normal_form(each.strip()))]
    if not lines:
        raise UserError(f"The ignore list {path} contains no name. It should have one per line.")
    return list(dict.fromkeys(lines))


def named_recordings(lines: Collection[str], names: Sequence[str]) -> tuple[set[str], int]:
    """Return which recordings the lines of an ignore list name, and how many lines are names.

    A line names a recording of that name in any case, also with the ending of a file, or with a comment after a `#`.
    Lines of several words that name none are headings; those of one word are names of recordings that are not there.
    Parts of long recordings cannot be left out alone, for which one warning is given.

    Args:
        lines: from `read_ignore_list`, or names.
        names: those of all recordings.
    """
    known: dict[str, list[str]] = {}
    for name in names:
        known.setdefault(_key(name), []).append(name)
    found: set[str] = set()
    count, parts = 0, []
    for line in lines:
        matching = next((known[key] for form in _forms(line) if (key := _key(form)) in known), [])
        found.update(matching)
        count += bool(matching) or (not line.startswith("#") and len(line.split()) == 1)
        if not matching and (part := _PART.match(line)) and _key(part[1]) in known:
            parts.append(line)
    if parts:
        _logger.warning(
            "%s on the ignore list %s of a long recording, and stays: %s. Recordings are left out whole, by the name "
            "before the last /; to leave out a part, remove its interval from the table.",
            *(counted(len(parts), "name"), "is a part" if len(parts) == 1 else "are parts"),
            first_few(parts, _SHOWN),
        )
    return found, count


def _forms(line: str) -> Iterator[str]:
    """Return what a line may mean, the likeliest first: itself, without the ending of a file, without a comment."""
    for text in (line, _COMMENT.split(line)[0]):
        yield text
        yield _NAME_ENDING.sub("", text.strip())


def _key(name: str) -> str:
    return normal_form(name).strip().casefold()
