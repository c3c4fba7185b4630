"""Measure how fast everything is: the same program as `python -m last benchmark`."""

import sys

from _run import run

if __name__ == "__main__":
    sys.exit(run("benchmark"))
