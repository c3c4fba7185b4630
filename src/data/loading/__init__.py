"""From a store to batches of input streams."""
