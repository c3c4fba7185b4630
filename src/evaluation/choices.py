"""What an evaluation can be asked for, apart from what computes it, so that its help need not wait for torch."""

SUBSETS = ("train", "val", "test")
STATISTICS = ("auto", "running", "measured")
