"""Parsing of command line options: the parser, the form of `--help`, and the flags that several commands share."""

import argparse
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..utils.errors import UserError
from ..utils.program import naming_program
from ..utils.renamed_keys import RENAMED_OPTIONS
from ..utils.yaml_text import decimal
from .suggestions import suggestion

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Request = TypeVar("Request", bound="DataclassInstance")

MOST_THREADS = 1024
_MOST = 1_000_000_000
_SHARED: dict[str, dict[str, Any]] = {
    "--env": {
        "metavar": "NAME",
        "help": "environment: local, kaggle or lambda (default: kaggle where /kaggle exists, else local)",
    },
    "--epochs": {"type": int, "metavar": "N", "help": "epochs (default: 70)"},
    "--batch_size": {"type": int, "metavar": "N", "help": "clips per step (default: 16)"},
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
    """Argument parser that reports a wrong option with one message, without the usage text.

    Numbers are decimal, as in a configuration: Python would also accept `1_000` and digits of other scripts.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("type", int, _integer)
        self.register("type", float, _decimal)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; `{self.prog} --help` lists the options.")

    def unknown_message(self, arguments: Sequence[str]) -> str:
        """Return the message for unknown arguments."""
        flag, _, value = arguments[0].partition("=")
        if not value and len(arguments) > 1 and not arguments[1].startswith("-"):
            value = arguments[1]
        known = [option for action in self._actions for option in action.option_strings]
        if RENAMED_OPTIONS.get(flag) in known:
            return f"the option {flag} was renamed: write {RENAMED_OPTIONS[flag]}"
        meant = suggestion(flag, value, known) if flag.startswith("-") else ""
        return f"there is no option {flag!r}" + (f" (did you mean {meant!r}?)" if meant else "")


class GivenOnce(argparse.Action):
    """An option of which a second one would silently replace the first."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the value, or end the program with a message if the option was given before."""
        before = getattr(namespace, self.dest, self.default)
        if before != self.default:
            parser.error(f"{option_string} is given twice, as {before} and {values}: give one.")
        setattr(namespace, self.dest, values)


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
    parsed, unknown = parser.parse_known_args([_with_underscores(argument) for argument in arguments])
    if unknown:
        parser.error(parser.unknown_message(unknown))
    return parsed


def add_shared(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Add flags that have the same meaning in every command."""
    for flag in flags:
        parser.add_argument(flag, **_SHARED[flag])


def fill(request: type[Request], arguments: argparse.Namespace, **others: Any) -> Request:
    """Return a dataclass whose fields are the options of the same names, and `others`.

    An option that is not given, which is None, leaves the field's own default.
    """
    options = {field.name: getattr(arguments, field.name, None) for field in fields(request)}
    return request(**{name: value for name, value in options.items() if value is not None} | others)


def _integer(text: str) -> int:
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
    """Parse a list such as `0,1,2`; with `kind=int` its numbers are integers from 0."""
    parts = [part.strip() for part in text.split(",")]
    try:
        found = [(_decimal if kind is float else _integer)(part) for part in parts]
        if kind is float or min(found) >= 0:
            return found
    except ValueError:
        pass
    what = "numbers" if kind is float else "integers from 0"
    raise argparse.ArgumentTypeError(f"{text!r} should be {what}, separated by commas, such as 0,1,2")


def names(text: str) -> list[str]:
    """Parse names separated by commas, such as `nano_e,small_e`."""
    return [part.strip() for part in text.split(",") if part.strip()]


def hours(text: str) -> float:
    """Parse a number of hours above 0."""
    return number(text, lambda value: 0 < value < math.inf, "a number of hours above 0, such as 8.5")


def time_limit(text: str) -> float:
    """Parse a number of hours, 0 for no limit."""
    return number(text, lambda value: 0 <= value < math.inf, "a number of hours, such as 8.5, or 0 for no limit")


def seconds(text: str) -> float:
    """Parse a number of seconds from 0 to an hour."""
    return number(text, lambda value: 0 <= value <= 3600, "a number of seconds from 0 to 3600, such as 0.5")


def degrees(text: str) -> float:
    """Parse an angle from -180 to 180 degrees."""
    return number(text, lambda value: -180 <= value <= 180, "an angle from -180 to 180 degrees, such as -15")


def share(text: str) -> float:
    """Parse a share from 0 to 0.9."""
    return number(text, lambda value: 0 <= value <= 0.9, "a share from 0 to 0.9, such as 0.3")


def number(text: str, is_possible: Callable[[float], bool], wanted: str) -> float:
    """Parse a number that has to be possible; `wanted` says which ones are, for the message."""
    try:
        value = _decimal(text)
    except ValueError:
        value = math.nan
    if not is_possible(value):
        raise argparse.ArgumentTypeError(f"{text!r} should be {wanted}")
    return value


def check_bounds(arguments: argparse.Namespace, **bounds: tuple[int, int]) -> None:
    """Refuse options outside of `bounds`, which are by option name.

    Raises:
        UserError: an option is outside of its bounds.
    """
    for name, (least, most) in bounds.items():
        value: int = getattr(arguments, name)
        if not least <= value <= most:
            wanted = f"at least {least}" if value < least else f"at most {most:,}"
            raise UserError(f"--{name} {value} should be {wanted}.")


def count(text: str) -> int:
    """Parse an integer from 1 to a billion."""
    try:
        number = _integer(text)
    except ValueError:
        number = 0
    if not 0 < number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} should be an integer above 0, such as 20")
    return number


def examples(text: str) -> str:
    """Return the examples section of a command's help; `text` has one command per line.

    `{program}` in it is replaced by how the program is called: `python -m last` or `last-har`.
    """
    return "examples:\n" + textwrap.indent(naming_program(textwrap.dedent(text).strip()), "  ")


def quoted(path: Path) -> str:
    """Return a path for a command line, quoted if it has a space."""
    return f'"{path}"' if " " in str(path) else str(path)


def _with_underscores(argument: str) -> str:
    """Return `--batch-size=4` as `--batch_size=4`; anything but a flag is unchanged."""
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument.removeprefix("--").partition("=")
    return f"--{flag.replace('-', '_')}{equals}{value}"
