"""One writer in a folder at a time, as long as its process lives and no longer."""

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from patience import PATIENCE_S

from last.utils import locks
from last.utils.errors import UserError
from last.utils.locks import LOCK_FILE, is_locked, sole_writer

fcntl = pytest.importorskip("fcntl")
REFUSAL = "Another process is here."
HOLDER = """
import os, sys, time
from pathlib import Path
from last.utils.locks import sole_writer
with sole_writer(Path(sys.argv[1]), ""):
    child = os.fork() if sys.argv[2] == "forks" else 0
    if not child:
        print("in", flush=True)
    time.sleep(60)
"""


@contextmanager
def held(folder: Path, what: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that is in the folder, and with `forks` has a child that lives longer."""
    words = [sys.executable, "-c", HOLDER, str(folder), what]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        yield process
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_a_second_process_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        with pytest.raises(UserError, match=REFUSAL), sole_writer(tmp_path, REFUSAL):
            pass
        process.kill()
        process.wait(PATIENCE_S)
        with sole_writer(tmp_path, REFUSAL):
            pass


def test_a_child_of_a_killed_writer_does_not_keep_its_lock(tmp_path: Path) -> None:
    with held(tmp_path, "forks") as process:
        process.kill()
        process.wait(PATIENCE_S)
        with sole_writer(tmp_path, REFUSAL):
            os.killpg(process.pid, 0)  # which fails where the child is gone already


def test_a_child_that_ends_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    with sole_writer(tmp_path, REFUSAL):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(UserError), sole_writer(tmp_path, REFUSAL):
            pass


def test_a_waiting_process_says_so_and_gets_the_lock_afterwards(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="last")
    with held(tmp_path) as process:
        threading.Timer(0.2, process.kill).start()
        with sole_writer(tmp_path, REFUSAL, waits=True):
            assert process.wait(PATIENCE_S)
    assert caplog.messages == [REFUSAL]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF])
def test_a_file_system_without_locks_is_reported_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with sole_writer(tmp_path, REFUSAL):
        assert "its file system has no locks. Start only one." in caplog.text


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_folder_that_cannot_be_written_needs_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, "no")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with sole_writer(tmp_path, REFUSAL):
            pass
    assert not caplog.messages


def test_a_folder_that_is_only_read_gets_no_file(tmp_path: Path) -> None:
    with sole_writer(tmp_path, REFUSAL, makes=False):
        assert not (tmp_path / LOCK_FILE).exists()


def test_a_folder_that_is_only_read_is_refused_while_a_process_writes_it(tmp_path: Path) -> None:
    with (
        sole_writer(tmp_path, REFUSAL),
        pytest.raises(UserError, match=REFUSAL),
        sole_writer(tmp_path, REFUSAL, makes=False),
    ):
        pass


def test_a_lock_whose_file_is_removed_leaves_nothing_and_still_keeps_others_out(tmp_path: Path) -> None:
    with sole_writer(tmp_path, "taken", removes=True):
        with pytest.raises(UserError, match="taken"), sole_writer(tmp_path, "taken", removes=True):
            pass
        assert (tmp_path / LOCK_FILE).exists()
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = locks._opened

    def remove_once(path: Path, makes: bool) -> int:
        monkeypatch.setattr(locks, "_opened", opened)
        descriptor = opened(path, makes)
        path.unlink()
        return descriptor

    monkeypatch.setattr(locks, "_opened", remove_once)
    with sole_writer(tmp_path, "taken"):
        assert (tmp_path / LOCK_FILE).exists()


def test_a_question_whether_a_folder_is_locked_leaves_nothing_there(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert not list(tmp_path.iterdir())
    with held(tmp_path):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)
