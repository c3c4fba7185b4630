"""A search of settings within a time budget, by successive halving of candidates."""
