"""Two processes of which one is killed, and runs that are resumed with another number of processes."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from faults_files import FaultResult
from faults_runs import (
    ONE_COMPARABLE,
    TWO_COMPARABLE,
    TWO_PROCESSES,
    Process,
    Setup,
    arguments,
    command,
    differences,
    largest_difference,
    train_to_the_end,
)

_ENDS_WITHIN_S = 60.0
_ROUNDING = 1e-5  # of weights around 1, after some tens of steps
_EPOCH_S = 0.15  # approximate duration
_STARTS_WITHIN = 0.6  # of the seconds of a run
_WITHOUT_TORCHRUN = 2  # the number of kills that only the processes themselves can notice

Started = tuple[list[Process], Callable[[], list[int]]]


def kill_ranks(data: Path, folder: Path, *, kills: int, seed: int, log: Callable[[str], None]) -> list[FaultResult]:
    """Kill one of two processes at random moments, resume with two, and return the result of each kill."""
    reference, seconds = train_to_the_end(TWO_PROCESSES, data, folder / "reference")
    again, _ = train_to_the_end(TWO_PROCESSES, data, folder / "again")
    result = FaultResult("two undisturbed runs of two processes", problems=differences(reference, again))
    result.figures["equal"] = not result.problems
    results = [result]
    for number in range(kills):
        choice = random.Random(f"{seed}-rank-{number}")
        direct = number < _WITHOUT_TORCHRUN
        root = folder / f"run-{number}"
        start = _start_directly if direct else _start_with_torchrun
        result = FaultResult(f"rank {number % 2} killed, {'without' if direct else 'under'} torchrun")
        # Every fourth one at any moment of the first part, including the start; the others after a number of epochs.
        moment = choice.uniform(0, _STARTS_WITHIN * seconds) if number % 4 == 3 else choice.uniform(0, _EPOCH_S)
        epochs = 0 if number % 4 == 3 else choice.randrange(1, TWO_PROCESSES.epochs - 1)
        _kill_rank(start(TWO_PROCESSES, data, root), number % 2, epochs, moment, result)
        run, _ = train_to_the_end(TWO_PROCESSES, data, root)
        result.problems += differences(reference, run)
        result.figures["equal"] = not result.problems
        results.append(result)
        log(f"{result.fault}: {result.figures}: {result.problems[:3] or 'as promised'}")
    return results


def change_process_count(data: Path, folder: Path, log: Callable[[str], None]) -> list[FaultResult]:
    """Stop runs of two processes and of one, resume with the other number, and compare the weights."""
    one, _ = train_to_the_end(ONE_COMPARABLE, data, folder / "one")
    two, _ = train_to_the_end(TWO_COMPARABLE, data, folder / "two")
    results = []
    for before, after in ((TWO_COMPARABLE, ONE_COMPARABLE), (ONE_COMPARABLE, TWO_COMPARABLE)):
        result = FaultResult(f"started with {before.processes}, resumed with {after.processes}")
        root = folder / f"from-{before.processes}-to-{after.processes}"
        _stop_in_the_middle(before, data, root, result)
        resumed, _ = train_to_the_end(after, data, root)
        result.figures |= {
            "to_one_process": largest_difference(one, resumed),
            "to_two_processes": largest_difference(two, resumed),
            "one_to_two": largest_difference(one, two),
        }
        apart = max(result.figures[name] for name in ("to_one_process", "to_two_processes"))
        result.expect(apart <= _ROUNDING, f"weights are {apart} apart")
        results.append(result)
        log(f"{result.fault}: {result.figures}: {result.problems[:3] or 'equal within rounding'}")
    return results


def _stop_in_the_middle(setup: Setup, data: Path, root: Path, result: FaultResult) -> None:
    """Train for some epochs and kill all processes of the run."""
    process = Process(command(setup, data, root), root)
    while process.epochs < 2 and process.popen.poll() is None:
        time.sleep(0.01)
    result.expect(process.popen.poll() is None, "it was over before it could be stopped")
    for each in (*_children(process.popen.pid), process.popen.pid):
        _kill(each)
    process.wait()
    result.figures["epochs_before"] = process.epochs


def _kill_rank(started: Started, rank: int, epochs: int, moment_s: float, result: FaultResult) -> None:
    """Kill one of two processes some time after a number of epochs, and check that the other one ends."""
    processes, ranks = started
    while max(process.epochs for process in processes) < epochs and processes[0].popen.poll() is None:
        time.sleep(0.01)
    time.sleep(moment_s)
    while len(ranks()) < 2 and all(process.popen.poll() is None for process in processes):
        time.sleep(0.01)
    victims = ranks()
    result.expect(len(victims) == 2, "there were not two processes to kill one of")
    result.figures["epochs_before"] = max(process.epochs for process in processes)
    began = time.monotonic()
    if len(victims) == 2:
        _kill(victims[rank])
    try:
        codes = [process.wait(_ENDS_WITHIN_S) for process in processes]
        result.figures |= {"others_ended_after_s": round(time.monotonic() - began, 2), "codes": codes}
        # A process that had finished its part no longer needs the other one.
        result.expect(all(codes) or processes[0].epochs == TWO_PROCESSES.epochs, f"exit codes {codes}")
    except subprocess.TimeoutExpired:
        result.problems.append(f"the other process was alive {_ENDS_WITHIN_S} s later")
        for each in (*ranks(), *(process.popen.pid for process in processes)):
            _kill(each)
    result.expect(not any(map(_is_alive, victims)), "a process is still alive")
    output = "".join(process.output for process in processes)
    result.figures["reported_as_defect"] = "This is a defect of LAST" in output


def _start_with_torchrun(setup: Setup, data: Path, root: Path) -> Started:
    """Start a run; return its processes and a function that returns the process ids of its ranks."""
    process = Process(command(setup, data, root), root)
    return [process], lambda: _children(process.popen.pid)


def _start_directly(setup: Setup, data: Path, root: Path) -> Started:
    """Start the two processes as torchrun does, without a supervisor."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "last", *arguments(replace(setup, processes=1), data, root, "auto")]
    world = {"WORLD_SIZE": str(setup.processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        Process(words, root, {**world, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(setup.processes)
    ]
    return processes, lambda: [process.popen.pid for process in processes if process.popen.poll() is None]


def _children(process: int) -> list[int]:
    """Return the ids of the Python processes that a process started, oldest first."""
    return sorted(number for number in _offspring(process) if b"train" in _words(number))


def _offspring(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            yield from map(int, task.read_text(encoding="ascii").split())


def _words(process: int) -> list[bytes]:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, 9)


def _is_alive(process: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
