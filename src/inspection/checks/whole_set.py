"""Faults that all clips share: the wrong layout, unit or axis, or left and right exchanged.

Nothing in such a set is an outlier, so what is known of bodies is compared: bones are short lines between neighbours,
people are between one and two metres tall, stand upright, and have their noses and feet in front.

Legend: V joints.
"""

import numpy as np
from numpy.typing import NDArray

from ...skeleton import Layout, list_layouts, load_layout
from ..check import Check, Fault, affecting
from ..findings import Finding
from ..measured_set import MeasuredSet
from ..severity import Harm

_FEWEST_CLIPS = 4
# The bones of a layout, together, as a multiple of the shortest tree that connects its joints: 1.11 for the layout of
# NW-UCLA, 1.06 for SBU and 1.08 for the synthetic set. Of 200 random orders of the joints, the least are 2.25, 1.67 and
# 2.79; body25, which has as many joints as the synthetic set, is 2.32 there. Two joints that change places may be
# missed: 1.27 to 1.49 in the middle of 200 pairs. Where another layout of the program fits much better, it is named.
_LONG_BONES, _BETTER = 1.5, 0.75
_UPRIGHT = 0.7  # the cosine of 45 degrees
_SHORTEST_METRES, _TALLEST_METRES = 0.5, 3.0
_UNITS = ((0.005, 0.5, "normalised"), (50.0, 300.0, "centimetres"), (500.0, 3000.0, "millimetres"))
_PIXELS = 20.0
_UNSURE_PART, _MOST_UNSURE = 0.25, 0.05


def wrong_layout(measured: MeasuredSet) -> Finding | None:
    """Find sets whose joints are not in the order of the layout."""
    layout, distances = measured.layout, measured.distances.mean(_FEWEST_CLIPS)
    ours = bone_excess(layout, distances)
    alike = [load_layout(name) for name in list_layouts()]
    alike = [other for other in alike
             if other.num_joints == layout.num_joints and other.coordinates == layout.coordinates
             and np.isfinite(_bone_lengths(other, distances)).all()]  # fmt: skip
    best = min(alike, key=lambda other: bone_excess(other, distances), default=layout)
    better = best.name != layout.name and bone_excess(best, distances) < _BETTER * ours
    if ours <= _LONG_BONES and not (better and bone_excess(best, distances) < 1.25):
        return None
    hint = f"The order of {best.name} fits better. " if better else ""
    fault = Fault(
        "wrong_layout",
        "Joints in another order than the layout's",
        f"The bones of {layout.name} are {ours:.1f} times as long as the shortest lines that connect the joints in "
        "{clips}: the joints are in another order.",
        f"{hint}Compare the joints of the recordings with the layout, in their order, and set data.layout.",
        Harm.GRAVE,
        of_clips=False,
    )
    return affecting(measured, measured.is_usable, fault)


def bone_excess(layout: Layout, distances: NDArray[np.float64]) -> float:
    """Return how many times longer the bones of a layout are than the shortest tree of its joints.

    Args:
        layout: of the joints.
        distances: (V, V) of the joints; infinite where unknown. Bones of unknown length are left out.
    """
    lengths = _bone_lengths(layout, distances)
    return float(lengths[np.isfinite(lengths)].sum() / _shortest_tree(distances))


def _bone_lengths(layout: Layout, distances: NDArray[np.float64]) -> NDArray[np.float64]:
    bones = np.array(layout.bones)
    lengths: NDArray[np.float64] = distances[bones[:, 0], bones[:, 1]]
    return lengths


def _shortest_tree(distances: NDArray[np.float64]) -> float:
    """Return the length of the shortest tree that connects all joints, by Prim's algorithm; infinite if none does."""
    nearest = distances[0].copy()
    inside = np.zeros(len(distances), np.bool_)
    inside[0] = True
    total = 0.0
    for _ in range(len(distances) - 1):
        outside = np.where(inside, np.inf, nearest)
        following = int(outside.argmin())
        total += float(outside[following])
        inside[following] = True
        nearest = np.minimum(nearest, distances[following])
    return total


