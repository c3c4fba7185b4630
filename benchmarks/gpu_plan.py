"""Checks in the order of their importance, within a time, whose results are kept in a file after each of them."""

import json
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from last.experiments.run import Result as RunResult
from last.utils.errors import UserError, is_out_of_memory
from last.utils.files import refuse_unwritable, write_json
from last.utils.json_text import parse_json
from last.utils.numbers import counted
from last.utils.progress import Progress

State = Literal["holds", "fails", "measured", "error", "skipped", "no time"]
_KEPT = {"state", "line", "seconds", "figures"}  # of each result in the file
_QUICK_SHARE = 0.1  # of the expected time with tiny sizes
_AGAIN = ("skipped", "no time")  # states after which the same command tries a check again
_BROKEN_DEVICE = ("CUDA error", "cudaError", "device-side assert", "CUDNN_STATUS", "CUBLAS_STATUS")


class NotHere(Exception):
    """A check cannot be made on this machine; the message says why."""


@dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
        line: the answer in one line.
        holds: whether what the check expects is so; None where it only measures.
        figures: all figures, as JSON values.
    """

    line: str
    holds: bool | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """What the checks of a part share.

    Attributes:
        device: where they compute.
        arguments: the options of the command.
        work: a folder for their files.
        progress: the progress display.
        ends_at: the `time.monotonic()` at which the time is over.
    """

    device: torch.device
    arguments: Namespace
    work: Path
    progress: Progress
    ends_at: float

    @property
    def is_quick(self) -> bool:
        """Whether the sizes are tiny."""
        return bool(self.arguments.quick)

    @property
    def hours_left(self) -> float:
        """Return the time left, in hours, at least a second of it."""
        return max(self.ends_at - time.monotonic(), 1.0) / 3600


def undisturbed(result: RunResult) -> RunResult:
    """Return the result of a training within a check; a signal that stopped it ends the whole command."""
    if result.stopped is not None:
        result.stopped.raise_signal()
    return result


@dataclass(frozen=True)
class Check:
    """One question that a GPU has to answer.

    Attributes:
        name: the name of its row in docs/gpu-todo.md.
        seconds: how long it takes about, on an H200.
        run: finds the answer.
    """

    name: str
    seconds: float
    run: Callable[[Setting], Findings]


class Records:
    """The results of a part so far, in a file that is replaced after every check.

    Args:
        path: the file.
        identity: what the results belong to; a file of something else is refused.
        again: whether to begin anew.

    Raises:
        UserError: the file cannot be read or written, or has results of something else.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], *, again: bool) -> None:
        refuse_unwritable(path)  # before the first check, not after it
        self.path, self.identity = path, dict(identity)
        self.checks: dict[str, dict[str, Any]] = {}
        if path.exists() and not again:
            self.checks = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            content = parse_json(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path} cannot be read ({error}). Name another file with --results.") from error
        if not _has_results(content):
            raise UserError(f"{self.path} is not a file of this command. Name another one with --results.")
        if content.get("identity") != json.loads(json.dumps(self.identity)):
            raise UserError(
                f"{self.path} has results of another part, machine, source or size. Begin anew with --again, or name "
                "another file with --results."
            )
        return dict(content["checks"])

    def wants(self, check: Check) -> bool:
        """Tell whether a check has no result yet."""
        return self.checks.get(check.name, {"state": "skipped"})["state"] in _AGAIN

    def put(self, check: Check, state: State, line: str, seconds: float = 0.0, figures: Mapping[str, Any] = {}) -> None:
        """Record a result, and write the file."""
        self.checks[check.name] = {"state": state, "line": line, "seconds": seconds, "figures": dict(figures)}
        write_json(self.path, {"identity": self.identity, "checks": self.checks})


def _has_results(content: Any) -> bool:
    """Tell whether the content of a file is what `Records` writes."""
    if not isinstance(content, dict) or not isinstance(content.get("checks"), dict):
        return False
    return all(isinstance(each, dict) and each.keys() >= _KEPT for each in content["checks"].values())


def run_checks(checks: Sequence[Check], records: Records, setting: Setting) -> bool:
    """Run the checks that have no result yet and fit the time; return whether the device is still usable.

    A check that fails does not keep the next ones from running, except where CUDA itself cannot go on in this process:
    the rest then has no result, and the same command goes on with it.
    """
    slower = 1.0  # than expected
    todo = [check for check in checks if records.wants(check)]
    with setting.progress.task("checks", len(checks), "checks", before=len(checks) - len(todo)) as shown:
        for check in todo:
            left = setting.ends_at - time.monotonic()
            expected = check.seconds * slower * (_QUICK_SHARE if setting.is_quick else 1.0)
            if expected > left:
                records.put(check, "no time", f"takes about {expected:,.0f} s, and {max(left, 0):,.0f} s were left")
                continue
            began = time.monotonic()
            usable = _run(check, records, setting)
            slower = max(slower, min((time.monotonic() - began) * slower / max(expected, 1.0), 4.0))
            shown.advance(note=check.name)
            if not usable:
                return False
    return True


def _run(check: Check, records: Records, setting: Setting) -> bool:
    """Run a check and record its result; return whether the device is still usable."""
    began = time.monotonic()
    try:
        found = check.run(setting)
    except NotHere as reason:
        records.put(check, "skipped", str(reason))
    except Exception as error:  # any error: the next checks still count
        line = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        records.put(check, "error", line, time.monotonic() - began)
        return is_out_of_memory(error) or not any(sign in str(error) for sign in _BROKEN_DEVICE)
    else:
        states: dict[bool | None, State] = {None: "measured", True: "holds", False: "fails"}
        records.put(check, states[found.holds], found.line, time.monotonic() - began, found.figures)
    finally:
        if setting.device.type == "cuda":
            _release_memory()
    return True


def _release_memory() -> None:
    try:
        torch.cuda.empty_cache()
    except RuntimeError:  # of a device that cannot be used any more, which the check has recorded
        return


def summary_line(records: Records, checks: Sequence[Check]) -> str:
    """Return how many checks have a result, and how many of these do not hold."""
    states = [records.checks[check.name]["state"] for check in checks if check.name in records.checks]
    answered = sum(state not in _AGAIN for state in states)
    wrong = sum(state in ("fails", "error") for state in states)
    return f"{answered} of {counted(len(checks), 'check')} have a result, {wrong} of them fail."
