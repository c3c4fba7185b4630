"""The size of the code, as the table in docs/design.md gives it: `python -m last.benchmarks.code_size [folder]`."""

import ast
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_SHORT = 8  # lines of a short helper
_FULL_CONFIG = "RunConfig"
_TOP_1 = re.compile(r"top.?1\b", re.IGNORECASE)
# Words with several meanings, of which a name consists or which it contains between underscores.
_WORDS = ("place", "clips", "rows", "valid")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def counts(folder: Path) -> dict[str, str]:
    """Return the rows of the table for the modules below a folder."""
    texts = {path.relative_to(folder): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}
    trees = [ast.parse(text) for text in texts.values()]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, Function)]
    lengths = sorted(map(lines, functions))
    size = sum(len(text.splitlines()) for text in texts.values())
    rooms = _rooms(texts)
    room, largest = rooms.most_common(1)[0]
    private, once, short = _helpers(trees)
    ninth = statistics.quantiles(lengths, n=10)[-1]
    return {
        "files, lines": f"{len(texts):,}, {size:,}",
        "largest folder, lines": f"`{room}`, {largest:,}",
        "lines of `training`": f"{rooms['training']:,}",
        "functions: number, median lines, 90 %, largest": (
            f"{len(lengths):,}, {statistics.median(lengths):g}, {ninth:.0f}, {lengths[-1]}"
        ),
        f"private helpers, called once, those of at most {_SHORT} lines": f"{private}, {once}, {short}",
        "helpers called once, per 1,000 lines": f"{1000 * once / size:.1f}",
        f"functions that take the whole `{_FULL_CONFIG}`": str(sum(map(_takes_all, functions))),
        "files that name top-1": str(sum(bool(_TOP_1.search(text)) for text in texts.values())),
        f"names with {', '.join(f'`{word}`' for word in _WORDS)}": ", ".join(map(str, _named(trees))),
    }


def lines(function: Function) -> int:
    """Return the number of lines of a function, without its decorators."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _rooms(texts: Mapping[Path, str]) -> Counter[str]:
    rooms: Counter[str] = Counter()
    for path, text in texts.items():
        rooms[path.parts[0]] += len(text.splitlines())
    return rooms


def _helpers(trees: Sequence[ast.Module]) -> tuple[int, int, int]:
    """Return the numbers of private functions, of those that are used once in their module, and of short ones there."""
    private, once = 0, []
    for tree in trees:
        uses = Counter(_used_names(tree))
        for node in ast.walk(tree):
            if isinstance(node, Function) and node.name.startswith("_") and not node.name.startswith("__"):
                private += 1
                if uses[node.name] == 1:
                    once.append(lines(node))
    return private, len(once), sum(length <= _SHORT for length in once)


def _used_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _takes_all(function: Function) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return any(each.annotation is not None and _FULL_CONFIG in ast.unparse(each.annotation) for each in arguments)


def _named(trees: Sequence[ast.Module]) -> list[int]:
    """Return how many times names with each of the words are assigned or are parameters."""
    names = [
        node.arg if isinstance(node, ast.arg) else node.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    ]
    stems = [{part.rstrip("s") for part in name.split("_")} for name in names]
    return [sum(word.rstrip("s") in each for each in stems) for word in _WORDS]


if __name__ == "__main__":
    for row, value in counts(Path(sys.argv[1] if len(sys.argv) > 1 else "src")).items():
        sys.stdout.write(f"| {row} | {value} |\n")
