"""The joints of a layout among those that a file names, as motion capture, DeepLabCut and SLEAP do."""

from collections.abc import Sequence

from ....skeleton import Layout
from ....utils.names import first_few, squash, suggestion
from .base import BadClip

MOST_JOINTS = 1000  # of a file; a layout uses some of them
_SHOWN = 5


def joint_indices(name: str, names: Sequence[str], layout: Layout, what: str = "joint") -> list[int]:
    """Return the index of each joint of a layout (V,) among the names of a file.

    Names are compared without case, spaces and punctuation. A file's name with a prefix, such as `mixamorig:Hips` or
    `Subject:LASI`, is compared without it if no name is equal with it.

    Raises:
        BadClip: a joint of the layout is missing, or two names of the file may be the same one.
    """
    found = indices_of(names, layout)
    missing = [joint for joint, indices in zip(layout.joints, found, strict=True) if not indices]
    if missing:
        raise BadClip(name, 0, _missing(missing, names, layout, what))
    for joint, indices in zip(layout.joints, found, strict=True):
        if len(indices) > 1:
            first, second = (names[index][:40] for index in indices[:2])
            raise BadClip(name, 0, f"{first!r} and {second!r} may both be the {what} {joint} of {layout.name}")
    return [indices[0] for indices in found]


def indices_of(names: Sequence[str], layout: Layout) -> list[list[int]]:
    """Return the indices of each joint of a layout (V,) among the names of a file; none if it is missing."""
    whole: dict[str, list[int]] = {}
    bare: dict[str, list[int]] = {}
    for index, text in enumerate(names):
        whole.setdefault(squash(text), []).append(index)
        if ":" in text:
            bare.setdefault(squash(text.rpartition(":")[2]), []).append(index)
    return [whole.get(key) or bare.get(key, []) for key in map(squash, layout.joints)]


def _missing(missing: Sequence[str], names: Sequence[str], layout: Layout, what: str) -> str:
    others = ", ".join(text[:40] for text in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    near = suggestion(missing[0], names)
    return (
        f"has no {what} {first_few(missing, _SHOWN)} of {layout.name}.{near} It has {others or 'none'}. Use a "
        "layout with its names, and data.layout_map to map them"
    )
