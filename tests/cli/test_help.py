"""The help of every command: without torch, and with examples that can be typed as printed."""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from patience import PATIENCE_S

from last.benchmarks.options import add_common, add_device, add_part
from last.benchmarks.parts import PARTS
from last.cli import COMMANDS
from last.cli.options import parse
from last.utils.program import naming_program

HELPS = [
    *([name] for name in COMMANDS),
    *(["runs", action] for action in ("list", "compare")),
    *(["benchmark", part] for part in (*PARTS, "all")),
]
HEAVY = ("torch", "pydantic", "matplotlib", "PIL", "tensorboard", "onnx", "onnxscript", "onnxruntime", "openvino")


# What each command's exit code is, and what it imports of all that its help should not wait for.
PROBE = """
import contextlib, io, json, sys
from last.cli import main
helps, heavy = json.loads(sys.argv[1])
found, before = [], set()
for command in helps:
    with contextlib.redirect_stdout(io.StringIO()):
        code = main([*command, "--help"])
    loaded = {name for name in heavy if name in sys.modules}
    found.append([code, sorted(loaded - before)])
    before = loaded
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, tuple[int, list[str]]]:
    """Return the exit code of every command's help, and which heavy packages it is the first to import.

    One process shows the helps one after the other, since each process of its own would import the rest again.
    """
    command = [sys.executable, "-c", PROBE, json.dumps([HELPS, HEAVY])]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    found = json.loads(result.stdout)
    return {" ".join(names): tuple(each) for names, each in zip(HELPS, found, strict=True)}


@pytest.mark.parametrize("command", HELPS, ids=" ".join)
def test_no_help_waits_for_torch_or_an_optional_package(
    command: list[str], imported: dict[str, tuple[int, list[str]]]
) -> None:
    assert imported[" ".join(command)] == (0, [])


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_overview_and_the_version_do_not_wait_for_rich(option: str) -> None:
    code = f"import sys; from last.cli import main; code = main(['{option}']); print(code, 'rich' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert result.stdout.splitlines()[-1] == "0 False"


@pytest.fixture
def help_of(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that returns a command's help as the installed program shows it."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/last-har"])
    return lambda command: str(cli(*command, "--help").out)


@pytest.mark.parametrize("command", [[], *HELPS], ids=" ".join)
def test_no_help_mentions_what_only_a_checkout_has(command: list[str], help_of: Callable[..., str]) -> None:
    text = help_of(command)
    for only_there in ("scripts/", "-e .", "configs/", "docs/", "make setup", "{program}"):
        assert only_there not in text


@pytest.mark.parametrize("command", HELPS, ids=" ".join)
def test_every_example_is_one_that_can_be_typed(command: list[str], help_of: Callable[..., str]) -> None:
    lines = help_of(command).partition("examples:\n")[2].splitlines()
    assert lines
    for line in lines:
        if line.strip().startswith("torchrun"):  # which starts a module, whatever the program is called
            line = line.replace("torchrun --nproc_per_node 4 -m last", "last-har")
        program, name, *arguments = shlex.split(line)
        assert program == "last-har"
        if "--help" not in arguments:
            understood(name, arguments)


def understood(name: str, arguments: list[str]) -> argparse.Namespace:
    """Read a command's arguments as the command does; wrong ones are an error."""
    if name != "benchmark":
        return parse(name, "try", import_module(f"last.cli.{name}").add_arguments, arguments)
    part, *options = arguments
    if part == "all":
        return parse(name, "try", lambda parser: (add_common(parser), add_device(parser))[0], options)
    return parse(name, "try", lambda parser: add_part(part, parser, quick=False), options)


def test_only_the_programs_placeholder_is_filled_in() -> None:
    assert naming_program("{program} of ${HOME} and {other}").endswith(" of ${HOME} and {other}")
    assert "{program}" not in naming_program("{program}, {program}")
