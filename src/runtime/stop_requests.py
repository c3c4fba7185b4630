"""Reasons to stop within a run: a signal or the time limit."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from types import FrameType

from ..utils.errors import HungUp, Terminated
from ..utils.signals import is_ignored


class Stop(Enum):
    """The reason why a run stopped before its end."""

    TIME = "its time is over"
    INTERRUPT = "it was interrupted"
    TERMINATE = "it was terminated"
    HANG_UP = "its terminal was closed"

    def raise_signal(self) -> None:
        """Raise the exception of the signal; nothing if there was none."""
        if self is Stop.INTERRUPT:
            raise KeyboardInterrupt
        if self is Stop.TERMINATE:
            raise Terminated
        if self is Stop.HANG_UP:
            raise HungUp


_SIGNALS = {signal.SIGINT: Stop.INTERRUPT, signal.SIGTERM: Stop.TERMINATE}
if hasattr(signal, "SIGHUP"):  # not on Windows
    _SIGNALS[signal.SIGHUP] = Stop.HANG_UP


class Stopped(Exception):
    """Ends a training early; its handler saves the state."""

    def __init__(self, reason: Stop) -> None:
        self.reason = reason


class StopWatch:
    """Records reasons to stop without acting on them, so that the trainer can finish its step and save.

    Args:
        max_hours: time limit in hours; 0 for none.
        began: the `time.monotonic()` from which the hours count; by default now.
    """

    def __init__(self, max_hours: float = 0.0, began: float | None = None) -> None:
        began = time.monotonic() if began is None else began
        self.max_hours = max_hours
        self._end = began + 3600 * max_hours if max_hours > 0 else None
        self._signal: Stop | None = None
        self._patient = False

    @property
    def reason(self) -> Stop | None:
        """Return the reason to stop, if there is one; a signal takes precedence over the time limit."""
        return self._signal or (Stop.TIME if self.is_over else None)

    @property
    def is_over(self) -> bool:
        """Tell whether the time limit has been reached."""
        return self._end is not None and time.monotonic() >= self._end

    @contextmanager
    def listening(self, patiently: bool = False) -> Iterator[None]:
        """Record SIGINT, SIGTERM and SIGHUP as reasons to stop while the block runs; a second one raises at once.

        With `patiently`, for one of several processes, a second one does not raise: a scheduler sends its signal to all
        processes of a job, and `torchrun`, which gets it too, then sends another one. Repeated SIGHUPs never raise: a
        closing terminal sends several, and systemd sends one with its SIGTERM. If SIGHUP is ignored, as under `nohup`,
        it stays ignored.
        """
        self._patient = patiently
        if threading.current_thread() is not threading.main_thread():  # Python handles signals only in the main thread
            yield
            return
        heeded = [each for each in _SIGNALS if each == signal.SIGINT or not is_ignored(each)]
        previous = {number: signal.getsignal(number) for number in heeded}

        def note(number: int, frame: FrameType | None) -> None:
            if self._note(number):
                handler = previous[signal.Signals(number)]
                if callable(handler):  # that of the command, which raises the same and knows from then on that it did
                    handler(number, frame)
                _SIGNALS[signal.Signals(number)].raise_signal()

        for number in heeded:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, number: int) -> bool:
        """Record a signal; return whether it is a second one, which ends the program at once."""
        reason, before = _SIGNALS[signal.Signals(number)], self._signal
        if reason is Stop.HANG_UP:
            self._signal = before or reason
            return False
        if before not in (None, Stop.HANG_UP) and not self._patient:
            return True
        self._signal = reason
        return False
