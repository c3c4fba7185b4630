"""Lost output never stops a computation, in whatever way the streams fail."""

# ruff: noqa: T201 - printing is what these tests are about

import errno
import io
import logging
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from patience import PATIENCE_S

from last.cli import COMMANDS, main
from last.cli.output import SafeStream
from last.cli.terminal import progress, table
from last.utils.errors import TrainingDiverged, UserError

posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no such shell or device on Windows")


class Lost(io.StringIO):
    """A stream that can no longer be written."""

    def __init__(self, error: Exception, terminal: bool) -> None:
        super().__init__()
        self.error, self.terminal = error, terminal

    def write(self, _text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error

    def isatty(self) -> bool:
        return self.terminal


LOSSES = {
    "a full disk": OSError(errno.ENOSPC, "No space left on device"),
    "a vanished terminal": OSError(errno.EIO, "Input/output error"),
    "a reader that left": BrokenPipeError(errno.EPIPE, "Broken pipe"),
    "a closed descriptor": OSError(errno.EBADF, "Bad file descriptor"),
    "a reader that is too slow": BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
    "a closed stream": ValueError("I/O operation on closed file"),
}


def streams(kind: str, terminal: bool) -> io.StringIO | None:
    return None if kind == "none, as under pythonw" else Lost(LOSSES[kind], terminal)


def show_everything() -> None:
    print("a line")
    table("A table", ["name", "value"], [["one", 1]])
    with progress().task("long work", total=3) as task:
        for _ in range(3):
            task.advance(note="a note")
    logging.getLogger("last.training").info("a line of the log")
    logging.getLogger("last.training").warning("a warning")
    sys.stdout.writelines(["raw", " text\n"])
    sys.stderr.flush()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Namespace], int]], None]:
    """Return a function that makes `last fake`, and some commands, run a given function."""

    def install(run: Callable[[Namespace], int]) -> None:
        module = ModuleType("fake_command")
        module.run = run  # type: ignore[attr-defined]
        module.add_arguments = lambda parser: parser.add_argument("--json", action="store_true")  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "fake_command", module)
        for name in ("fake", "runs", "live", "inspect"):
            monkeypatch.setitem(COMMANDS, name, ("fake_command", "pretend to work"))

    return install


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("kind", [*LOSSES, "none, as under pythonw"])
@pytest.mark.parametrize("lost", ["stdout", "stderr", "both"])
def test_work_ends_as_without_whatever_becomes_of_the_streams(
    command: Callable, monkeypatch: pytest.MonkeyPatch, lost: str, kind: str, terminal: bool
) -> None:
    done = []

    def work(_: Namespace) -> int:
        show_everything()
        done.append("work")
        return 0

    command(work)
    monkeypatch.setenv("TERM", "xterm")
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, streams(kind, terminal) if lost in (name, "both") else io.StringIO())
    before = sys.stdout, sys.stderr
    assert main(["fake"]) == 0
    assert done == ["work"]
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize(
    ("error", "code"),
    [(UserError("no"), 2), (TrainingDiverged("no"), 3), (KeyboardInterrupt(), 130), (ZeroDivisionError(), 1)],
)
@pytest.mark.parametrize("kind", [*LOSSES, "none, as under pythonw"])
def test_a_failure_keeps_its_exit_code_when_its_message_cannot_be_written(
    command: Callable, monkeypatch: pytest.MonkeyPatch, kind: str, error: BaseException, code: int
) -> None:
    def fail(_: Namespace) -> int:
        print("a line")
        raise error

    command(fail)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, streams(kind, terminal=False))
    assert main(["fake"]) == code


@pytest.mark.parametrize(
    ("kind", "line", "code", "message"),
    [
        ("a full disk", "fake", 0, "warning: Part of the output could not be written to stdout: the disk"),
        ("a full disk", "runs", 2, "error: Part of the output could not be written to stdout: the disk"),
        ("a full disk", "live", 2, "error: Part of the output could not be written to stdout: the disk"),
        ("a reader that left", "fake", 0, ""),
        ("a reader that left", "runs", 141, ""),
        ("a reader that left", "inspect", 0, ""),
        ("a reader that left", "inspect --json", 141, ""),
    ],
)
def test_an_output_that_is_lost_counts_only_where_it_is_the_whole_result(
    command: Callable, monkeypatch: pytest.MonkeyPatch, kind: str, line: str, code: int, message: str
) -> None:
    command(lambda _: print("a line") or 0)
    err = io.StringIO()
    monkeypatch.setattr(sys, "stdout", streams(kind, terminal=False))
    monkeypatch.setattr(sys, "stderr", err)
    assert main(line.split()) == code
    assert err.getvalue().startswith(message)
    assert bool(err.getvalue()) == bool(message)


