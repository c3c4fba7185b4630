"""Read tens of thousands of damaged and hostile inputs, and check that every reader raises only its documented errors.

Valid inputs are changed: bits flipped, pieces cut off, repeated and moved, sizes falsified, values replaced by unusual
ones, checksums corrected. Each is read in a process of limited memory and time. An input that is neither
read nor refused with a documented error is a finding, kept with the command that repeats it; the exit code is 1 if
there is one.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults import log, source_checksum
from fuzz_changes import Files
from fuzz_targets import TARGETS
from fuzz_worker import load_seeds, save_seeds

from last.cli.terminal import table
from last.utils.errors import UserError

MEMORY_MIB, SECONDS = 1024, 10.0  # of one input: the limit of a pickle, and far more than any input here needs
_INPUTS_PER_WORKER = 500
_ABOUT = "finding.txt"
_SILENT_S = 300.0  # a worker without output for this time is stuck where no signal reaches it
_COLUMNS = ("reader", "inputs", "accepted", "refused", "findings", "slowest s", "largest MiB")
_EXAMPLES = """examples:
  python benchmarks/reliability/fuzz.py --inputs 100000 --seed 0
  python benchmarks/reliability/fuzz.py --readers pickles,zips --inputs 5000 --out findings
  python benchmarks/reliability/fuzz.py --readers pickles --again findings/pickles-0-4711
"""


@dataclass
class Row:
    """Results of one reader's inputs."""

    reader: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    largest_mib: float = 0.0
    findings: list[dict[str, Any]] = field(default_factory=list)

    def count(self, result: dict[str, Any]) -> None:
        """Add the result of one input."""
        self.inputs += 1
        self.accepted += result["kind"] == "accepted"
        self.refused += result["kind"] == "refused"
        self.slowest_s = max(self.slowest_s, result.get("seconds", 0.0))
        self.largest_mib = max(self.largest_mib, result.get("mib", 0.0))
        if result["kind"] == "finding":
            self.findings.append(result)

    def cells(self) -> list[object]:
        """Return the cells of its row in the table."""
        counts = [self.inputs, self.accepted, self.refused, len(self.findings)]
        return [self.reader, *counts, f"{self.slowest_s:.2f}", f"{self.largest_mib:.0f}"]


