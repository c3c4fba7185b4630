"""A synthetic data set that needs no download: generated movements, written as raw NTU files.

`actions` defines the classes, `body` computes joints from angles, `performer` gives each person a body and a style,
`recording` simulates the camera and the tracker, `dataset` writes the files. Most classes form pairs that differ only
in the direction of time, so that a model that ignores the order of frames cannot distinguish them.
"""

from .actions import class_names
from .dataset import synthesize

__all__ = ["class_names", "synthesize"]
