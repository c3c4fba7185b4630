"""What the commands' options share: how they are parsed, how help looks, and the flags that several have."""

import argparse
import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..utils.errors import UserError
from ..utils.program import naming_program
from ..utils.renamed_keys import RENAMED_OPTIONS
from ..utils.yaml_text import decimal
from .suggestions import suggestion

MOST_THREADS = 1024
_MOST = 1_000_000_000
_SHARED: dict[str, dict[str, Any]] = {
    "--env": {
        "metavar": "NAME",
        "help": "environment: local, kaggle or lambda (default: kaggle where /kaggle exists, else local)",
    },
    "--epochs": {"type": int, "metavar": "N", "help": "epochs (default: 70)"},
    "--batch_size": {"type": int, "metavar": "N", "help": "clips a step (default: 16)"},
    "--amp": {"action": "store_true", "default": None, "help": "mixed precision"},
    "--compile": {"action": "store_true", "default": None, "help": "torch.compile the model"},
    "--data_root": {"metavar": "DIR", "help": "folder of prepared data sets (default: the environment's)"},
    "--output_root": {"metavar": "DIR", "help": "folder of runs (default: the environment's)"},
    "--device": {
        "choices": ("auto", "cpu", "cuda", "mps"),
        "help": "where to compute (default: the configuration's, which is auto: CUDA if there is one)",
    },
    "--set": {
        "metavar": "KEY=VALUE",
        "nargs": "+",
        "action": "extend",
        "default": [],
        "help": "set any configuration key, for example --set grad_clip=0.5 data.augment.scale=0.1",
    },
}


class _Parser(argparse.ArgumentParser):
    """Report wrong options as every other user's error: one message, no page of usage before it.

    A number is read as a configuration reads it, in decimal digits: Python takes `1_000` and digits of other scripts.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("type", int, _whole)
        self.register("type", float, _decimal)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; `{self.prog} --help` lists the options.")

    def unknown(self, arguments: Sequence[str]) -> str:
        """Return the message for arguments that no option takes."""
        flag, _, value = arguments[0].partition("=")
        if not value and len(arguments) > 1 and not arguments[1].startswith("-"):
            value = arguments[1]
        known = [option for action in self._actions for option in action.option_strings]
        if RENAMED_OPTIONS.get(flag) in known:
            return f"the option {flag} was renamed: write {RENAMED_OPTIONS[flag]}"
        meant = suggestion(flag, value, known) if flag.startswith("-") else ""
        return f"there is no option {flag!r}" + (f" (did you mean {meant!r}?)" if meant else "")


def parse(
    program: str,
    purpose: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    arguments: Sequence[str],
) -> argparse.Namespace:
    """Parse a command's arguments; flags are written with underscores, and dashes are read as such.

    Raises:
        UserError: an option is unknown, missing, or has an impossible value.
    """
    parser = _Parser(
        prog=program,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(parser)
    parser.add_argument("--quiet", action="store_true", help="show warnings and results only")
    parsed, unknown = parser.parse_known_args([_underscored(argument) for argument in arguments])
    if unknown:
        parser.error(parser.unknown(unknown))
    return parsed


def add_shared(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Add flags that mean the same in every command."""
    for flag in flags:
        parser.add_argument(flag, **_SHARED[flag])


def _whole(text: str) -> int:
    number = decimal(text.strip())
    if not isinstance(number, int):
        raise ValueError
    return number


def _decimal(text: str) -> float:
    number = decimal(text.strip())
    if isinstance(number, str):
        raise ValueError
    return float(number)


def numbers(text: str, kind: type = int) -> list[Any]:
    """Return the numbers of a list such as `0,1,2`, whole ones from 0 where `kind` is not float."""
    parts = [part.strip() for part in text.split(",")]
    try:
        found = [(_decimal if kind is float else _whole)(part) for part in parts]
        if kind is float or min(found) >= 0:
            return found
    except ValueError:
        pass
    what = "numbers" if kind is float else "whole numbers"
    raise argparse.ArgumentTypeError(f"{text!r} should be {what} with commas between, such as 0,1,2")


def hours(text: str) -> float:
    """Return a time that is not over yet."""
    try:
        number = _decimal(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number of hours above 0, such as 8.5")
    return number


def refuse_outside(arguments: argparse.Namespace, **bounds: tuple[int, int]) -> None:
    """Refuse options whose number is below or above what `bounds` allow, by the options' names.

    Raises:
        UserError: one is.
    """
    for name, (least, most) in bounds.items():
        value: int = getattr(arguments, name)
        if not least <= value <= most:
            wanted = f"at least {least}" if value < least else f"at most {most:,}"
            raise UserError(f"--{name} {value} should be {wanted}.")


def count(text: str) -> int:
    """Return a whole number above 0, and not above what any machine could do."""
    try:
        number = _whole(text)
    except ValueError:
        number = 0
    if not 0 < number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number above 0, such as 20")
    return number


def examples(text: str) -> str:
    """Return `text`, one command a line, as the part of a command's help that shows examples.

    `{program}` in it stands for how the program is called: `python -m last` or `last-har`.
    """
    return "examples:\n" + textwrap.indent(naming_program(textwrap.dedent(text).strip()), "  ")


def typed(path: Path) -> str:
    """Return a path as one types it in a command line."""
    return f'"{path}"' if " " in str(path) else str(path)


def _underscored(argument: str) -> str:
    """Return `--batch-size=4` as `--batch_size=4`; anything but a flag stays as it is."""
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument.removeprefix("--").partition("=")
    return f"--{flag.replace('-', '_')}{equals}{value}"
