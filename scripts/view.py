"""Look at clips: the same program as `python -m last view`."""

import sys

from _run import run

if __name__ == "__main__":
    sys.exit(run("view"))
