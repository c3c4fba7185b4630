"""The limbs of a skeleton: groups of joints that are hidden together."""

from .layout import Layout


def limbs(layout: Layout) -> tuple[tuple[int, ...], ...]:
    """Return the joints of each limb, such as the left arm: connected joints of one side of the body.

    A leg begins at the hip, which some layouts connect to the shoulder. In a layout without mirror pairs, such as a
    hand, each branch of the root is a limb. A joint alone, such as an eye, is none.
    """
    sides = {joint: side for pair in layout.mirror for side, joint in enumerate(pair)}
    if not sides:
        sides = dict.fromkeys(set(range(layout.num_joints)) - {layout.root}, 0)
    groups: dict[int, list[int]] = {}
    for joint in sorted(sides):
        groups.setdefault(_base(layout, sides, joint), []).append(joint)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _base(layout: Layout, sides: dict[int, int], joint: int) -> int:
    """Return the joint nearest to the root that is connected to a joint by joints of its side."""
    parent = layout.parents[joint]
    while parent != joint and sides.get(parent) == sides[joint] and "hip" not in layout.joints[joint]:
        joint, parent = parent, layout.parents[parent]
    return joint
