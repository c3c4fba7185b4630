"""Read tables of intervals: our CSV, exports of BORIS and of ELAN, which are recognised by their content."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from ....utils.errors import UserError
from ....utils.names import first_few
from ..formats.listing import files_below, is_junk, tally
from . import boris, elan, own_table
from .rows import MOST_ROWS, TableRow, check_lines, read_text

ENDINGS = (".csv", ".tsv", ".txt", ".eaf")
_MOST_FILES = 10_000
_SHOWN = 5
_READERS = (boris.read, own_table.read, elan.read)


def find_tables(path: Path) -> list[Path]:
    """Return the tables that a path names: the file itself, or all tables in the folder.

    Raises:
        UserError: there is none.
    """
    if not path.exists():
        raise UserError(f"There is no table of intervals {path}. Correct data.intervals.file, or --intervals.")
    if not path.is_dir():
        return [path]
    files = [each for each in files_below(path) if not is_junk(PurePath(each.name))]
    tables = [each for each in files if each.name.lower().endswith(ENDINGS)]
    if not tables:
        seen = f" It holds {tally(each.name for each in files)}." if files else ""
        raise UserError(f"There is no table of intervals in {path}: expected files {', '.join(ENDINGS)}.{seen}")
    if len(tables) > _MOST_FILES:
        raise UserError(f"{path} has {len(tables)} tables of intervals; at most {_MOST_FILES} are read. Combine them.")
    return tables


def read_tables(paths: Sequence[Path], groups: Sequence[str]) -> list[TableRow]:
    """Return the rows of all tables whose tier, or subject, is in `groups`; without groups all of them.

    Raises:
        UserError: a table cannot be read, has no row, or the rows are of several tiers among which none was selected.
    """
    rows: list[TableRow] = []
    for path in paths:
        for row in _rows_of(path):
            rows.append(row)
            if len(rows) > MOST_ROWS:
                raise UserError(f"{path}: the tables have more than {MOST_ROWS} rows together. Leave some out.")
    if not rows:
        raise UserError(f"{paths[0]} has no intervals below the names of its columns. Export it again.")
    selected = [row for row in rows if not groups or row.group in groups]
    found = Counter(row.group for row in rows)
    if missing := [name for name in groups if name not in found]:
        raise UserError(
            f"data.intervals.tiers: no tier or subject is called {missing[0]!r}. There are: "
            f"{first_few([*map(repr, sorted(found))], _SHOWN)}."
        )
    for row in selected:
        if math.isnan(row.start) or math.isnan(row.stop):
            raise UserError(
                f"{row.where}: an annotation of the tier {row.group[:40]!r} has no time. Give it one in ELAN, or "
                "select other tiers with data.intervals.tiers."
            )
    return selected


def _rows_of(path: Path) -> Iterator[TableRow]:
    text = read_text(path)
    if elan.is_eaf(text):
        return elan.read_eaf(path, text)
    check_lines(path, text)
    for read in _READERS:
        if (rows := read(path, text)) is not None:
            return rows
    first = text.strip().split("\n", 1)[0][:80]
    raise UserError(
        f"{path} is no table of intervals that is known. Expected a CSV with the columns recording, start, stop and "
        f"label, an export of events from BORIS, or of annotations from ELAN; its first line is {first!r}."
    )
