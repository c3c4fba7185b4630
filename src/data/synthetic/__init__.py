"""A data set that needs no download: generated people whose movements are written as raw NTU files.

`actions` says what is done, `body` turns angles into joints, `performer` gives everybody a style, `recording`
films and tracks the result, `dataset` writes it. Most classes come in pairs that differ only in the direction
of time, so nothing that ignores the order of frames can tell them apart.
"""

from .actions import class_names
from .dataset import synthesize

__all__ = ["class_names", "synthesize"]
