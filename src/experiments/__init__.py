"""One run from its configuration to its summary, and sweeps of many runs."""
