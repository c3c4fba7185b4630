"""Identify a file by its first bytes, for messages about unexpected content."""

from pathlib import Path

from ....utils.regular_files import open_regular
from ....utils.system_errors import reason

FIRST_BYTES = 512

ZIP, ARRAY, PICKLE, HDF5 = (
    "a zip archive (unpack it, or if it is an .npz, name it so)",
    "a NumPy .npy array",
    "a pickle",
    "an HDF5 file",
)
_SIGNATURES = (
    (b"\x1f\x8b", "a gzip file (unpack it)"),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive (unpack it)"),
    (b"Rar!\x1a\x07", "a RAR archive (unpack it)"),
    (b"BZh", "a bzip2 file (unpack it)"),
    (b"\xfd7zXZ\x00", "an xz file (unpack it)"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\x93NUMPY", ARRAY),
    (b"\xff\xfe", "text in UTF-16 (save it as UTF-8)"),
    (b"\xfe\xff", "text in UTF-16 (save it as UTF-8)"),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer (fetch the file itself with: git lfs pull)"),
    (b"/annex/objects/", "a git-annex pointer (fetch the file itself with: git annex get)"),
    *((bytes([0x80, protocol]), PICKLE) for protocol in range(2, 6)),
)
_MARKUP = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<?xml", "an XML document"))
_TAR_AT = 257


def file_kind(first_bytes: bytes) -> str:
    """Return the kind of a file that begins with these bytes, such as `an HTML page`; empty if unknown."""
    if not first_bytes:
        return "an empty file"
    text = first_bytes.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for signature, kind in _MARKUP:
        if text.startswith(signature):
            return kind
    for signature, kind in _SIGNATURES:
        if first_bytes.startswith(signature):
            return kind
    if first_bytes[_TAR_AT:].startswith(b"ustar"):
        return "a tar archive (unpack it)"
    return "" if first_bytes[:FIRST_BYTES].strip(b"\0") else "a file of zero bytes only, as a failed copy leaves it"


def why_unreadable(path: Path, expected: str, error: Exception) -> str:
    """Return why a binary file could not be read: its kind if that is not as `expected`, else the text of `error`."""
    try:
        with open_regular(path) as file:
            kind = file_kind(file.read(FIRST_BYTES))
    except OSError as unreadable:
        return reason(unreadable)
    return f"it is {kind}" if kind not in {"", expected} else reason(error) or type(error).__name__
