"""Train variants of one training and compare them: the same program as `python -m last sweep`."""

import sys

from _run import run

if __name__ == "__main__":
    sys.exit(run("sweep"))
