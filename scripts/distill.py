"""Train a student with teachers: the same program as `python -m last distill`."""

import sys

from _run import run

if __name__ == "__main__":
    sys.exit(run("distill"))
