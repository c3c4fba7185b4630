"""The folders that a command's options name: where runs are found, and where results are written."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..runs.history import LATEST, find_checkpoint, named_path
from ..runs.shipped_weights import is_shipped
from ..utils.names import file_name
from ..utils.root_folders import RootFolders, root_folders, writable

if TYPE_CHECKING:
    from ..data.store.reader import Store
    from ..inspection.clip_source import Sought
    from ..settings.data import DataConfig

_log = logging.getLogger(__name__)

CHECKPOINT_HELP = "a run's folder, for its last epoch; a checkpoint; or `latest`, for the newest run"


def root_folders_of(arguments: argparse.Namespace) -> RootFolders:
    """Return the folders of the environment, or those of `--data_root` and `--output_root`."""
    return root_folders(
        arguments.env or "", getattr(arguments, "data_root", None), getattr(arguments, "output_root", None)
    )


def store_of(arguments: argparse.Namespace, named: str, config: "DataConfig") -> "Store":
    """Return the store of a data set where `train` would find it: also beside its YAML, and in the input folders.

    Args:
        arguments: the parsed options.
        named: the data set's name, or its YAML.
        config: its description.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    from ..data.store.find_store import store_named

    return store_named(named, config, root_folders_of(arguments), only_data_root=bool(arguments.data_root))


def add_sought(parser: argparse.ArgumentParser) -> None:
    """Add the argument `path` and the options that say how to find and to read it; see `sought_by`."""
    parser.add_argument(
        "path",
        metavar="PATH",
        help="a store's folder, a data set's name or YAML, a run's folder, or raw recordings: a folder or a file",
    )
    parser.add_argument("--format", metavar="F", help="format of raw recordings, if it is not recognised")
    parser.add_argument("--layout", metavar="L", help="their joint layout, such as coco17, or a layout YAML")
    parser.add_argument("--dataset", metavar="D", help="the data set of the recordings, or of the store, or its YAML")


def sought_by(arguments: argparse.Namespace) -> "Sought":
    """Return what the argument `path` names, with the options that say how to find and to read it."""
    from ..inspection.clip_source import Sought

    return Sought(
        named=arguments.path,
        folders=root_folders_of(arguments),
        format_name=arguments.format or "",
        layout=arguments.layout or "",
        dataset=arguments.dataset or "",
        own_data_root=bool(arguments.data_root),
    )


def checkpoint_of(arguments: argparse.Namespace, named: str) -> Path:
    """Return the checkpoint that an option names: see `CHECKPOINT_HELP`."""
    file = find_checkpoint(named, root_folders_of(arguments))
    if str(file) != named:
        _log.info(f"Checkpoint: {file}")
    return file


def run_to_resume(arguments: argparse.Namespace) -> str:
    """Return the value of `--resume`, with a run's name or `latest` replaced by the run's folder."""
    named: str = arguments.resume
    if named in ("", "auto"):
        return named
    path = named_path(named, root_folders_of(arguments))
    if named == LATEST and str(path) != named:
        _log.info(f"Run: {path}")
    return str(path)


def results_folder(arguments: argparse.Namespace, checkpoint: Path, kind: str, parts: Sequence[str]) -> Path:
    """Return the default folder for the results of a checkpoint: a subfolder of its run.

    For a read-only run, or one in an input folder, it is a subfolder of the output folder, named after the run's path.

    Args:
        arguments: the parsed options.
        checkpoint: the file; outside of a run, the results are written beside it.
        kind: the kind of results, as the name of a folder.
        parts: the options that distinguish the results, for the folder's name.
    """
    folder = checkpoint.absolute().parent
    run = folder.parent if folder.name == "checkpoints" else folder
    name, here = file_name("-".join(filter(None, parts))), root_folders_of(arguments)
    if is_shipped(checkpoint):
        return here.output_root / kind / checkpoint.stem
    if writable(run, here.output_root, here.input_roots):
        return run / kind / name
    roots = [root.absolute() for root in here.input_roots if root.absolute() in run.parents]
    where = run.relative_to(roots[-1]).parts if roots else run.parts[-2:]
    elsewhere = here.output_root / kind / "-".join(where) / name
    _log.info(f"{run} is read-only. The results are written to {elsewhere}; --out chooses another folder.")
    return elsewhere
