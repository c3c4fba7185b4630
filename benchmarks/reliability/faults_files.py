"""Full disks and damaged checkpoints in short trainings."""

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
class FaultResult:
    """Result of one fault.

    Attributes:
        fault: the fault that was injected.
        figures: the measurements.
        problems: deviations from the promised behaviour.
    """

    fault: str
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def expect(self, condition: bool, problem: str) -> None:
        """Record a problem unless `condition` holds."""
        if not condition:
            self.problems.append(problem)


class SmallDisk:
    """A real file system of a few megabytes that can be filled, kept full and emptied."""

    kind = "a file system of 3 MiB"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast, self._full = folder / "ballast", threading.Event()
        self._thread: threading.Thread | None = None

    def fill(self, _process: int) -> None:
        """Use all space, including space that is freed later."""
        self._full.set()
        self._thread = threading.Thread(target=self._use_space)
        self._thread.start()
        time.sleep(0.2)

    def free(self, _process: int) -> None:
        """Free the space."""
        self._full.clear()
        if self._thread is not None:
            self._thread.join()
        self._ballast.unlink(missing_ok=True)

    def _use_space(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            while self._full.is_set():
                try:
                    file.write(bytes(4096))
                except OSError:
                    time.sleep(0.002)


class SizeLimit:
    """A limit on the size of the trainer's files, for systems where no file system may be mounted."""

    kind = "a limit on the size of files"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, process: int) -> None:
        """Prevent the process from writing checkpoints."""
        self._limit(process, _LARGEST_FILE_BYTES)

    def free(self, process: int) -> None:
        """Allow it to write again."""
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


def fill_disks(data: Path, folder: Path, log: Callable[[str], None]) -> list[FaultResult]:
    """Fill the disk of a run, temporarily and until its end; return the results."""
    reference, _ = train_to_the_end(FULL_DISK, data, folder / "reference")
    results = []
    for lasting in (False, True):
        with disk(folder / f"disk-{lasting}") as target:
            result = FaultResult(f"{target.kind} is full {'to the end' if lasting else 'for a while'}")
            _train_on_full_disk(target, data, reference, result, lasting)
        results.append(result)
        log(f"{result.fault}: {result.figures}: {result.problems[:3] or 'as promised'}")
    return results


def _train_on_full_disk(
    target: SmallDisk | SizeLimit, data: Path, reference: RunFolder, result: FaultResult, lasting: bool
) -> None:
    root, output_folder = target.folder / "runs", target.folder.with_name(f"{target.folder.name}-output")
    process = Process(command(FULL_DISK, data, root), output_folder)
    number = process.popen.pid
    try:
        _wait_until(lambda: process.epochs >= 3, process)
        with _stopped(number):  # so that it is full at one moment of the run
            filled_at = process.epochs
            target.fill(number)
        if lasting:
            code = process.wait()
        else:
            _wait_until(lambda: process.epochs >= filled_at + _EPOCHS_ON_FULL_DISK, process)
            with _stopped(number):
                result.figures["epochs_on_full_disk"] = process.epochs - filled_at
                _expect_whole(root, result)
                target.free(number)
            code = process.wait()
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
    result.figures |= {"checkpoints_not_written": process.output.count(_STAYS), "exit_code": code}
    result.expect(_STAYS in process.output, "no warning was given")
    result.expect(code == (2 if lasting else 0), f"exit code {code}: {process.output[-500:]}")
    if lasting:
        errors = [line for line in process.output.splitlines() if line.startswith("error: ")]
        result.expect(len(errors) == 1, f"the reported errors were {errors}")
        result.figures["error"] = errors[-1].replace(str(root), "RUNS") if errors else ""
        _expect_whole(root, result)
        target.free(number)
        train_to_the_end(FULL_DISK, data, root)
    result.problems += differences(reference, finished_run(root))
    result.figures["equal"] = not result.problems


def _expect_whole(root: Path, result: FaultResult) -> None:
    """Note every checkpoint that is not whole; none at all is a problem as well."""
    paths = list(root.glob("run-*/checkpoints/*.pth"))
    result.expect(len(paths) >= 2, f"only {len(paths)} checkpoints are left")
    for path in paths:
        try:
            read_checkpoint(path)
        except UserError as error:
            result.problems.append(str(error))


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
            raise RuntimeError(f"A training did not come as far as it should have:\n{process.output[-1000:]}")
        time.sleep(0.005)


def truncate(content: bytes, choice: random.Random) -> bytes:
    """Return the first part of a file, as after a crash of the machine."""
    return content[: choice.randrange(1, len(content))]


def empty(_content: bytes, _choice: random.Random) -> bytes:
    """Return nothing."""
    return b""


