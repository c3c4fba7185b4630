"""The skeleton as a graph of three directed subsets.

Legend: K subsets (3), V joints.
"""

import numpy as np
from numpy.typing import NDArray

from .layout import Layout


def adjacency_subsets(layout: Layout) -> NDArray[np.float32]:
    """Return the normalised adjacency (K, V, V), split into self, centripetal and centrifugal links.

    `A[k, v, w]` is the weight of joint v in the sum for joint w: `y[..., w] = sum_v x[..., v] A[k, v, w]`. Self-loops
    are added, each column of the whole adjacency sums to one, and a link belongs to the centripetal subset if v
    is farther from the root than w, to the centrifugal one if it is nearer. The partition is the "spatial
    configuration" of ST-GCN (Yan et al., AAAI 2018, section 3.3).
    """
    joints = layout.num_joints
    whole = np.eye(joints)
    for child, parent in layout.bones:
        whole[child, parent] = whole[parent, child] = 1.0
    whole /= whole.sum(axis=0, keepdims=True)

    distance = np.array(layout.distances_from_root())
    source, target = distance[:, None], distance[None, :]
    subsets = [source == target, source > target, source < target]
    return np.stack([np.where(subset, whole, 0.0) for subset in subsets]).astype(np.float32)
