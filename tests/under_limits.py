"""Call a function in a process of little memory and time, as hostile inputs need it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """
import json, resource, sys
from importlib import import_module
from pathlib import Path

target, arguments, mib, seconds, folders = json.loads(sys.argv[1])
sys.path[:0] = folders
module, _, name = target.partition(":")
function = getattr(import_module(module), name)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = taken + (mib << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 1
resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + seconds))
try:
    result = {"value": function(*arguments)}
except Exception as error:
    result = {"error": type(error).__name__, "text": str(error)}
print(json.dumps(result, default=str))
"""


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
    tests = Path(__file__).parent
    folders = [tests, tests.parent / "benchmarks" / "reliability", *{path.parent for path in tests.rglob("test_*.py")}]
    job = json.dumps([target, list(map(str, arguments)), mib, seconds, list(map(str, folders))])
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, job],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-2000:]}"
    return LimitedResult(**json.loads(done.stdout))
