"""The commands that call this program and that install packages for it, for messages."""

import shlex
import sys
from pathlib import Path

PLACEHOLDER = "{program}"
_PACKAGE = Path(__file__).resolve().parents[1]


def program() -> str:
    """Return the command that calls this program."""
    return "last-har" if Path(sys.argv[0]).stem == "last-har" else "python -m last"


def command_line() -> str:
    """Return the command of this process as it can be typed again; empty if a program of another kind calls LAST.

    The user's own folder is `~`.
    """
    called = Path(sys.argv[0]).resolve()
    if called.parent == _PACKAGE.parent / "scripts":
        command = f"python scripts/{called.name}"
    elif called == _PACKAGE / "__main__.py" or called.stem == "last-har":
        command = program()
    else:
        return ""
    home = str(Path.home())
    words = [f"~{word.removeprefix(home)}" if word.startswith(f"{home}/") else word for word in sys.argv[1:]]
    return f"{command} {' '.join(_quoted(word) for word in words)}".strip()


def _quoted(word: str) -> str:
    """Return a word for a shell; a leading `~/` is left to it."""
    return f"~/{shlex.quote(word[2:])}" if word.startswith("~/") else shlex.quote(word)


def naming_program(text: str) -> str:
    """Return `text` with each `{program}` replaced by the command of this program; other braces are unchanged."""
    return text.replace(PLACEHOLDER, program())


def install_command(*requirements: str) -> str:
    """Return the command that installs packages for the Python that runs this program.

    `last-har` names the installed LAST, from a wheel or from a checkout: pip then installs missing dependencies.
    """
    return shlex.join([sys.executable, "-m", "pip", "install", *requirements])
