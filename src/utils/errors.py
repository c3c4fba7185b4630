"""The errors a command turns into its exit code."""

from collections.abc import Sequence

from .foreign_text import shortened
from .program import install_command


class UserError(ValueError):
    """The user's input is wrong; the message says what, where, and what to do (exit code 2, no traceback).

    A message may quote input of any length, so it is shortened here.

    Attributes:
        problems: the lines of a message with several problems, which can be reported with others.
    """

    def __init__(self, message: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__(shortened(message))
        self.problems = tuple(problems)


class Unwritable(UserError):
    """A file or a folder is not writable; the caller can add the option that chooses another one."""


class ReportedElsewhere(UserError):
    """The error of the first process, raised in the others and not printed again."""


class TimeIsOver(UserError):
    """The time limit passed before the first step of a run, such as while its data were prepared."""


class TimeIsOverElsewhere(TimeIsOver, ReportedElsewhere):
    """The same in all processes but the first."""


class TrainingDiverged(RuntimeError):
    """Training diverged: its values are not finite (exit code 3)."""


class PeerLost(RuntimeError):
    """Another process of the training has exited or cannot be reached (exit code 4)."""


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM; handled like Ctrl-C, so that work is saved."""


class HungUp(Terminated):
    """The terminal of the process has closed (SIGHUP), as when a connection is lost."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means too little memory; torch's are recognised by name, without importing torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def is_unsupported_gpu(error: BaseException) -> bool:
    """Return whether an error means that the installed torch does not support the GPU's architecture."""
    return isinstance(error, RuntimeError) and "no kernel image is available" in str(error)


def missing_extra(package: str, extra: str, purpose: str) -> UserError:
    """Return the error for an optional library that is not installed."""
    command = install_command(f"last-har[{extra}]")
    return UserError(f"{purpose} needs {package}, which is not installed. Install it with: {command}")
