"""Measure a trained model: the same program as `python -m last evaluate`."""

import sys

from _run import run

if __name__ == "__main__":
    sys.exit(run("evaluate"))
