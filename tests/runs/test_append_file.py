import errno
import os
from pathlib import Path

import pytest

from last.runs.append_file import append
from last.utils.files import failure


def test_what_is_appended_follows_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    for text in (b"one\n", b"", b"two\n"):
        append(path, text)
    assert path.read_bytes() == b"one\ntwo\n"


def test_failed_flush_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.txt"
    append(path, b"one\n")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "fsync", full)
        append(path, b"two\n")
    assert path.read_bytes() == b"one\n"
    append(path, b"three\n")
    assert path.read_bytes() == b"one\nthree\n"


def test_partial_write_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    path = tmp_path / "log.txt"
    path.write_bytes(b"a" * 90)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # room for ten bytes more
        with pytest.raises(OSError, match="File too large"):
            append(path, b"b" * 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"a" * 90


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_full_device_is_an_error() -> None:
    with pytest.raises(OSError, match="No space") as caught:
        append(Path("/dev/full"), b"x")
    assert failure(Path("/dev/full"), caught.value) == "Cannot write /dev/full: the disk is full."


@pytest.mark.parametrize(
    ("error", "cause"),
    [(OSError(errno.EIO, "Input/output error"), "Input/output error"), (OSError("gone"), "gone")],
)
def test_failure_names_the_file_and_the_cause(error: OSError, cause: str) -> None:
    assert failure(Path("log.txt"), error) == f"Cannot write log.txt: {cause}."
