"""Runs that are killed at random moments, resumed, and compared with undisturbed runs."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from faults_runs import Process, Setup, command, differences, train_to_the_end

from last.runs.folder import RunFolder

_SAVING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SIGNALS = (*(signal.SIGKILL,) * 3, *_SAVING)  # half of them are SIGKILL
_SIGNALS_AIMED = (*(signal.SIGKILL,) * 5, *_SAVING)
_COUNTED = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
_OF_TERMINALS = (signal.SIGINT, signal.SIGHUP)
_AIMED_SHARE = 0.4
_AIMED_DELAY_S = 0.003  # the longest delay after a file that is being written is seen
_POLL_S = 0.0002
_GROUP_POLL_S = 0.1
_WORKERS_END_S = 20.0  # torch's loader workers check every five seconds whether their parent is alive


@dataclass(frozen=True)
class Kill:
    """One kill that reached a living process.

    Attributes:
        signal: its name.
        aimed: whether it waited for a checkpoint being written.
        after_s: seconds since the process started.
        phase: when it arrived: `start` before the first step, `training`, or `end` when all epochs were done.
        writing: whether a file was found half-written afterwards (SIGKILL alone leaves one).
        code: the exit code.
        saved: whether the process reported that it saved its state.
    """

    signal: str
    aimed: bool
    after_s: float
    phase: str
    writing: bool
    code: int
    saved: bool


@dataclass
class Case:
    """One run with its kills.

    Attributes:
        setup, number: the identity of the run.
        kills: the kills that reached it.
        differing: names of values that differ from the undisturbed run.
        problems: other failures.
        leftovers: temporary files left at its end.
    """

    setup: str
    number: int
    kills: list[Kill] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    leftovers: int = 0

    @property
    def sound(self) -> bool:
        """Whether the run ended like the undisturbed one."""
        return not self.differing and not self.problems


@dataclass(frozen=True)
class Reference:
    """An undisturbed run and the seconds it took from its start to its end."""

    run: RunFolder
    seconds: float


class KillCampaign:
    """Kill and resume runs until there are enough kills.

    Args:
        setups: the trainings, taken in turn.
        data: the data YAML.
        folder: the folder of the runs.
        kills: the smallest number of kills.
        seed: of the random moments and signals.
        jobs: simultaneous runs.
        log: takes a line about each run.
    """

    def __init__(
        self, setups: Sequence[Setup], data: Path, folder: Path, *, kills: int, seed: int, jobs: int,
        log: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.setups, self.data, self.folder = setups, data, folder
        self.kills, self.seed, self.jobs, self.log = kills, seed, jobs, log
        self.references: dict[str, Reference] = {}
        self.cases: list[Case] = []
        self._lock = threading.Lock()
        self._numbers = iter(range(10**6))

    def run(self) -> list[Case]:
        """Train the references, then kill; return the result of every killed run."""
        with ThreadPoolExecutor(self.jobs) as pool:
            trained = pool.map(lambda item: self._train_reference(*item), enumerate(self.setups))
            self.references = {setup.name: each for setup, each in zip(self.setups, trained, strict=True)}
            list(pool.map(lambda _: self._work(), range(self.jobs)))
        return self.cases

    @property
    def _count(self) -> int:
        return sum(len(case.kills) for case in self.cases)

    def _train_reference(self, number: int, setup: Setup) -> Reference:
        return Reference(*train_to_the_end(setup, self.data, self.folder / f"reference-{number}"))

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._count >= self.kills:
                    return
                number = next(self._numbers)
            case = self._run_case(number)
            with self._lock:
                self.cases.append(case)
                verdict = "equal" if case.sound else f"NOT EQUAL: {(case.problems + case.differing)[:3]}"
                signals = ", ".join(f"{kill.signal} in {kill.phase}" for kill in case.kills) or "none in time"
                self.log(f"kill {self._count}/{self.kills}  run {number} ({case.setup}): {signals}: {verdict}")

    def _run_case(self, number: int) -> Case:
        setup = self.setups[number % len(self.setups)]
        case = Case(setup.name, number)
        choice = random.Random(f"{self.seed}-{number}")
        root = self.folder / f"run-{number}"
        reference = self.references[setup.name]
        try:
            for _ in range(choice.randint(1, 4)):
                kill = self._kill_once(case, setup, root, choice)
                if kill is None:
                    break
                case.kills.append(kill)
                if any(root.glob("run-*/summary.json")):  # it is finished, and nothing is left to kill
                    break
            run, _ = train_to_the_end(setup, self.data, root)
            case.differing = differences(reference.run, run)
            case.leftovers = len(list(run.path.rglob(".*.tmp")))
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            case.problems.append(str(error))
        return case

    def _kill_once(self, case: Case, setup: Setup, root: Path, choice: random.Random) -> Kill | None:
        """Start or resume, and kill at a random moment; return None if the run ended before."""
        aimed = choice.random() < _AIMED_SHARE
        number = choice.choice(_SIGNALS_AIMED if aimed else _SIGNALS)
        moment = choice.uniform(0, self.references[setup.name].seconds)
        delay = choice.choice((0.0, 0.0, choice.uniform(0, _AIMED_DELAY_S)))
        process = Process(command(setup, self.data, root), root)
        with suppress(subprocess.TimeoutExpired):
            process.popen.wait(moment)
        if aimed and _sees_a_write(process, root):
            time.sleep(delay)
        if process.popen.poll() is not None:
            if process.wait():
                case.problems.append(f"ended without a kill with {process.wait()}: {process.output[-500:]}")
            return None
        after, phase = time.monotonic() - process.began, _phase(process, setup)
        _send(process, number)
        code = process.wait()
        if code == 0 and phase == "end":  # nothing was left to stop
            return None
        kill = Kill(
            signal=number.name,
            aimed=aimed,
            after_s=round(after, 3),
            phase=phase,
            writing=any(root.glob(f"run-*/checkpoints/.*.last-{process.popen.pid}.tmp")),
            code=code,
            saved="To resume: " in process.output,
        )
        case.problems += list(_problems(kill, process, number, setup))
        if setup.name.startswith("two loader workers") and not _group_ends(process.popen.pid):
            case.problems.append(f"loader workers lived {_WORKERS_END_S} s longer than their trainer")
        return kill


def _send(process: Process, number: signal.Signals) -> None:
    """Send a signal as in practice: a terminal's to all of its processes, the others to the trainer alone."""
    with suppress(ProcessLookupError):
        if number in _OF_TERMINALS:
            os.killpg(process.popen.pid, number)
        else:
            process.popen.send_signal(number)


