"""Readers of the field's recording formats, one module each."""

from .base import BadClip, DroppedClip, Entry, ListsSplits, Reader, Source, get_reader, list_formats

__all__ = ["BadClip", "DroppedClip", "Entry", "ListsSplits", "Reader", "Source", "get_reader", "list_formats"]
