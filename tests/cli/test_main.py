import errno
import logging
import os
import re
import signal
import subprocess
import sys
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType

import pytest
from patience import PATIENCE_S

from last.cli import COMMANDS, failures
from last.cli.failures import REQUIRED
from last.cli.options import add_shared, examples
from last.runtime.stop_requests import StopWatch
from last.utils.errors import TrainingDiverged, UserError
from last.version import __version__

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes `last fake` run a given function."""

    def install(
        run: Callable[[Namespace], int], add_arguments: Callable[[ArgumentParser], None] = lambda _: None
    ) -> None:
        module = ModuleType("fake_command")
        module.run, module.add_arguments = run, add_arguments  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "fake_command", module)
        monkeypatch.setitem(COMMANDS, "fake", ("fake_command", "pretend to work"))

    return install


@pytest.fixture
def failing(command, cli):
    """Return a function that runs a command which fails with a given error."""

    def run(error: BaseException):
        def fail(_: Namespace) -> int:
            raise error

        command(fail)
        return cli("fake")

    return run


def in_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    ).stdout


# --- the frame


def test_the_version_is_reported(cli) -> None:
    assert cli("--version").out == f"last {__version__}\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["synthesize", "--help"]])
def test_what_needs_no_torch_does_not_import_it(arguments: list[str]) -> None:
    code = f"import sys; from last.cli import main; main({arguments}); print('torch' in sys.modules)"
    assert in_python(code).splitlines()[-1] == "False"


def test_help_lists_every_command(cli) -> None:
    result = cli("--help")
    assert result.code == 0
    assert all(re.search(rf"^  {name} ", result.out, re.MULTILINE) for name in COMMANDS)


def test_no_command_shows_help_and_counts_as_wrong_input(cli) -> None:
    result = cli()
    assert result.code == 2
    assert result.out.startswith("usage:")


def test_an_unknown_command_is_refused_with_the_nearest_one(cli) -> None:
    result = cli("trian")
    assert result.code == 2
    assert result.err.startswith("error: There is no command 'trian'. Did you mean 'train'?")


@pytest.mark.parametrize("code", [0, 1])
def test_a_commands_result_is_the_exit_code(command, cli, code: int) -> None:
    command(lambda _: code)
    assert cli("fake").code == code


# --- failures


def test_wrong_input_is_one_message_and_exit_code_2(failing) -> None:
    result = failing(UserError("There is no folder x."))
    assert (result.code, result.out, result.err) == (2, "", "error: There is no folder x.\n")


def test_diverged_training_is_exit_code_3(failing) -> None:
    result = failing(TrainingDiverged("The loss is not finite."))
    assert (result.code, result.err) == (3, "error: The loss is not finite.\n")


def test_an_interrupt_is_exit_code_130_without_a_word(failing) -> None:
    result = failing(KeyboardInterrupt())
    assert (result.code, result.out, result.err) == (130, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process at once instead of sending SIGTERM")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_that_ends_unwinds_like_an_interrupt_and_has_its_exit_code(command, cli, name: str, code: int) -> None:
    saved = []
    number = getattr(signal, name)
    before = signal.getsignal(number)

    def work(_: Namespace) -> int:
        try:
            os.kill(os.getpid(), number)
            raise AssertionError(f"{name} did not arrive")
        except KeyboardInterrupt:
            saved.append("work")
            raise

    command(work)
    assert cli("fake").code == code
    assert saved == ["work"]
    assert signal.getsignal(number) is before


SIGNAL_CODES = {"SIGTERM": 143, "SIGHUP": 129, "SIGINT": 130}


def interrupted_library(name: str, error: Exception) -> None:
    """Raise `error` instead of the exception of a signal, as a library does that catches everything."""
    try:
        os.kill(os.getpid(), getattr(signal, name))
        raise AssertionError(f"{name} did not arrive")
    except KeyboardInterrupt:
        pass
    raise error


@contextmanager
def after_a_first_signal() -> Iterator[None]:
    """Let a training record a first signal while the block runs, so that the next one ends it at once."""
    with StopWatch().listening():
        os.kill(os.getpid(), signal.SIGINT)
        yield


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process at once instead of sending SIGTERM")
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("name", "code", "in_training"), [*((*each, False) for each in SIGNAL_CODES.items()), ("SIGINT", 130, True)]
)
def test_a_signal_that_a_library_turns_into_an_error_of_its_own_is_no_defect(
    command, cli, name: str, code: int, in_training: bool, wrapped: bool
) -> None:
    def work(_: Namespace) -> int:
        with after_a_first_signal() if in_training else nullcontext():
            try:
                interrupted_library(name, RuntimeError("Conversion failed"))
            except RuntimeError as error:
                if wrapped:
                    raise UserError("model.xml cannot be read.") from error
                raise
        return 0

    command(work)
    before = signal.getsignal(signal.SIGINT)
    result = cli("fake")
    assert (result.code, result.out, result.err) == (code, "", "")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process at once instead of sending SIGTERM")
@pytest.mark.parametrize("error", [UserError("The disk is full."), OSError(errno.ENOSPC, "No space left", "out.npy")])
def test_an_error_of_the_user_is_reported_also_after_a_signal(command, cli, error: Exception) -> None:
    command(lambda _: interrupted_library("SIGINT", error) or 0)
    result = cli("fake")
    assert (result.code, result.err[:7]) == (2, "error: ")


@pytest.mark.parametrize("code", [0, 3, None])
def test_a_plug_in_cannot_end_the_program_with_an_exit_code_of_its_own(command, cli, code: int | None) -> None:
    command(lambda _: sys.exit(code))
    result = cli("fake")
    assert (result.code, "ends the program (SystemExit" in result.err) == (2, True)
    assert result.err.startswith(f"error: {__file__}, line ")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_a_lost_connection_is_ignored_under_nohup(command, cli) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        command(lambda _: os.kill(os.getpid(), signal.SIGHUP) or 0)
        assert cli("fake").code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out.npy"), "error: out.npy: the disk is full.\n"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: A file: the disk is full.\n"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "error: x: permission was denied.\n"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), "error: x: No such file or directory.\n"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "error: The package torch is missing."),
        (MemoryError(), "error: Out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "error: Out of memory"),
    ],
)
def test_what_a_user_can_mend_is_one_message_and_exit_code_2(failing, error: Exception, message: str) -> None:
    result = failing(error)
    assert result.code == 2
    assert result.err.startswith(message)
    assert "Traceback" not in result.err


@pytest.mark.parametrize("module", REQUIRED)
def test_a_package_that_is_not_there_is_installed_by_a_command_that_needs_no_checkout(failing, module: str) -> None:
    result = failing(ModuleNotFoundError(f"No module named {module!r}", name=module))
    command = f"{sys.executable} -m pip install last-har"
    assert (result.code, result.err) == (2, f"error: The package {module} is missing. Install it with: {command}\n")


@pytest.mark.parametrize(
    "error", ['ImportError("no libx.so")', 'ValueError("numpy.dtype size changed")', "OSError('x')"]
)
def test_a_package_that_is_there_and_cannot_be_imported_is_no_defect_of_last(
    command: Callable[..., None], cli, replace_package, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    monkeypatch.setattr(failures, "REQUIRED", ("needed",))
    replace_package("needed", f"raise {error}")
    command(lambda _: bool(__import__("needed")))
    result = cli("fake")
    assert (result.code, "Traceback" in result.err) == (2, False)
    assert result.err.startswith("error: The package needed is installed, but cannot be imported (")
    assert result.err.endswith("pip install --force-reinstall needed\n")


def test_every_package_that_last_depends_on_is_known_to_be_one() -> None:
    project = tomllib.loads((SCRIPTS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [line.partition(">=")[0] for line in project["dependencies"]]
    assert [{"pyyaml": "yaml"}.get(name, name).replace("-", "_") for name in asked] == list(REQUIRED)


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), OSError("something else"), KeyError("x")])
def test_a_defect_shows_its_traceback_and_how_to_report_it(failing, error: Exception) -> None:
    result = failing(error)
    assert result.code == 1
    assert "Traceback" in result.err
    assert "doctor" in result.err.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports a closed pipe otherwise")
def test_a_reader_that_goes_away_ends_the_program_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "last", "--help"], stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


# --- options


def with_options(parser: ArgumentParser) -> None:
    parser.add_argument("--batch_size", type=int)
    add_shared(parser, "--env", "--data_root", "--output_root", "--device", "--set")
    parser.epilog = examples("""
        last fake --batch_size 4   # a long line that has to stay in one piece, or nobody could copy it from here
        last fake
    """)


@pytest.fixture
def parsed(command, cli):
    """Return a function that runs `last fake <arguments>` and returns the parsed arguments."""

    def parse(*arguments: str) -> Namespace:
        received: list[Namespace] = []
        command(lambda options: received.append(options) or 0, with_options)
        result = cli("fake", *arguments)
        assert result.code == 0, result.err
        return received[0]

    return parse


def test_a_flag_may_be_written_with_dashes(parsed) -> None:
    assert parsed("--batch_size", "4").batch_size == parsed("--batch-size=4").batch_size == 4


def test_dashes_in_a_value_stay(parsed) -> None:
    options = parsed("--data-root=/a-b", "--set", "x=a-b")
    assert (options.data_root, options.set) == ("/a-b", ["x=a-b"])


def test_set_takes_several_and_may_stand_twice(parsed) -> None:
    assert parsed("--set", "a=1", "b=2", "--set", "c=3").set == ["a=1", "b=2", "c=3"]
    assert parsed().set == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_sise", "4"], "there is no option '--batch_sise' (did you mean '--batch_size'?)"),
        (["--batch", "4"], "there is no option '--batch'"),
        (["--batch_size", "four"], "argument --batch_size: invalid int value: 'four'"),
        (["--batch_size", "1_000"], "argument --batch_size: invalid int value: '1_000'"),
        (["--batch_size", "0x10"], "argument --batch_size: invalid int value: '0x10'"),
        (["--batch_size", "١٦"], "argument --batch_size: invalid int value: '١٦'"),
        (["--device", "tpu"], "argument --device: invalid choice: 'tpu'"),
        (["stray"], "there is no option 'stray'"),
    ],
)
def test_a_wrong_option_is_one_message_and_exit_code_2(command, cli, arguments: list[str], message: str) -> None:
    command(lambda _: 0, with_options)
    result = cli("fake", *arguments)
    assert result.code == 2
    assert result.err.startswith(f"error: {message}")
    assert len(result.err.splitlines()) == 1


def test_help_shows_examples_as_they_are_typed(command, cli) -> None:
    command(lambda _: 0, with_options)
    result = cli("fake", "--help")
    assert result.code == 0
    assert "it has" not in result.out
    assert "\n  last fake --batch_size 4   # a long line that has to stay in one piece, or nobody" in result.out


# --- logging


def test_information_is_shown_on_stderr_and_a_warning_says_that_it_is_one(command, cli) -> None:
    def work(_: Namespace) -> int:
        logging.getLogger("last.training").info("epoch 1")
        logging.getLogger("last.training").warning("no data")
        return 0

    command(work)
    assert cli("fake").err == "epoch 1\nwarning: no data\n"
    assert cli("fake", "--quiet").err == "warning: no data\n"


def test_no_log_handler_stays_behind(command, cli) -> None:
    command(lambda _: 0)
    before = list(logging.getLogger("last").handlers)
    cli("fake")
    assert logging.getLogger("last").handlers == before


# --- scripts


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("[!_]*.py")), ids=lambda path: path.stem)
def test_a_script_stands_for_the_command_of_its_name(script: Path) -> None:
    assert script.stem in COMMANDS
    assert f'run("{script.stem}")' in script.read_text(encoding="utf-8")


def test_a_script_is_the_same_program() -> None:
    result = subprocess.run(
        [sys.executable, SCRIPTS / "synthesize.py", "--nonsense"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (result.returncode, result.stderr[:7]) == (2, "error: ")


def test_a_script_says_what_to_do_where_last_is_not_installed(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-S", SCRIPTS / "train.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert result.returncode == 2
    assert "no module 'last'" in result.stderr
    assert "make setup" in result.stderr
