"""Train a model: the same program as `python -m last train`."""

import sys

from _run import run

if __name__ == "__main__":
    sys.exit(run("train"))
