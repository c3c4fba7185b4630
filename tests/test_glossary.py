"""The glossary names existing things: a renamed class, key or flag is renamed there too."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = re.findall(r"^\| (.+?) \| .+ \| (`.+`) \|$", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.M)
SOURCE = "\n".join(
    path.read_text(encoding="utf-8")
    for folder, pattern in (("src", "*.py"), ("configs", "*.yaml"))
    for path in sorted((ROOT / folder).rglob(pattern))
)
NAMES = sorted({name for _, cell in ROWS for name in re.findall(r"`([^`]+)`", cell)})


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_the_glossary_is_one_of_the_code(name: str) -> None:
    if name.endswith("/"):
        assert (ROOT / name).is_dir()
    else:
        assert re.search(rf"(?<![\w-]){re.escape(name.removeprefix('last '))}\b", SOURCE)


def test_every_term_stands_in_the_glossary_once() -> None:
    terms = [term for term, _ in ROWS]
    assert len(terms) > 40
    assert len(terms) == len(set(terms))
