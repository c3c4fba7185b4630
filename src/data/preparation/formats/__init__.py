"""What the readers share: their contract, files in folders and zips, restricted pickles, and building a clip."""

from .base import (
    BadClip,
    DroppedClip,
    Entry,
    FindsClasses,
    KnowsJoints,
    ListsProtocols,
    NamesClasses,
    Reader,
    Source,
    get_reader,
    list_formats,
    reader_of,
)

__all__ = [
    "BadClip",
    "DroppedClip",
    "Entry",
    "FindsClasses",
    "KnowsJoints",
    "ListsProtocols",
    "NamesClasses",
    "Reader",
    "Source",
    "get_reader",
    "list_formats",
    "reader_of",
]
