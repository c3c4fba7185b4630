"""Disks that are full and checkpoints that are damaged, under short trainings."""

import os
import random
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults_runs import (
    ACCUMULATING,
    FULL_DISK,
    Process,
    Setup,
    command,
    differences,
    finished_run,
    same_state,
    train_to_the_end,
)

from last.runs.checkpoint import parse_checkpoint, read_checkpoint
from last.runs.folder import RunFolder
from last.utils.errors import UserError

_DISK_BYTES = 3 << 20
_LARGEST_FILE_BYTES = 40_000  # less than a checkpoint, more than any other file of a run
_STAYS = "Training continues; the file is unchanged."
_EPOCHS_ON_FULL_DISK = 5
_FLIPS = 2000


@dataclass
class Outcome:
    """What came of one fault.

    Attributes:
        fault: what was done.
        figures: what was measured.
        problems: what was not as promised.
    """

    fault: str
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def expect(self, promised: bool, otherwise: str) -> None:
        """Note `otherwise` as a problem unless what was promised holds."""
        if not promised:
            self.problems.append(otherwise)


class SmallDisk:
    """A real file system of a few megabytes that can be filled, and kept full, and emptied again."""

    kind = "a file system of 3 MiB"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast, self._full = folder / "ballast", threading.Event()
        self._thread: threading.Thread | None = None

    def fill(self, _process: int) -> None:
        """Take all space, and whatever becomes free later."""
        self._full.set()
        self._thread = threading.Thread(target=self._take_space)
        self._thread.start()
        time.sleep(0.2)

    def free(self, _process: int) -> None:
        """Give the space back."""
        self._full.clear()
        if self._thread is not None:
            self._thread.join()
        self._ballast.unlink(missing_ok=True)

    def _take_space(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            while self._full.is_set():
                try:
                    file.write(bytes(4096))
                except OSError:
                    time.sleep(0.002)


class SizeLimit:
    """Where no file system may be mounted: a limit on the size of the trainer's files, set from outside."""

    kind = "a limit on the size of files"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, process: int) -> None:
        """Let the process write no checkpoint any more."""
        self._limit(process, _LARGEST_FILE_BYTES)

    def free(self, process: int) -> None:
        """Let it write again."""
        self._limit(process, resource.RLIM_INFINITY)

    def _limit(self, process: int, size: int) -> None:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def disk(folder: Path) -> Iterator[SmallDisk | SizeLimit]:
    """Yield a disk that can be full, mounted on `folder` where that is permitted."""
    folder.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True, check=False).returncode:
        yield SizeLimit(folder)
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_disks(data: Path, folder: Path, tell: Callable[[str], None]) -> list[Outcome]:
    """Fill the disk under a run, for a while and to its end; return what came of it."""
    reference, _ = train_to_the_end(FULL_DISK, data, folder / "reference")
    outcomes = []
    for lasting in (False, True):
        with disk(folder / f"disk-{lasting}") as place:
            outcome = Outcome(f"{place.kind} is full {'to the end' if lasting else 'for a while'}")
            _train_on_full_disk(place, data, reference, outcome, lasting)
        outcomes.append(outcome)
        tell(f"{outcome.fault}: {outcome.figures}: {outcome.problems[:3] or 'as promised'}")
    return outcomes


def _train_on_full_disk(
    place: SmallDisk | SizeLimit, data: Path, reference: RunFolder, outcome: Outcome, lasting: bool
) -> None:
    root, said = place.folder / "runs", place.folder.with_name(f"{place.folder.name}-said")
    process = Process(command(FULL_DISK, data, root), said)
    number = process.popen.pid
    try:
        _wait_until(lambda: process.epochs >= 3, process)
        with _stopped(number):  # so that it is full at one moment of the run
            filled_at = process.epochs
            place.fill(number)
        if lasting:
            code = process.wait()
        else:
            _wait_until(lambda: process.epochs >= filled_at + _EPOCHS_ON_FULL_DISK, process)
            with _stopped(number):
                outcome.figures["epochs_on_full_disk"] = process.epochs - filled_at
                _expect_whole(root, outcome)
                place.free(number)
            code = process.wait()
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
    outcome.figures |= {"checkpoints_not_written": process.said.count(_STAYS), "exit_code": code}
    outcome.expect(_STAYS in process.said, "no warning was given")
    outcome.expect(code == (2 if lasting else 0), f"exit code {code}: {process.said[-500:]}")
    if lasting:
        errors = [line for line in process.said.splitlines() if line.startswith("error: ")]
        outcome.expect(len(errors) == 1, f"the errors told were {errors}")
        outcome.figures["error"] = errors[-1].replace(str(root), "RUNS") if errors else ""
        _expect_whole(root, outcome)
        place.free(number)
        train_to_the_end(FULL_DISK, data, root)
    outcome.problems += differences(reference, finished_run(root))
    outcome.figures["equal"] = not outcome.problems


def _expect_whole(root: Path, outcome: Outcome) -> None:
    """Note every checkpoint that is not whole; none at all is a problem as well."""
    paths = list(root.glob("run-*/checkpoints/*.pth"))
    outcome.expect(len(paths) >= 2, f"only {len(paths)} checkpoints are left")
    for path in paths:
        try:
            read_checkpoint(path)
        except UserError as error:
            outcome.problems.append(str(error))


