"""Fitting a table's columns into the width of a terminal, without breaking numbers and words."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

_NUMBER = re.compile(
    r"[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?"  # 12, 1,234.5, 3.1e-05
    r"( ?%| [A-Za-z][\w/]{0,9})?"  # its unit
    r"( ± \d[\d,]*(\.\d+)?)?"  # a standard deviation
    r"|\d+(:\d\d)+|(\d+|-)/(\d+|-)"  # 1:02:03, 3/70
)
_UNKNOWN = ("", "-")
_WORD = re.compile(r"\S+\s*|\s+")
_HYPHENATED = re.compile(r"[^\s-]*-+\s*|[^\s-]+\s*|\s+")
_PATH = re.compile(r"[^\s/]*/+\s*|[^\s/]+\s*|\s+")
_PIECE = re.compile(r"[^\s/_.,=-]*[/_.,=-]+\s*|[^\s/_.,=-]+\s*|\s+")


def is_numeric(cells: Sequence[object]) -> bool:
    """Return whether a column holds numbers, also with a unit or a deviation; some may be unknown."""
    if all(isinstance(cell, int | float) for cell in cells):
        return True
    texts = [str(cell) for cell in cells if str(cell) not in _UNKNOWN]
    return bool(texts) and all(map(_NUMBER.fullmatch, texts))


@dataclass(frozen=True)
class _Column:
    heading: str
    cells: Sequence[str]
    numeric: bool

    def least(self, of_heading: re.Pattern[str], of_cell: re.Pattern[str]) -> int:
        """Return the smallest width that breaks neither a number nor a unit of a text."""
        bodies = (cell_len(cell) if self.numeric else _longest(cell, of_cell) for cell in self.cells)
        return max([1, _longest(self.heading, of_heading), *bodies])

    @property
    def whole(self) -> int:
        """Return the width at which every cell fits on one line."""
        return max([1, cell_len(self.heading), *map(cell_len, self.cells)])


def fitted(
    columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool], room: int
) -> tuple[list[str], list[list[str]]] | None:
    """Return headings and rows with line breaks, so that the columns together are at most `room` wide.

    Lines break between words; if these do not fit, after a slash in cells and after a hyphen in headings. The result is
    None if that is not enough; `blocks` then shows the rows one below the other.
    """
    bodies = [[row[index] for row in cells] for index in range(len(columns))]
    parts = [_Column(*each) for each in zip(columns, bodies, numeric, strict=True)]
    widths = [part.whole for part in parts]
    for of_heading, of_cell in ((_WORD, _WORD), (_HYPHENATED, _PATH)):
        _narrow(widths, [part.least(of_heading, of_cell) for part in parts], room)
    if sum(widths) > room:
        return None
    headings = [_broken(name, width, (_WORD, _HYPHENATED)) for name, width in zip(columns, widths, strict=True)]
    return headings, [[_broken(cell, width) for cell, width in zip(row, widths, strict=True)] for row in cells]


def blocks(columns: Sequence[str], cells: Sequence[Sequence[str]], room: int) -> Iterator[str]:
    """Yield for each row its lines `heading: cell`, at most `room` wide, without empty cells."""
    indent = "  "
    for row in cells:
        lines = [
            _broken(f"{name}: {cell}", room - len(indent)) for name, cell in zip(columns, row, strict=True) if cell
        ]
        yield "\n".join(line.replace("\n", f"\n{indent}") for line in lines)


def _narrow(widths: list[int], floor: Sequence[int], room: int) -> None:
    """Shrink the widest columns that exceed their `floor`, until all fit or none exceeds it."""
    while sum(widths) > room:
        above = [index for index, width in enumerate(widths) if width > floor[index]]
        if not above:
            return
        widths[max(above, key=widths.__getitem__)] -= 1


def _broken(text: str, width: int, units: Sequence[re.Pattern[str]] = (_WORD, _PATH, _PIECE)) -> str:
    """Return a text in lines of at most `width`; only a unit wider than a line is broken."""
    if cell_len(text) <= width:
        return text
    lines = [""]
    for part in _parts(text, width, units):
        if lines[-1] and cell_len((lines[-1] + part).rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def _parts(text: str, width: int, units: Sequence[re.Pattern[str]]) -> Iterator[str]:
    """Yield the parts of a text that are not broken."""
    if cell_len(text.rstrip()) <= width:
        yield text
    elif units:
        for part in units[0].findall(text):
            yield from _parts(part, width, units[1:])
    else:
        yield from chop_cells(text, width)


def _longest(text: str, unit: re.Pattern[str]) -> int:
    return max((cell_len(part.rstrip()) for part in unit.findall(text)), default=0)
