"""What a command that failed says, and its exit code."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..utils.errors import (
    PeerLost,
    Terminated,
    ToldElsewhere,
    TrainingDiverged,
    UserError,
    tells_of_memory,
    tells_of_unfit_gpu,
)
from ..utils.files import reason
from ..utils.foreign_text import harmless
from ..utils.program import install_command

REQUIRED = ("torch", "numpy", "omegaconf", "yaml", "rich", "filelock")  # as they are imported


def tell(error: BaseException, program: str) -> int:
    """Say on stderr what `error` means to the user and return the exit code.

    Only what nobody foresaw shows its traceback: it is a defect of LAST, to be reported.
    """
    if isinstance(error, BrokenPipeError):  # whoever read our output, such as `head`, has enough
        _let_the_last_flush_go_nowhere()
        return 141
    if isinstance(error, KeyboardInterrupt):
        return 143 if isinstance(error, Terminated) else 130
    if isinstance(error, ToldElsewhere):
        return 2
    if isinstance(error, PeerLost):
        print(f"error: {harmless(str(error))}", file=sys.stderr)
        return 4
    message = _message(error)
    if message:
        print(f"error: {harmless(message)}", file=sys.stderr)
        return 3 if isinstance(error, TrainingDiverged) else 2
    print(harmless("".join(traceback.format_exception(error)).rstrip()), file=sys.stderr)
    print(f"This is a defect of LAST: please report it, with what `{program} doctor` prints.", file=sys.stderr)
    return 1


@contextmanager
def sigterm_as_exception() -> Iterator[None]:
    """Raise `Terminated` in this process while the block runs when SIGTERM arrives."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in that one alone
        yield
        return
    owner = os.getpid()

    def terminate(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise Terminated
        signal.signal(number, signal.SIG_DFL)  # a forked worker inherits this function and just ends
        os.kill(os.getpid(), number)

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _message(error: BaseException) -> str:
    """Return the one message for an error that a user can do something about, else an empty string."""
    if isinstance(error, UserError | TrainingDiverged):
        return str(error)
    if isinstance(error, OSError) and (error.filename or reason(error)):
        return f"{error.filename or 'A file'}: {reason(error) or error.strerror}."
    if isinstance(error, ModuleNotFoundError) and error.name in REQUIRED:
        return f"The package {error.name} is missing. Install it with: {install_command('last-har')}"
    if tells_of_memory(error):
        return f"The memory is used up. A smaller --batch_size needs less. {error}".rstrip()
    if tells_of_unfit_gpu(error):
        return (
            "The installed torch has no code for this GPU: the GPU is too old for it, or too new. Use another GPU (in "
            "a Kaggle notebook the accelerator T4), --device cpu, or a torch that was built for it."
        )
    return ""


def _let_the_last_flush_go_nowhere() -> None:
    """Point stdout at nothing, because Python flushes it once more at its end and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
