"""Tasks: the protocol of a run's loss and metrics."""
