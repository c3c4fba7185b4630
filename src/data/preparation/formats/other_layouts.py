"""The layout that has the same joints in the picture instead of in space, or the other way round."""

from ....skeleton import Layout, list_layouts

_FLAT = "_2d"  # the end of the names of the program's layouts of two coordinates


def flat_layout(name: str) -> str:
    """Return the name of the program's layout with the same joints and two coordinates; empty if there is none."""
    return f"{name}{_FLAT}" if f"{name}{_FLAT}" in list_layouts() else ""


def layout_of(coordinates: int, layout: Layout) -> str:
    """Return what to use instead of `layout`: `a layout of 2 coordinates, such as coco17_2d`."""
    found = flat_layout(layout.name) if coordinates == 2 else layout.name.removesuffix(_FLAT)
    known = found if found != layout.name and found in list_layouts() else ""
    return f"a layout of {coordinates} coordinates{f', such as {known}' if known else ''}"
