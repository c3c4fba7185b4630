"""What clips can be divided by, and the folds that a user chooses."""

from dataclasses import dataclass

PROPERTIES = ("subject", "camera", "setup", "replication")  # whose values a protocol can list; 0 is unknown
DIVIDED_BY = (*PROPERTIES, "recording", "file")
MOST_FOLDS = 1000
SPLIT_FILE_ENDING = ".txt"
ALL = 0  # as many folds as there are values: leave one out


@dataclass(frozen=True)
class FoldChoice:
    """The options `--split_by`, `--folds` and `--fold`.

    Attributes:
        by: what the clips are divided by: one of `DIVIDED_BY`.
        folds: the number of folds; `ALL` for one per value.
        fold: the only fold to use, from 1; 0 for all.
    """

    by: str
    folds: int
    fold: int = 0


def is_split_file(split: str) -> bool:
    """Tell whether the value of `--split` is the path of a text file and not the name of a protocol."""
    return split.lower().endswith(SPLIT_FILE_ENDING)
