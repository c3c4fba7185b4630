"""What readers of recordings share: their contract, files in folders and zips, foreign pickles, making a clip."""

from .base import BadClip, DroppedClip, Entry, ListsSplits, Reader, Source, get_reader, list_formats

__all__ = ["BadClip", "DroppedClip", "Entry", "ListsSplits", "Reader", "Source", "get_reader", "list_formats"]
