"""The errors a command turns into its exit code."""

from .foreign_text import shortened
from .program import install_command


class UserError(ValueError):
    """Say that the user's input was wrong: what, where, and what to do (exit code 2, no traceback).

    A message quotes what it is about, which may be of any length: it is cut here, for all who raise one.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(message))


class Unwritable(UserError):
    """Say that a file or a folder cannot be written, so that who chose the place can name the option for another."""


class ReportedElsewhere(UserError):
    """The error of the first process, raised in the others and not printed again."""


class TrainingDiverged(RuntimeError):
    """Training diverged: its values are not finite (exit code 3)."""


class PeerLost(RuntimeError):
    """Say, in one of several processes, that another one is gone or cannot be reached (exit code 4)."""


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM; handled like Ctrl-C, so that work is saved."""


class HungUp(Terminated):
    """Say that the terminal of the process is gone (SIGHUP), as when a connection is lost."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether the memory was used up; torch's errors are known by name and text, since torch may not be loaded."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def tells_of_unfit_gpu(error: BaseException) -> bool:
    """Tell whether the installed torch has no code for the GPU, which is too old for it, or too new."""
    return isinstance(error, RuntimeError) and "no kernel image is available" in str(error)


def missing_extra(package: str, extra: str, purpose: str) -> UserError:
    """Return the error for an optional library that is not installed."""
    command = install_command(f"last-har[{extra}]")
    return UserError(f"{purpose} needs {package}, which is not installed. Install it with: {command}")
