"""Two processes of which one is killed, and runs that go on with another number of processes."""

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

from faults_files import Outcome
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
_EPOCH_S = 0.15  # about what one takes
_STARTS_WITHIN = 0.6  # of the seconds of a run
_WITHOUT_TORCHRUN = 2  # so many of the kills, where nothing but the processes themselves can notice

Started = tuple[list[Process], Callable[[], list[int]]]


def kill_ranks(data: Path, folder: Path, *, kills: int, seed: int, tell: Callable[[str], None]) -> list[Outcome]:
    """Kill one of two processes at random moments, go on with two, and return what came of each kill."""
    reference, seconds = train_to_the_end(TWO_PROCESSES, data, folder / "reference")
    again, _ = train_to_the_end(TWO_PROCESSES, data, folder / "again")
    outcome = Outcome("two undisturbed runs of two processes", problems=differences(reference, again))
    outcome.figures["equal"] = not outcome.problems
    outcomes = [outcome]
    for number in range(kills):
        choice = random.Random(f"{seed}-rank-{number}")
        direct = number < _WITHOUT_TORCHRUN
        root = folder / f"run-{number}"
        start = _start_directly if direct else _start_with_torchrun
        outcome = Outcome(f"rank {number % 2} killed, {'without' if direct else 'under'} torchrun")
        # Every fourth one at any moment of the first half, start included; the others after a number of epochs.
        moment = choice.uniform(0, _STARTS_WITHIN * seconds) if number % 4 == 3 else choice.uniform(0, _EPOCH_S)
        epochs = 0 if number % 4 == 3 else choice.randrange(1, TWO_PROCESSES.epochs - 1)
        _kill_rank(start(TWO_PROCESSES, data, root), number % 2, epochs, moment, outcome)
        run, _ = train_to_the_end(TWO_PROCESSES, data, root)
        outcome.problems += differences(reference, run)
        outcome.figures["equal"] = not outcome.problems
        outcomes.append(outcome)
        tell(f"{outcome.fault}: {outcome.figures}: {outcome.problems[:3] or 'as promised'}")
    return outcomes


def change_process_count(data: Path, folder: Path, tell: Callable[[str], None]) -> list[Outcome]:
    """Stop runs of two processes and of one, go on with the other number, and measure how far the weights part."""
    one, _ = train_to_the_end(ONE_COMPARABLE, data, folder / "one")
    two, _ = train_to_the_end(TWO_COMPARABLE, data, folder / "two")
    outcomes = []
    for before, after in ((TWO_COMPARABLE, ONE_COMPARABLE), (ONE_COMPARABLE, TWO_COMPARABLE)):
        outcome = Outcome(f"begun with {before.processes}, gone on with {after.processes}")
        root = folder / f"from-{before.processes}-to-{after.processes}"
        _stop_in_the_middle(before, data, root, outcome)
        resumed, _ = train_to_the_end(after, data, root)
        outcome.figures |= {
            "to_one_process": largest_difference(one, resumed),
            "to_two_processes": largest_difference(two, resumed),
            "one_to_two": largest_difference(one, two),
        }
        apart = max(outcome.figures[name] for name in ("to_one_process", "to_two_processes"))
        outcome.expect(apart <= _ROUNDING, f"weights are {apart} apart")
        outcomes.append(outcome)
        tell(f"{outcome.fault}: {outcome.figures}: {outcome.problems[:3] or 'equal within rounding'}")
    return outcomes


def _stop_in_the_middle(setup: Setup, data: Path, root: Path, outcome: Outcome) -> None:
    """Train for some epochs and kill all processes of the run."""
    process = Process(command(setup, data, root), root)
    while process.epochs < 2 and process.popen.poll() is None:
        time.sleep(0.01)
    outcome.expect(process.popen.poll() is None, "it was over before it could be stopped")
    for each in (*_children(process.popen.pid), process.popen.pid):
        _kill(each)
    process.wait()
    outcome.figures["epochs_before"] = process.epochs


def _kill_rank(started: Started, rank: int, epochs: int, moment_s: float, outcome: Outcome) -> None:
    """Kill one of two processes some time after a number of epochs, and see that the other one ends."""
    processes, ranks = started
    while max(process.epochs for process in processes) < epochs and processes[0].popen.poll() is None:
        time.sleep(0.01)
    time.sleep(moment_s)
    while len(ranks()) < 2 and all(process.popen.poll() is None for process in processes):
        time.sleep(0.01)
    victims = ranks()
    outcome.expect(len(victims) == 2, "there were not two processes to kill one of")
    outcome.figures["epochs_before"] = max(process.epochs for process in processes)
    began = time.monotonic()
    if len(victims) == 2:
        _kill(victims[rank])
    try:
        codes = [process.wait(_ENDS_WITHIN_S) for process in processes]
        outcome.figures |= {"others_ended_after_s": round(time.monotonic() - began, 2), "codes": codes}
        # A process that had done its part needs the other one no more.
        outcome.expect(all(codes) or processes[0].epochs == TWO_PROCESSES.epochs, f"exit codes {codes}")
    except subprocess.TimeoutExpired:
        outcome.problems.append(f"the other process was there {_ENDS_WITHIN_S} s later")
        for each in (*ranks(), *(process.popen.pid for process in processes)):
            _kill(each)
    outcome.expect(not any(map(_lives, victims)), "a process lives on")
    said = "".join(process.said for process in processes)
    outcome.figures["told_as_defect"] = "This is a defect of LAST" in said


def _start_with_torchrun(setup: Setup, data: Path, root: Path) -> Started:
    """Start a run; return its processes and a function that returns the numbers of its ranks."""
    process = Process(command(setup, data, root), root)
    return [process], lambda: _children(process.popen.pid)


def _start_directly(setup: Setup, data: Path, root: Path) -> Started:
    """Start the two processes as torchrun does, but with nobody who looks after them."""
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
    """Return the numbers of the Python processes that a process started, oldest first."""
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


def _lives(process: int) -> bool:
    """Tell whether a process is there and not merely unburied."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
