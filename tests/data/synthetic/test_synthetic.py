"""The synthetic generator: bodies that could exist, files that any NTU reader reads, classes that need motion."""

import errno
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from last.data.preparation.formats import Source, get_reader
from last.data.store.clip import Clip
from last.data.synthetic import class_names, synthesize
from last.data.synthetic.actions import ACTIONS, minimum_jerk, play
from last.data.synthetic.body import (
    CHANNELS,
    SEGMENTS,
    bone_lengths,
    joint_number,
    joint_positions,
    mirror_image,
)
from last.data.synthetic.dataset import PERFORMERS, generate, plan, planned
from last.data.synthetic.performer import LONGEST_FRAMES, SHORTEST_FRAMES, Performer, act, sample_performer
from last.data.synthetic.recording import to_camera
from last.skeleton import load_layout
from last.utils.config import data_layer
from last.utils.errors import UserError
from last.utils.progress import Progress

LENGTHS = bone_lengths(1.75, {})
TWO_BODY_LABELS = {label for label, action in enumerate(ACTIONS) if action.partner}
TEST_PERFORMERS = (4, 8, 12, 16)


def steady_performer(seed: int = 3) -> Performer:
    """Return a performer whose posture does not sway."""
    return replace(sample_performer(np.random.default_rng(seed)), sway=0.0)


def perform(name: str, seed: int = 0) -> NDArray[np.float64]:
    """Return the scene of an action, done by a steady right-handed performer."""
    action = ACTIONS[class_names().index(name)]
    performer = replace(steady_performer(), left_handed=0.0)
    return act(action, performer, performer, np.random.default_rng(seed))


def read_all(folder: Path) -> list[Clip]:
    reader = get_reader("ntu", Source(load_layout("ntu25"), 2, ()))
    return [reader.read(entry) for entry in reader.entries(folder)]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Return 288 recordings, each class 24 times, as the project's reader reads them."""
    folder = tmp_path_factory.mktemp("raw")
    synthesize(folder, 288)
    return read_all(folder)


# The plan


def test_the_classes_are_those_of_the_data_yaml() -> None:
    assert list(data_layer("synthetic").values["data"]["classes"]) == class_names()


def test_the_held_out_performers_exist_and_are_those_of_the_data_yaml() -> None:
    assert data_layer("synthetic").values["data"]["protocols"]["xsub"]["test"] == list(TEST_PERFORMERS)
    assert max(TEST_PERFORMERS) <= PERFORMERS


def test_every_planned_recording_has_its_own_name() -> None:
    names = [plan(number).name for number in range(5000)]
    assert len(set(names)) == len(names)


def test_cameras_and_setups_are_spread_evenly_over_every_class_and_performer() -> None:
    takes = [plan(number) for number in range(12 * PERFORMERS * len(ACTIONS))]
    for of_take in (lambda take: take.action, lambda take: take.performer):
        counts = Counter((of_take(take), take.camera, take.setup) for take in takes)
        assert len(set(counts.values())) == 1
        assert len(counts) == 12 * len({of_take(take) for take in takes})


def test_few_recordings_already_hold_every_class_before_every_camera_in_both_parts() -> None:
    takes = [plan(number) for number in range(PERFORMERS * len(ACTIONS))]
    for part in (True, False):
        cells = {(take.action, take.camera) for take in takes if (take.performer in TEST_PERFORMERS) == part}
        assert len(cells) == 3 * len(ACTIONS)


@pytest.mark.parametrize("clips", [2, 3, 12, 13, 24, 36, 37, 48, 60])
def test_however_few_recordings_there_are_both_parts_have_some_and_tested_actions_are_trained(clips: int) -> None:
    takes = [plan(number) for number in planned(clips)]
    assert len({take.name for take in takes}) == clips
    actions = {part: {t.action for t in takes if (t.performer in TEST_PERFORMERS) == part} for part in (True, False)}
    assert actions[True] and actions[True] <= actions[False]


@pytest.mark.parametrize("clips", [1, 37, 240, 600])
def test_larger_sets_are_the_first_recordings_of_the_plan(clips: int) -> None:
    assert planned(clips) == list(range(clips))


# Bodies and movement


@given(st.lists(st.floats(-180, 180), min_size=len(CHANNELS), max_size=len(CHANNELS)))
def test_no_pose_changes_the_length_of_a_bone(angles: list[float]) -> None:
    joints = joint_positions(LENGTHS, {name: np.array([a]) for name, a in zip(CHANNELS, angles, strict=True)})[0]
    for segment in SEGMENTS:
        bone = joints[joint_number(segment.joint)] - joints[joint_number(segment.parent)]
        assert np.linalg.norm(bone) == pytest.approx(LENGTHS[segment.joint])


