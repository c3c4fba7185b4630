"""The skeleton as a graph of three directed subsets, and of further ones by name.

Legend: K subsets (3, and those that were added), V joints.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..utils.errors import UserError
from .layout import Layout


def adjacency_subsets(layout: Layout, added: Sequence[str] = ()) -> NDArray[np.float32]:
    """Return the normalised adjacency (K, V, V), split into self, centripetal and centrifugal links, and added subsets.

    `A[k, v, w]` is the weight of joint v in the sum for joint w: `y[..., w] = sum_v x[..., v] A[k, v, w]`. Self-loops
    are added, each column of the whole adjacency sums to one, and a link belongs to the centripetal subset if v
    is farther from the root than w, to the centrifugal one if it is nearer. The partition is the "spatial
    configuration" of ST-GCN (Yan et al., AAAI 2018, section 3.3).

    The added subsets have no self-loops and no direction: a joint takes the mean of the joints that it is linked to, so
    that a column sums to one, or to zero for a joint without links.

    Args:
        layout: the joints and bones.
        added: further subsets in their order: `mirror` links a left joint and its right partner, `two_hops` joints that
            are two bones apart, `ends` all joints of one bone alone with each other, such as hands, head and feet.

    Raises:
        UserError: the layout has no links of an added subset.
    """
    joints = layout.num_joints
    whole = np.eye(joints)
    for child, parent in layout.bones:
        whole[child, parent] = whole[parent, child] = 1.0
    whole /= whole.sum(axis=0, keepdims=True)

    distance = np.array(layout.distances_from_root())
    source, target = distance[:, None], distance[None, :]
    subsets = [source == target, source > target, source < target]
    physical = [np.where(subset, whole, 0.0) for subset in subsets]
    return np.stack([*physical, *(_added_subset(layout, name) for name in added)]).astype(np.float32)


def _added_subset(layout: Layout, name: str) -> NDArray[np.float64]:
    """Return the adjacency (V, V) of an added subset, whose columns sum to one or zero."""
    joints = layout.num_joints
    bones = np.zeros((joints, joints), dtype=bool)
    for child, parent in layout.bones:
        bones[child, parent] = bones[parent, child] = True
    if name == "mirror":
        links, missing = np.eye(joints, dtype=bool)[list(layout.mirrored)], "mirrored pairs of joints"
    elif name == "two_hops":
        links, missing = bones @ bones, "joints that are two bones apart"
    else:
        assert name == "ends", name
        ends = bones.sum(axis=0) == 1
        links, missing = np.outer(ends, ends), "joints at the end of a bone"
    links &= ~np.eye(joints, dtype=bool)
    if not links.any():
        raise UserError(f"The layout {layout.name} has no {missing}: leave `{name}` out of model.graph_subsets.")
    normalised: NDArray[np.float64] = links / np.maximum(links.sum(axis=0, keepdims=True), 1)
    return normalised
