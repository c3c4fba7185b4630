"""What a part of the suite found: for people as tables, for programs as JSON."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows of figures.

    Attributes:
        name: under which JSON has the rows.
        title: what stands above the table.
        columns: headings, each with the format of its cell, filled in with a row's values.
        rows: all values, also those that the table does not show.
    """

    name: str
    title: str
    columns: Mapping[str, str]
    rows: Sequence[Row]

    def cells(self) -> list[list[str]]:
        """Return the table's text, row by row."""
        return [[text.format(**row) for text in self.columns.values()] for row in self.rows]


def spread_columns(heading: str, key: str, decimals: int = 2) -> dict[str, str]:
    """Return the columns of what `measure.spread` found and a row has under `key`: median, least and most."""
    figures = {heading: "median", "least": "least", "most": "most"}
    return {name: f"{{{key}[{figure}]:.{decimals}f}}" for name, figure in figures.items()}


@dataclass(frozen=True)
class Result:
    """What a part found.

    Attributes:
        tables: the figures.
        summary: the few figures that the part is run for.
        remarks: sentences that say what the figures mean.
    """

    tables: Sequence[Table]
    summary: Row = field(default_factory=dict)
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """A part's result with what it was measured on and with which options."""

    part: str
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    result: Result

    def values(self) -> dict[str, Any]:
        """Return all of it as values that JSON has."""
        return {
            "part": self.part,
            "settings": dict(self.settings),
            "machine": dict(self.machine),
            "tables": {table.name: [dict(row) for row in table.rows] for table in self.result.tables},
            "summary": dict(self.result.summary),
            "remarks": list(self.result.remarks),
        }


def settings(arguments: Namespace) -> dict[str, Any]:
    """Return the options of a part by name, as values that JSON has."""
    left_out = ("json", "quiet")
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(arguments).items()
        if name not in left_out
    }