def test_what_comes_when_the_disk_has_space_again_is_written(
    command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullForAWhile(io.StringIO):
        def write(self, text: str) -> int:
            if "early" in text:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(text)

    out = FullForAWhile()
    monkeypatch.setattr(sys, "stdout", out)
    command(lambda _: print("early") or print("late") or 0)
    main(["fake"])
    assert out.getvalue().split() == ["late"]


# --- as a shell does it

# Buffered, as Python is by default: what is left in the buffer is written once more when Python ends.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def synthesize(folder: Path, redirection: str) -> subprocess.CompletedProcess[str]:
    last = f"{sys.executable} -m last synthesize --out {folder} --clips 3"
    return subprocess.run(
        ["/bin/sh", "-c", f"{last} {redirection}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=BUFFERED,
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of the command whose streams are as usual."""
    folder = tmp_path_factory.mktemp("plain")
    assert synthesize(folder, "").returncode == 0
    return contents(folder)


@posix
@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1"])
def test_a_command_leaves_the_same_files_however_its_streams_are_redirected(
    plain: dict[str, bytes], tmp_path: Path, redirection: str
) -> None:
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no device that is full")
    redirected = synthesize(tmp_path / "redirected", redirection)
    assert redirected.returncode == 0
    assert "Traceback" not in redirected.stderr
    assert "Exception ignored" not in redirected.stderr
    assert contents(tmp_path / "redirected") == plain


@posix
def test_no_file_that_is_opened_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    program = (
        "import os, sys, types, last.cli as cli\n"
        "def run(_):\n"
        f"    with open({str(tmp_path / 'checkpoint')!r}, 'w') as file: os.write(2, b'a native library'); print(1)\n"
        "    return 0\n"
        "sys.modules['fake'] = types.SimpleNamespace(run=run, add_arguments=lambda _: None)\n"
        "cli.COMMANDS['fake'] = ('fake', 'pretend')\n"
        "sys.exit(cli.main(['fake']))\n"
    )
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    shell = f"exec {sys.executable} {tmp_path / 'program.py'} <&- >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", shell], timeout=PATIENCE_S, env=BUFFERED, check=False).returncode == 0
    assert (tmp_path / "checkpoint").read_bytes() == b""


@posix
@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 2), (["train", "--help"], 2), (["nonsense"], 2)])
def test_an_answer_that_a_full_disk_cut_short_is_an_error(arguments: list[str], code: int) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is full")
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "last", *arguments], stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE_S,
            env=BUFFERED, check=False, text=True,
        )  # fmt: skip
    assert result.returncode == code
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1251", "ascii:surrogateescape"])
def test_a_line_with_a_character_that_the_encoding_lacks_is_printed_without_that(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "naïve").mkdir()
    result = subprocess.run(
        [sys.executable, "-m", "last", "runs", "--output_root", str(tmp_path / "naïve")], timeout=PATIENCE_S,
        env=BUFFERED | {"PYTHONIOENCODING": encoding}, capture_output=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert b"na?ve" in result.stdout and not result.stderr


@posix
def test_a_terminal_that_vanished_ends_no_command(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    os.close(ours)
    result = subprocess.run(
        [sys.executable, "-m", "last", "synthesize", "--out", str(tmp_path / "made"), "--clips", "3"],
        stdout=theirs, stderr=theirs, timeout=PATIENCE_S, env=BUFFERED, check=False,
    )  # fmt: skip
    os.close(theirs)
    assert result.returncode == 0
    assert contents(tmp_path / "made")


def test_a_stream_whose_state_is_unknown_is_no_terminal() -> None:
    closed = io.StringIO()
    closed.close()
    assert not SafeStream(closed).isatty()
