"""The folder of a run: its name, its files, and finding an earlier one."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..utils.config import read_yaml
from ..utils.errors import UserError
from ..utils.files import make_folder, unwritable

if TYPE_CHECKING:
    from .config import RunConfig  # with it comes torch, which a list of runs need not wait for

_NAME = re.compile(r"run-(\d{4}-\d{2}-\d{2})(?:_(\d+))?")


class RunFolder:
    """The files of one run, by their names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.summary = path / "summary.json"
        self.log = path / "log.txt"
        self.curve = path / "training_curve.png"
        self.confusion = path / "confusion.csv"  # of the last test
        self.confusion_picture = path / "confusion.png"
        self.divergence = path / "divergence.json"
        self.checkpoints = path / "checkpoints"
        self.best = self.checkpoints / "best_model.pth"
        self.last = self.checkpoints / "last.pth"  # the end of the last finished epoch
        self.partial = self.checkpoints / "partial.pth"  # within the next one

    def of_epoch(self, epoch: int) -> Path:
        """Return the file of the state at the end of an epoch, where such files are kept."""
        return self.checkpoints / f"epoch_{epoch:04}.pth"

    def epochs(self) -> list[Path]:
        """Return the files of kept epochs, oldest first."""
        return sorted(self.checkpoints.glob("epoch_*.pth"), key=lambda path: (len(path.name), path.name))

    def all_checkpoints(self) -> list[Path]:
        """Return every checkpoint there is."""
        return sorted(self.checkpoints.glob("*.pth"))

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
    def of(cls, path: Path) -> "RunFolder":
        """Return the run whose folder or checkpoint `<run>/checkpoints/NAME.pth` a path is.

        Raises:
            UserError: there is nothing, or it is no run and does not lie in one.
        """
        if not path.exists():
            raise UserError(
                f"Cannot go on from {path}: there is no such file. Give a run's folder, or a file such as "
                "<run>/checkpoints/last.pth."
            )
        run = cls(path if path.is_dir() else path.absolute().parent.parent)
        if not run.config.exists() or not (path.is_dir() or path.absolute().parent.name == "checkpoints"):
            raise UserError(
                f"{path} does not lie in a run's folder (<run>/checkpoints/NAME.pth beside <run>/config.yaml), "
                "so the run cannot be gone on with. Point --resume at a run, or at a checkpoint inside it."
            )
        return run

    @property
    def finished(self) -> bool:
        """Tell whether the run came to its end."""
        return self.summary.exists()


def find_run(output_root: Path, config: "RunConfig") -> RunFolder | None:
    """Return the newest run with the same model, data set, protocol, seed and teachers, if there is one."""
    wanted = _identity(
        {
            "model": vars(config.model),
            "data": vars(config.data),
            "seed": config.seed,
            "distillation": vars(config.distillation),
        }
    )
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
    sections = [config.get(name) for name in ("model", "data", "distillation")]
    model, data, distillation = [section if isinstance(section, Mapping) else {} for section in sections]
    teachers = distillation.get("fingerprints") or []
    return model.get("name"), data.get("name"), data.get("split"), config.get("seed"), teachers
