"""Streams that are lost under short trainings, and a second trainer of the same run."""

import os
import pty
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from faults_files import Outcome
from faults_runs import ACCUMULATING, WORKERS, Process, command, differences, finished_run, train_to_the_end

from last.runs.folder import RunFolder

_TIMEOUT_S = 240.0
_REDIRECTIONS = (
    *(">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", "<&- >&- 2>&-"),
    *("2>&1 | head -2 >/dev/null", "2>&1 >/dev/null | true"),
)
_SEEN_EPOCHS = 2  # a terminal is there for so many


def lose_output(data: Path, folder: Path, tell: Callable[[str], None]) -> list[Outcome]:
    """Lose a training's streams in every way that a shell and a terminal have; return what came of it."""
    outcomes = []
    for outcome in _losses(data, folder):
        tell(f"{outcome.fault}: {outcome.figures}: {outcome.problems[:3] or 'as promised'}")
        outcomes.append(outcome)
    return outcomes


def _losses(data: Path, folder: Path) -> Iterator[Outcome]:
    reference, _ = train_to_the_end(ACCUMULATING, data, folder / "reference")
    for number, redirection in enumerate(_REDIRECTIONS):
        yield _redirect(data, folder / f"shell-{number}", redirection, reference)
    for ignored in (True, False):
        yield _vanish(data, folder / f"terminal-{ignored}", ignored, reference)
    reference, _ = train_to_the_end(WORKERS, data, folder / "workers")
    for each in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        yield _signal_all(data, folder / each.name, each, reference)


def train_twice_at_once(data: Path, folder: Path, tell: Callable[[str], None]) -> list[Outcome]:
    """Resume a run that is being trained, where it lies and in a copy; return what came of it."""
    outcome = Outcome("a second trainer resumes a run that is being trained")
    reference, _ = train_to_the_end(WORKERS, data, folder / "reference")
    root = folder / "runs"
    first = Process(command(WORKERS, data, root), root)
    try:
        _wait_until(lambda: first.epochs >= 1, first)
        os.kill(first.popen.pid, signal.SIGSTOP)  # so that it is not over before the others come
        (run,) = (path.parent for path in root.glob("run-*/config.yaml"))
        for resume, target in (("auto", root), (str(run), root), (str(run), folder / "copies")):
            second = Process(command(WORKERS, data, target, resume), folder / "said")
            code = second.wait()
            outcome.expect(code == 2, f"--resume {resume} in {target} ended with {code}: {second.said[-500:]}")
            outcome.expect("is being trained by another process" in second.said, f"it said {second.said[-500:]}")
        outcome.expect(not (folder / "copies").exists(), "the run was copied")
        os.kill(first.popen.pid, signal.SIGCONT)
        outcome.figures["exit_code"] = first.wait()
    finally:
        _end(first)
    outcome.problems += differences(reference, finished_run(root))
    outcome.figures["equal"] = not outcome.problems
    tell(f"{outcome.fault}: {outcome.problems[:3] or 'as promised'}")
    return [outcome]


def _redirect(data: Path, root: Path, redirection: str, reference: RunFolder) -> Outcome:
    outcome = Outcome(f"sh: train {redirection}")
    root.mkdir(parents=True)
    line = f"{{ {shlex.join(command(ACCUMULATING, data, root))}; echo $? >{root}/code; }}"
    before, pipe, after = redirection.partition(" | ")
    inner = line.replace("; echo", f" {before}; echo")
    subprocess.run(
        ["/bin/sh", "-c", f"{inner}{pipe}{after}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    code = int((root / "code").read_text())
    outcome.figures["exit_code"] = code
    outcome.expect(code == 0, f"exit code {code}")
    _compare(outcome, root, reference)
    return outcome


def _vanish(data: Path, root: Path, ignored: bool, reference: RunFolder) -> Outcome:
    """Close the terminal of a training; with `ignored` it is started as `nohup` does."""
    outcome = Outcome(f"the terminal vanishes{' under nohup' if ignored else ', which sends SIGHUP'}")
    root.mkdir(parents=True)
    words = command(ACCUMULATING, data, root)
    child, terminal = pty.fork()
    if child == 0:
        os.environ["OMP_NUM_THREADS"] = "1"
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv(words[0], words)
    _read_epochs(terminal, _SEEN_EPOCHS)
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    outcome.figures["exit_code"] = code
    wanted = 0 if ignored else 129
    outcome.expect(code == wanted, f"exit code {code}, not {wanted}")
    if not ignored:
        outcome.expect(any(root.glob("run-*/checkpoints/partial.pth")), "nothing was saved")
        train_to_the_end(ACCUMULATING, data, root)
    _compare(outcome, root, reference)
    return outcome


def _read_epochs(terminal: int, epochs: int) -> None:
    """Read what is shown on a terminal until some epochs are finished."""
    shown = b""
    with suppress(OSError):  # what the terminal says where its process has ended
        while shown.count(b"  lr ") < epochs:
            shown += os.read(terminal, 65536)


def _signal_all(data: Path, root: Path, number: signal.Signals, reference: RunFolder) -> Outcome:
    """Send a signal to trainer and loader workers, as terminals, `timeout` and schedulers do."""
    outcome = Outcome(f"{number.name} to the trainer and its loader workers")
    process = Process(command(WORKERS, data, root), root)
    try:
        _wait_until(lambda: process.epochs >= 1, process)
        os.killpg(process.popen.pid, number)
        code = process.wait()
    finally:
        _end(process)
    outcome.figures["exit_code"] = code
    outcome.expect(code == 128 + number, f"exit code {code}: {process.said[-500:]}")
    outcome.expect("Traceback" not in process.said, f"it said {process.said[-500:]}")
    train_to_the_end(WORKERS, data, root)
    _compare(outcome, root, reference)
    return outcome


def _compare(outcome: Outcome, root: Path, reference: RunFolder) -> None:
    outcome.problems += differences(reference, finished_run(root))
    outcome.figures["equal"] = not outcome.problems


def _wait_until(true: Callable[[], bool], process: Process) -> None:
    end = time.monotonic() + _TIMEOUT_S
    while not true() and process.popen.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def _end(process: Process) -> None:
    if process.popen.poll() is None:
        process.popen.kill()
        process.popen.wait()
