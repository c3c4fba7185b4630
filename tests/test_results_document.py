"""The figures of docs/results.md and docs/distillation.md come from records, or are marked as typed."""

import re

import pytest

from last.benchmarks.ledger import DISTILLATION, RECORDS, RESULTS, TEMPLATE, problems, rendered, untraced
from last.runs.records import read_records

MADE = rendered((RECORDS / TEMPLATE).read_text(encoding="utf-8"), read_records(RECORDS))
DOCUMENTS = {path: path.read_text(encoding="utf-8") for path in (RESULTS, DISTILLATION)}


def test_the_page_is_what_the_records_make_and_every_figure_is_traced_or_marked() -> None:
    assert problems(DOCUMENTS, MADE) == []


@pytest.mark.parametrize("heading", ["# Results", "## NW-UCLA, cross-view"])
def test_a_figure_typed_into_an_unmarked_section_of_the_results_is_found(heading: str) -> None:
    begin = re.compile(rf"^{heading}\n\n(<!--.*-->\n\n)?", re.MULTILINE)  # a mark is one only before all else
    broken = begin.sub(lambda found: f"{found[0]}We reach 93.32 now.\n\n", MADE, count=1)
    assert [figure for _, figure in untraced(broken)] == ["93.32"]


@pytest.mark.parametrize("heading", ["# Distillation", "## Cached teachers"])
def test_a_result_typed_into_an_unmarked_section_about_distillation_is_found(heading: str) -> None:
    text = DOCUMENTS[DISTILLATION]
    broken = text.replace(f"{heading}\n", f"{heading}\n\n<!-- Not measured: none. -->\n\nIt gains 0.86 points.\n", 1)
    assert len(list(untraced(broken))) == 1


def test_records_are_small() -> None:
    assert [path.name for path in RECORDS.glob("*.json") if path.stat().st_size > 12_000] == []
