"""Each cleaning rule on cases worked by hand.

A body here stands still, 1 m wide at most and 2 m tall, unless a test says otherwise; `shake` moves all its joints
left and right by that many metres, a motion of exactly `shake ** 2` square metres beyond its own shape's variance.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.data.preparation.clean import (
    Body,
    body_motion,
    choose_actors,
    clean_bodies,
    finish_clip,
    noisy_frames,
    present,
)

JOINTS = 4
PERSON = np.array([[0.0, 0.0, 0.0], [0.5, 1.0, 0.0], [-0.5, 1.0, 0.0], [0.0, 2.0, 0.0]])
TABLE = PERSON[:, [1, 0, 2]]  # 2 m wide, 1 m tall


def a_body(number, start, frames, shake=0.0, noisy=0):
    joints = np.repeat(PERSON[None], frames, axis=0)
    joints[:noisy] = TABLE
    joints[:, :, 0] += shake * np.where(np.arange(frames) % 2, 1.0, -1.0)[:, None]
    return Body(number, np.arange(start, start + frames), joints)


def ids(actors):
    return [[part.id for part in actor] for actor in actors]


def test_a_body_of_eleven_frames_is_dropped_and_one_of_twelve_is_kept():
    person = a_body(1, 0, 40, shake=0.1)
    assert ids(choose_actors([person, a_body(2, 0, 11, shake=9.0)])) == [[1]]
    assert ids(choose_actors([person, a_body(2, 0, 12, shake=9.0)])) == [[2], [1]]


def test_a_single_short_body_is_kept():
    assert ids(choose_actors([a_body(1, 0, 3)])) == [[1]]


def test_of_short_bodies_only_the_last_one_is_kept():
    assert ids(choose_actors([a_body(1, 0, 5), a_body(2, 6, 5), a_body(3, 12, 5)])) == [[3]]


def test_a_frame_is_noisy_when_its_width_exceeds_four_fifths_of_its_height():
    just_allowed, just_noisy = PERSON * [1.6, 1, 1], PERSON * [1.7, 1, 1]
    assert noisy_frames(np.stack([just_allowed, just_noisy])).tolist() == [False, True]


def test_a_body_noisy_in_seven_of_ten_frames_is_dropped_and_one_in_69_of_100_is_kept():
    person = a_body(1, 0, 100, shake=0.1)
    assert ids(choose_actors([person, a_body(2, 0, 100, shake=9.0, noisy=70)])) == [[1]]
    assert ids(choose_actors([person, a_body(2, 0, 100, shake=9.0, noisy=69)])) == [[2], [1]]


def test_a_single_noisy_body_is_kept():
    assert ids(choose_actors([a_body(1, 0, 30, noisy=30)])) == [[1]]


def test_of_noisy_bodies_only_the_last_one_is_kept():
    assert ids(choose_actors([a_body(1, 0, 30, noisy=30), a_body(2, 0, 30, noisy=30)])) == [[2]]


def test_noise_is_not_looked_for_in_the_only_body_left_after_the_short_ones():
    assert ids(choose_actors([a_body(1, 0, 30, noisy=30), a_body(2, 0, 4)])) == [[1]]


def test_motion_is_the_summed_variance_of_all_joint_positions():
    # x: 0, 0.5, -0.5, 0 -> 0.125, and 0.3 ** 2 more by shaking; y: 0, 1, 1, 2 -> 0.5; z: 0
    assert body_motion(a_body(1, 0, 20, shake=0.3)) == pytest.approx(0.125 + 0.09 + 0.5)


def test_motion_is_measured_over_the_clean_frames_where_that_is_smaller():
    still = a_body(1, 0, 20, noisy=10)
    assert body_motion(still) == pytest.approx(0.625)  # over all 20 frames it would be 0.875


def test_motion_is_measured_over_all_frames_where_that_is_smaller():
    joints = np.repeat(PERSON[None], 20, axis=0)
    joints[:10, :, 2] += 1.0
    joints[10:] = [0.0, 1.0, 0.5]
    joints[10:, 0, 0] += 0.01  # ten frames shrunk to a dot: wide for its height, so noisy
    body = Body(1, np.arange(20), joints)
    assert noisy_frames(joints).sum() == 10
    everything, clean_only = (part.reshape(-1, 3).var(axis=0).sum() for part in (joints, joints[:10]))
    assert everything < clean_only
    assert body_motion(body) == pytest.approx(everything)


def test_the_body_that_moves_most_is_actor_1():
    calm, lively = a_body(1, 0, 30, shake=0.1), a_body(2, 0, 30, shake=0.5)
    assert ids(choose_actors([calm, lively])) == [[2], [1]]


def test_a_body_seen_after_actor_1_joins_it():
    before, after = a_body(1, 0, 20, shake=0.5), a_body(2, 20, 20, shake=0.1)
    assert ids(choose_actors([before, after])) == [[1, 2]]


def test_a_body_that_shares_one_frame_with_actor_1_is_actor_2():
    before, after = a_body(1, 0, 20, shake=0.5), a_body(2, 19, 20, shake=0.1)
    assert ids(choose_actors([before, after])) == [[1], [2]]


def test_a_third_body_joins_the_actor_it_does_not_overlap():
    first, second = a_body(1, 0, 60, shake=0.5), a_body(2, 0, 30, shake=0.4)
    third = a_body(3, 30, 30, shake=0.3)
    assert ids(choose_actors([first, second, third])) == [[1], [2, 3]]


def test_a_third_body_that_overlaps_both_actors_is_left_out():
    bodies = [a_body(1, 0, 60, shake=0.5), a_body(2, 0, 40, shake=0.4), a_body(3, 30, 30, shake=0.3)]
    assert ids(choose_actors(bodies)) == [[1], [2]]


def test_the_interval_of_an_actor_reaches_over_the_gap_between_its_parts():
    early, late = a_body(1, 0, 20, shake=0.5), a_body(2, 60, 20, shake=0.4)
    between = a_body(3, 30, 20, shake=0.3)
    assert ids(choose_actors([early, late, between])) == [[1, 2], [3]]


def test_bodies_that_move_alike_come_in_the_order_of_their_first_frame_and_then_their_id():
    bodies = [a_body(9, 0, 30), a_body(5, 3, 30), a_body(7, 0, 30)]
    assert ids(choose_actors(bodies)) == [[7], [9]]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40), st.sampled_from([0.0, 0.2, 0.5]), st.booleans())))
def test_the_order_in_which_bodies_are_listed_does_not_matter(drawn):
    bodies = [
        a_body(number, start, frames, shake, noisy=frames * noisy)
        for number, (start, frames, shake, noisy) in enumerate(drawn[:4])
    ]
    if not bodies:
        return
    orders = [ids(choose_actors(list(order))) for order in itertools.permutations(bodies)]
    assert all(order == orders[0] for order in orders)


def test_two_parts_of_one_actor_make_one_row_and_frames_without_anybody_drop_out():
    joints, _ = clean_bodies([a_body(1, 5, 20, shake=0.5), a_body(2, 40, 20)], limit=2)
    assert joints.shape == (1, 40, JOINTS, 3)
    assert present(joints).all()
    np.testing.assert_array_equal(joints[0, 20:], np.repeat(PERSON[None], 20, axis=0))


def test_an_absent_second_body_is_zeros_and_not_valid():
    joints, _ = clean_bodies([a_body(1, 0, 30, shake=0.5), a_body(2, 10, 15)], limit=2)
    valid = present(joints)
    assert valid.sum(axis=1).tolist() == [30, 15]
    assert np.flatnonzero(valid[1]).tolist() == list(range(10, 25))
    assert not joints[1, ~valid[1]].any()


def test_a_limit_of_one_body_keeps_actor_1_and_only_its_frames():
    joints, _ = clean_bodies([a_body(1, 0, 30, shake=0.5), a_body(2, 20, 30)], limit=1)
    assert joints.shape == (1, 30, JOINTS, 3)
    assert present(joints).all()


def test_ids_that_no_float64_can_tell_apart_stay_two_bodies():
    near = [a_body(72057594037931101, 0, 30, shake=0.5), a_body(72057594037931102, 0, 30)]
    assert float(near[0].id) == float(near[1].id)
    assert len(clean_bodies(near, limit=2)[0]) == 2


def where_valid(joints, valid):
    return np.where(valid[..., None, None], joints, np.nan)


def test_the_clip_is_centred_on_one_joint_of_the_first_body_in_its_first_frame():
    joints = np.arange(2 * 3 * JOINTS * 3, dtype=float).reshape(2, 3, JOINTS, 3)
    valid = np.array([[False, True, True], [True, True, True]])
    centred, kept, _ = finish_clip(where_valid(joints, valid), center=2)
    np.testing.assert_array_equal(centred[0, 1, 2], [0, 0, 0])
    np.testing.assert_array_equal(centred[1], joints[1] - joints[0, 1, 2])
    np.testing.assert_array_equal(kept.all(axis=2), valid)
    assert centred.dtype == np.float32


def test_absent_bodies_are_zeros_after_centring():
    joints = np.full((2, 3, JOINTS, 3), 7.0)
    joints[:, :, 1] = 8.0
    joints[1, 1] = np.nan
    centred, _, _ = finish_clip(joints, center=0)
    assert not centred[1, 1].any()
    assert centred[1, 0, 1].all()


def test_a_clip_is_centred_in_the_first_frame_that_has_its_centre():
    joints = np.arange(2 * 3 * JOINTS * 3, dtype=float).reshape(2, 3, JOINTS, 3)
    joints[0, 0, 2, 1] = np.nan
    centred, kept, _ = finish_clip(joints, center=2)
    np.testing.assert_array_equal(centred[0, 1, 2], [0, 0, 0])
    np.testing.assert_array_equal(centred[0, 0, 2], [0, 0, 0])  # missing
    np.testing.assert_array_equal(centred[0, 0, 1], joints[0, 0, 1] - joints[0, 1, 2])
    assert kept.sum() == kept.size - 1


def test_a_clip_whose_centre_is_never_measured_is_centred_on_what_its_first_frame_has():
    joints = np.arange(2 * 3 * JOINTS * 3, dtype=float).reshape(2, 3, JOINTS, 3)
    joints[0, :, 2] = np.nan
    centred, _, _ = finish_clip(joints, center=2)
    np.testing.assert_allclose(centred[0, 0, [0, 1, 3]].mean(axis=0), 0, atol=1e-6)


def test_frames_without_a_body_are_kept_between_others_where_frames_are_at_equal_intervals():
    joints = where_valid(np.ones((1, 5, JOINTS, 3)), np.array([[False, True, False, True, False]]))
    for keep_gaps, frames in ((True, 3), (False, 2)):
        assert finish_clip(joints, center=0, keep_gaps=keep_gaps)[0].shape[1] == frames


def test_a_body_that_is_never_there_is_not_stored_and_frames_without_any_body_drop_out():
    valid = np.array([[False, False, False], [True, False, True]])
    centred, kept, index = finish_clip(where_valid(np.ones((2, 3, JOINTS, 3)), valid), center=0)
    assert centred.shape == (1, 2, JOINTS, 3)
    assert kept.all(axis=2).tolist() == [[True, True]]
    assert np.arange(6).reshape(2, 3)[index].tolist() == [[3, 5]]


def with_zeros(body, frames):
    joints = body.joints.copy()
    joints[frames] = 0
    return Body(body.id, body.frames, joints)


def test_frames_of_zeros_count_neither_for_a_bodys_length_nor_for_its_motion_nor_as_noise():
    person = a_body(1, 0, 60, shake=0.2)
    assert ids(choose_actors([person, with_zeros(a_body(2, 0, 60, shake=9.0), slice(11, None))])) == [[1]]
    calm = a_body(2, 0, 60, shake=0.1)
    far_away = with_zeros(Body(2, calm.frames, calm.joints + np.array([0.0, 0.0, 4.0])), slice(20, 40))
    assert ids(choose_actors([person, far_away])) == [[1], [2]]
    # 30 noisy ones of 40 frames that hold it; with the 20 of zeros it would be 30 of 60.
    assert ids(choose_actors([person, with_zeros(a_body(2, 0, 60, shake=9.0, noisy=30), slice(30, 50))])) == [[1]]


def test_the_interval_of_a_body_begins_and_ends_where_it_is_seen():
    before, after = a_body(1, 0, 30, shake=0.5), with_zeros(a_body(2, 0, 60), slice(0, 30))
    assert ids(choose_actors([before, after])) == [[1, 2]]


def test_bodies_of_zeros_alone_leave_no_actor():
    joints, _ = clean_bodies([with_zeros(a_body(1, 0, 30), slice(None)), with_zeros(a_body(2, 0, 30), slice(None))], 2)
    assert joints.shape == (0, 0, JOINTS, 3)


def test_a_body_is_compared_with_an_actor_and_not_with_each_of_its_parts(monkeypatch):
    """Looking at all parts again took 19 seconds for the 8,700 bodies of one recording of 63 MiB."""
    joints = np.tile(np.linspace(0, 1, 25)[:, None] * [0.1, 1.0, 0.0], (12, 1, 1))
    bodies = [Body(number, np.arange(12) + 12 * number, joints) for number in range(200)]
    looks = []
    first = Body.first.fget
    monkeypatch.setattr(Body, "first", property(lambda body: looks.append(body.id) or first(body)))
    assert [len(actor) for actor in choose_actors(bodies)] == [200]
    assert len(looks) <= 10 * len(bodies)
