"""Train teacher and students alone and distilled: the same program as `python -m last sequence`."""

import sys

from _run import run

if __name__ == "__main__":
    sys.exit(run("sequence"))
