"""Signals where Python does not handle them."""

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from last.cli.failures import signals_as_exceptions
from last.runtime.stop_requests import StopWatch


@pytest.mark.parametrize("listening", [StopWatch().listening, signals_as_exceptions])
def test_outside_of_the_main_thread_signals_stay_as_they_are(
    listening: Callable[[], AbstractContextManager[None]],
) -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def listen() -> None:
        with listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before]
