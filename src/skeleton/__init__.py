"""Skeletons: which joints and bones there are, the graph made of them, and drawing them."""

from .graph import adjacency_subsets
from .layout import Layout, list_layouts, load_layout

__all__ = ["Layout", "adjacency_subsets", "list_layouts", "load_layout"]
