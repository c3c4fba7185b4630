"""The folder of a run: its name, its files, and finding an earlier one."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ..utils.config import read_yaml
from ..utils.errors import UserError
from ..utils.files import make_folder, unwritable
from .config import RunConfig

_NAME = re.compile(r"run-(\d{4}-\d{2}-\d{2})(?:_(\d+))?")


class RunFolder:
    """The files of one run, by their names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.summary = path / "summary.json"
        self.log = path / "log.txt"
        self.best = path / "checkpoints" / "best_model.pth"
        self.last = path / "checkpoints" / "last.pth"

    @classmethod
    def create(cls, output_root: Path) -> "RunFolder":
        """Make today's next folder `run-YYYY-MM-DD`, then `run-YYYY-MM-DD_2` and so on.

        Raises:
            UserError: it cannot be made.
        """
        make_folder(output_root)
        name = f"run-{date.today().isoformat()}"
        number = 1
        while True:
            path = output_root / (name if number == 1 else f"{name}_{number}")
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
                continue
            except OSError as error:
                raise unwritable(path, error) from error
            return cls(path)

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "RunFolder":
        """Return the run that a checkpoint `<run>/checkpoints/NAME.pth` belongs to.

        Raises:
            UserError: the file does not lie in a run's folder.
        """
        run = cls(checkpoint.absolute().parent.parent)
        if checkpoint.absolute().parent.name != "checkpoints" or not run.config.exists():
            raise UserError(
                f"{checkpoint} does not lie in a run's folder (<run>/checkpoints/NAME.pth beside <run>/config.yaml), "
                "so the run cannot be gone on with. Point --resume at a checkpoint inside its run."
            )
        return run

    @property
    def finished(self) -> bool:
        """Tell whether the run came to its end."""
        return self.summary.exists()


def find_run(output_root: Path, config: RunConfig) -> RunFolder | None:
    """Return the newest run with the same model, data set, protocol and seed, if there is one."""
    wanted = _identity({"model": {"name": config.model.name}, "data": vars(config.data), "seed": config.seed})
    folders = [path for path in output_root.glob("run-*") if _NAME.fullmatch(path.name)]
    for path in sorted(folders, key=_age, reverse=True):
        run = RunFolder(path)
        if run.config.exists() and _identity(read_yaml(run.config)) == wanted:
            return run
    return None


def _age(path: Path) -> tuple[str, int]:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return match[1], int(match[2] or 1)


def _identity(config: Mapping[str, Any]) -> tuple[object, ...]:
    sections = [config.get(name) for name in ("model", "data")]
    model, data = [section if isinstance(section, Mapping) else {} for section in sections]
    return model.get("name"), data.get("name"), data.get("split"), config.get("seed")
