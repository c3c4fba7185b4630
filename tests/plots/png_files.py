"""What the tests of drawings read from a PNG."""

from pathlib import Path


def picture_size(path: Path) -> tuple[int, int]:
    """Return (width, height) from a PNG's header."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
