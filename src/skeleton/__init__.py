"""Skeletons: which joints and bones there are, the graph made of them, and drawing them."""

from .graph import adjacency_subsets
from .layout import Layout, LayoutFile, build_layout, layout_facts, layout_from_facts, list_layouts, load_layout

__all__ = [
    "Layout",
    "LayoutFile",
    "adjacency_subsets",
    "build_layout",
    "layout_facts",
    "layout_from_facts",
    "list_layouts",
    "load_layout",
]
