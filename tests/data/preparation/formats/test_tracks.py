"""Bodies that were found frame by frame become persons."""

from itertools import pairwise

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, clip_builder
from last.data.preparation.formats.tracks import MOST_BODIES, Detection, track_bodies

SHAPE = np.array([[0.0, 0.0], [0.0, 2.0], [1.0, 1.0]])


def at(x: float, track: int | None = None, confidence: float = 1.0) -> Detection:
    return Detection(SHAPE + np.array([x, 0.0]), np.full(3, confidence), track)


def places(frames: list[list[Detection]], limit: int = 2) -> list[list[float]]:
    """Return where the first joint of each person is in each frame."""
    return track_bodies("one", frames, limit).joints[:, :, 0, 0].tolist()


def test_bodies_without_numbers_are_the_nearest_of_the_frame_before_whatever_their_order() -> None:
    frames = [[at(0.0), at(5.0)], [at(5.1), at(0.2)], [at(0.4), at(5.2)]]
    assert places(frames) == [[0.0, 0.2, 0.4], [5.0, 5.1, 5.2]]


def test_bodies_with_numbers_are_the_persons_of_those_numbers() -> None:
    frames = [[at(0.0, 7), at(5.0, 3)], [at(0.0, 3), at(5.0, 7)]]
    assert sorted(places(frames)) == [[0.0, 5.0], [5.0, 0.0]]


def test_a_person_who_is_found_again_under_another_number_stays_one_person() -> None:
    joints = places([[at(0.0, 1)], [], [at(1.0, 2)], [at(1.0, 2)]])
    np.testing.assert_array_equal(joints, [[0.0, np.nan, 1.0, 1.0]])


def test_a_person_who_is_not_found_in_a_few_frames_is_matched_afterwards() -> None:
    frames = [[at(0.0), at(9.0)], [at(9.0)], [at(9.0)], [at(9.0), at(0.1)]]
    np.testing.assert_array_equal(places(frames), [[9.0] * 4, [0.0, np.nan, np.nan, 0.1]])


def test_persons_who_were_measured_most_are_kept_and_the_others_counted() -> None:
    frames = [[at(20.0, 9, 0.2), at(0.0, 1), at(5.0, 2)]] + [[at(0.0, 1, 0.9), at(5.0, 2)]] * 3
    found = track_bodies("one", frames, 1)
    assert found.joints[0, :, 0, 0].tolist() == [5.0] * 4
    assert found.left_out == 2


def test_a_body_is_matched_by_the_joints_that_both_frames_have() -> None:
    half = at(0.1)
    half.joints[1:] = np.nan
    other = at(0.2)
    other.joints[0] = np.nan
    found = track_bodies("one", [[at(0.0), at(5.0)], [at(5.0), half], [other, at(5.0)]], 2)
    assert np.isnan(found.joints).any(axis=(2, 3)).sum() == 2 and found.left_out == 0


def test_bodies_without_a_measured_joint_are_none() -> None:
    nothing = [
        at(0.0, confidence=np.nan),
        Detection(np.zeros((3, 2)), np.ones(3)),
        Detection(SHAPE * np.nan, np.ones(3)),
    ]
    assert places([[at(1.0), *nothing], nothing, [at(1.0)]])[0][::2] == [1.0, 1.0]
    with pytest.raises(DroppedClip, match="no skeleton"):
        track_bodies("one", [nothing], 2)


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([[at(0.0)], [at(0.0)] * (MOST_BODIES + 1)], "frame 2 has 301 bodies"),
        ([[at(0.0, 1), at(3.0, 1)]], "frame 1 has two bodies of the track 1"),
        ([[at(0.0)]] + [[]] * 200, "coordinates, too many for one recording"),
    ],
)
def test_what_is_too_much_or_ambiguous_is_refused(
    frames: list[list[Detection]], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_builder, "MAX_COORDINATES", 1000)
    with pytest.raises(BadClip, match=problem):
        track_bodies("one", frames, 2)


def test_absurd_coordinates_match_nothing_and_warn_of_nothing() -> None:
    far = [Detection(SHAPE * scale, np.ones(3)) for scale in (1e307, -1e307, 1e-308, 1.0)]
    for first, second in pairwise([*far, *far[::-1]]):
        track_bodies("one", [[first], [second, first]], 2)


@pytest.mark.parametrize(("share", "same"), [(0.45, True), (0.55, False)])
def test_a_body_moves_by_at_most_half_of_its_size_between_frames(share: float, same: bool) -> None:
    moved = share * float(np.hypot(1.0, 2.0))
    found = places([[at(9.0), at(0.0)]] * 3 + [[at(moved)]])
    assert ([0.0, 0.0, 0.0, moved] in found) is same