def _sees_a_write(process: Process, root: Path) -> bool:
    """Wait until a checkpoint is being written; return False if the process ended before."""
    ending = f".pth.last-{process.popen.pid}.tmp"
    while process.popen.poll() is None:
        for folder in root.glob("run-*/checkpoints"):
            with suppress(OSError):
                if any(name.endswith(ending) for name in os.listdir(folder)):  # noqa: PTH208 - the fastest way
                    return True
        time.sleep(_POLL_S)
    return False


def _phase(process: Process, setup: Setup) -> str:
    if not process.trains:
        return "start"
    ended = f"epoch {setup.epochs - 1}  lr" in process.output
    return "end" if ended else "training"


def _problems(kill: Kill, process: Process, number: signal.Signals, setup: Setup) -> Iterator[str]:
    """Yield the effects that a signal should have had and did not have."""
    if kill.code != 128 + number:
        yield f"{kill.signal} in {kill.phase} gave the exit code {kill.code}: {process.output[-500:]}"
    over = _phase(process, setup) == "end"  # it came between the last epoch and the line that reports it
    if number is not signal.SIGKILL and kill.phase == "training" and not (kill.saved or over):
        yield f"{kill.signal} in training saved no state: {process.output[-500:]}"


def _group_ends(group: int) -> bool:
    """Wait for the last process of a group; return whether it ended in time."""
    for _ in range(
        round(_WORKERS_END_S / _GROUP_POLL_S)
    ):  # no clock: time in which the machine is suspended does not count
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(_GROUP_POLL_S)
    return False


def summarise(cases: Sequence[Case], references: Mapping[str, Reference]) -> list[dict[str, Any]]:
    """Return a row per training: the numbers of runs and of kills by kind, and of runs that ended equal."""
    rows = []
    for name, reference in references.items():
        own = [case for case in cases if case.setup == name]
        kills = [kill for case in own for kill in case.kills]
        rows.append(
            {
                "setup": name,
                "seconds": round(reference.seconds, 2),
                "runs": len(own),
                "kills": len(kills),
                **{number: sum(kill.signal == number for kill in kills) for number in _COUNTED},
                **{phase: sum(kill.phase == phase for kill in kills) for phase in ("start", "training", "end")},
                "aimed": sum(kill.aimed for kill in kills),
                "in_a_write": sum(kill.writing for kill in kills),
                "saved": sum(kill.saved for kill in kills),
                "leftovers": sum(case.leftovers for case in own),
                "equal": sum(case.sound for case in own),
            }
        )
    return rows


def details(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Return every case as plain values."""
    return [asdict(case) for case in cases]