@contextmanager
def _stopped(process: int) -> Iterator[None]:
    """Let a process stand still while the block runs."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def _wait_until(true: Callable[[], bool], process: Process, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > end or process.popen.poll() is not None:
            raise RuntimeError(f"A training did not come as far as it should have:\n{process.said[-1000:]}")
        time.sleep(0.005)


def truncate(content: bytes, choice: random.Random) -> bytes:
    """Return the first part of a file, as after a crash of the machine."""
    return content[: choice.randrange(1, len(content))]


def empty(_content: bytes, _choice: random.Random) -> bytes:
    """Return nothing."""
    return b""


def zero(content: bytes, choice: random.Random) -> bytes:
    """Return a file with zeros in place of one of its blocks of 4096 bytes that is not all zeros."""
    starts = [at for at in range(0, len(content), 4096) if any(content[at : at + 4096])]
    start = choice.choice(starts)
    hole = bytes(len(content[start : start + 4096]))
    return content[:start] + hole + content[start + len(hole) :]


def flip(content: bytes, choice: random.Random) -> bytes:
    """Return a file with one bit changed inside the numbers of its largest weight."""
    weights = parse_checkpoint(content, "the file").model
    largest = max(weights.values(), key=lambda each: each.numel()).contiguous().numpy().tobytes()
    place = content.index(largest) + choice.randrange(len(largest))
    return content[:place] + bytes([content[place] ^ (1 << choice.randrange(8))]) + content[place + 1 :]


_DAMAGES = (truncate, empty, zero, flip)
_TARGETS = (("last.pth",), ("partial.pth",), ("last.pth", "partial.pth"))


def damage_checkpoints(
    data: Path, folder: Path, reference: RunFolder, *, seed: int, jobs: int, tell: Callable[[str], None]
) -> list[Outcome]:
    """Damage the checkpoints of a run killed in the middle, go on with it, and return what came of each damage."""
    killed = _killed_run(ACCUMULATING, data, folder / "killed")
    tasks = [(targets, damage) for targets in _TARGETS for damage in _DAMAGES]

    def work(task: tuple[tuple[str, ...], Callable[[bytes, random.Random], bytes]]) -> Outcome:
        targets, damage = task
        outcome = Outcome(f"{damage.__name__} {' and '.join(targets)}")
        choice = random.Random(f"{seed}-{outcome.fault}")
        root = folder / outcome.fault.replace(" ", "-")
        run = RunFolder(Path(shutil.copytree(killed.path, root / killed.path.name)))
        for name in targets:
            path = run.checkpoints / name
            path.write_bytes(damage(path.read_bytes(), choice))
        _go_on_with_damage(data, root, run, targets, reference, outcome)
        tell(f"{outcome.fault}: {outcome.problems[:3] or 'refused by name, passed over by auto, equal'}")
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(work, tasks))
    return [*outcomes, _flip_everywhere(killed.last, seed)]


def _killed_run(setup: Setup, data: Path, root: Path) -> RunFolder:
    """Return a run that was killed within its third epoch or later, with all kinds of checkpoints."""
    process = Process(command(setup, data, root), root)
    _wait_until(lambda: process.epochs >= 2 and any(root.glob("run-*/checkpoints/partial.pth")), process)
    process.popen.kill()
    process.wait()
    run = RunFolder(next(root.glob("run-*")))
    if not run.partial.exists():
        raise RuntimeError("The run was killed where it had no state within an epoch. Try again.")
    return run


def _go_on_with_damage(
    data: Path, root: Path, run: RunFolder, targets: tuple[str, ...], reference: RunFolder, outcome: Outcome
) -> None:
    before = {path: path.read_bytes() for path in run.all_checkpoints()}
    for name in targets:
        process = Process(command(ACCUMULATING, data, root, str(run.checkpoints / name)), root)
        code = process.wait()
        outcome.expect(code == 2 and "error: " in process.said, f"naming {name}: exit code {code}: {process.said}")
    outcome.expect(before == {path: path.read_bytes() for path in run.all_checkpoints()}, "a refusal changed files")
    process = Process(command(ACCUMULATING, data, root), root)
    code = process.wait()
    outcome.expect(code == 0, f"auto: exit code {code}: {process.said[-500:]}")
    outcome.expect(process.said.count("It is skipped.") == len(targets), "auto did not tell what it passed over")
    if code == 0:
        outcome.problems += differences(reference, finished_run(root))
    outcome.figures |= {"refused_by_name": len(targets), "equal": not outcome.problems}


def _flip_everywhere(path: Path, seed: int) -> Outcome:
    """Change single bits all over a checkpoint: each is refused, or it changed nothing that is read."""
    outcome = Outcome(f"one bit of last.pth, {_FLIPS} times")
    choice = random.Random(seed)
    content, refused, harmless = path.read_bytes(), 0, 0
    whole = parse_checkpoint(content, str(path))
    for _ in range(_FLIPS):
        place = choice.randrange(len(content))
        changed = bytearray(content)
        changed[place] ^= 1 << choice.randrange(8)
        try:
            same = same_state(parse_checkpoint(bytes(changed), str(path)), whole)
        except UserError:
            refused += 1
            continue
        harmless += same
        outcome.expect(same, f"bit flipped in byte {place} of {len(content)}: other values were read")
    outcome.figures = {"refused": refused, "harmless": harmless}
    return outcome
