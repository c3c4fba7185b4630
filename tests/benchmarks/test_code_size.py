"""The size of the code: counted as docs/design.md says, and within the limits of CONTRIBUTING.md."""

import ast
from pathlib import Path

from last.benchmarks.code_size import Function, counts, lines

ROOT = Path(__file__).parents[2]
LONGEST_FUNCTION, LONGEST_FILE = 60, 400
FOLDERS = ("src", "benchmarks", "scripts", "build_backend")
MODULES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
SOURCE = """
def public(config: RunConfig) -> None:
    _once()
    place = top1 = _twice() + _twice()


def _once() -> None: ...
def _twice(rows: int = 0) -> int: ...
"""


def test_the_size_of_a_module_is_counted(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "module.py").write_text(SOURCE)
    assert list(counts(tmp_path).values()) == [
        "1, 8",
        "`room`, 8",
        "0",
        "3, 1, 4, 3",
        "2, 1, 1",
        "125.0",
        "1",
        "1",
        "1, 0, 1, 0",
    ]


def test_no_function_and_no_file_is_longer_than_the_rules_of_the_house_allow() -> None:
    long = []
    for module in MODULES:
        text = module.read_text(encoding="utf-8")
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, Function)]
        long += [f"{module}: {each.name}" for each in functions if lines(each) > LONGEST_FUNCTION]
        long += [str(module)] if len(text.splitlines()) > LONGEST_FILE else []
    assert long == []
