"""`runs compare`: the results of some runs, what differs in their configurations, and their curves."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.errors import UserError
from .options import add_shared
from .runs_table import COLUMNS, COMPARED, measured, show_problems, show_runs
from .terminal import say, table

if TYPE_CHECKING:
    from ..runs.comparison import SeedSpread
    from ..runs.results import Run

_logger = logging.getLogger(__name__)

EXAMPLES = """
    {program} runs compare run-2026-11-23 run-2026-11-23_2
    {program} runs compare runs/run-2026-11-23 elsewhere/run-2026-11-24 --out comparison
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `runs compare` to its parser."""
    parser.add_argument(
        "run", nargs="+", metavar="RUN", help="a run's name under the output root, its folder, or `latest`"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the table and the plot (default: <output_root>/comparison, overwritten each time)",
    )
    add_shared(parser, "--env", "--output_root")


def run(runs: "Sequence[Run]", out: Path) -> int:
    """Print what runs reached and how they differ, write the table and the plot, and return the exit code."""
    from ..distillation.resume_rules import HARMLESS
    from ..plots.figures import draws_or_warns
    from ..runs.comparison import differing_keys, seed_spreads, write_comparison

    if len(runs) < 2:
        raise UserError(f"There is nothing to compare {runs[0].name} with. Name two runs or more.")
    drawing = draws_or_warns("Drawing the plot")
    _show_results(runs)
    _show_keys(runs, differing_keys(runs))
    _show_spreads(seed_spreads(runs, HARMLESS))
    show_problems(runs)
    write_comparison(out / "runs.csv", runs)
    say(f"\nThe table is in {out / 'runs.csv'}")
    if drawing:
        _draw(runs, out / "curves.png")
    return 0


def _show_results(runs: "Sequence[Run]") -> None:
    """Print the results; a model or data set that all runs share is in the title, not in a column."""
    values = {what: {str(COLUMNS[what](each)) for each in runs} - {"-"} for what in ("model", "data")}
    common = [what for what, known in values.items() if len(known) == 1]
    columns = [name for name in COMPARED if name not in common]
    subject = " on ".join(values[what].pop() for what in common)
    show_runs(f"{subject or f'{len(runs)} runs'}; {measured(runs)} on the test part", columns, runs)


def _show_keys(runs: "Sequence[Run]", differing: dict[str, list[str]]) -> None:
    """Print the differing configuration keys; the longer side of the table is vertical."""
    say()
    if not differing:
        known = sum(bool(each.config) for each in runs)
        say("The configurations are identical." if known > 1 else "There are no two configurations to compare.")
        return
    names = [each.name for each in runs]
    if len(names) > len(differing):
        rows = [[name, *(values[index] for values in differing.values())] for index, name in enumerate(names)]
        table("What differs in the configuration", ["run", *differing], rows)
    else:
        table("What differs in the configuration", ["key", *names], [[key, *differing[key]] for key in differing])


def _show_spreads(spreads: "Sequence[SeedSpread]") -> None:
    if not spreads:
        return
    rows = [
        [
            f"{each.runs[0].model_title} on {each.runs[0].data}",
            ", ".join(str(run.seed) for run in each.runs),
            each.best.text(),
            each.final.text(),
            ", ".join(run.name for run in each.runs),
        ]
        for each in spreads
    ]
    say()
    table("Mean ± standard deviation over seeds", ["configuration", "seeds", "best %", "final %", "runs"], rows)


def _draw(runs: "Sequence[Run]", path: Path) -> None:
    from ..runs.curves import draw_curves

    if any(each.rows for each in runs):
        draw_curves(runs, path)
        say(f"The plot is in {path}")
    else:
        _logger.warning("None of the runs has an epoch yet, so there is no plot.")
