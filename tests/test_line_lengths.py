"""The lines of the documents are as short as .editorconfig says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
RULES = (ROOT / ".editorconfig").read_text(encoding="utf-8")


def prose(text: str) -> list[str]:
    """Return the lines of a document that can be wrapped: those outside tables and blocks of code."""
    return [
        line for line in re.sub(r"(?ms)^ *```.*?^ *```$", "", text).splitlines() if not line.lstrip().startswith("|")
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_line_of_prose_is_longer_than_the_editor_allows(document: Path) -> None:
    (longest,) = re.findall(r"\[\*\.md\]\nmax_line_length = (\d+)", RULES)
    lines = prose(document.read_text(encoding="utf-8"))
    assert [line for line in lines if len(line) > int(longest)] == []
