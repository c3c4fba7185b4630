"""The map of the parts in docs/design.md names what is there."""

import re
from pathlib import Path

import pytest

from last.cli import COMMANDS

ROOT = Path(__file__).parents[1]
ROWS = dict(
    re.findall(r"^\| `src/([\w/]+)/` \| (.*) \|$", (ROOT / "docs" / "design.md").read_text("utf-8"), re.MULTILINE)
)


def parts_of(room: str) -> set[str]:
    """Return the names of the modules and packages of a room that has a row, without those that have their own row."""
    folder = ROOT / "src" / room
    modules = {path.stem for path in folder.glob("*.py")}
    packages = {path.name for path in folder.iterdir() if (path / "__init__.py").is_file()}
    own_row = {row.removeprefix(f"{room}/") for row in ROWS if row.startswith(f"{room}/")}
    return {name for name in (modules | packages) - own_row if not name.startswith("__")}


@pytest.mark.parametrize("room", ROWS)
def test_every_part_of_a_room_is_named(room: str) -> None:
    named = set(re.findall(r"`([\w.]+)/?`", ROWS[room]))
    missing = parts_of(room) - named - (set(COMMANDS) if room == "cli" else set())
    assert missing == set()


def test_every_room_has_a_row() -> None:
    folders = {path.parent.name for path in (ROOT / "src").glob("*/__init__.py")}
    assert folders - {row.partition("/")[0] for row in ROWS} == set()


@pytest.mark.parametrize(
    "document", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]), ids=lambda path: path.name
)
def test_files_of_ours_that_a_document_names_are_there(document: Path) -> None:
    named = re.findall(
        r"`((?:src|tests|benchmarks|scripts|configs|examples)/[\w./-]+\.\w+)`", document.read_text("utf-8")
    )
    examples = re.compile("NAME|ROOM|MODULE|tiny_e|mlp_small|frame_mlp|masked_joints")
    assert [path for path in named if not examples.search(path) and not (ROOT / path).exists()] == []
