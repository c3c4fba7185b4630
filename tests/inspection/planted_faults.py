"""Faults that are planted in the clips of a sound set: a function for each, and the kind that finds it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from last.data.preparation.formats import BadClip
from last.data.store.clip import Clip, confidence_bytes
from last.data.store.reader import Store
from last.experiments.config import resolve
from last.inspection.clip_source import ClipSource
from last.inspection.measured_set import MeasuredSet, measure_set
from last.settings.data import DataConfig
from last.skeleton import load_layout

Clips = list[Clip]
CONFIG = resolve(model="nano_e", dataset="synthetic", environment="local").data
NTU = load_layout("ntu25")
LEFT_RIGHT = np.array(NTU.mirror)
VICTIMS = (3, 17, 40)  # clips of one body


def measured(
    clips: Sequence[Clip | BadClip],
    config: DataConfig = CONFIG,
    store: Store | None = None,
    labels: np.ndarray | None = None,
) -> MeasuredSet:
    def read(number: int) -> Clip:
        clip = clips[number]
        if isinstance(clip, BadClip):
            raise clip
        return clip

    names = [clip.name for clip in clips]
    if labels is None:
        labels = np.array([-1 if isinstance(clip, BadClip) else clip.label for clip in clips], np.int64)
    layout = config.skeleton
    return measure_set(
        ClipSource("set", "here", layout, config.classes, names, labels, read, store=store, config=config)
    )


def moved(clip: Clip, change: Callable[[np.ndarray], np.ndarray | None]) -> Clip:
    """Return a clip whose joints (M, T, V, C) were changed in place, or replaced."""
    joints = clip.joints.copy()
    changed = change(joints)
    return replace(clip, joints=(joints if changed is None else changed).astype(np.float32))


def of_frames(clip: Clip, frames: np.ndarray) -> Clip:
    confidence = None if clip.confidence is None else clip.confidence[:, frames]
    return replace(clip, joints=clip.joints[:, frames], frame_mask=clip.frame_mask[:, frames], confidence=confidence)


def of_some(change: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[Clips], Clips]:
    return lambda clips: [moved(clip, change) if number in VICTIMS else clip for number, clip in enumerate(clips)]


def of_all(change: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[Clips], Clips]:
    return lambda clips: [moved(clip, change) for clip in clips]


def a_nan(joints: np.ndarray) -> None:
    joints[0, 5:9, 7] = np.nan


def infinity(joints: np.ndarray) -> None:
    joints[0, 3, 2, 1] = np.inf


def no_movement(joints: np.ndarray) -> None:
    joints[:] = joints[:, :1]


def a_repeated_stretch(joints: np.ndarray) -> None:
    half = joints.shape[1] // 2
    joints[:, half:] = joints[:, half : half + 1]


def a_joint_that_jumps(joints: np.ndarray) -> None:
    joints[0, 10, 11] += 4.0


def a_body_that_jumps(joints: np.ndarray) -> None:
    joints[0, 12:] += np.array([3.0, 0.0, 1.0])


def trembling(joints: np.ndarray) -> None:
    joints += np.random.default_rng(0).normal(0, 0.08, joints.shape)


def a_third_of_the_frames_lost(clips: Clips) -> Clips:
    return [of_frames(clip, np.flatnonzero(np.arange(clip.joints.shape[1]) % 3 != 1)) for clip in clips]


def another_size(joints: np.ndarray) -> None:
    joints *= 3.0


def lying(joints: np.ndarray) -> None:
    joints[..., [1, 2]] = joints[..., [2, 1]] * np.array([1.0, -1.0])


def upside_down(joints: np.ndarray) -> None:
    joints[..., :2] *= -1.0


def a_mirror_image(joints: np.ndarray) -> None:
    joints[..., 0] *= -1.0


def sides_exchanged_in_some_frames(joints: np.ndarray) -> None:
    left, right = LEFT_RIGHT.T
    some = slice(10, 20)
    joints[:, some, left], joints[:, some, right] = joints[:, some, right].copy(), joints[:, some, left].copy()


def bones_of_changing_length(joints: np.ndarray) -> None:
    rates = np.random.default_rng(1).uniform(0.4, 1.8, (1, joints.shape[1], joints.shape[2], 1))
    middle = joints[:, :, :1]
    joints[:] = middle + rates * (joints - middle)


def millimetres(joints: np.ndarray) -> None:
    joints *= 1000.0


def z_up(joints: np.ndarray) -> np.ndarray:
    return joints[..., [0, 2, 1]] * np.array([1.0, -1.0, 1.0])


def y_down(joints: np.ndarray) -> None:
    joints[..., 1] *= -1.0
    joints[..., 2] *= -1.0


def another_order_of_joints(joints: np.ndarray) -> np.ndarray:
    return joints[:, :, np.random.default_rng(2).permutation(joints.shape[2])]


def names_of_sides_exchanged(joints: np.ndarray) -> np.ndarray:
    return joints[:, :, np.array(NTU.mirrored)]


def a_joint_on_another(joints: np.ndarray) -> None:
    joints[:, :, 22] = joints[:, :, 21]


def a_joint_at_the_origin(joints: np.ndarray) -> None:
    joints[:, :, 15] = 0.0


def a_joint_of_none(clips: Clips) -> Clips:
    return [without(clip, np.s_[..., 15]) for clip in clips]


def a_joint_of_few(clips: Clips) -> Clips:
    return [without(clip, np.s_[:, : int(0.8 * clip.joints.shape[1]), 15]) for clip in clips]


def most_joints_of_some(clips: Clips) -> Clips:
    return [without(clip, np.s_[..., 5:]) if number in VICTIMS else clip for number, clip in enumerate(clips)]


def without(clip: Clip, where: object) -> Clip:
    certain = np.where(clip.frame_mask[..., None], 1.0, np.nan) * np.ones(clip.joints.shape[:3])
    certain[where] = np.nan
    joints = np.where(np.isnan(certain)[..., None], 0, clip.joints).astype(np.float32)
    return replace(clip, joints=joints, confidence=confidence_bytes(certain))


def confidences_of(value: float) -> Callable[[Clips], Clips]:
    def change(clips: Clips) -> Clips:
        certain = [
            np.where(clip.frame_mask[..., None], value, np.nan) * np.ones(clip.joints.shape[:3]) for clip in clips
        ]
        return [replace(clip, confidence=confidence_bytes(each)) for clip, each in zip(clips, certain, strict=True)]

    return change


def copies(clips: Clips) -> Clips:
    return [*clips, *(replace(clips[number], name=f"copy{number}") for number in VICTIMS)]


def near_copies(clips: Clips) -> Clips:
    """Add clips that are at another place, of another size and a little less exact."""
    random = np.random.default_rng(0)

    def changed(joints: np.ndarray) -> np.ndarray:
        return 1.2 * (joints + random.normal(0, 1e-4, joints.shape).astype(np.float32)) + np.float32(0.3)

    return [*clips, *(replace(moved(clips[number], changed), name=f"copy{number}") for number in VICTIMS)]


def copies_of_another_class(clips: Clips) -> Clips:
    label = len(CONFIG.classes) - 1
    return [*clips, *(replace(clips[number], name=f"copy{number}", label=label) for number in VICTIMS)]


def one_frame(clips: Clips) -> Clips:
    return [of_frames(clip, np.arange(1)) if number in VICTIMS else clip for number, clip in enumerate(clips)]


def three_frames(clips: Clips) -> Clips:
    return [of_frames(clip, np.arange(3)) if number in VICTIMS else clip for number, clip in enumerate(clips)]


def facing_one_way_but_for_some(clips: Clips) -> Clips:
    facing = measured(clips).rows["facing"]
    angles = np.arctan2(facing[:, 0], facing[:, 2])
    angles[list(VICTIMS)] += np.radians(120.0)
    return [about_vertical(clip, -angle) for clip, angle in zip(clips, angles, strict=True)]


def about_vertical(clip: Clip, angle: float) -> Clip:
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return replace(clip, joints=(clip.joints @ turn.T).astype(np.float32))


def very_long(clips: Clips) -> Clips:
    def longer(clip: Clip) -> Clip:
        forth = np.arange(clip.joints.shape[1])
        return of_frames(clip, np.tile(np.concatenate([forth, forth[::-1]]), 10))

    return [longer(clip) if number in VICTIMS else clip for number, clip in enumerate(clips)]


def other_frame_rates(clips: Clips) -> Clips:
    return [replace(clip, fps=60.0 if number in VICTIMS else 30.0) for number, clip in enumerate(clips)]


def ghosts(clips: Clips) -> Clips:
    return [
        _with_second(clip, clip.joints[:1] + 0.3) if number in VICTIMS else clip for number, clip in enumerate(clips)
    ]


def brief_second_bodies(clips: Clips) -> Clips:
    changed = []
    for number, clip in enumerate(clips):
        if number in VICTIMS:
            other = _with_second(clip, clip.joints[:1, ::-1] + 2.0)
            mask = other.frame_mask.copy()
            mask[1, 2:] = False
            clip = replace(other, frame_mask=mask, joints=other.joints * mask[..., None, None])
        changed.append(clip)
    return changed


def empty_second_bodies(clips: Clips) -> Clips:
    changed = []
    for number, clip in enumerate(clips):
        if number in VICTIMS:
            clip = _with_second(clip, np.zeros_like(clip.joints[:1]))
            clip = replace(clip, frame_mask=clip.frame_mask * np.array([[True], [False]]))
        changed.append(clip)
    return changed


def _with_second(clip: Clip, second: np.ndarray) -> Clip:
    joints = np.concatenate([clip.joints[:1], second]).astype(np.float32)
    return replace(clip, joints=joints, frame_mask=np.ones(joints.shape[:2], bool), confidence=None)


def exchanged_bodies(clips: Clips) -> Clips:
    changed, done = [], 0
    for clip in clips:
        if len(clip.joints) == 2 and done < 3 and clip.frame_mask.all():
            joints, half = clip.joints.copy(), clip.joints.shape[1] // 2
            joints[:, half:] = joints[::-1, half:]
            clip, done = replace(clip, joints=joints), done + 1
        changed.append(clip)
    assert done == 3
    return changed


def one_class(clips: Clips) -> Clips:
    return [replace(clip, label=0) for clip in clips]


def a_class_without_clips(clips: Clips) -> Clips:
    return [clip for clip in clips if clip.label != 4]


def a_class_of_one_clip(clips: Clips) -> Clips:
    first = next(number for number, clip in enumerate(clips) if clip.label == 4)
    return [clip for number, clip in enumerate(clips) if clip.label != 4 or number == first]


def many_of_a_class(clips: Clips) -> Clips:
    rng = np.random.default_rng(0)
    of_class = [clip for clip in clips if clip.label == 0]
    more = [
        moved(
            replace(of_class[number % len(of_class)], name=f"more{number}"),
            lambda j: j + rng.normal(0, 0.02, j.shape[2:]),
        )
        for number in range(100)
    ]
    return [*(clip for clip in clips if clip.label != 4), *[clip for clip in clips if clip.label == 4][:2], *more]


def a_class_of_one_person(clips: Clips) -> Clips:
    return [replace(clip, subject=1) if clip.label == 4 else clip for clip in clips]


def a_class_of_one_camera(clips: Clips) -> Clips:
    return [replace(clip, camera=1) if clip.label == 4 else clip for clip in clips]


def one_person(clips: Clips) -> Clips:
    return [replace(clip, subject=1) for clip in clips]


def a_person_a_class(clips: Clips) -> Clips:
    return [replace(clip, subject=1 + clip.label) for clip in clips]


def a_length_a_class(clips: Clips) -> Clips:
    return [of_frames(clip, np.arange(8 + 4 * clip.label)) for clip in clips]


def unreadable(clips: Clips) -> list[Clip | BadClip]:
    return [BadClip(clip.name, 3, "is broken") if number in VICTIMS else clip for number, clip in enumerate(clips)]


def without_bodies(clips: Clips) -> Clips:
    def emptied(clip: Clip) -> Clip:
        return replace(clip, joints=clip.joints * 0, frame_mask=clip.frame_mask & False, confidence=None)

    return [emptied(clip) if number in VICTIMS else clip for number, clip in enumerate(clips)]


# Each kind with a change that plants it, and whether it is in VICTIMS alone.
SOME, WHOLE = True, False
PLANTED: list[tuple[str, Callable[[Clips], Sequence[Clip | BadClip]], bool]] = [
    ("unreadable", unreadable, SOME),
    ("not_finite", of_some(a_nan), SOME),
    ("not_finite", of_some(infinity), SOME),
    ("empty", without_bodies, SOME),
    ("joints_always_missing", a_joint_of_none, WHOLE),
    ("joints_often_missing", a_joint_of_few, WHOLE),
    ("clips_mostly_missing", most_joints_of_some, SOME),
    ("still_joints", of_all(a_joint_at_the_origin), WHOLE),
    ("same_place", of_all(a_joint_on_another), WHOLE),
    ("zero_confidences", confidences_of(0.0), WHOLE),
    ("constant_confidences", confidences_of(0.5), WHOLE),
    ("wrong_layout", of_all(another_order_of_joints), WHOLE),
    ("wrong_vertical", of_all(z_up), WHOLE),
    ("wrong_vertical", of_all(y_down), WHOLE),
    ("wrong_unit", of_all(millimetres), WHOLE),
    ("left_right", of_all(names_of_sides_exchanged), WHOLE),
    ("one_class", one_class, WHOLE),
    ("empty_classes", a_class_without_clips, WHOLE),
    ("single_clips", a_class_of_one_clip, WHOLE),
    ("imbalance", many_of_a_class, WHOLE),
    ("single_subjects", a_class_of_one_person, WHOLE),
    ("single_cameras", a_class_of_one_camera, WHOLE),
    ("one_subject", one_person, WHOLE),
    ("recorded_shortcuts", a_person_a_class, WHOLE),
    ("trivial_shortcuts", a_length_a_class, WHOLE),
    ("duplicates", copies, WHOLE),
    ("duplicates", near_copies, WHOLE),
    ("contradictions", copies_of_another_class, WHOLE),
    ("frozen", of_some(no_movement), SOME),
    ("frozen_stretches", of_some(a_repeated_stretch), SOME),
    ("joint_jumps", of_some(a_joint_that_jumps), SOME),
    ("body_jumps", of_some(a_body_that_jumps), SOME),
    ("jitter", of_some(trembling), SOME),
    ("dropped_frames", a_third_of_the_frames_lost, WHOLE),
    ("rescaled", of_some(another_size), SOME),
    ("rotated", of_some(lying), SOME),
    ("rotated", of_some(upside_down), SOME),
    ("mirrored", of_some(a_mirror_image), SOME),
    ("exchanged_sides", of_some(sides_exchanged_in_some_frames), SOME),
    ("changing_bones", of_some(bones_of_changing_length), SOME),
    ("ghost_bodies", ghosts, SOME),
    ("brief_bodies", brief_second_bodies, SOME),
    ("empty_bodies", empty_second_bodies, SOME),
    ("exchanged_bodies", exchanged_bodies, WHOLE),
    ("one_frame", one_frame, SOME),
    ("short", three_frames, SOME),
    ("turned", facing_one_way_but_for_some, SOME),
    ("long", very_long, SOME),
    ("frame_rates", other_frame_rates, WHOLE),
]
