"""`sweep --search`: train candidates drawn from ranges of settings within a stated time, and show the best."""

import argparse
import logging
from typing import TYPE_CHECKING

from ..utils.errors import UserError
from .options import hours
from .terminal import progress, say, table

if TYPE_CHECKING:
    from ..experiments.search.plan import Search
    from ..experiments.search.results import Standing
    from ..experiments.sweep.plan import SweepSpec

_log = logging.getLogger(__name__)
_SHOWN = 10  # candidates of each length of the schedule


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a search to the parser of `sweep`."""
    parser.add_argument(
        "--search",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=LOW..HIGH",
        help="instead of variants: search a setting within a range, or in a list of values (KEY=A,B,C); any key, "
        "several of them; the values of epochs are the lengths of the schedules; needs --budget_hours",
    )
    parser.add_argument(
        "--budget_hours",
        type=hours,
        metavar="H",
        help="how long the search may take, all calls together; the same command resumes it, and more hours add to it",
    )


def searches(arguments: argparse.Namespace) -> bool:
    """Return whether a search is asked for.

    Raises:
        UserError: options of a sweep and of a search are mixed, or the search has no budget.
    """
    if not arguments.search:
        if arguments.budget_hours is not None:
            raise UserError("--budget_hours is of a search: say what with --search learning_rate=0.05..0.8")
        return False
    if arguments.variant_settings:
        raise UserError("--search draws the variants of a sweep itself. Leave --variant or --search out.")
    if arguments.max_hours is not None:
        raise UserError("A search has --budget_hours, for all calls together. Leave --max_hours out.")
    if arguments.budget_hours is None:
        raise UserError("--search needs the time that it may take: --budget_hours 2")
    return True


def run_and_show(arguments: argparse.Namespace, spec: "SweepSpec", jobs: int) -> int:
    """Run a search and show its results; return the exit code."""
    from ..experiments.search.plan import plan_search
    from ..experiments.search.run import run_search
    from ..plots.figures import draws_or_warns
    from ..runs.pictures import draw_run

    search = plan_search(spec, arguments.search, arguments.budget_hours)
    drawing = draws_or_warns("Drawing the picture")
    _log.info("Searched: " + "; ".join(each.text() for each in search.settings) + ".")
    try:
        standing = run_search(search, jobs, progress(arguments.quiet), draw_run if drawing else None)
    except KeyboardInterrupt:
        say(f"Progress: {search.folder / 'search.md'}\nTo resume: the same command")
        raise
    _show(search, standing, drawing)
    return 0


def _show(search: "Search", standing: "Standing", drawing: bool) -> None:
    """Print and draw the results."""
    from ..experiments.search.figure import draw_search
    from ..experiments.search.report import choice, columns, notes, rows
    from ..experiments.sweep.results import STOPPED

    title = search.title
    table(title, columns(search), rows(search, standing, _SHOWN))
    for sentence in notes(search, standing):
        say(sentence)
    if any(each.status == STOPPED for stage in standing.stages for each in stage.outcomes):
        say("A run that was begun is not finished: no time is left for it, or it is no longer among the best.")
    picture = search.folder / "search.png"
    if drawing and draw_search(search, standing, title, picture):
        say(f"The picture is in {picture}")
    say(f"The table is in {search.folder / 'search.md'} and, with all figures, in search.json beside it")
    for sentence in choice(search, standing):
        say(sentence)
