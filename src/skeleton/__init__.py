"""Skeletons: joint layouts and the graph of their bones."""

from .graph import adjacency_subsets
from .layout import Layout, LayoutFile, build_layout, layout_facts, layout_from_facts, list_layouts, load_layout
from .layout_map import LayoutMap, build_layout_map

__all__ = [
    "Layout",
    "LayoutFile",
    "LayoutMap",
    "adjacency_subsets",
    "build_layout",
    "build_layout_map",
    "layout_facts",
    "layout_from_facts",
    "list_layouts",
    "load_layout",
]
