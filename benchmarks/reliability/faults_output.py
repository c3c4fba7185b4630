"""Lost output streams in short trainings, and a second trainer of the same run."""

import os
import pty
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from faults_files import FaultResult
from faults_runs import ACCUMULATING, WORKERS, Process, command, differences, finished_run, train_to_the_end

from last.runs.folder import RunFolder

_TIMEOUT_S = 240.0
_REDIRECTIONS = (
    *(">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", "<&- >&- 2>&-"),
    *("2>&1 | head -2 >/dev/null", "2>&1 >/dev/null | true"),
)
_SEEN_EPOCHS = 2  # the terminal is closed after these


def lose_output(data: Path, folder: Path, log: Callable[[str], None]) -> list[FaultResult]:
    """Lose a training's streams in every way that a shell and a terminal have; return the results."""
    results = []
    for result in _losses(data, folder):
        log(f"{result.fault}: {result.figures}: {result.problems[:3] or 'as promised'}")
        results.append(result)
    return results


def _losses(data: Path, folder: Path) -> Iterator[FaultResult]:
    reference, _ = train_to_the_end(ACCUMULATING, data, folder / "reference")
    for number, redirection in enumerate(_REDIRECTIONS):
        yield _redirect(data, folder / f"shell-{number}", redirection, reference)
    for ignored in (True, False):
        yield _close_terminal(data, folder / f"terminal-{ignored}", ignored, reference)
    reference, _ = train_to_the_end(WORKERS, data, folder / "workers")
    for each in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        yield _signal_all(data, folder / each.name, each, reference)


def train_twice_at_once(data: Path, folder: Path, log: Callable[[str], None]) -> list[FaultResult]:
    """Resume a run that is being trained, in place and in a copy; return the result."""
    result = FaultResult("a second trainer resumes a run that is being trained")
    reference, _ = train_to_the_end(WORKERS, data, folder / "reference")
    root = folder / "runs"
    first = Process(command(WORKERS, data, root), root)
    try:
        _wait_until(lambda: first.epochs >= 1, first)
        os.kill(first.popen.pid, signal.SIGSTOP)  # so that it does not end before the others start
        (run,) = (path.parent for path in root.glob("run-*/config.yaml"))
        for resume, target in (("auto", root), (str(run), root), (str(run), folder / "copies")):
            second = Process(command(WORKERS, data, target, resume), folder / "output")
            code = second.wait()
            result.expect(code == 2, f"--resume {resume} in {target} ended with {code}: {second.output[-500:]}")
            result.expect("is being trained by another process" in second.output, f"its output: {second.output[-500:]}")
        result.expect(not (folder / "copies").exists(), "the run was copied")
        os.kill(first.popen.pid, signal.SIGCONT)
        result.figures["exit_code"] = first.wait()
    finally:
        _end(first)
    result.problems += differences(reference, finished_run(root))
    result.figures["equal"] = not result.problems
    log(f"{result.fault}: {result.problems[:3] or 'as promised'}")
    return [result]


def _redirect(data: Path, root: Path, redirection: str, reference: RunFolder) -> FaultResult:
    result = FaultResult(f"sh: train {redirection}")
    root.mkdir(parents=True)
    line = f"{{ {shlex.join(command(ACCUMULATING, data, root))}; echo $? >{root}/code; }}"
    before, pipe, after = redirection.partition(" | ")
    inner = line.replace("; echo", f" {before}; echo")
    subprocess.run(
        ["/bin/sh", "-c", f"{inner}{pipe}{after}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    code = int((root / "code").read_text())
    result.figures["exit_code"] = code
    result.expect(code == 0, f"exit code {code}")
    _compare(result, root, reference)
    return result


def _close_terminal(data: Path, root: Path, ignored: bool, reference: RunFolder) -> FaultResult:
    """Close the terminal of a training; with `ignored` it is started as `nohup` does."""
    result = FaultResult(f"the terminal closes{' under nohup' if ignored else ', which sends SIGHUP'}")
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
    result.figures["exit_code"] = code
    wanted = 0 if ignored else 129
    result.expect(code == wanted, f"exit code {code}, not {wanted}")
    if not ignored:
        result.expect(any(root.glob("run-*/checkpoints/partial.pth")), "nothing was saved")
        train_to_the_end(ACCUMULATING, data, root)
    _compare(result, root, reference)
    return result


def _read_epochs(terminal: int, epochs: int) -> None:
    """Read what is shown on a terminal until some epochs are finished."""
    shown = b""
    with suppress(OSError):  # the terminal's error after its process has ended
        while shown.count(b"  lr ") < epochs:
            shown += os.read(terminal, 65536)


def _signal_all(data: Path, root: Path, number: signal.Signals, reference: RunFolder) -> FaultResult:
    """Send a signal to trainer and loader workers, as terminals, `timeout` and schedulers do."""
    result = FaultResult(f"{number.name} to the trainer and its loader workers")
    process = Process(command(WORKERS, data, root), root)
    try:
        _wait_until(lambda: process.epochs >= 1, process)
        os.killpg(process.popen.pid, number)
        code = process.wait()
    finally:
        _end(process)
    result.figures["exit_code"] = code
    result.expect(code == 128 + number, f"exit code {code}: {process.output[-500:]}")
    result.expect("Traceback" not in process.output, f"its output: {process.output[-500:]}")
    train_to_the_end(WORKERS, data, root)
    _compare(result, root, reference)
    return result


def _compare(result: FaultResult, root: Path, reference: RunFolder) -> None:
    result.problems += differences(reference, finished_run(root))
    result.figures["equal"] = not result.problems


def _wait_until(true: Callable[[], bool], process: Process) -> None:
    end = time.monotonic() + _TIMEOUT_S
    while not true() and process.popen.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def _end(process: Process) -> None:
    if process.popen.poll() is None:
        process.popen.kill()
        process.popen.wait()
