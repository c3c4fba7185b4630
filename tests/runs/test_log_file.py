import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from last.runs.log_file import logging_to_file

LOG = logging.getLogger("last.training.some_module")

needs_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")


@pytest.fixture
def terminal() -> Iterator[list[str]]:
    """Return what another handler of the package's log, such as the terminal's, shows."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.levelname} {record.getMessage()}")

    handler = Lines()
    logging.getLogger("last").addHandler(handler)
    yield lines
    logging.getLogger("last").removeHandler(handler)


def full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def messages(path: Path) -> list[str]:
    """Return the lines of a log without their date and time."""
    return [line.split(" ", 2)[2] for line in path.read_text(encoding="utf-8").splitlines()]


def test_information_and_worse_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    with logging_to_file(path):
        LOG.debug("detail")
        LOG.info("epoch %d, 50 %%", 0)
        assert messages(path) == ["INFO epoch 0, 50 %"]
        LOG.warning("größer")
    assert messages(path) == ["INFO epoch 0, 50 %", "WARNING größer"]


def test_only_what_the_package_logs_within_the_block_is_copied(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log.txt"
    caplog.set_level(logging.ERROR, "last")
    with logging_to_file(path):
        LOG.info("within")
        logging.getLogger("another").warning("of another package")
    LOG.warning("behind")
    assert messages(path) == ["INFO within"]
    assert logging.getLogger("last").level == logging.ERROR


def test_log_of_a_resumed_run_follows_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    for part in ("first", "second"):
        with logging_to_file(path):
            LOG.info(part)
    assert messages(path) == ["INFO first", "INFO second"]


def test_block_that_fails_ends_the_copying_too(tmp_path: Path) -> None:
    handlers = list(logging.getLogger("last").handlers)
    with pytest.raises(KeyError), logging_to_file(tmp_path / "log.txt"):
        raise KeyError
    assert logging.getLogger("last").handlers == handlers


@needs_full_device
def test_full_disk_is_warned_of_once_and_every_line_reaches_the_terminal(
    terminal: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with logging_to_file(Path("/dev/full")):
        for epoch in range(3):
            LOG.info("epoch %d", epoch)
    warning = "WARNING Cannot write /dev/full: the disk is full. Lines are missing in it until it can be written again."
    assert sorted(terminal) == ["INFO epoch 0", "INFO epoch 1", "INFO epoch 2", warning]
    assert capfd.readouterr() == ("", "")


def test_lines_that_fail_are_dropped_and_later_ones_written_whole(
    tmp_path: Path, terminal: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.txt"
    with logging_to_file(path):
        for number, fails in enumerate([False, True, True, False, True]):
            with monkeypatch.context() as patch:
                if fails:
                    patch.setattr(os, "fsync", full)
                LOG.info("line %d", number)
    assert messages(path) == ["INFO line 0", "INFO line 3"]
    assert [line.startswith(f"WARNING Cannot write {path}: the disk is full") for line in terminal].count(True) == 2


def test_log_whose_folder_is_gone_does_not_end_the_run(tmp_path: Path, terminal: list[str]) -> None:
    with logging_to_file(tmp_path / "gone" / "log.txt"):
        LOG.info("epoch 0")
        (tmp_path / "gone").mkdir()
        LOG.info("epoch 1")
    assert messages(tmp_path / "gone" / "log.txt") == ["INFO epoch 1"]
    assert any("Cannot write" in line for line in terminal)


def test_file_name_that_is_no_text_is_logged_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("last"), "propagate", False)  # pytest's own capture cannot pass it on
    path = tmp_path / "log.txt"
    with logging_to_file(path):
        LOG.info("read %s", b"a\xff.skeleton".decode(errors="surrogateescape"))
    assert messages(path) == ["INFO read a\\udcff.skeleton"]
