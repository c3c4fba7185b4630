"""Inspect a data set before a training: what it holds, what is wrong with it, and whether it is large enough."""
