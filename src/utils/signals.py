"""Signals that end a program, and which process handles those that a terminal sends to all of its processes."""

import os
import signal
from types import FrameType

from .errors import HungUp, Terminated

# The exception of each signal. Python itself raises KeyboardInterrupt for Ctrl-C; Windows has no SIGHUP.
ENDING_SIGNALS: dict[int, type[KeyboardInterrupt]] = {
    signal.SIGTERM: Terminated,
    **({signal.SIGHUP: HungUp} if hasattr(signal, "SIGHUP") else {}),
}


def is_ignored(number: int) -> bool:
    """Return whether the program was started with a signal ignored, as `nohup` does with SIGHUP."""
    return signal.getsignal(number) is signal.SIG_IGN


def ignore_terminal() -> None:
    """Ignore Ctrl-C and the end of the terminal in a worker, which the main process ends."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def end_later(number: int, grace_s: int) -> None:
    """Let a signal end this process after `grace_s` seconds with exit code 0; on Windows it ends at once."""
    if not hasattr(signal, "SIGALRM"):
        return

    def wait(_number: int, _frame: FrameType | None) -> None:
        if not signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.alarm(grace_s)

    signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(0))
    signal.signal(number, wait)
