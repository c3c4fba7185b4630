"""Inject into short trainings every fault that is documented as harmless, and check the result.

Runs are killed at random moments and resumed, lose their streams and terminals, are trained twice at once, receive
non-finite values, full disks and damaged checkpoints, and lose one of their processes. Everything comparable is
compared with an undisturbed run bit by bit. The exit code is 1 if anything was not as promised.
"""

import argparse
import hashlib
import json
import logging
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from faults_files import FaultResult, damage_checkpoints, fill_disks
from faults_kills import KillCampaign, details, summarise
from faults_numbers import inject_everywhere
from faults_output import lose_output, train_twice_at_once
from faults_ranks import change_process_count, kill_ranks
from faults_runs import ACCUMULATING, KILLED, prepare_data, train_to_the_end

import last
from last.cli.terminal import table
from last.utils.errors import UserError

PARTS = ("kills", "output", "writers", "numbers", "disk", "damage", "ranks", "processes")
_EXAMPLES = """examples:
  python benchmarks/reliability/faults.py               the whole campaign; about a quarter of an hour
  python benchmarks/reliability/faults.py --kills 300 --seed 1 --json faults.json
  python benchmarks/reliability/faults.py --parts disk,damage
"""


class Campaign:
    """Run the parts of the campaign in one folder.

    Args:
        options: the options of the command line.
        folder: the folder of all runs.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.data = prepare_data(folder)

    def run(self, part: str) -> tuple[Any, int]:
        """Run a part, print its table, and return its values for the JSON file and its number of failed cases."""
        log(f"--- {part}")
        part_of: Mapping[str, Callable[[Path], tuple[Any, int]]] = {
            "kills": self._kills,
            "numbers": self._numbers,
            "output": lambda folder: _show("output", lose_output(self.data, folder, log)),
            "writers": lambda folder: _show("writers", train_twice_at_once(self.data, folder, log)),
            "disk": lambda folder: _show("disk", fill_disks(self.data, folder, log)),
            "damage": self._damage,
            "ranks": self._ranks,
            "processes": lambda folder: _show("processes", change_process_count(self.data, folder, log)),
        }
        return part_of[part](self.folder / part)

    def _kills(self, folder: Path) -> tuple[Any, int]:
        options = self.options
        campaign = KillCampaign(
            KILLED, self.data, folder, kills=options.kills, seed=options.seed, jobs=options.jobs, log=log
        )
        cases = campaign.run()
        rows = summarise(cases, campaign.references)
        numbers = [name for name in rows[0] if name not in ("setup", "seconds")]
        rows.append({"setup": "all", "seconds": "", **{name: sum(row[name] for row in rows) for name in numbers}})
        table("Kills", list(rows[0]), [list(row.values()) for row in rows])
        return {"table": rows, "cases": details(cases)}, sum(not case.sound for case in cases)

    def _numbers(self, folder: Path) -> tuple[Any, int]:
        results = inject_everywhere(folder, self.options.seed, log)
        columns = ["fault", "batches", "counted as", "exit code", "named", "as promised"]
        cells = [[r.fault, r.injected, r.cause, r.code, r.named, _yes(not r.problems)] for r in results]
        table("Non-finite values", columns, cells)
        return [asdict(result) for result in results], sum(bool(result.problems) for result in results)

    def _damage(self, folder: Path) -> tuple[Any, int]:
        reference, _ = train_to_the_end(ACCUMULATING, self.data, folder / "reference")
        options = self.options
        results = damage_checkpoints(self.data, folder, reference, seed=options.seed, jobs=options.jobs, log=log)
        return _show("damage", results)

    def _ranks(self, folder: Path) -> tuple[Any, int]:
        options = self.options
        return _show("ranks", kill_ranks(self.data, folder, kills=options.rank_kills, seed=options.seed, log=log))


def log(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)


def source_checksum() -> str:
    """Return a checksum of the package's source: runs of different code are not comparable."""
    digest = hashlib.sha256()
    for path in sorted(Path(last.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _show(title: str, results: Sequence[FaultResult]) -> tuple[Any, int]:
    """Print results as a table; return them as plain values and how many were not as promised."""
    cells = [
        [each.fault, ", ".join(f"{name} {value}" for name, value in each.figures.items()), _yes(not each.problems)]
        for each in results
    ]
    table(title.capitalize(), ["fault", "figures", "as promised"], cells)
    return [asdict(each) for each in results], sum(bool(each.problems) for each in results)


def _yes(true: bool) -> str:
    return "yes" if true else "NO"


def describe(options: argparse.Namespace) -> dict[str, object]:
    """Return the options, the versions, the machine and the date."""
    return {
        **{name: value for name, value in vars(options).items() if name in ("kills", "rank_kills", "seed", "jobs")},
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=_count, default=100, help="kills of runs of one process (default 100)")
    parser.add_argument("--rank-kills", type=_count, default=8, help="kills of one of two processes (default 8)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments and positions (default 0)")
    parser.add_argument("--jobs", type=_count, default=2, help="simultaneous runs (default 2)")
    parser.add_argument("--parts", type=_parts, default=PARTS, help=f"some of {','.join(PARTS)} (default: all)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the runs in this new folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to this file")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} should be 1 or more")
    return number


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    for part in parts:
        if part not in PARTS:
            raise argparse.ArgumentTypeError(f"there is no part {part!r}; the parts are {', '.join(PARTS)}")
    return parts


def _check_options(options: argparse.Namespace) -> None:
    if sys.platform != "linux":
        raise UserError("The campaign needs Linux: it reads /proc and sends signals that other systems do not have.")
    if options.out and options.out.exists():
        raise UserError(f"--out {options.out}: it exists already. Name a new folder.")
    if options.json and not options.json.parent.is_dir():
        raise UserError(f"--json {options.json}: there is no folder {options.json.parent}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; return the exit code."""
    options = _parse(arguments)
    try:
        _check_options(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    result: dict[str, Any] = {"run": describe(options)}
    began, wrong, source = time.monotonic(), 0, source_checksum()
    with ExitStack() as stack:
        folder = options.out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="last-faults-")))
        campaign = Campaign(options, folder)
        for part in options.parts:
            try:
                result[part], bad = campaign.run(part)
            except (RuntimeError, UserError, subprocess.TimeoutExpired) as error:  # the other parts still run
                log(f"{part} was aborted: {error}")
                result[part], bad = {"error": str(error)}, 1
            wrong += bad
    result["run"] |= {"minutes": round((time.monotonic() - began) / 60, 1), "not_as_promised": wrong}
    if source != source_checksum():
        log("The source of LAST changed during the campaign, which may explain differences. Run the campaign again.")
        result["run"]["source_changed"], wrong = True, wrong + 1
    print("\n".join(f"{key}: {value}" for key, value in result["run"].items()))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if wrong else 0


def restore_signals() -> None:
    """Let the trainings that are started be reached by every signal, also where this process ignores some.

    A shell has what ends in `&` ignore SIGINT, and `nohup` SIGHUP, which each process hands on to those that it starts;
    a function of Python is handed on to none.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _ignore)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing."""


if __name__ == "__main__":
    restore_signals()
    logging.getLogger("last").setLevel(logging.CRITICAL)  # damaged files are read on purpose
    sys.exit(main())
