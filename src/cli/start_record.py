"""The steps of `start` that are done, with what they were made from, so that a second call does not repeat them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.store.fingerprints import digest
from ..utils.errors import UserError
from ..utils.files import file_checksum, read_json, write_json
from ..utils.root_folders import is_file
from ..version import __version__

_STEPS, _OPTIONS = "steps", "options"


class DoneSteps:
    """The record of a folder: the options that it was started with, and a digest of the inputs of each finished step.

    A record that cannot be read counts as empty, and its steps are done again.

    Args:
        path: the JSON file of the record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            values = read_json(path) if is_file(path) else {}
        except UserError:
            values = {}
        self._steps, self._options = (_object(values.get(key)) for key in (_STEPS, _OPTIONS))

    def agreed(self, name: str, given: Any, default: Any) -> Any:
        """Return an option: what was given, else what the folder was started with, else the default.

        Raises:
            UserError: the folder was started with something else than what is given.
        """
        began = self._options.get(name, given if given is not None else default)
        if given is not None and given != began:
            was = f"without --{name}" if began is None else f"with --{name} {began}"
            raise UserError(
                f"{self._path.parent} was started {was}: omit --{name} {given} to go on with it, or start anew with "
                "another --out."
            )
        return began

    def note_options(self, options: Mapping[str, Any]) -> None:
        """Write down the options that the folder is started with."""
        self._options = dict(options)
        self._write()

    def is_done(self, step: str, made_from: str, output: Path) -> bool:
        """Tell whether a step was finished with the same inputs, and its output is still there."""
        return self._steps.get(step) == made_from and output.exists()

    def differs(self, step: str, made_from: str) -> bool:
        """Tell whether a step is written down with other inputs."""
        return step in self._steps and self._steps[step] != made_from

    def note(self, step: str, made_from: str) -> None:
        """Write down that a step is finished."""
        self._steps = {**self._steps, step: made_from}
        self._write()

    def _write(self) -> None:
        write_json(self._path, {_OPTIONS: self._options, _STEPS: self._steps})


def made_from(words: Sequence[str], files: Sequence[Path]) -> str:
    """Return a digest of a command, of the content of the files that it reads, and of the program's version."""
    contents = [file_checksum(path) if is_file(path) else "" for path in files]
    return digest([__version__, list(words), contents])


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