class Campaign:
    """Fuzz campaign over the requested readers.

    Args:
        options: the options of the command line.
        folder: the folder of inputs and seeds during the campaign.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder

    def run(self) -> list[Row]:
        """Read all inputs with several workers, and return a row for each reader."""
        rows = {name: Row(name) for name in self.options.readers}
        for name in rows:
            (self.folder / name).mkdir(parents=True)
            again = self.options.again
            seeds = [_kept(again)] if again else TARGETS[name].seeds(self.folder / name)
            save_seeds(self.folder / f"{name}.json", seeds)
        with ThreadPoolExecutor(self.options.jobs) as pool:
            for name, results in pool.map(self._read, self._parts()):
                for result in results:
                    rows[name].count(result)
                    if result["kind"] == "finding":
                        self._keep(name, result)
        return list(rows.values())

    def _parts(self) -> list[tuple[str, int, int]]:
        """Return the inputs of each worker: the reader, the first index and the end."""
        names = self.options.readers
        if self.options.again:
            return [(name, 0, 1) for name in names]
        weights = {name: TARGETS[name].weight for name in names}
        counts = {name: round(self.options.inputs * weights[name] / sum(weights.values())) for name in names}
        counts[names[0]] += self.options.inputs - sum(counts.values())
        return [
            (name, first, min(first + _INPUTS_PER_WORKER, counts[name]))
            for name in names
            for first in range(0, counts[name], _INPUTS_PER_WORKER)
        ]

    def _read(self, part: tuple[str, int, int]) -> tuple[str, list[dict[str, Any]]]:
        """Read a part of the inputs; if a worker ends early, the input that it was reading is a finding."""
        name, first, end = part
        results: list[dict[str, Any]] = []
        while first < end:
            begun, code = first, None
            for line in self._worker(name, first, end):
                begun, code = line.get("begun", begun), line.get("code", code)
                if "number" in line:
                    results.append(line)
                    first = line["number"] + 1
            if first < end:
                message = f"The worker ended with code {code} while it read this input."
                results.append({"number": begun, "kind": "finding", "message": message})
                first = begun + 1
        log(f"{name}: {part[1]} to {end - 1}, {sum(each['kind'] == 'finding' for each in results)} findings")
        return name, results

    def _worker(self, name: str, first: int, end: int) -> Iterator[dict[str, Any]]:
        """Yield the lines of a worker, then its exit code."""
        job = {
            "target": name,
            "seed": self.options.seed,
            "first": first,
            "end": end,
            "seeds": str(self.folder / f"{name}.json"),
            "folder": str(self.folder / f"{name}-{first}"),
            "memory_mib": self.options.memory_mib,
            "seconds": self.options.seconds,
        }
        command = [sys.executable, str(Path(__file__).with_name("fuzz_worker.py")), json.dumps(job)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        limit_s = _SILENT_S + self.options.seconds * (end - first)
        with subprocess.Popen(
            ["timeout", "--signal=KILL", str(limit_s), *command],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{") and line.endswith("\n"):
                    yield json.loads(line)
        yield {"code": process.returncode}

    def _keep(self, name: str, result: dict[str, Any]) -> None:
        """Keep the input of a finding with its effect and the command that repeats it."""
        if self.options.out is None:
            return
        number, seed = result["number"], self.options.seed
        folder = self.options.out / f"{name}-{seed}-{number}"
        for path, content in TARGETS[name].made(load_seeds(self.folder / f"{name}.json"), seed, number).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        again = f"python benchmarks/reliability/fuzz.py --readers {name} --again {folder}"
        (folder / _ABOUT).write_text(f"{again}\n\n{result['message']}\n", encoding="utf-8", errors="replace")


def _kept(folder: Path) -> Files:
    """Return an input as `Campaign` keeps it."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path != folder / _ABOUT]
    if not paths:
        raise UserError(f"--again {folder}: it has no input. Name a folder below the --out of a campaign.")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def describe(options: argparse.Namespace) -> dict[str, object]:
    """Return the options, the versions, the system and the date."""
    return {
        **{name: value for name, value in vars(options).items() if name in ("inputs", "seed", "memory_mib", "seconds")},
        "python": platform.python_version(),
        "system": platform.platform(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=_count, default=100_000, help="total number (default 100000)")
    parser.add_argument("--seed", type=int, default=0, help="of the changes (default 0)")
    parser.add_argument("--again", type=Path, metavar="DIR", help="read one kept input again and show its error")
    parser.add_argument("--readers", type=_readers, default=list(TARGETS), help=f"some of {','.join(TARGETS)}")
    parser.add_argument("--memory_mib", type=_count, default=MEMORY_MIB, help=f"of an input (default {MEMORY_MIB})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of an input (default {SECONDS:g})")
    parser.add_argument("--jobs", type=_count, default=2, help="simultaneous workers (default 2)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the input of every finding in this folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table and all findings to this file")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} should be 1 or more")
    return number


def _readers(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in TARGETS:
            raise argparse.ArgumentTypeError(f"there is no reader {name!r}; the readers are {', '.join(TARGETS)}")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; return the exit code."""
    options = _parse(arguments)
    began, source = time.monotonic(), source_checksum()
    try:
        if sys.platform != "linux":
            raise UserError("The campaign needs Linux: it limits memory and reads /proc.")
        with tempfile.TemporaryDirectory(prefix="last-fuzz-") as folder:
            rows = Campaign(options, Path(folder)).run()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table("Changed inputs", _COLUMNS, [row.cells() for row in rows])
    findings = [(row.reader, each) for row in rows for each in row.findings]
    kinds: dict[str, list[str]] = {}
    for reader, each in findings:
        kinds.setdefault(f"{reader}: {each['message'].strip().splitlines()[-1][:160]}", []).append(str(each["number"]))
    for kind, numbers in sorted(kinds.items(), key=lambda item: -len(item[1])):
        print(f"{len(numbers)} findings, such as number {numbers[0]}, {kind}")
    if options.again:
        print("\n".join(f"{reader}: {each['message']}" for reader, each in findings))
    about = describe(options) | {"minutes": round((time.monotonic() - began) / 60, 1), "findings": len(findings)}
    changed = source != source_checksum()
    if changed:
        log("The source of LAST changed during the campaign. Run it again.")
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    if options.json:
        result = {"run": about, "rows": [vars(row) for row in rows]}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if findings or changed else 0


if __name__ == "__main__":
    sys.exit(main())
