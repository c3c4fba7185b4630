"""Signals that end a program, and those of a terminal."""

import os
import signal
import sys
import time

import pytest
from patience import PATIENCE_S

from last.utils.signals import end_later, ignore_terminal

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


def test_a_process_that_ends_later_still_works_and_then_ends_as_one_that_succeeded() -> None:
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        end_later(signal.SIGTERM, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.write(theirs, b"works")
        time.sleep(PATIENCE_S)
        os._exit(1)
    assert os.read(ours, 5) == b"works"
    assert os.waitpid(child, 0)[1] == 0
    os.close(ours)
    os.close(theirs)
