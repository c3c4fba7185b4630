"""The commands that call this program and that install packages for it, for messages."""

import shlex
import sys
from pathlib import Path

PLACEHOLDER = "{program}"


def program() -> str:
    """Return the command that calls this program."""
    return "last-har" if Path(sys.argv[0]).stem == "last-har" else "python -m last"


def naming_program(text: str) -> str:
    """Return `text` with each `{program}` replaced by the command of this program; other braces are unchanged."""
    return text.replace(PLACEHOLDER, program())


def install_command(*requirements: str) -> str:
    """Return the command that installs packages for the Python that runs this program.

    `last-har` names the installed LAST, from a wheel or from a checkout: pip then installs missing dependencies.
    """
    return shlex.join([sys.executable, "-m", "pip", "install", *requirements])
