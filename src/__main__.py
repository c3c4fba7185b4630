"""Run `python -m last <command> ...`."""

# PYTHON_ARGCOMPLETE_OK: as in `cli`.
from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
