"""The checkpoints that come with the program, by name. Nothing here needs torch."""

from pathlib import Path

from ..utils.config import unknown_name
from ..utils.errors import UserError

_FOLDER = Path(__file__).parent / "weights"


def list_pretrained() -> list[str]:
    """Return the names of the weights that come with the program."""
    return sorted(path.stem for path in _FOLDER.glob("*.pth"))


def pretrained_file(name: str) -> Path:
    """Return the checkpoint of weights that come with the program.

    Raises:
        UserError: there are none of that name.
    """
    if name not in list_pretrained():
        raise UserError(unknown_name("set of pretrained weights", name, list_pretrained()))
    return _FOLDER / f"{name}.pth"


def is_shipped(path: Path) -> bool:
    """Return whether a checkpoint is one of those that come with the program."""
    return path.absolute().parent == _FOLDER
