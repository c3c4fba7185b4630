"""Functions take the part of the configuration that they read, not the whole."""

import ast
from collections.abc import Iterator
from pathlib import Path

import last
from last.tasks.recipe import TaskRecipe

SOURCE = Path(last.__file__).parent
FEW = 2  # keys; a function that reads no more takes them or their part
CONTRACT = {name for name in vars(TaskRecipe) if not name.startswith("_")}  # a task's recipe may need any key


def takes_whole(source: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each function of a module that only reads keys of a whole configuration, and these keys."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        arguments = function.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if argument.annotation is None or ast.unparse(argument.annotation).strip("'") != "RunConfig":
                continue
            nodes = list(ast.walk(function))
            uses = [each for each in nodes if _is_name(each, argument.arg)]
            keys = [
                each.attr for each in nodes if isinstance(each, ast.Attribute) and _is_name(each.value, argument.arg)
            ]
            if len(keys) == len(uses):  # otherwise it hands on, compares or saves the whole
                yield function.name, set(keys)


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def test_a_function_that_reads_few_keys_does_not_take_the_whole_configuration() -> None:
    found = {
        f"{path.relative_to(SOURCE)}: {name} reads {', '.join(sorted(keys))}"
        for path in SOURCE.rglob("*.py")
        for name, keys in takes_whole(path.read_text(encoding="utf-8"))
        if len(keys) <= FEW and name not in CONTRACT
    }
    assert not found
