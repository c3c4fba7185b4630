"""Where and how a run computes: devices, processes, precision, compilation, stop requests."""
