"""Every kind of fault is found where it was planted in a sound set, in the right clips, and nowhere else."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from planted_faults import (
    CONFIG,
    LEFT_RIGHT,
    NTU,
    PLANTED,
    VICTIMS,
    Clips,
    a_class_of_one_clip,
    measured,
    moved,
    of_frames,
    of_some,
    one_person,
    sides_exchanged_in_some_frames,
    unreadable,
    without,
)

from last.data.preparation.formats import BadClip
from last.data.preparation.preprocess import preprocess
from last.data.store.clip import Clip
from last.data.store.format import Rows, StoreMetadata
from last.data.store.reader import Store, open_store
from last.data.store.recordings import RECORDING, as_type
from last.data.synthetic.dataset import synthesize
from last.inspection.checks import ALL
from last.inspection.checks.whole_set import _LONG_BONES, bone_excess
from last.inspection.findings import Finding, Severity
from last.inspection.inspector import look
from last.settings.data import DataConfig, ProtocolConfig


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("synthetic")
    synthesize(folder / "raw", 96, 0)
    preprocess(CONFIG, folder / "raw", folder / "store", partial=True, workers=1)
    return open_store(folder / "store")


def found_in(clips: Sequence[Clip | BadClip], config: DataConfig = CONFIG, **more: Store) -> dict[str, Finding]:
    findings, _ = look(measured(clips, config, **more))
    return {finding.kind: finding for finding in findings}


def test_nothing_is_found_in_a_sound_set(store: Store) -> None:
    assert found_in(list(store), store=store) == {}


@pytest.mark.parametrize(
    ("kind", "plant", "in_victims"), PLANTED, ids=[f"{kind} {number}" for number, (kind, *_) in enumerate(PLANTED)]
)
def test_a_planted_fault_is_found(
    kind: str, plant: Callable[[Clips], Sequence[Clip | BadClip]], in_victims: bool, store: Store
) -> None:
    found = found_in(plant(list(store)))
    assert kind in found, found
    assert found[kind].message and found[kind].remedy and found[kind].title
    if in_victims:
        assert {each.clip for each in found[kind].evidence} == set(VICTIMS)


def test_folders_of_training_and_testing_are_no_classes(store: Store) -> None:
    config = replace(CONFIG, classes=["Train", "test"])
    found = found_in([replace(clip, label=clip.label % 2) for clip in store], config)["parts_as_classes"]
    assert found.severity is Severity.SPOILS and "which are parts, not classes" in found.message


def test_the_only_clip_of_a_class_is_not_unusable_by_that(store: Store) -> None:
    found = found_in(a_class_of_one_clip(list(store)))["single_clips"]
    assert (found.clips, found.unusable) == (1, False)


def test_one_person_is_found_beside_clips_that_cannot_be_read(store: Store) -> None:
    clips = one_person(list(store))
    assert found_in(unreadable(clips))["one_subject"].clips == len(clips) - len(VICTIMS)


def test_one_person_is_not_found_where_most_clips_do_not_state_theirs(store: Store) -> None:
    clips = [replace(clip, subject=0) if number > 1 else clip for number, clip in enumerate(one_person(list(store)))]
    assert "one_subject" not in found_in(clips)


def test_a_joint_that_each_clip_has_in_one_frame_is_not_a_still_one(store: Store) -> None:
    assert "still_joints" not in found_in([without(clip, np.s_[:, 1:, 15]) for clip in store])


def test_values_that_each_clip_has_for_itself_give_no_class_away(store: Store) -> None:
    clips = [replace(clip, subject=1 + number) for number, clip in enumerate(store)]
    assert "recorded_shortcuts" not in found_in(clips)


def test_a_class_that_cannot_be_read_is_not_given_away_by_that(store: Store) -> None:
    clips = [replace(clip, label=clip.label % 2, subject=1 + number % 2, camera=1, setup=1, fps=30.0)
             for number, clip in enumerate(store) if clip.label in (0, 1, 2)]  # fmt: skip
    broken = [BadClip(clip.name, 3, "is broken") if clip.label else clip for clip in clips]
    found, _ = look(measured(broken, labels=np.array([clip.label for clip in clips], np.int64)))
    kinds = {each.kind for each in found}
    assert "unreadable" in kinds and not kinds & {"recorded_shortcuts", "trivial_shortcuts"}


def test_equal_clips_of_one_frame_are_copies(store: Store) -> None:
    clips = list(store)
    single = of_frames(clips[3], np.arange(1))
    clips[3], clips[17] = single, replace(single, name="again", label=clips[3].label)
    assert [each.other for each in found_in(clips)["duplicates"].evidence] == [3]


def test_joints_that_are_all_at_one_point_have_no_direction(store: Store) -> None:
    found = found_in([moved(clip, np.zeros_like) for clip in list(store)[:12]])
    assert "frozen" in found and not {"wrong_vertical", "rotated"} & found.keys()


def test_no_order_of_the_joints_is_taken_for_that_of_the_layout(store: Store) -> None:
    distances = measured(list(store)[:24]).distances.mean(1)
    random = np.random.default_rng(0)
    orders = [random.permutation(NTU.num_joints) for _ in range(50)]
    excesses = [bone_excess(NTU, distances[np.ix_(order, order)]) for order in orders]
    assert bone_excess(NTU, distances) < _LONG_BONES < min(excesses)


def test_a_joint_that_few_clips_have_is_not_taken_for_another_order_of_the_joints(store: Store) -> None:
    clips = [clip if number % 12 == 0 else without(clip, np.s_[..., 15]) for number, clip in enumerate(store)]
    assert found_in(clips).keys() == {"joints_often_missing"}


def test_joints_that_are_never_seen_together_are_not_in_the_same_place(store: Store) -> None:
    clips = [without(clip, np.s_[..., LEFT_RIGHT[:, number % 2]]) for number, clip in enumerate(store)]
    assert not found_in(clips).keys() & {"same_place", "wrong_layout"}


def test_no_layout_is_said_to_fit_better_whose_bones_no_clip_has(store: Store) -> None:
    hidden = [np.setdiff1d(np.arange(NTU.num_joints), bone) for bone in NTU.bones]
    clips = [without(clip, np.s_[..., hidden[number % len(hidden)]]) for number, clip in enumerate(store)]
    found, checked = look(measured(clips))
    assert checked["wrong_layout"] == "" and "wrong_layout" not in {finding.kind for finding in found}


def test_sides_of_which_one_is_never_seen_do_not_change_places(store: Store) -> None:
    clips = [without(clip, np.s_[..., LEFT_RIGHT[:, 1]]) for clip in store]
    assert "exchanged_sides" not in found_in(clips)


def test_sides_that_change_places_are_found_although_some_joints_are_never_seen(store: Store) -> None:
    clips = of_some(sides_exchanged_in_some_frames)([without(clip, np.s_[..., LEFT_RIGHT[::2]]) for clip in store])
    assert {each.clip for each in found_in(clips)["exchanged_sides"].evidence} == set(VICTIMS)


def test_bodies_without_joints_in_common_are_neither_copies_nor_change_places(store: Store) -> None:
    clips = list(store)
    for number in VICTIMS:
        body = clips[number].joints[:1]
        travel = 2.0 * np.arange(body.shape[1], dtype=np.float32)[:, None, None]
        pair = replace(clips[number], joints=np.concatenate([body + travel, body - travel]),
                       frame_mask=np.ones((2, body.shape[1]), np.bool_), confidence=None)  # fmt: skip
        hidden = np.zeros(pair.joints.shape[:3], np.bool_)
        hidden[0, :, :12] = hidden[1, :, 12:] = True
        clips[number] = without(pair, hidden)
    assert not found_in(clips).keys() & {"ghost_bodies", "exchanged_bodies"}


def test_another_order_of_the_joints_is_found_although_two_joints_are_never_seen_together(store: Store) -> None:
    clips = [without(clip, np.s_[..., 7 if number % 2 else 11]) for number, clip in enumerate(store)]
    assert "wrong_layout" not in found_in(clips)
    order = np.random.default_rng(2).permutation(NTU.num_joints)
    confused = [replace(moved(clip, lambda joints: joints[:, :, order]), confidence=clip.confidence[..., order])
                for clip in clips if clip.confidence is not None]  # fmt: skip
    assert "wrong_layout" in found_in(confused)


def test_the_order_of_the_joints_is_not_judged_if_few_clips_have_a_joint(store: Store) -> None:
    clips = [clip if number < 3 else without(clip, np.s_[..., 15]) for number, clip in enumerate(store)]
    _, checked = look(measured(clips))
    assert checked["wrong_layout"] == "too few clips have the joints together"


def test_every_kind_is_planted_but_those_that_have_tests_of_their_own() -> None:
    planted = {kind for kind, *_ in PLANTED}
    assert {check.kind for check in ALL} - planted == {
        *("leaks", "divided_recordings", "subjects_in_both_parts", "parts_as_classes"),
    }


def test_people_who_train_and_test_are_found_where_single_clips_are_divided(store: Store) -> None:
    by_file = replace(CONFIG, split="mine", protocols={"mine": ProtocolConfig("file")})
    assert found_in(list(store), by_file, store=store).keys() == {"subjects_in_both_parts"}


def test_a_split_that_divides_a_recording_spoils(store: Store) -> None:
    type_ = np.dtype([*store.clips.dtype.descr, (RECORDING, "<i8")])
    whole = Store(store.path, StoreMetadata(store.name, NTU, store.classes),
                  Rows(as_type(store.clips, type_), store.joints, store.valid, store.confidence))  # fmt: skip
    whole.clips[RECORDING] = np.arange(len(whole)) // 2
    found = found_in(list(store), store=whole)
    assert found["divided_recordings"].severity is Severity.SPOILS


def test_copies_of_training_clips_in_the_test_are_leaks(store: Store) -> None:
    config = replace(CONFIG, split="mine", protocols={"mine": ProtocolConfig("subject", train=[1, 2, 3, 4])})
    index = store.clips
    trained = np.flatnonzero(np.isin(index["subject"], [1, 2, 3, 4]))
    tested = np.flatnonzero(~np.isin(index["subject"], [1, 2, 3, 4]))
    clips = list(store)
    for place, other in zip(tested[:8], trained[:8], strict=True):
        clips[place] = replace(clips[other], name=clips[place].name, subject=clips[place].subject)
    leaks = found_in(clips, config, store=store)["leaks"]
    assert leaks.severity is Severity.SPOILS
    assert {each.clip: each.other for each in leaks.evidence} == dict(
        zip(tested[:8].tolist(), trained[:8].tolist(), strict=True)
    )
