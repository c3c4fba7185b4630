"""Numbers as text."""

import pytest

from last.utils.numbers import counted, file_size, percent


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "clip", "0 clips"),
        (1, "epoch", "1 epoch"),
        (1.0, "minute", "1 minute"),
        (1.5, "minute", "1.5 minutes"),
        (12_345, "recording", "12,345 recordings"),
        (2, "body", "2 bodies"),
        (2, "class", "2 classes"),
        (2, "day", "2 days"),
    ],
)
def test_a_count_agrees_with_its_noun(number: float, noun: str, text: str) -> None:
    assert counted(number, noun) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0.0 %"), (0.0249, "2.5 %"), (0.1, "10 %"), (0.366, "37 %"), (1, "100 %")]
)
def test_a_share_in_per_cent_has_a_decimal_below_a_tenth(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 KiB"), (12_300, "12 KiB"), (3_600_000, "3.4 MiB"), (1_300_000_000, "1.2 GiB")]
)
def test_a_size_has_the_unit_that_fits_it(size_bytes: int, text: str) -> None:
    assert file_size(size_bytes) == text
