"""JSON that is foreign."""

import pytest

from last.utils.json_text import parse_json


def test_json_is_read_as_python_reads_it() -> None:
    text = '{"a": [1, -9223372036854775807, 1.5, null, true, "\\u00e9\\ud83d\\ude00", NaN]}'
    values = parse_json(text)["a"]
    assert values[:6] == [1, -(2**63) + 1, 1.5, None, True, "é😀"]


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "9" * 21, "-" + "9" * 5000, '"\\ud800"', '{"\\uDC00": 1}', '"\\ud83d"', "\0"]
)
def test_what_nothing_could_be_done_with_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)
