"""docs/extending.md shows the files of this folder."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parents[1] / "docs" / "extending.md"


EXAMPLES = [path.name for path in FOLDER.glob("*.*") if path.suffix in (".py", ".yaml") and path.stem[:5] != "test_"]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_document_shows_every_extension_as_it_is(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") in DOCUMENT.read_text(encoding="utf-8")