def wrong_vertical(measured: MeasuredSet) -> Finding | None:
    """Find sets whose bodies do not stand upright in the axes of the program."""
    known = measured.is_usable & np.isfinite(measured.rows["up"]).all(axis=1)
    up = np.median(measured.rows["up"][known], axis=0)
    up = up / max(float(np.linalg.norm(up)), 1e-12)
    sign = -1 if measured.anatomy.flat else 1
    if sign * up[1] >= _UPRIGHT:
        return None
    axis = int(np.abs(up).argmax())
    found = f"{'-' if up[axis] < 0 else ''}{'xyz'[axis]}"
    expected = "y down, as in a picture" if measured.anatomy.flat else "y up"
    fault = Fault(
        "wrong_vertical",
        "Another axis is up",
        f"The bodies of the set point along {found}, from hips to shoulders, not along {'-' if sign < 0 else ''}y, in "
        "{clips}.",
        f"Turn the coordinates before they are prepared: the program expects {expected}.",
        Harm.GRAVE,
        of_clips=False,
    )
    return affecting(measured, known, fault)


def wrong_unit(measured: MeasuredSet) -> Finding | None:
    """Find sets of people whose coordinates are not in metres, or in pixels that nothing normalises."""
    heights = measured.rows["height"][measured.is_usable]
    height = float(np.median(heights[np.isfinite(heights)]))
    if measured.anatomy.flat:
        if height < _PIXELS or measured.config is None or measured.config.normalize.scale == "unit":
            return None
        what, remedy = "pixels", "Set data.normalize.scale: unit, which scales every clip to -1..1."
    elif _SHORTEST_METRES <= height <= _TALLEST_METRES or height == 0:
        return None
    else:
        unit = next((name for low, high, name in _UNITS if low <= height <= high), "another unit")
        what = unit if unit in ("normalised", "another unit") else f"in {unit}"
        remedy = "Convert the recordings to metres, or set data.normalize.scale: unit."
    fault = Fault(
        "wrong_unit",
        "Coordinates that are not in metres",
        f"The bodies of the set are {height:.3g} units tall: the coordinates seem to be {what}, in {{clips}}.",
        remedy,
        Harm.MILD,
    )
    return affecting(measured, measured.is_usable, fault)


def exchanged_set(measured: MeasuredSet) -> Finding | None:
    """Find sets in which left and right are exchanged throughout."""
    fronts = measured.rows["front"]
    known = measured.is_usable & np.isfinite(fronts)
    if not known.any() or np.mean(fronts[known] < 0) < 0.75:
        return None
    fault = Fault(
        "left_right",
        "Left and right exchanged",
        "Noses, feet and knees point backwards in {clips}: the names of left and right are exchanged, or an axis is "
        "negated, so that the bodies are their mirror images.",
        "Exchange the left and the right joints, or negate x. This matters beside other models and data sets.",
        Harm.MILD,
    )
    return affecting(measured, known & (fronts < 0), fault)


def front_problem(measured: MeasuredSet) -> str:
    """Return why single clips cannot be compared by where their front is, empty if they can."""
    if reason := _no_front(measured):
        return reason
    fronts = np.abs(measured.rows["front"])
    fronts = fronts[measured.is_usable & np.isfinite(fronts)]
    if np.mean(fronts < _UNSURE_PART * np.median(fronts)) > _MOST_UNSURE:
        return "noses, feet and knees do not show clearly which way the bodies face"
    return ""


def _no_front(measured: MeasuredSet) -> str:
    if measured.anatomy.flat:
        return "without depth, a mirrored person and one who turned round look alike"
    if not measured.anatomy.has_front:
        return f"the layout {measured.layout.name} names no joints that show the front of a body"
    known = measured.is_usable & np.isfinite(measured.rows["front"])
    return "" if np.count_nonzero(known) >= _FEWEST_CLIPS else "too few clips show the front of a body"


def _no_trunk(measured: MeasuredSet) -> str:
    if not measured.anatomy.is_upright:
        return f"the layout {measured.layout.name} names no hips and shoulders"
    known = measured.is_usable & np.isfinite(measured.rows["up"]).all(axis=1)
    return "" if np.count_nonzero(known) >= _FEWEST_CLIPS else "too few clips show hips and shoulders"


def _no_height(measured: MeasuredSet) -> str:
    if not measured.anatomy.is_upright:
        return f"the layout {measured.layout.name} is not one of people, whose height is known"
    return "" if np.isfinite(measured.rows["height"][measured.is_usable]).any() else "no clip shows a whole body"


def _few_distances(measured: MeasuredSet) -> str:
    connected = 0 < _shortest_tree(measured.distances.mean(_FEWEST_CLIPS)) < np.inf
    return "" if connected else "too few clips have the joints together"


CHECKS = (
    Check("wrong_layout", wrong_layout, _few_distances),
    Check("wrong_vertical", wrong_vertical, _no_trunk),
    Check("wrong_unit", wrong_unit, _no_height),
    Check("left_right", exchanged_set, _no_front),
)
