"""Which positions of each stream were measured, where joints may be missing.

Legend: B folded bodies, T frames, V joints.
"""

from collections.abc import Sequence

from torch import Tensor


def stream_masks(joint_mask: Tensor, parents: Tensor, streams: Sequence[str]) -> dict[str, Tensor]:
    """Return where each stream was measured, (B, T, V) bool by its name; everywhere else the stream is zero.

    A velocity needs the joint in its own frame and the next, a bone needs both of its ends. The velocity of the last
    frame is zero by definition and counts as measured, as it does without missing joints. An added stream is taken to
    be measured where the joint is.

    Args:
        joint_mask: (B, T, V) bool, which joints were measured.
        parents: (V,) the parent of each joint.
        streams: the names.
    """
    velocity = joint_mask.clone()
    velocity[:, :-1] &= joint_mask[:, 1:]
    bone = joint_mask & joint_mask.index_select(2, parents)
    known = {"velocity": velocity, "bone": bone}
    return {name: known.get(name, joint_mask) for name in streams}
