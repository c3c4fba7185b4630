"""The parts of the suite, and running one or all of them.

A part is a module with:

- `EXAMPLES`, the commands its help shows;
- `QUICK`, the options that differ with --quick, and `IN_ALL`, those that differ among all parts;
- `add_arguments(parser)` and `measure(arguments, progress) -> Result`.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from ..models.cost import threads
from ..utils.config import unknown_name
from ..utils.errors import UserError
from ..utils.files import make_folder
from ..utils.progress import SILENT, Progress
from .measure import load, machine, whole
from .parts import PARTS
from .report import Report, Result, settings

_FOR_ALL = ("threads", "seed", "device", "quick")


class Part(Protocol):
    """What a part's module offers."""

    EXAMPLES: str
    QUICK: Mapping[str, Any]
    IN_ALL: Mapping[str, Any]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the part's own options to a parser."""

    def measure(self, arguments: Namespace, progress: Progress) -> Result:
        """Measure what the options ask for."""


def load_part(name: str) -> Part:
    """Return the module of a part.

    Raises:
        UserError: there is no such part.
    """
    if name not in PARTS:
        raise UserError(unknown_name("benchmark", name, [*PARTS, "all"]))
    return cast(Part, import_module(f".{name}", __package__))


def add_common(parser: ArgumentParser) -> None:
    """Add the options that every part has."""
    parser.add_argument(
        "--threads", type=whole(0), default=0, metavar="N", help="CPU threads (default: torch's choice)"
    )
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of whatever is random (default: 0)")
    parser.add_argument("--quick", action="store_true", help="measure less, to see that all works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there, too")


def add_device(parser: ArgumentParser) -> None:
    """Add the option --device."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute (default: CUDA if there is one)",
    )


def add_step(parser: ArgumentParser, whose: str = "which model") -> None:
    """Add the options that say what a training step is made on: --model, --batch and --frames."""
    count = whole(1)
    parser.add_argument("--model", default="nano_e", metavar="M", help=f"{whose} (default: nano_e)")
    parser.add_argument("--batch", type=count, default=16, metavar="N", help="clips in a batch (default: 16)")
    parser.add_argument("--frames", type=whole(4), default=64, metavar="T", help="frames in a clip (default: 64)")


def add_part(part: Part, parser: ArgumentParser, *, quick: bool, in_all: bool = False) -> None:
    """Add all options of a part, with the defaults that --quick or its place among all parts gives them."""
    part.add_arguments(parser)
    add_common(parser)
    parser.set_defaults(**(part.IN_ALL if in_all else {}))
    parser.set_defaults(**(part.QUICK if quick else {}))


def run_part(name: str, arguments: Namespace, progress: Progress = SILENT) -> Report:
    """Measure one part with torch's threads set, and return its result with what it was measured on."""
    part = load_part(name)
    check_json(arguments.json)
    with threads(arguments.threads):
        facts = machine()
        result = part.measure(arguments, progress)
        facts["load_after"] = load()
    return Report(name, settings(arguments), facts, result)


def run_all(
    arguments: Namespace, progress: Progress, show: Callable[[Report], None], tell: Callable[[str, str], None]
) -> list[Report]:
    """Measure every part that this machine can; `show` is given each report, `tell` a part left out and the reason."""
    check_json(arguments.json)
    reports = []
    for name in PARTS:
        part = load_part(name)
        parser = ArgumentParser()
        add_part(part, parser, quick=arguments.quick, in_all=True)
        own = parser.parse_args([])
        for option in _FOR_ALL:
            if hasattr(own, option):
                setattr(own, option, getattr(arguments, option))
        try:
            reports.append(run_part(name, own, progress))
        except UserError as error:
            tell(name, str(error))
        else:
            show(reports[-1])
    return reports


def check_json(path: Path | None) -> None:
    """Refuse, before anything is measured, a file that cannot be written."""
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"--json {path} is a folder. Name a file in it, such as {path / 'benchmark.json'}.")
    make_folder(path.parent)