def test_a_body_at_rest_faces_the_camera_with_its_left_side_at_negative_x() -> None:
    joints = joint_positions(LENGTHS, {name: np.zeros(1) for name in CHANNELS})[0]
    assert joints[joint_number("left_hand"), 0] < 0 < joints[joint_number("right_hand"), 0]
    assert joints[joint_number("left_foot"), 2] < joints[joint_number("left_ankle"), 2]
    assert joints[joint_number("head"), 1] > joints[joint_number("spine_base"), 1]


def test_a_mirrored_movement_is_done_with_the_other_side() -> None:
    angles = {name: np.zeros(2) for name in CHANNELS}
    raised = joint_positions(LENGTHS, angles | {"right_flexion": np.array([0.0, 90.0])})
    same = joint_positions(LENGTHS, angles | {"left_flexion": np.array([0.0, 90.0])})
    np.testing.assert_allclose(mirror_image(raised), same, atol=1e-12)


def test_easing_starts_and_ends_at_rest() -> None:
    share = np.linspace(0, 1, 1001)
    speed = np.gradient(minimum_jerk(share), share)
    assert minimum_jerk(np.array([-1.0, 0.0, 0.5, 1.0, 2.0])) == pytest.approx([0, 0, 0.5, 1, 1])
    assert speed[[0, -1]] == pytest.approx([0, 0], abs=1e-3)
    assert speed.min() >= 0


def test_a_track_passes_through_its_keyframes() -> None:
    track = ACTIONS[class_names().index("sit down")].actor
    channels = play(track, np.array([keyframe.time for keyframe in track]))
    for place, keyframe in enumerate(track):
        assert {name: channels[name][place] for name in keyframe.pose} == pytest.approx(dict(keyframe.pose))


@pytest.mark.parametrize("label", range(len(ACTIONS)))
def test_in_every_action_a_performer_always_stands_on_the_floor(label: int) -> None:
    scene = perform(class_names()[label])
    assert scene[..., 1].min(axis=2) == pytest.approx(np.zeros(scene.shape[:2]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("raise both arms", "lower both arms"),
        ("sit down", "stand up"),
        ("circle arms forwards", "circle arms backwards"),
        ("touch head, then hip", "touch hip, then head"),
        ("walk up and shake hands", "shake hands and step back"),
    ],
)
def test_paired_actions_are_one_another_backwards(one: str, other: str) -> None:
    np.testing.assert_allclose(perform(one), perform(other)[:, ::-1], atol=1e-9)


def test_the_hand_touches_first_the_head_and_then_the_other_side_of_the_hip() -> None:
    (body,) = perform("touch head, then hip")
    hand = body[:, joint_number("right_hand_tip")]
    to_head = np.linalg.norm(hand - body[:, joint_number("head")], axis=1)
    to_hip = np.linalg.norm(hand - body[:, joint_number("left_hip")], axis=1)
    assert to_head.min() < 0.2
    assert to_hip.min() < 0.2
    assert to_head.argmin() < to_hip.argmin()


def test_shaken_hands_meet() -> None:
    first, second = perform("walk up and shake hands")
    hand = joint_number("right_hand")
    assert np.linalg.norm(first[-1, hand] - second[-1, hand]) < 0.25
    assert np.linalg.norm(first[0, hand] - second[0, hand]) > 1.0


def test_who_is_pushed_goes_back_and_who_pushes_comes_nearer() -> None:
    first, second = perform("push another person")[:, :, 0]
    away = np.sign(second[0, 0] - first[0, 0])
    assert (second[-1, 0] - second[0, 0]) * away > 0.3
    assert (first[-1, 0] - first[0, 0]) * away > 0.0


def test_the_middle_camera_sees_the_middle_of_the_scene_straight_ahead() -> None:
    x, y, z = to_camera(np.array([0.0, 0.95, 0.0]), camera=1, setup=1)
    assert (x, y) == pytest.approx((0, 0), abs=0.05)
    assert 2 < z < 4


def test_the_side_cameras_stand_45_degrees_to_either_side() -> None:
    to_the_right = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    depth = {camera: np.diff(to_camera(to_the_right, camera, 1)[:, 2])[0] for camera in (1, 2, 3)}
    assert depth[1] == pytest.approx(0, abs=1e-9)
    assert depth[2] == pytest.approx(-depth[3], rel=0.05)
    assert abs(depth[3]) == pytest.approx(np.sqrt(0.5), rel=0.05)


