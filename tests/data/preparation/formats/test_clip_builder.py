"""The last steps of every reader, on arrays."""

import numpy as np
import pytest

from last.data.preparation.formats.base import BadClip, Source
from last.data.preparation.formats.clip_builder import MAX_COORDINATES, ClipMetadata, build_clip, refuse_size
from last.data.preparation.formats.timing import Timing
from last.skeleton import load_layout

LAYOUT = load_layout("ntu25")
SOURCE = Source(LAYOUT, 2, ())


def recorded(*frames: bool) -> np.ndarray:
    """Return the joints (1, T, V, C) of a body that is absent from some frames."""
    joints = np.random.default_rng(0).normal(size=(1, len(frames), LAYOUT.num_joints, LAYOUT.coordinates))
    joints[:, ~np.array(frames)] = 0.0
    return joints


def test_frames_without_a_body_stay_between_others_if_the_frames_have_their_time() -> None:
    joints = recorded(False, True, False, True, False)
    timed = build_clip("clip", ClipMetadata(label=0), joints, SOURCE, timing=Timing(fps=30.0))
    assert timed.frame_mask.tolist() == [[True, False, True]]
    untimed = build_clip("clip", ClipMetadata(label=0), joints, SOURCE)
    assert untimed.frame_mask.tolist() == [[True, True]]


def test_a_recording_has_at_most_as_many_coordinates_as_one_may_have() -> None:
    refuse_size("clip", MAX_COORDINATES)
    with pytest.raises(BadClip, match=f"more than {MAX_COORDINATES} coordinates, too many for one recording"):
        refuse_size("clip", MAX_COORDINATES + 1)


def test_joints_of_another_layout_are_refused_with_the_layouts_that_have_so_many() -> None:
    source = Source(load_layout("ntu25"), 1, ())
    for joints, named in ((32, "kinect_azure32"), (31, "with data.layout")):
        with pytest.raises(BadClip, match=f"need the same layout.*{named}"):
            build_clip("a", ClipMetadata(label=0), np.ones((1, 3, joints, 3)), source)
