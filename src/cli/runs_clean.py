"""`runs clean`: list what can be freed, and remove it with `--yes`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runs.cleaning import KINDS, Rules, remove, survey
from ..utils.errors import UserError
from ..utils.numbers import counted, file_size
from .folders import root_folders_of
from .options import add_shared
from .terminal import say, table

if TYPE_CHECKING:
    from ..runs.cleaning import Removable, Survey

EXAMPLES = """
    {program} runs clean
    {program} runs clean --older_than 30 --keep_last 5 --yes
    {program} runs clean --only superseded caches --older_than 0 --yes
"""
_DEFAULT = Rules()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `runs clean` to its parser."""
    parser.add_argument(
        "--older_than",
        type=float,
        metavar="DAYS",
        help=f"only what was last written so long ago (default: {_DEFAULT.older_than_days:g})",
    )
    parser.add_argument(
        "--keep_last",
        type=int,
        metavar="N",
        help=f"leave the N newest runs as they are (default: {_DEFAULT.keep_last})",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=tuple(KINDS),
        metavar="KIND",
        help=f"only these kinds: {', '.join(KINDS)} (default: all)",
    )
    parser.add_argument("--yes", action="store_true", help="remove what is listed; without it nothing is removed")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print what is found as JSON")
    add_shared(parser, "--env", "--data_root", "--output_root")


def run(arguments: argparse.Namespace) -> int:
    """List, and with `--yes` remove; return the exit code.

    Raises:
        UserError: an option is impossible, the folder is none of runs, or something could not be removed.
    """
    roots = root_folders_of(arguments)
    if arguments.output_root and not roots.output_root.is_dir():
        raise UserError(f"There is no folder {roots.output_root}. Name the folder of the runs with --output_root.")
    rules = Rules(
        tuple(getattr(arguments, "only", _DEFAULT.kinds)),
        _at_least_0("--older_than", getattr(arguments, "older_than", _DEFAULT.older_than_days)),
        int(_at_least_0("--keep_last", getattr(arguments, "keep_last", _DEFAULT.keep_last))),
    )
    found = survey(roots.output_root, roots.data_root, rules)
    removes = getattr(arguments, "yes", False)
    problems: dict[Path, str] = {}
    if removes:
        problems = {item.path: problem for item, problem in remove(found.removable, roots.output_root) if problem}
    if arguments.json:
        print(json.dumps(_facts(found, problems, roots.output_root, removes=removes), indent=2))
    else:
        _show(found, problems, roots.output_root, rules.older_than_days, removes=removes)
    if problems:
        path, problem = next(iter(problems.items()))
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise UserError(f"Not everything could be removed: {path}: {problem}{more}. All else that is listed is gone.")
    return 0


def _at_least_0(option: str, value: float) -> float:
    if not 0 <= value < 1e9:
        raise UserError(f"{option} {value:g} should be 0 or more.")
    return value


def _facts(found: "Survey", problems: dict[Path, str], root: Path, *, removes: bool) -> dict[str, Any]:
    """Return what was found, and what became of it, as JSON values."""
    return {
        "output_root": str(root),
        "removed": removes,
        "bytes": _size([item for item in found.removable if item.path not in problems]),
        "items": [
            {
                "kind": item.kind,
                "path": str(item.path),
                "bytes": item.size_bytes,
                "age_days": round(item.age_days, 2),
                "reason": item.reason,
                "problem": problems.get(item.path),
            }
            for item in found.removable
        ],
        "kept": [{"path": str(path), "reason": why} for path, why in found.kept],
    }


def _show(found: "Survey", problems: dict[Path, str], root: Path, days: float, *, removes: bool) -> None:
    """Print what can go or is gone, what stays and why, and how to free it."""
    done = [item for item in found.removable if item.path not in problems]
    if done:
        title = f"{'Removed' if removes else 'Can be removed'}: {counted(len(done), 'entry')} below {root}"
        rows = [[i.kind, _name(i.path, root), file_size(i.size_bytes), f"{i.age_days:.0f}", i.reason] for i in done]
        table(title, ["kind", "path", "size", "days", "why it can go"], rows)
    if found.kept:
        say("\nKept:" if done else "Kept:")
    for path, why in found.kept:
        say(f"  {_name(path, root)}: {why}")
    if removes:
        say(f"Freed: {file_size(_size(done))}.")
    elif done:
        say(f"Nothing is removed yet. The same command with --yes frees {file_size(_size(done))}.")
    else:
        say(f"There is nothing to free in {root} that is older than {counted(days, 'day')}.")


def _size(items: "Sequence[Removable]") -> int:
    return sum(item.size_bytes for item in items)


def _name(path: Path, root: Path) -> str:
    """Return a path below the folder of runs, or the whole path of one that is elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