# Files


def test_a_file_has_the_lines_of_the_raw_format(tmp_path: Path) -> None:
    (path, *_) = synthesize(tmp_path, 1)
    lines = iter(path.read_text().splitlines())
    for _ in range(int(next(lines))):
        for _ in range(int(next(lines))):
            identity, *others = next(lines).split()
            assert re.fullmatch(r"\d{17}", identity)
            assert len(others) == 9
            assert next(lines) == "25"
            rows = np.array([[float(word) for word in next(lines).split()] for _ in range(25)])
            assert rows.shape == (25, 12)
            assert np.linalg.norm(rows[:, 7:11], axis=1) == pytest.approx(np.ones(25))
            assert set(rows[:, 11]) <= {1, 2}
    assert next(lines, None) is None


def test_joints_stand_in_the_picture_where_the_depth_camera_sees_them(tmp_path: Path) -> None:
    (path, *_) = synthesize(tmp_path, 1)
    rows = np.array([row.split() for row in path.read_text().splitlines() if row.count(" ") == 11], dtype=float)
    x, y, z, column, row = rows[:, :5].T
    assert column == pytest.approx(256 + 366 * x / z, abs=0.01)
    assert row == pytest.approx(208 - 366 * y / z, abs=0.01)
    assert ((column > 0) & (column < 512) & (row > 0) & (row < 424)).mean() > 0.98


def test_numbers_have_seven_significant_digits(tmp_path: Path) -> None:
    (path, *_) = synthesize(tmp_path, 1)
    digits = [len(re.sub(r"e.*|\D", "", word).lstrip("0")) for word in path.read_text().split()]
    assert Counter(digits).most_common(1)[0][0] == 7


def test_a_recording_depends_on_the_seed_and_its_number_alone(tmp_path: Path) -> None:
    few, many, other = (synthesize(tmp_path / name, *how) for name, *how in [("a", 2), ("b", 5), ("c", 2, 1)])
    same = {path.name: path for path in many}
    assert [path.read_bytes() for path in few] == [same[path.name].read_bytes() for path in few]
    assert few[1].read_bytes() != other[1].read_bytes()


def test_two_takes_of_the_same_action_by_the_same_performer_differ() -> None:
    first, second = (generate(plan(0), number, seed=0) for number in (0, 1))
    assert first[0].joints.shape != second[0].joints.shape or (first[0].joints != second[0].joints).any()


