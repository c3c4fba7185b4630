"""Classify recordings: the same program as `python -m last predict`."""

import sys

from _run import run

if __name__ == "__main__":
    sys.exit(run("predict"))
