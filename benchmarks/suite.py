"""The parts of the suite, and running one or all of them.

A part is a module with `measure(arguments, progress) -> Result`; its options are in `options`.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from last.models.cost import threads
from last.utils.errors import UserError
from last.utils.files import make_folder
from last.utils.progress import SILENT, Progress

from .measure import load, machine
from .options import add_part
from .parts import PARTS
from .report import Report, Result, settings

_FOR_ALL = ("threads", "seed", "device", "quick")


class Part(Protocol):
    """The interface of a part's module."""

    def measure(self, arguments: Namespace, progress: Progress) -> Result:
        """Measure with these options."""


def load_part(name: str) -> Part:
    """Return the module of a part."""
    return cast(Part, import_module(f".{name}", __package__))


def run_part(name: str, arguments: Namespace, progress: Progress = SILENT) -> Report:
    """Measure one part with torch's threads set, and return its result with the facts of the machine."""
    part = load_part(name)
    check_json(arguments.json)
    with threads(arguments.threads):
        facts = machine()
        result = part.measure(arguments, progress)
        facts["load_after"] = load()
    return Report(name, settings(arguments), facts, result)


def run_all(
    arguments: Namespace, progress: Progress, show: Callable[[Report], None], report_skipped: Callable[[str, str], None]
) -> list[Report]:
    """Measure every possible part; call `show` with each report, `report_skipped` with a skipped part and a reason."""
    check_json(arguments.json)
    reports = []
    for name in PARTS:
        parser = ArgumentParser()
        add_part(name, parser, quick=arguments.quick, in_all=True)
        own = parser.parse_args([])
        for option in _FOR_ALL:
            if hasattr(own, option):
                setattr(own, option, getattr(arguments, option))
        try:
            reports.append(run_part(name, own, progress))
        except UserError as error:
            report_skipped(name, str(error))
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
