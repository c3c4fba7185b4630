"""Hand a script's arguments to the command of `python -m last` that it stands for."""

import sys


def run(command: str) -> int:
    """Run `last <command>` with this script's arguments and return the exit code."""
    try:
        from last.cli import main
    except ModuleNotFoundError as error:
        print(  # noqa: T201 - there is no package yet that could say it
            f"error: {sys.executable} has no module {error.name!r}, so LAST is not installed there."
            " Run `make setup` and use .venv/bin/python, or run `pip install -e .` in the checkout.",
            file=sys.stderr,
        )
        return 2
    return main([command, *sys.argv[1:]])
