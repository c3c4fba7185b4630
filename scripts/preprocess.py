"""Turn raw recordings into a store: the same program as `python -m last preprocess`."""

import sys

from _run import run

if __name__ == "__main__":
    sys.exit(run("preprocess"))
