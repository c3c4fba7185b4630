"""Reports as HTML pages: one file each, which needs no network and no other program.

`report` fills a template and writes the page, `charts` and `lines` compute bars, curves, ranges and lines for the
macros of `charts.html.j2`. A report has its own template, which extends `report.html.j2`.
"""

from .charts import Bar, Bars, Curve, CurveDot, Range, bars_of, curve_of, range_of
from .lines import LineChart, Series, lines_of
from .report import Player, player_of, write_report

__all__ = [
    "Bar",
    "Bars",
    "Curve",
    "CurveDot",
    "LineChart",
    "Player",
    "Range",
    "Series",
    "bars_of",
    "curve_of",
    "lines_of",
    "player_of",
    "range_of",
    "write_report",
]
