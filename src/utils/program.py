"""How to call this program, for messages that name a command."""

import sys
from pathlib import Path


def program() -> str:
    """Return how to call this program, as one types it."""
    return "last-har" if Path(sys.argv[0]).stem == "last-har" else "python -m last"
