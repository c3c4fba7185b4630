"""Skeletons: which joints and bones there are, the graph made of them, and drawing them."""

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
