"""Completion of command lines in a shell, by the optional package argcomplete."""

import argparse
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ..benchmarks import purposes
from ..distillation.methods import list_methods
from ..evaluation.clip_metrics import list_metrics
from ..utils.config import MODEL_FILES, config_names

_TAKE_FILES = ("model", "dataset", "config")


def complete(commands: Mapping[str, tuple[str, str]]) -> int:
    """Write the completions of the shell's command line and exit.

    Only the command in the line is imported, so that completion is fast.

    Args:
        commands: each command's module, relative to this package, and its purpose.

    Returns:
        An exit code if argcomplete is not installed.
    """
    try:
        import argcomplete
        from argcomplete.completers import FilesCompleter
    except ImportError:
        return 2
    line = os.environ.get("COMP_LINE", "")
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--version", action="store_true")
    actions = parser.add_subparsers()
    for name, (module, purpose) in commands.items():
        command = actions.add_parser(name, help=purpose, allow_abbrev=False)
        if name in line.split():
            import_module(module, __package__).add_arguments(command)
            command.add_argument("--quiet", action="store_true")
            _offer_names(command, FilesCompleter())
    argcomplete.autocomplete(parser)
    return 0


def _offer_names(parser: argparse.ArgumentParser, files: Callable[..., Any]) -> None:
    """Set the completions of options that take a known name or a file."""
    names = {
        "model": list(MODEL_FILES),
        "dataset": config_names("data"),
        "config": config_names("training"),
        "env": config_names("environment"),
        "part": [*purposes(), "all"],
        "method": list_methods(),
        "metrics": list_metrics(),
    }
    for action in parser._actions:
        if action.dest in names:
            offered = names[action.dest]
            paths = files if action.dest in _TAKE_FILES else lambda _: []
            action.completer = lambda prefix, offered=offered, paths=paths, **_: [*offered, *paths(prefix)]  # type: ignore[attr-defined]
