"""Read changed inputs one by one under limits of memory and time; print a line of JSON for each."""

import json
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fuzz_changes import Files
from fuzz_targets import TARGETS, Target

_PAGE = resource.getpagesize()


class TooLong(BaseException):
    """Reading took longer than its limit."""


def work(job: dict[str, Any]) -> None:
    """Read the inputs of a job: of `target`, made from `seeds` and `seed`, with the indices from `first` to `end`."""
    target, folder = TARGETS[job["target"]], Path(job["folder"])
    seeds = load_seeds(Path(job["seeds"]))
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(BaseException):
        read_once(target, seeds[0], folder)  # so that its imports count for no input
    limit = _address_space() + (job["memory_mib"] << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for number in range(job["first"], job["end"]):
        files = target.made(seeds, job["seed"], number)
        print(json.dumps({"begun": number}), flush=True)
        print(json.dumps({"number": number, **read_result(target, files, folder, job["seconds"])}), flush=True)


def read_result(target: Target, files: Files, folder: Path, seconds: float) -> dict[str, Any]:
    """Return the result of reading one input: `accepted`, `refused` or `finding`, with its time and memory."""
    before, began, message = _reset_peak(), time.process_time(), ""
    try:
        with _at_most(seconds):
            read_once(target, files, folder)
        kind = "accepted"
    except target.fine() as error:
        kind, message = "refused", str(error)
        message.encode("utf-8", "surrogatepass")
    except TooLong:
        kind, message = "finding", f"it took more than {seconds:g} s"
    except BaseException:
        kind, message = "finding", traceback.format_exc(limit=-6)
    return {
        "kind": kind,
        "message": message[-3000:],
        "seconds": time.process_time() - began,
        "mib": max(0.0, (_peak() - before) / 2**20),
    }


def read_once(target: Target, files: Files, folder: Path) -> None:
    """Write one input into an empty folder and read it."""
    for path, content in files.items():
        target_path = folder / path
        target_path.parent.mkdir(parents=True, exist_ok=True)
        target_path.write_bytes(content)
    try:
        target.read(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def save_seeds(path: Path, seeds: list[Files]) -> None:
    """Keep valid inputs for workers, as JSON."""
    path.write_text(json.dumps([{name: data.hex() for name, data in files.items()} for files in seeds]))


def load_seeds(path: Path) -> list[Files]:
    """Return the inputs that `save_seeds` kept."""
    return [{name: bytes.fromhex(data) for name, data in files.items()} for files in json.loads(path.read_text())]


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Interrupt the block after `seconds` of this process's CPU time."""

    def interrupt(*_: object) -> None:
        raise TooLong

    signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE


def _reset_peak() -> int:
    """Reset the peak of memory, and return the memory in use."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    import logging

    logging.getLogger("last").setLevel(logging.CRITICAL)
    work(json.loads(sys.argv[1]))
