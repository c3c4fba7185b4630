"""Signals that end a program, and those of a terminal."""

import signal
import sys

import pytest

from last.utils.signals import ignore_terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")


def test_a_worker_leaves_all_that_a_terminal_sends_to_the_main_process() -> None:
    numbers = (signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    try:
        ignore_terminal()
        assert [signal.getsignal(number) for number in numbers] == [signal.SIG_IGN] * 2
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
