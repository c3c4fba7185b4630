"""Long recordings: tables of labelled intervals, and the clips that are cut by them."""
