"""A clip in the player has the caption, the missing joints and the confidences of the clip."""

import numpy as np

from last.data.store.clip import Clip, confidence_bytes
from last.data.store.played_clips import played_clip
from last.plots.player import Version
from last.skeleton import load_layout

LAYOUT = load_layout("sbu15")


def clip(**others: object) -> Clip:
    joints = np.ones((1, 2, 15, 3), np.float32)
    return Clip("clip", joints, np.ones((1, 2), bool), label=0, **others)  # type: ignore[arg-type]


def test_the_caption_names_what_is_known_of_a_clip() -> None:
    assert played_clip(clip(), LAYOUT).caption == ""
    assert played_clip(clip(subject=3, replication=2), LAYOUT, "wave").caption == "wave, subject 3, take 2"


def test_confidences_and_missing_joints_are_those_of_the_clip() -> None:
    confidence = np.tile(np.linspace(0, 1, 15), (1, 2, 1))
    confidence[0, 0, 4] = np.nan
    (version,) = played_clip(clip(confidence=confidence_bytes(confidence)), LAYOUT).versions
    assert version.confidence is not None and version.joint_mask is not None
    assert np.abs(version.confidence - np.nan_to_num(confidence)).max() < 0.002
    assert (version.joint_mask == ~np.isnan(confidence)).all()


def test_only_a_clip_with_other_versions_beside_it_has_a_title() -> None:
    other = Version(np.ones((1, 2, 15, 3)), title="other")
    assert [each.title for each in played_clip(clip(), LAYOUT).versions] == [""]
    assert [each.title for each in played_clip(clip(), LAYOUT, beside=[other]).versions] == ["original", "other"]