def test_a_full_disk_leaves_the_old_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(path: Path, text: str, **options: str) -> int:
        with path.open("w") as file:
            file.write(text[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    (path, *_) = synthesize(tmp_path, 1)
    before = path.read_bytes()
    monkeypatch.setattr(Path, "write_text", write_half)
    with pytest.raises(UserError, match="disk is full"):
        synthesize(tmp_path, 1)
    assert [(each, each.read_bytes()) for each in tmp_path.iterdir()] == [(path, before)]


def test_a_performer_keeps_body_and_style_in_every_recording() -> None:
    def shin(number: int) -> float:
        body = max(generate(plan(number), number, seed=0), key=lambda body: len(body.frames))
        bones = body.joints[:, joint_number("left_knee")] - body.joints[:, joint_number("left_ankle")]
        return float(np.median(np.linalg.norm(bones, axis=1)))

    again = len(ACTIONS) * PERFORMERS
    assert plan(0).performer == plan(again).performer
    assert shin(0) == pytest.approx(shin(again), abs=0.01)
    others = [shin(len(ACTIONS) * turn) for turn in range(PERFORMERS)]
    assert max(others) - min(others) > 0.05


def test_files_of_the_same_name_are_replaced_and_others_stay(tmp_path: Path) -> None:
    (path, *_) = synthesize(tmp_path, 1)
    fresh = path.read_bytes()
    path.write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    synthesize(tmp_path, 1)
    assert path.read_bytes() == fresh
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([path.name, "notes.txt"])


@pytest.mark.parametrize(("clips", "seed"), [(0, 0), (-3, 0), (10**9, 0), (1, -1)])
def test_impossible_numbers_are_refused(clips: int, seed: int, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        synthesize(tmp_path / "out", clips, seed)
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        synthesize(tmp_path / "out", 1)


def test_progress_counts_every_recording(tmp_path: Path) -> None:
    class Counting(Progress):
        done = 0

        def advance(self, done: int = 1, note: str = "") -> None:
            self.done += done

    progress = Counting()
    synthesize(tmp_path, 3, progress=progress)
    assert progress.done == 3


# What a reader makes of them


def test_every_recording_is_read_with_its_class_and_performer(recordings: list[Clip]) -> None:
    expected = {(take.name, take.action - 1, take.performer) for take in map(plan, range(288))}
    assert {(clip.name, clip.label, clip.subject) for clip in recordings} == expected


def test_cleaning_finds_the_people_who_are_there(recordings: list[Clip]) -> None:
    for clip in recordings:
        assert clip.frame_mask.any(axis=1).sum() == (2 if clip.label in TWO_BODY_LABELS else 1), clip.name


def test_recordings_have_many_lengths_within_the_limits(recordings: list[Clip]) -> None:
    lengths = {clip.joints.shape[1] for clip in recordings}
    assert min(lengths) >= SHORTEST_FRAMES - 5  # frames without a body are dropped
    assert max(lengths) <= LONGEST_FRAMES
    assert len(lengths) > 20


def test_the_tracker_loses_bodies_renames_them_and_sees_ghosts() -> None:
    tracked = [generate(plan(number), number, seed=0) for number in range(0, 1200, 12)]  # actions of one body
    assert any(len(body.frames) <= 10 for bodies in tracked for body in bodies)
    assert any(len([body for body in bodies if len(body.frames) > 10]) == 2 for bodies in tracked)
    assert any((np.diff(body.frames) > 1).any() for bodies in tracked for body in bodies)


# What distinguishes the classes


def accuracy_of_class_means(features: NDArray[np.float64], labels: NDArray[np.int64], test: NDArray[np.bool_]) -> float:
    """Return the share of `test` rows whose nearest class mean, in standard deviations, is their own."""
    scaled = (features - features[~test].mean(axis=0)) / (features[~test].std(axis=0) + 1e-6)
    means = np.stack([scaled[~test & (labels == label)].mean(axis=0) for label in range(len(ACTIONS))])
    nearest = np.linalg.norm(scaled[test, None] - means, axis=-1).argmin(axis=1)
    return float((nearest == labels[test]).mean())


def accuracy_of_nearest_neighbour(
    features: NDArray[np.float64], labels: NDArray[np.int64], test: NDArray[np.bool_]
) -> float:
    known = features[~test]
    distances = (known**2).sum(axis=1) - 2 * features[test] @ known.T  # squared, without the common term
    nearest = distances.argmin(axis=1)
    return float((labels[~test][nearest] == labels[test]).mean())


def first_frame_centred(clip: Clip) -> NDArray[np.float64]:
    """Return both bodies' joints as they are stored, (T, M * V * C)."""
    joints = np.zeros((2, *clip.joints.shape[1:]))
    joints[: len(clip.joints)] = clip.joints
    return joints.transpose(1, 0, 2, 3).reshape(joints.shape[1], -1)


def order_free(clip: Clip) -> NDArray[np.float64]:
    """Return the mean and variance over time of every joint, centred on the first body's spine in each frame."""
    rows = first_frame_centred(clip)
    spine = np.tile(clip.joints[0, :, joint_number("spine_middle")], rows.shape[1] // 3)
    return np.concatenate([(rows - spine).mean(axis=0), (rows - spine).var(axis=0)])


def trajectory(clip: Clip) -> NDArray[np.float64]:
    """Return the movement at 16 moments."""
    rows = first_frame_centred(clip)
    return rows[np.linspace(0, len(rows) - 1, 16).round().astype(int)].ravel()


def test_a_classifier_that_ignores_the_order_of_frames_stays_below_80_percent(recordings: list[Clip]) -> None:
    labels = np.array([clip.label for clip in recordings])
    test = np.isin([clip.subject for clip in recordings], TEST_PERFORMERS)
    features = np.stack([order_free(clip) for clip in recordings])
    assert accuracy_of_class_means(features, labels, test) < 0.8
    assert accuracy_of_nearest_neighbour(features, labels, test) < 0.8


def test_movement_distinguishes_the_classes(recordings: list[Clip]) -> None:
    labels = np.array([clip.label for clip in recordings])
    test = np.isin([clip.subject for clip in recordings], TEST_PERFORMERS)
    features = np.stack([trajectory(clip) for clip in recordings])
    assert accuracy_of_nearest_neighbour(features, labels, test) > 0.9
