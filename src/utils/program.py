"""How to call this program and how to install beside it, for messages that name a command."""

import shlex
import sys
from pathlib import Path

PLACEHOLDER = "{program}"


def program() -> str:
    """Return how to call this program, as one types it."""
    return "last-har" if Path(sys.argv[0]).stem == "last-har" else "python -m last"


def naming_program(text: str) -> str:
    """Return `text` with how to call this program in the place of each `{program}`; other braces stay."""
    return text.replace(PLACEHOLDER, program())


def install_command(*requirements: str) -> str:
    """Return the command that installs packages for the Python that runs this program.

    `last-har` names LAST as it is installed, from a wheel or from a checkout: pip then gets what it lacks.
    """
    return shlex.join([sys.executable, "-m", "pip", "install", *requirements])
