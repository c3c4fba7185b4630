"""Recordings: reading, cleaning, storing, splitting, sampling, augmenting and loading them."""

from .store.reader import open_store

__all__ = ["open_store"]
