"""A split as a text file: clip names, one a line, below the headings `train:` and `test:`.

    by: subject
    train:
    wave/take1_P001
    test:
    wave/take1_P002

A line `by:` before the headings is optional: then no subject (or camera, setup, replication) may be in both parts.
Lines that begin with `#` are comments.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...settings.data import DataConfig
from ...settings.splits import PROPERTIES, SPLIT_FILE_ENDING
from ...utils.errors import UserError
from ...utils.files import read_whole, write_once
from ...utils.foreign_text import short
from ...utils.names import normal_form, suggestion
from ...utils.system_errors import reason
from .listed_parts import list_rule
from .protocols import PARTS, Split, select
from .recordings import recordings_of

_LIMIT_BYTES = 128 << 20
_HEADING = re.compile(r"(train|test)\s*:", re.IGNORECASE)
_BY = re.compile(r"by\s*:\s*(.*)", re.IGNORECASE)
_MOST_COMPARED = 20_000  # names among which a similar one is searched


def with_split_file(data: DataConfig, clips: NDArray[np.void], path: Path) -> DataConfig:
    """Return the data set with the split of a text file as its default protocol, named like the file.

    Args:
        data: the data set.
        clips: the index of its store.
        path: the file.

    Raises:
        UserError: the file cannot be read, has an unknown or a repeated name, or divides a recording or a value of the
            property that it names.
    """
    chosen = select(clips, data)
    lines = _Lines(path, clips[chosen])
    rule = list_rule(clips["name"][chosen], lines.part_of_clip == PARTS[0], lines.part_of_clip == PARTS[1])
    name = path.name[: -len(SPLIT_FILE_ENDING)] or "split"
    if name in data.protocols and data.protocols[name].by != "list":
        name = f"{name}_file"
    return replace(data, split=name, protocols={**data.protocols, name: rule})


def write_split_file(path: Path, clips: NDArray[np.void], parts: Split, by: str, about: Sequence[str] = ()) -> None:
    """Write the two parts of a split as a text file that `with_split_file` reads.

    Args:
        path: the file.
        clips: the index of the store.
        parts: the split.
        by: what it divides by; a property is written as the file's `by:`.
        about: comments for the top of the file.

    Raises:
        UserError: the file cannot be written, or another one is there already.
    """
    head = [*(f"# {line}" for line in about), *([f"by: {by}"] if by in PROPERTIES else [])]
    body = [line for part in PARTS for line in (f"{part}:", *sorted(map(str, clips["name"][getattr(parts, part)])))]
    write_once(path, "\n".join([*head, *body]) + "\n")


class _Lines:
    """The lines of a split file, compared with the clips of a store.

    Attributes:
        part_of_clip: (N,) the part of each clip, `train`, `test` or empty.
    """

    def __init__(self, path: Path, clips: NDArray[np.void]) -> None:
        self._path, self._clips = path, clips
        self._number_of = {normal_form(str(name)): number for number, name in enumerate(clips["name"])}
        self._line_of = np.zeros(len(clips), np.int64)
        self._unknown: list[tuple[int, str]] = []
        self._by, self._part = "", ""
        self.part_of_clip = np.full(len(clips), "", "<U5")
        for line, text in enumerate(self._read().split("\n"), start=1):
            self._add(line, text)
        if self._unknown:
            self._refuse_unknown()
        if not self._line_of.any():
            raise UserError(f"{path} lists no clip. Write clip names, one a line, below the lines train: and test:.")
        self._refuse_both("recording", recordings_of(clips))
        if self._by:
            self._refuse_both(self._by, clips[self._by])

    def _read(self) -> str:
        try:
            return read_whole(self._path, _LIMIT_BYTES, "a split").decode("utf-8-sig")
        except OSError as error:
            raise UserError(f"Cannot read the split {self._path}: {reason(error)}.") from error
        except UnicodeDecodeError as error:
            raise UserError(
                f"The split {self._path} is not a text file: {error}. It should have clip names, one a line, below the "
                "lines train: and test:."
            ) from error

    def _add(self, line: int, text: str) -> None:
        """Add one line of the file."""
        name = normal_form(text.strip())
        number = self._number_of.get(normal_form(text), self._number_of.get(name))
        if number is None and (not name or name.startswith("#")):
            return
        if heading := _HEADING.fullmatch(name):
            self._part = heading[1].lower()
        elif not self._part:
            self._by = self._property(line, name)
        elif number is None:
            self._unknown.append((line, name))
        elif first := self._line_of[number]:
            before = self.part_of_clip[number]
            is_double = before == self._part
            which = f"in line {first} too" if is_double else f"in both parts: line {first} is below {before}:"
            raise self._error(line, f"the clip {short(name)} is {which}. Remove one of the two lines.")
        else:
            self._line_of[number], self.part_of_clip[number] = line, self._part

    def _property(self, line: int, text: str) -> str:
        """Return the property that a line before the headings names."""
        named = _BY.fullmatch(text)
        if named is None:
            raise self._error(line, f"{short(text)} is above the first heading. Write train: or test: above it.")
        if named[1] not in PROPERTIES:
            raise self._error(line, f"by: should be {', '.join(PROPERTIES)}, not {short(named[1])}.")
        return named[1]

    def _refuse_unknown(self) -> None:
        line, name = self._unknown[0]
        more = f" Unknown names in all: {len(self._unknown):,}." if len(self._unknown) > 1 else ""
        meant = suggestion(name, list(self._number_of)[:_MOST_COMPARED])
        raise self._error(
            line,
            f"the data set has no clip {short(name)}.{meant}{more} Remove such lines, or prepare these clips too. A "
            f"name is written as in the store, such as {short(str(self._clips['name'][0]))}.",
        )

    def _refuse_both(self, what: str, values: NDArray[np.integer]) -> None:
        """Refuse a value other than 0 that is in both parts, or a recording."""
        in_train, in_test = (self.part_of_clip == part for part in PARTS)
        both = np.intersect1d(values[in_train], values[in_test])
        both = both if what == "recording" else both[both != 0]
        if not len(both):
            return
        same = values == both[0]
        line, first = (int(self._line_of[same & part].min()) for part in (in_test, in_train))
        name = str(self._clips["name"][np.flatnonzero(self._line_of == line)[0]])
        which = "the same recording" if what == "recording" else f"the {what} {both[0]}"
        raise self._error(
            line,
            f"the clip {short(name)} tests, and the clip in line {first}, also of {which}, trains. Put them into one "
            f"part{'' if what == 'recording' else f', or remove the line by: {what}'}.",
        )

    def _error(self, line: int, problem: str) -> UserError:
        return UserError(f"{self._path}, line {line}: {problem}")
