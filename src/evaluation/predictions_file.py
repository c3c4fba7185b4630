"""The predictions that an evaluation wrote into a run: where they are, and which clips were recognised."""

import csv
from collections.abc import Mapping
from pathlib import Path

from ..runs.folder import RunFolder
from ..utils.errors import UserError
from ..utils.system_errors import reason

FILE = "predictions.csv"


def evaluation_folder(run: RunFolder, subset: str = "test") -> Path:
    """Return the folder in which `evaluate` writes the report of the last epoch of a run."""
    return run.path / "evaluation" / f"{run.last.stem}-{subset}"


def read_recognised(path: Path) -> Mapping[str, bool]:
    """Return for every clip in a file of predictions whether it was recognised, in the order of the clips' names.

    Raises:
        UserError: the file cannot be read or has no clips.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            found = {row["name"]: row["correct"] == "1" for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({reason(error)}). Remove it, and evaluate the run again.") from error
    if not found:
        raise UserError(f"{path} has no clips. Remove it, and evaluate the run again.")
    return dict(sorted(found.items()))
