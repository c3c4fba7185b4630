"""Fingerprints of a run's data: the store, the training and test clips, the joint layout.

A run saves them, so that it is not resumed on other data by mistake, and a result can be traced to its data.
"""

import hashlib
import json
from collections.abc import Mapping

from ...skeleton import Layout, layout_facts
from .protocols import Split
from .reader import Store

_MEANINGS = {
    "store": "the clips in the store",
    "protocol": "which clips train and which test",
    "layout": "the joint layout",
}


def data_fingerprints(store: Store, parts: Split, layout: Layout) -> dict[str, str]:
    """Return digests of the store's content, of the names in both parts of the protocol, and of the layout."""
    names = {part: store.clips["name"][numbers].tolist() for part, numbers in vars(parts).items()}
    return {"store": store.fingerprint, "protocol": digest(names), "layout": digest(layout_facts(layout))}


def digest(value: object) -> str:
    """Return 16 hexadecimal digits of the SHA-256 over a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def differing(before: Mapping[str, str], now: Mapping[str, str], *, same_store: bool = False) -> list[str]:
    """Return a description of the differences; values missing on one side (older files) are not compared.

    Args:
        before, now: the fingerprints.
        same_store: the stores have the same clips for the run, although their fingerprints may differ.
    """
    different = [key for key in _MEANINGS if key in before and key in now and before[key] != now[key]]
    return [_MEANINGS[key] for key in different if not (same_store and key == "store")]
