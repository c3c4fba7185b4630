"""The folders that a command's options name: where runs are found, and where their results go."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from ..runs.search import LATEST, find_checkpoint, latest_run
from ..utils.places import Places, places, writable

__all__ = ["CHECKPOINT_HELP", "LATEST", "checkpoint_of", "places_of", "results_folder", "run_to_resume"]

_log = logging.getLogger(__name__)

CHECKPOINT_HELP = "a run's folder, for its last epoch; a checkpoint; or `latest`, for the newest run"


def places_of(arguments: argparse.Namespace) -> Places:
    """Return the folders of the environment, and those that `--data_root` and `--output_root` name instead."""
    return places(arguments.env or "", getattr(arguments, "data_root", None), getattr(arguments, "output_root", None))


def checkpoint_of(arguments: argparse.Namespace, named: str) -> Path:
    """Return the checkpoint that an option names: see `CHECKPOINT_HELP`."""
    file = find_checkpoint(_by_name(arguments, named), places_of(arguments))
    if str(file) != named:
        _log.info(f"Checkpoint: {file}")
    return file


def run_to_resume(arguments: argparse.Namespace) -> str:
    """Return what `--resume` names, with the newest run's folder in the place of `latest`."""
    named: str = arguments.resume
    if named != LATEST or Path(named).exists():
        return named if named in ("", "auto") else _by_name(arguments, named)
    run = latest_run(places_of(arguments))
    _log.info(f"Run: {run.path}")
    return str(run.path)


def _by_name(arguments: argparse.Namespace, named: str) -> str:
    """Return the path of a run in the output folder that is called by its name alone; anything else as it is."""
    inside = places_of(arguments).output_root / named
    return str(inside) if not Path(named).exists() and inside.is_dir() else named


def results_folder(arguments: argparse.Namespace, checkpoint: Path, kind: str, parts: Sequence[str]) -> Path:
    """Return where results of a checkpoint go where `--out` does not say it: into its run's folder.

    Those of a run that cannot be written, or lies in an input folder, go into the output folder, under a name that says
    where the run lies.

    Args:
        arguments: the parsed options.
        checkpoint: the file; outside of a run, results lie beside it.
        kind: what they are, the name of a folder.
        parts: what was asked for; it stands in the folder's name, so that no result takes another one's place.
    """
    folder = checkpoint.absolute().parent
    run = folder.parent if folder.name == "checkpoints" else folder
    name, here = "-".join(filter(None, parts)), places_of(arguments)
    if writable(run, here.output_root, here.input_roots):
        return run / kind / name
    roots = [root.absolute() for root in here.input_roots if root.absolute() in run.parents]
    where = run.relative_to(roots[-1]).parts if roots else run.parts[-2:]
    elsewhere = here.output_root / kind / "-".join(where) / name
    _log.info(f"{run} cannot be written. The results go to {elsewhere}; --out names another folder.")
    return elsewhere
