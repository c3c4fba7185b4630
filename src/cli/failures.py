"""Error messages of failed commands, and their exit codes."""

import argparse
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..utils.errors import (
    HungUp,
    PeerLost,
    ReportedElsewhere,
    Terminated,
    TrainingDiverged,
    UserError,
    is_out_of_memory,
    is_unsupported_gpu,
)
from ..utils.extras import extra_of, fault_of, repair_command
from ..utils.foreign_text import harmless
from ..utils.plug_in_files import plug_in_at_fault
from ..utils.program import install_command
from ..utils.signals import ENDING_SIGNALS, is_ignored
from ..utils.system_errors import is_resolvable, reason

_STOPPED = {HungUp: 129, Terminated: 143}
REQUIRED = ("numpy", "yaml", "rich")  # as they are imported


def report_error(error: BaseException, program: str) -> int:
    """Print an error message for the user on stderr and return the exit code.

    Only an unexpected exception shows its traceback: it is a defect of LAST.
    """
    if isinstance(error, KeyboardInterrupt):
        return next((code for kind, code in _STOPPED.items() if isinstance(error, kind)), 130)
    if isinstance(error, ReportedElsewhere):
        return 2
    if isinstance(error, PeerLost):
        print(f"error: {harmless(str(error))}", file=sys.stderr)
        return 4
    message = _message(error)
    if message:
        print(f"error: {harmless(message)}", file=sys.stderr)
        return 3 if isinstance(error, TrainingDiverged) else 2
    print(harmless("".join(traceback.format_exception(error)).rstrip()), file=sys.stderr)
    whose = "This is a defect of LAST"
    if place := plug_in_at_fault(error):
        print(f"The error was raised in {harmless(place)}. Mend it if that file is yours.", file=sys.stderr)
        whose = "If it came with LAST, this is a defect of LAST"
    print(f"{whose}: please report it, with what `{program} doctor` prints.", file=sys.stderr)
    return 1


def refuse_foreign_exit(stop: SystemExit) -> None:
    """Refuse that code besides argparse's ends the program, with an exit code that has another meaning here.

    Raises:
        UserError: a plug-in, or a library, raised SystemExit; the message names its file and line.
    """
    frame = traceback.extract_tb(stop.__traceback__)[-1]
    if frame.filename != argparse.__file__:
        raise UserError(
            f"{frame.filename}, line {frame.lineno}, ends the program ({fault_of(stop)}). Raise an error there instead."
        ) from stop


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise `Terminated` in this process while the block runs when SIGTERM arrives, and `HungUp` when SIGHUP does.

    A signal that is ignored, as SIGHUP under `nohup`, stays ignored. If a library turns the exception of a signal,
    also KeyboardInterrupt, into an error of its own, the block ends with the exception of the signal.
    """
    if threading.current_thread() is not threading.main_thread():  # Python handles signals only in the main thread
        yield
        return
    owner = os.getpid()
    received: list[type[KeyboardInterrupt]] = []

    def terminate(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            received.append(ENDING_SIGNALS.get(number, KeyboardInterrupt))
            raise received[-1]
        if number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        signal.signal(number, signal.SIG_DFL)  # a forked worker inherits this handler and exits
        os.kill(os.getpid(), number)

    handled = [number for number in ENDING_SIGNALS if not is_ignored(number)]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        handled.append(signal.SIGINT)
    previous = {number: signal.signal(number, terminate) for number in handled}
    try:
        yield
    except Exception as error:
        if received and _is_unexpected(error):
            raise received[-1] from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _is_unexpected(error: BaseException) -> bool:
    """Return whether an error, or the one that it reports, is neither the user's nor that of another process."""
    while error.__cause__ is not None:
        error = error.__cause__
    return not isinstance(error, PeerLost) and not _message(error)


def _message(error: BaseException) -> str:
    """Return the message for an error that a user can resolve, else an empty string."""
    if isinstance(error, UserError | TrainingDiverged):
        return str(error)
    if package := _package_at_fault(error):
        return (
            f"The package {package} is installed, but cannot be imported ({fault_of(error)}). Install it again with: "
            f"{repair_command(package)}"
        )
    if isinstance(error, OSError) and (error.filename or is_resolvable(error)):
        return f"{error.filename or 'A file'}: {reason(error)}."
    if isinstance(error, ModuleNotFoundError) and (wanted := _distribution_with(error.name or "")):
        return f"The package {error.name} is missing. Install it with: {install_command(wanted)}"
    if is_out_of_memory(error):
        return f"Out of memory. A smaller --batch_size needs less. {error}".rstrip()
    if is_unsupported_gpu(error):
        return (
            "The installed torch has no code for this GPU: the GPU is too old for it, or too new. Use another GPU (in "
            "a Kaggle notebook the accelerator T4), --device cpu, or a torch that was built for it."
        )
    return ""


def _distribution_with(package: str) -> str:
    """Return what pip installs to get a package that LAST uses, empty for another package."""
    extra = extra_of(package)
    return f"last-har[{extra}]" if extra else "last-har" if package in REQUIRED else ""


def _package_at_fault(error: BaseException) -> str:
    """Return the package that raised an error while it was imported; empty if none that LAST uses did.

    The error can be of any type and need not name its package, such as a numpy that was built for another Python, or a
    torch without one of its libraries.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_name == "<module>"]
    names = [str(frame.f_globals.get("__name__")) for frame in frames]
    return next((name for name in reversed(names) if _distribution_with(name)), "")
