"""Choices of the evaluation options, importable without torch."""

SUBSETS = ("train", "val", "test")
STATISTICS = ("auto", "running", "measured", "unaugmented")
WEIGHTS = ("equal", "train")
