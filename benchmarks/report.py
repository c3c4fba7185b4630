"""Results of a part of the suite: tables for people, JSON for programs."""

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
        name: the key of the rows in JSON.
        title: the text above the table.
        columns: headings, each with the format of its cell, filled in with a row's values.
        rows: all values, including those that the table does not show.
    """

    name: str
    title: str
    columns: Mapping[str, str]
    rows: Sequence[Row]

    def cells(self) -> list[list[str]]:
        """Return the table's text, row by row."""
        return [[text.format(**row) for text in self.columns.values()] for row in self.rows]


def spread_columns(heading: str, key: str, decimals: int = 2) -> dict[str, str]:
    """Return the columns for the result of `measure.spread` under `key` of a row: median, least and most."""
    figures = {heading: "median", "least": "least", "most": "most"}
    return {name: f"{{{key}[{figure}]:.{decimals}f}}" for name, figure in figures.items()}


@dataclass(frozen=True)
class Result:
    """Result of a part.

    Attributes:
        tables: the figures.
        summary: the main figures of the part.
        remarks: sentences that explain the figures.
        failed: whether something is wrong, which the exit code tells.
    """

    tables: Sequence[Table]
    summary: Row = field(default_factory=dict)
    remarks: Sequence[str] = ()
    failed: bool = False


@dataclass(frozen=True)
class Report:
    """A part's result with its machine and options."""

    part: str
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    result: Result

    def values(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "part": self.part,
            "settings": dict(self.settings),
            "machine": dict(self.machine),
            "tables": {table.name: [dict(row) for row in table.rows] for table in self.result.tables},
            "summary": dict(self.result.summary),
            "remarks": list(self.result.remarks),
        }


def settings(arguments: Namespace) -> dict[str, Any]:
    """Return the options of a part by name, as JSON values."""
    excluded = ("json", "quiet")
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(arguments).items()
        if name not in excluded
    }
