"""The steps of `start` that are done, with what they were made from, so that a second call does not repeat them."""

import shlex
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ..data.store.fingerprints import digest
from ..utils.errors import UserError
from ..utils.files import file_checksum, read_json, write_json
from ..utils.program import program
from ..utils.root_folders import is_file
from ..version import __version__
from .options import parse
from .steps import Steps
from .terminal import remark, within_a_step

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
                f"{self._path.parent} was started {was}: omit --{name} {given} to continue it, or start from "
                "the beginning with another --out."
            )
        return began

    def note_options(self, options: Mapping[str, Any]) -> None:
        """Write down the options that the folder is started with."""
        self._options = dict(options)
        self._write()

    def is_done(self, step: str, made_from: str, output: Path) -> bool:
        """Tell whether a step was finished with the same inputs, and its output is still there."""
        return self._steps.get(step) == made_from and output.exists()

    def is_noted(self, step: str, made_from: str) -> bool:
        """Tell whether a step is written down with the same inputs."""
        return self._steps.get(step) == made_from

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


class RecordedCommands(Steps):
    """Run other commands as steps, and show each as a user would type it.

    Args:
        count: the number of steps.
        done: the record of what is done.
        quiet: whether the commands show warnings and results only.

    Attributes:
        kept: the titles of the steps that were done already.
    """

    def __init__(self, count: int, done: DoneSteps, quiet: bool) -> None:
        super().__init__(count)
        self.done, self._quiet = done, quiet
        self.kept: list[str] = []

    def command_once(
        self, title: str, name: str, *arguments: object, reads: Sequence[Path], makes: Path, resumes: bool = False
    ) -> int:
        """Run a command as a step, unless it is done already and the files that it reads have not changed.

        Args:
            title: of the step.
            name, arguments: the command and its options.
            reads: the files that decide its result.
            makes: a file that it writes.
            resumes: whether `--resume auto` makes it continue what an earlier call began with the same inputs.
        """
        source = made_from([name, *map(str, arguments)], reads)
        if self.done.is_done(title, source, makes):
            with self.step(title):
                remark(f"  Done already, and what it was made from has not changed: {makes}")
            self.kept.append(title)
            return 0
        if resumes:
            begun = f"{title}, begun"
            arguments += ("--resume", "auto") if self.done.is_noted(begun, source) else ()
            self.done.note(begun, source)
        code = self.command(title, name, *arguments)
        if code == 0:
            self.done.note(title, source)
        return code

    def command(self, title: str, name: str, *arguments: object) -> int:
        """Run a command as a step and return its exit code."""
        with self.step(title):
            return self.call(name, *arguments)

    def call(self, name: str, *arguments: object) -> int:
        """Run a command within a step and return its exit code."""
        from . import COMMANDS

        words = [str(each) for each in arguments]
        remark(f"  {program()} {shlex.join([name, *words])}", flush=True)
        module, purpose = COMMANDS[name]
        command = import_module(module, __package__)
        parsed = parse(f"{program()} {name}", purpose, command.add_arguments, words + ["--quiet"] * self._quiet)
        with within_a_step():
            return int(command.run(parsed))


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
