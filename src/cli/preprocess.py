"""`preprocess`: convert raw recordings into a store for training."""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..data.preparation.formats.base import KIND as READERS
from ..data.preparation.ignore_list import read_ignore_list
from ..data.preparation.intervals.plans import table_of
from ..data.preparation.preprocess import preprocess
from ..data.preparation.report import TEXT_FILE, PreparationReport, SkippedRecording
from ..data.store.find_store import find_stores
from ..data.store.format import HEADER_FILE
from ..settings.data import DataConfig, shared_file_problem
from ..utils.config import (
    config_names,
    data_layer,
    merge,
    origin_of,
    override_layer,
    readable_overrides,
    section_layer,
)
from ..utils.dotted_keys import value_at
from ..utils.errors import UserError
from .folders import root_folders_of
from .found_data_set import DataSettings, find_data_set, save_data_set
from .options import add_shared, examples
from .terminal import progress, say, table
from .unread_settings import refuse_loading_settings, refuse_unread_intervals

NEEDS = ("pydantic",)

_logger = logging.getLogger(__name__)
_NAMES_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        help="ntu60, ntu120, nw_ucla, sbu, synthetic, or a data YAML; without it, one is written: see --format",
    )
    parser.add_argument(
        "--format", metavar="F", help="format of recordings without a data YAML; needs --layout and --out"
    )
    parser.add_argument(
        "--intervals",
        type=Path,
        metavar="FILE",
        help="table of labelled intervals of long recordings, or a folder of them: CSV, or exports of BORIS or ELAN",
    )
    parser.add_argument("--layout", metavar="L", help="their joint layout, such as coco17, or a layout YAML")
    parser.add_argument(
        "--raw",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder of raw recordings; zip archives are read directly",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the store (default: <data_root>/NAME, where training looks)",
    )
    add_shared(parser, "--data_root", "--env")
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="worker processes (default: 0, one per core)"
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first damaged recording")
    parser.add_argument(
        "--ignore", type=Path, metavar="FILE", help="text file of recordings to skip, one name per line"
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="write the store even if no protocol has both training and test clips, such as new clips for testing",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a finished store of different recordings")
    add_shared(parser, "--set")
    parser.epilog = examples(
        """
        {program} preprocess --dataset ntu60 --raw ~/nturgbd
        {program} preprocess --dataset ntu60 --raw ~/nturgbd --ignore missing_skeletons.txt
        {program} preprocess --dataset nw_ucla --raw all_sqe.zip --out ./data/nw_ucla --workers 4
        {program} preprocess --format folder --raw ./recordings --layout coco17 --out ./data/gestures
        {program} preprocess --format table --raw ./poses --layout coco17 --intervals intervals.csv --out ./data/day
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Prepare the data set and print which recordings were kept and skipped; return the exit code."""
    if arguments.workers < 0:
        raise UserError(f"--workers {arguments.workers} should be 0, for one process a core, or more.")
    here, found = root_folders_of(arguments), None
    if arguments.dataset:
        _refuse_both(arguments)
        config, tables = _with_intervals(_data_config(arguments.dataset, arguments.set), arguments)
        refuse_loading_settings(arguments.set)
        refuse_unread_intervals(arguments.set, config)
    else:
        found = find_data_set(arguments)
        config, tables = found.config, found.tables
    out = arguments.out or _store_in(here.data_root, config.name)
    others = [] if arguments.out else find_stores(here.input_roots)
    try:
        report = preprocess(
            config,
            arguments.raw,
            out,
            workers=arguments.workers,
            strict=arguments.strict,
            ignore=read_ignore_list(arguments.ignore) if arguments.ignore else (),
            overwrite=arguments.overwrite,
            partial=arguments.partial or (arguments.dataset or "") in config_names("data"),
            elsewhere=[store.path for store in others if store.name == config.name and store.path != out],
            tables=tables,
            progress=progress(arguments.quiet),
        )
    except KeyboardInterrupt:
        _logger.warning("Stopped. Run the same command again to resume; finished parts are in %s.", out)
        raise
    _show(report)
    if found is not None:
        save_data_set(found)
    return 0


def _refuse_both(arguments: argparse.Namespace) -> None:
    if arguments.format or arguments.layout:
        raise UserError(
            "--format and --layout are for recordings without a data YAML: omit them, or omit --dataset. In a data "
            "YAML they are the keys data.format and data.layout."
        )


def _data_config(dataset: str, assignments: Sequence[str]) -> DataConfig:
    layer = data_layer(dataset)
    # A data YAML may also have training keys, which this command ignores.
    described = replace(layer, values={"data": section_layer(layer, "data").values})
    overrides, unreadable = readable_overrides(assignments)
    layers = [described, overrides]
    config = merge(DataSettings(), layers, unreadable).data
    try:
        READERS.find(config.format)
    except UserError as error:
        raise UserError(f"{origin_of('data.format', layers)}: {error}") from error
    if problem := shared_file_problem(config.protocols):
        raise UserError(f"{origin_of('data.protocols', layers)}: {problem}")
    if not config.name or Path(config.name).name != config.name:
        raise UserError(f"{layer.origin}: data.name should be a plain name such as 'ntu60', not {config.name!r}.")
    return config


def _with_intervals(config: DataConfig, arguments: argparse.Namespace) -> tuple[DataConfig, Sequence[Path]]:
    """Return a data set with the option `--intervals`, and its tables of intervals.

    A path on the command line is relative to the current folder, one in a data YAML to that YAML.
    """
    if arguments.intervals:
        config = replace(config, intervals=replace(config.intervals, file=str(arguments.intervals)))
    if not config.intervals.file:
        return config, ()
    here = arguments.intervals or value_at(override_layer(arguments.set).values, "data.intervals.file")
    return config, table_of(config, Path() if here else Path(arguments.dataset).parent)


def _store_in(data_root: Path, name: str) -> Path:
    """Return the folder for the store of a data set: below the data root, or the data root if it is that store.

    Raises:
        UserError: it is the store of another data set.
    """
    if not (data_root / HEADER_FILE).exists():
        return data_root / name
    (found,) = find_stores([data_root])
    if found.name != name:
        raise UserError(f"{data_root} is a store itself, of {found.name!r}. Name the folder above it with --data_root.")
    return data_root


def _show(report: PreparationReport) -> None:
    if report.prepared_before:
        say(f"{report.out} was already prepared from the same recordings; this is its report.")
    table(f"{report.name}, prepared from {report.raw}", ("what", "how much"), report.summary())
    for title, left_out in (("Damaged", report.damaged), ("Dropped", report.dropped)):
        _show_names(title, left_out)
    for warning in report.warnings:
        say(f"Before training: {warning}", always=True)
    say(f"Report: {Path(report.out) / TEXT_FILE}")
    say(f"Store: {report.out}")


def _show_names(title: str, left_out: Sequence[SkippedRecording]) -> None:
    for each in left_out[:_NAMES_SHOWN]:
        say(f"{title}: {each}")
    if len(left_out) > _NAMES_SHOWN:
        say(f"{title}: {len(left_out) - _NAMES_SHOWN} more, listed in the report")
