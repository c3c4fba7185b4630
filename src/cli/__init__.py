"""The command line: `last <command> ...`, one module per command, imported only when that command runs."""
# PYTHON_ARGCOMPLETE_OK: a shell may start this program to complete a command line.

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from ..utils.errors import UserError
from ..utils.extras import refuse_missing
from ..utils.openmp import sleep_if_busy
from ..utils.program import program
from ..utils.system_errors import reason
from ..version import __version__
from .failures import refuse_foreign_exit, report_error, signals_as_exceptions
from .output import reader_left, safe_output

COMMANDS = {
    "train": (".train", "train a model on a prepared data set"),
    "distill": (".distill", "train a student with the help of trained teachers"),
    "sequence": (".sequence", "train a teacher and students with and without distillation, and compare them"),
    "sweep": (".sweep", "train variants of one training, and tell which of them differ from the baseline"),
    "start": (".start", "go from recordings to a trained, evaluated and exported student"),
    "preprocess": (".preprocess", "convert raw recordings into a store for training"),
    "inspect": (".inspect", "look for what would spoil training before it starts"),
    "view": (".view", "look at clips in a browser, as an animation or as a picture"),
    "split": (".split", "show how a prepared data set is divided, and write its parts as text files"),
    "convert": (".convert", "write a prepared data set as arrays, a table or a PYSKL file"),
    "evaluate": (".evaluate", "evaluate a trained model and write a report"),
    "export": (".export", "export a trained model as one file, ONNX or OpenVINO"),
    "predict": (".predict", "classify recordings with a checkpoint or an exported file"),
    "live": (".live", "recognise what several people do in a stream of frames"),
    "serve": (".serve", "serve an exported file over HTTP and WebSocket"),
    "runs": (".runs", "list runs and their results, compare or record runs, or free disk space"),
    "synthesize": (".synthesize", "write synthetic raw recordings, to try everything without a download"),
    "demo": (".demo", "run the whole pipeline once: synthesize, preprocess, train, evaluate"),
    "benchmark": (".benchmark", "measure the speed of every part against a plain reference"),
    "cost": (".cost", "measure the models: parameters, multiply-adds, memory, latency"),
    "doctor": (".doctor", "check the installation, and list data and runs and what is missing"),
}
# They print their result; the others write it to files, and `inspect` unless it prints JSON.
_PRINT_THEIR_RESULT = ("predict", "live", "runs", "cost", "doctor", "benchmark", "split")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Returns:
        0 done; 1 a defect of LAST; 2 the user's input was wrong; 3 training diverged; 4 another process of the
        training has exited; 129, 130 or 143 stopped by a signal; 141 the reader of the output left, and the output was
        the result.
    """
    if "_ARGCOMPLETE" in os.environ:
        from .completion import complete

        return complete(COMMANDS)
    arguments = list(sys.argv[1:] if argv is None else argv)
    with safe_output() as (out, _):
        code = _guarded(arguments)
        out.finish()
        return code if out.problem is None else _report_lost_output(out.problem, code, arguments)


def _guarded(arguments: list[str]) -> int:
    """Run one command and return its exit code, also after any exception."""
    try:
        with signals_as_exceptions():
            return _run(arguments)
    except SystemExit as stop:  # argparse exits after --help
        return stop.code if isinstance(stop.code, int) else 0
    except BaseException as error:
        return report_error(error, program())


def _report_lost_output(problem: OSError | ValueError, code: int, arguments: list[str]) -> int:
    """Report that output was lost and return the exit code: that of the command, if its result is in files."""
    output_is_result = _is_printed(arguments)
    if reader_left(problem):  # as with `head`, which is no error
        return code or (141 if output_is_result else 0)
    kind = "error" if output_is_result else "warning"
    print(f"{kind}: Part of the output could not be written to stdout: {reason(problem)}.", file=sys.stderr)
    return code or (2 if output_is_result else 0)


def _is_printed(arguments: list[str]) -> bool:
    """Return whether the result of a command is what it prints."""
    if not arguments or arguments[0] not in COMMANDS or not {"-h", "--help"}.isdisjoint(arguments):
        return True
    return arguments[0] in _PRINT_THEIR_RESULT or (arguments[0] == "inspect" and "--json" in arguments)


def _run(arguments: list[str]) -> int:
    name, *rest = arguments or [""]
    if name in ("", "-h", "--help"):
        print(_overview())
        return 0 if name else 2
    if name == "--version":
        print(f"last {__version__}")
        return 0
    if name not in COMMANDS:
        from ..utils.config import unknown_name

        raise UserError(unknown_name("command", name, list(COMMANDS)))
    return _run_command(name, rest)


def _run_command(name: str, arguments: list[str]) -> int:
    from .options import parse
    from .terminal import logging_to_terminal

    sleep_if_busy()
    module, purpose = COMMANDS[name]
    command = import_module(module, __name__)
    parsed = parse(f"{program()} {name}", purpose, command.add_arguments, arguments)
    refuse_missing(getattr(command, "NEEDS", ()), f"`{program()} {name}`")
    with logging_to_terminal(quiet=parsed.quiet):
        try:
            code: int = command.run(parsed)
        except SystemExit as stop:  # raised by --help of a part, or by a plug-in, whose code would mean something else
            refuse_foreign_exit(stop)
            raise
    return code


def _overview() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {purpose}" for name, (_, purpose) in COMMANDS.items())
    return f"""usage: {program()} <command> [options]

LAST trains, evaluates and exports lightweight models that recognise human actions from skeletons.

commands:
{commands}

options:
  -h, --help  this text; after a command, its options
  --version   the version

New here? `{program()} demo` runs the whole pipeline on synthetic data,
and `{program()} doctor` reports what is missing."""
