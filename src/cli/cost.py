"""`cost`: parameters, multiply-adds, memory and latency of the models."""

import argparse
from dataclasses import asdict
from pathlib import Path

from ..utils.config import MODEL_FILES
from ..utils.files import write_csv, write_json
from ..utils.model_files import model_files, model_layer
from ..utils.numbers import counted
from .options import MOST_THREADS, check_bounds, examples
from .terminal import progress, table

NEEDS = ("torch",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    known = ", ".join(MODEL_FILES)
    parser.add_argument("--model", metavar="M", default="all", help=f"{known}, a model YAML, or all (default: all)")
    parser.add_argument("--layout", metavar="L", default="ntu25", help="joint layout (default: ntu25)")
    parser.add_argument("--frames", type=int, metavar="T", default=64, help="frames per clip (default: 64)")
    parser.add_argument("--bodies", type=int, choices=(1, 2), default=1, help="bodies per clip (default: 1)")
    parser.add_argument("--classes", type=int, metavar="N", default=60, help="classes (default: 60)")
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        default=0,
        help="CPU threads for the latency measurement (default: torch's choice)",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    parser.epilog = examples(
        """
        {program} cost
        {program} cost --model base_e --layout kinect20 --frames 52 --threads 1
        {program} cost --bodies 2 --csv cost.csv --json cost.json
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure the models one after the other and print a table; return the exit code."""
    from ..models.cost import Workload, measure_cost, threads
    from ..skeleton import load_layout

    check_bounds(arguments, frames=(1, 4096), classes=(1, 1_000_000), threads=(0, MOST_THREADS))
    load_layout(arguments.layout)  # refuse an unknown layout or model first
    workload = Workload(arguments.layout, arguments.frames, arguments.bodies, arguments.classes)
    names = list(model_files()) if arguments.model == "all" else [arguments.model]
    for name in names:
        model_layer(name)
    costs = []
    with threads(arguments.threads), progress(arguments.quiet).task("measuring", len(names), "models") as shown:
        for name in names:
            costs.append(measure_cost(name, workload))
            shown.advance()
    rows = [asdict(each) for each in costs]
    _show(rows, workload.layout, workload.frames, workload.bodies)
    if arguments.csv:
        write_csv(arguments.csv, list(rows[0]), [list(row.values()) for row in rows])
    if arguments.json:
        write_json(arguments.json, {"workload": asdict(workload), "costs": rows})
    return 0


def _show(rows: list[dict[str, object]], layout: str, frames: int, bodies: int) -> None:
    columns = {
        "model": "{model}",
        "parameters": "{parameters:,}",
        "multiply-adds, M": "{millions:,.1f}",
        "inference MiB": "{inference_mib:.1f}",
        "training MiB": "{training_mib:.1f}",
        "CPU ms": "{latency_ms:.1f}",
        "threads": "{threads}",
    }
    cells = [
        [text.format(**row, millions=int(str(row["multiply_adds"])) / 1e6) for text in columns.values()] for row in rows
    ]
    table(f"one clip of {layout}, {counted(frames, 'frame')}, {counted(bodies, 'body')}", list(columns), cells)
