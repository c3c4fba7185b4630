"""How a table's columns share the width of a terminal: numbers and words stay whole as long as there is room."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

_NUMBER = re.compile(
    r"[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?"  # 12, 1,234.5, 3.1e-05
    r"( ?%| [A-Za-z][\w/]{0,9})?"  # its unit
    r"( (±|\+-) (\d[\d,]*(\.\d+)?|-))?"  # a standard deviation
    r"|\d+(:\d\d)+|(\d+|-)/(\d+|-)"  # 1:02:03, 3/70
)
_NARROWEST_TEXT = 8
_UNKNOWN = ("", "-", "- ± -")
_WORD = re.compile(r"\S+\s*|\s+")
_PATH = re.compile(r"[^\s/]*/+\s*|[^\s/]+\s*|\s+")
_PIECE = re.compile(r"[^\s/_.,=-]*[/_.,=-]+\s*|[^\s/_.,=-]+\s*|\s+")


def is_numeric(cells: Sequence[object]) -> bool:
    """Tell whether a column holds numbers, or texts that are numbers with a unit or a spread; some may be unknown."""
    if all(isinstance(cell, int | float) for cell in cells):
        return True
    texts = [str(cell) for cell in cells if str(cell) not in _UNKNOWN]
    return bool(texts) and all(map(_NUMBER.fullmatch, texts))


@dataclass(frozen=True)
class _Column:
    heading: str
    cells: Sequence[str]
    numeric: bool

    def least(self, unit: re.Pattern[str]) -> int:
        """Return the least width at which no unit of text, a word or a piece of one, is broken, nor a number."""
        bodies = (
            [cell_len(cell) for cell in self.cells] if self.numeric else [_longest(each, unit) for each in self.cells]
        )
        return max([1, _longest(self.heading, unit), *bodies])

    @property
    def whole(self) -> int:
        """Return the width at which nothing needs a second line."""
        return max([1, cell_len(self.heading), *map(cell_len, self.cells)])


def fitted(
    columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool], room: int
) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows with line breaks put in, so that the columns together are at most `room` wide.

    Lines end between words; where these do not fit, behind a slash, then a hyphen or point; only where nothing else is
    left within a piece of a word, and last of all within a number.
    """
    bodies = [[row[index] for row in cells] for index in range(len(columns))]
    parts = [_Column(*each) for each in zip(columns, bodies, numeric, strict=True)]
    widths = [part.whole for part in parts]
    pieces = [part.least(_PIECE) for part in parts]
    cut = [width if part.numeric else min(width, _NARROWEST_TEXT) for part, width in zip(parts, pieces, strict=True)]
    for floor in (*([part.least(unit) for part in parts] for unit in (_WORD, _PATH)), pieces, cut, [1] * len(parts)):
        _narrow(widths, floor, room)
    headings = [_broken(name, width) for name, width in zip(columns, widths, strict=True)]
    return headings, [[_broken(cell, width) for cell, width in zip(row, widths, strict=True)] for row in cells]


def _narrow(widths: list[int], floor: Sequence[int], room: int) -> None:
    """Take width from the widest columns that have more than their `floor`, until all fit or none has."""
    while sum(widths) > room:
        above = [index for index, width in enumerate(widths) if width > floor[index]]
        if not above:
            return
        widths[max(above, key=widths.__getitem__)] -= 1


def _broken(text: str, width: int) -> str:
    """Return a text in lines of at most `width`."""
    if cell_len(text) <= width:
        return text
    unit = next((unit for unit in (_WORD, _PATH) if _longest(text, unit) <= width), _PIECE)
    lines = [""]
    for part in unit.findall(text):
        if lines[-1] and cell_len((lines[-1] + part).rstrip()) > width:
            lines.append("")
        first, *rest = chop_cells(part, width) if cell_len(part.rstrip()) > width else [part]
        lines[-1] += first
        lines += rest
    return "\n".join(line.rstrip() for line in lines)


def _longest(text: str, unit: re.Pattern[str]) -> int:
    return max((cell_len(part.rstrip()) for part in unit.findall(text)), default=0)
