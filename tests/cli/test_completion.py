"""What a shell offers behind a command line that is half typed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S
from test_help import HEAVY

from last.cli import COMMANDS

MODELS = {"nano_e", "small_e", "base_e", "large_e", "small", "base", "large"}


def ask(line: str, folder: Path, program: str = "from last.cli import main; main()") -> tuple[set[str], set[str]]:
    """Return the words that are offered for a line, and the modules that were imported for that."""
    pytest.importorskip("argcomplete")
    offered_file = folder / "offered"
    variables = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(offered_file)}
    variables |= {"COMP_LINE": line, "COMP_POINT": str(len(line.encode())), "COMP_TYPE": "9"}
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, **variables},
        timeout=PATIENCE_S,
    )
    modules = {row.rpartition("|")[2].strip() for row in result.stderr.splitlines()}
    return {word.strip() for word in offered_file.read_text().split("\n")}, modules


def test_commands_are_offered_by_their_beginning(tmp_path: Path) -> None:
    assert ask("last-har e", tmp_path)[0] == {name for name in COMMANDS if name.startswith("e")}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("last-har train --mod", {"--model"}),
        ("last-har train --model ", MODELS),
        ("last-har runs c", {"compare", "clean"}),
        ("last-har evaluate --dataset n", {"ntu60", "ntu120", "nw_ucla"}),
        ("last-har distill --method ", {"kl", "dkd", "features", "attention"}),
        ("last-har evaluate --metric ", {""}),
        ("last-har benchmark tr", {"training"}),
        ("last-har train --device c", {"cpu", "cuda"}),
    ],
)
def test_options_and_their_names_are_offered(line: str, offered: set[str], tmp_path: Path) -> None:
    assert ask(line, tmp_path)[0] - {"offered"} == offered


def test_a_path_is_offered_where_an_option_takes_one(tmp_path: Path) -> None:
    (tmp_path / "my_actions.yaml").touch()
    assert ask("last-har train --dataset my", tmp_path)[0] == {"my_actions.yaml"}


# What is offered behind every command, and what is imported for it of all that it should not wait for. A completion
# ends its process, which is prevented here, since each process of its own would import the rest again.
PROBE = """
import json, os, sys
class Ended(BaseException): pass
def end(code): raise Ended(code)
os._exit = end
from last.cli import main
names, heavy, offered_file = json.loads(sys.argv[1])
os.environ["_ARGCOMPLETE_STDOUT_FILENAME"] = offered_file
found, before = {}, set()
for name in names:
    os.environ["COMP_LINE"] = line = f"last-har {name} --"
    os.environ["COMP_POINT"] = str(len(line))
    try:
        main()
    except Ended as ended:
        code = ended.args[0]
    with open(offered_file) as file:
        offered = file.read().split("\\n")
    loaded = {each for each in heavy if each in sys.modules}
    found[name] = {"code": code, "offered": [each.strip() for each in offered], "heavy": sorted(loaded - before)}
    before = loaded
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return, for every command, what a key press behind it comes to."""
    pytest.importorskip("argcomplete")
    folder = tmp_path_factory.mktemp("keys")
    given = json.dumps([list(COMMANDS), HEAVY, str(folder / "offered")])
    variables = {**os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_TYPE": "9"}
    command = [sys.executable, "-c", PROBE, given]
    result = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=folder, env=variables, timeout=PATIENCE_S
    )
    found: dict[str, dict[str, Any]] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_no_key_press_waits_for_torch_or_an_optional_package(name: str, keys: dict[str, dict[str, Any]]) -> None:
    found = keys[name]
    assert found["code"] == 0
    assert "--quiet" in found["offered"]
    assert found["heavy"] == []


def test_nothing_runs_where_argcomplete_is_not_installed(tmp_path: Path) -> None:
    without = "import sys; sys.modules['argcomplete'] = None; from last.cli import main; assert main() == 2"
    (tmp_path / "offered").touch()
    assert ask("last-har demo ", tmp_path, without)[0] == {""}
    assert [path.name for path in tmp_path.iterdir()] == ["offered"]


def test_no_part_of_the_benchmarks_is_offered_where_there_are_none(tmp_path: Path) -> None:
    without = "from last import benchmarks; benchmarks.__path__ = []; from last.cli import main; main()"
    assert ask("last-har benchmark tr", tmp_path, without)[0] == {""}


@pytest.mark.parametrize("file", ["__main__.py", "cli/__init__.py"])
def test_a_shell_that_completes_every_python_program_knows_this_one(file: str) -> None:
    assert b"PYTHON_ARGCOMPLETE_OK" in (Path(__file__).parents[2] / "src" / file).read_bytes()[:1024]
