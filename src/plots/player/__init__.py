"""A player of clips for HTML pages: it works without a network, and without any other program.

`clips` encodes clips, `page` returns a fragment for a page, or writes a page of its own. The JavaScript and the styles
are files in this folder. It draws with the conventions of `plots.drawing`, as the pictures do.
"""

from .clips import PlayedClip, Version, bytes_of, encode, largest_error
from .page import PAGE_LIMIT_BYTES, assets, content_policy, fragment, json_in_script, write_page

__all__ = [
    "PAGE_LIMIT_BYTES",
    "PlayedClip",
    "Version",
    "assets",
    "bytes_of",
    "content_policy",
    "encode",
    "fragment",
    "json_in_script",
    "largest_error",
    "write_page",
]
