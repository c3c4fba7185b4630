"""Every setting of a run as dataclasses, with the limits of each value; no torch."""
