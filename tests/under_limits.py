"""Call a function in a process of little memory and time, as hostile inputs need it.

Run as a program, it is the server that forks these processes, so that what they import is imported once.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class LimitedResult:
    """What a call came to: a value, or the name and the text of an error."""

    value: object = None
    error: str = ""
    text: str = ""


def call(target: str, *arguments: object, mib: int, seconds: int) -> LimitedResult:
    """Call `module:function` with arguments that JSON has, under limits of memory and of the processor's time.

    The memory counts from what the process has when the module is imported. A process that is ended, as one that uses
    up its time is, fails the test.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        server = _server()
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(json.dumps([target, list(map(str, arguments)), mib, seconds, str(answer)]) + "\n")
        server.stdin.flush()
        code = server.stdout.readline().strip()
        text = answer.read_text() if answer.exists() else "no answer"
    assert code == "0", f"exit code {code}: {text[-2000:]}"
    return LimitedResult(**json.loads(text))


@functools.cache
def _server() -> "subprocess.Popen[str]":
    """Start the server of this process, which ends when its input is closed: with this process."""
    tests = Path(__file__).parent
    folders = [tests, tests.parent / "benchmarks" / "reliability", *{path.parent for path in tests.rglob("test_*.py")}]
    return subprocess.Popen(
        [sys.executable, __file__, json.dumps(list(map(str, folders)))],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _serve() -> None:
    sys.path[:0] = json.loads(sys.argv[1])
    for line in sys.stdin:
        target, arguments, mib, seconds, answer = json.loads(line)
        module, _, name = target.partition(":")
        function = getattr(import_module(module), name)
        if not (child := os.fork()):
            _answer(Path(answer), function, arguments, mib, seconds)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201 - to the test


def _answer(path: Path, function: Callable[..., object], arguments: list[str], mib: int, seconds: int) -> None:
    """Call under the limits, write what came of it, and end this process."""
    import resource

    with path.open("w") as file:
        try:
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + (mib << 20),) * 2)
            used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (used + seconds,) * 2)
            try:
                result = {"value": function(*arguments)}
            except Exception as error:
                result = {"error": type(error).__name__, "text": str(error)}
            json.dump(result, file, default=str)
            file.flush()
        except BaseException:
            traceback.print_exc(file=file)
            file.flush()
            os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    _serve()
