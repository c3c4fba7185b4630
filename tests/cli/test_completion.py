"""What a shell offers behind a command line that is half typed."""

import os
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("name", COMMANDS)
def test_no_key_press_waits_for_torch_or_an_optional_package(name: str, tmp_path: Path) -> None:
    offered, modules = ask(f"last-har {name} --", tmp_path)
    assert "--quiet" in offered
    assert "last.cli.completion" in modules
    assert modules.isdisjoint(HEAVY)


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