def zero(content: bytes, choice: random.Random) -> bytes:
    """Return a file with zeros instead of one of its blocks of 4096 bytes that is not all zeros."""
    starts = [at for at in range(0, len(content), 4096) if any(content[at : at + 4096])]
    start = choice.choice(starts)
    hole = bytes(len(content[start : start + 4096]))
    return content[:start] + hole + content[start + len(hole) :]


def flip(content: bytes, choice: random.Random) -> bytes:
    """Return a file with one bit changed inside the numbers of its largest weight."""
    weights = parse_checkpoint(content, "the file").model
    largest = max(weights.values(), key=lambda each: each.numel()).contiguous().numpy().tobytes()
    position = content.index(largest) + choice.randrange(len(largest))
    return content[:position] + bytes([content[position] ^ (1 << choice.randrange(8))]) + content[position + 1 :]


_DAMAGES = (truncate, empty, zero, flip)
_TARGETS = (("last.pth",), ("partial.pth",), ("last.pth", "partial.pth"))


def damage_checkpoints(
    data: Path, folder: Path, reference: RunFolder, *, seed: int, jobs: int, log: Callable[[str], None]
) -> list[FaultResult]:
    """Damage the checkpoints of a run killed in the middle, resume it, and return the result of each damage."""
    killed = _killed_run(ACCUMULATING, data, folder / "killed")
    tasks = [(targets, damage) for targets in _TARGETS for damage in _DAMAGES]

    def work(task: tuple[tuple[str, ...], Callable[[bytes, random.Random], bytes]]) -> FaultResult:
        targets, damage = task
        result = FaultResult(f"{damage.__name__} {' and '.join(targets)}")
        choice = random.Random(f"{seed}-{result.fault}")
        root = folder / result.fault.replace(" ", "-")
        run = RunFolder(Path(shutil.copytree(killed.path, root / killed.path.name)))
        for name in targets:
            path = run.checkpoints / name
            path.write_bytes(damage(path.read_bytes(), choice))
        _resume_damaged(data, root, run, targets, reference, result)
        log(f"{result.fault}: {result.problems[:3] or 'refused by name, skipped by auto, equal'}")
        return result

    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(work, tasks))
    return [*results, _flip_everywhere(killed.last, seed)]


def _killed_run(setup: Setup, data: Path, root: Path) -> RunFolder:
    """Return a run that was killed within its third epoch or later, with all kinds of checkpoints."""
    process = Process(command(setup, data, root), root)
    _wait_until(lambda: process.epochs >= 2 and any(root.glob("run-*/checkpoints/partial.pth")), process)
    process.popen.kill()
    process.wait()
    run = RunFolder(next(root.glob("run-*")))
    if not run.partial.exists():
        raise RuntimeError("The run was killed before it saved a state within an epoch. Try again.")
    return run


def _resume_damaged(
    data: Path, root: Path, run: RunFolder, targets: tuple[str, ...], reference: RunFolder, result: FaultResult
) -> None:
    before = {path: path.read_bytes() for path in run.all_checkpoints()}
    for name in targets:
        process = Process(command(ACCUMULATING, data, root, str(run.checkpoints / name)), root)
        code = process.wait()
        result.expect(code == 2 and "error: " in process.output, f"naming {name}: exit code {code}: {process.output}")
    result.expect(before == {path: path.read_bytes() for path in run.all_checkpoints()}, "a refusal changed files")
    process = Process(command(ACCUMULATING, data, root), root)
    code = process.wait()
    result.expect(code == 0, f"auto: exit code {code}: {process.output[-500:]}")
    result.expect(process.output.count("It is skipped.") == len(targets), "auto did not report what it skipped")
    if code == 0:
        result.problems += differences(reference, finished_run(root))
    result.figures |= {"refused_by_name": len(targets), "equal": not result.problems}


def _flip_everywhere(path: Path, seed: int) -> FaultResult:
    """Flip single bits of a checkpoint at random: each is refused, or changed nothing that is read."""
    result = FaultResult(f"one bit of last.pth, {_FLIPS} times")
    choice = random.Random(seed)
    content, refused, harmless = path.read_bytes(), 0, 0
    whole = parse_checkpoint(content, str(path))
    for _ in range(_FLIPS):
        position = choice.randrange(len(content))
        changed = bytearray(content)
        changed[position] ^= 1 << choice.randrange(8)
        try:
            same = same_state(parse_checkpoint(bytes(changed), str(path)), whole)
        except UserError:
            refused += 1
            continue
        harmless += same
        result.expect(same, f"bit flipped in byte {position} of {len(content)}: other values were read")
    result.figures = {"refused": refused, "harmless": harmless}
    return result
