"""Clips of a store, or of a reader, as the player of pages shows them."""

from collections.abc import Sequence

import numpy as np

from ...plots.player import PlayedClip, Version
from ...skeleton import Layout
from .clip import FULL, MISSING, Clip


def played_clip(clip: Clip, layout: Layout, class_name: str = "", beside: Sequence[Version] = ()) -> PlayedClip:
    """Return a clip with what is known of it as its caption.

    Args:
        clip: the clip.
        layout: its joint layout.
        class_name: the name of its class; empty if that is unknown.
        beside: other versions of it, which are shown beside the original.
    """
    known = {"subject": clip.subject, "camera": clip.camera, "setup": clip.setup, "take": clip.replication}
    facts = [class_name, *(f"{name} {number}" for name, number in known.items() if number)]
    confidence = None
    if clip.confidence is not None:
        confidence = np.where(clip.confidence == MISSING, 0.0, (clip.confidence - 1.0) / (FULL - 1))
    own = Version(
        clip.joints,
        clip.fps,
        "original" if beside else "",
        frame_mask=clip.frame_mask,
        joint_mask=clip.joint_mask,
        confidence=confidence,
    )
    return PlayedClip(clip.name, layout, [own, *beside], ", ".join(filter(None, facts)))
