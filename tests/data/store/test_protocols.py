"""Which clips train and which test: hand-made cases, and the known counts of NTU RGB+D."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.data.store.format import index_type, with_parts
from last.data.store.protocols import Split, divide, empty_part, hold_out, known_protocols, labelled, select, split
from last.settings.data import DataConfig, ProtocolConfig, SelectConfig, data_settings
from last.utils.errors import UserError


def make_index(**columns: list[int]) -> np.ndarray:
    clips = np.zeros(len(next(iter(columns.values()))), index_type(4))
    for name, values in columns.items():
        clips[name] = values
    return clips


def make_config(select: SelectConfig | None = None, **protocols: ProtocolConfig) -> DataConfig:
    return DataConfig(name="tiny", split="first", protocols=protocols, select=select or SelectConfig())


CLIPS = make_index(
    subject=[1, 2, 3, 1, 2, 3], camera=[1, 1, 2, 2, 3, 3], setup=[1, 2, 1, 2, 1, 2], label=[0, 1, 2, 0, 1, 2]
)


def test_clips_that_a_train_list_does_not_name_are_tested() -> None:
    parts = split(CLIPS, make_config(first=ProtocolConfig("subject", train=[1, 3])), "first")
    assert parts.train.tolist() == [0, 2, 3, 5]
    assert parts.test.tolist() == [1, 4]


def test_clips_that_a_test_list_does_not_name_train() -> None:
    parts = split(CLIPS, make_config(first=ProtocolConfig("camera", test=[1])), "first")
    assert parts.train.tolist() == [2, 3, 4, 5]
    assert parts.test.tolist() == [0, 1]


def test_clips_that_neither_of_two_lists_names_are_left_out() -> None:
    parts = split(CLIPS, make_config(first=ProtocolConfig("camera", train=[1], test=[2])), "first")
    assert parts.train.tolist() == [0, 1]
    assert parts.test.tolist() == [2, 3]


def test_no_protocol_named_means_the_data_sets_own() -> None:
    config = make_config(other=ProtocolConfig("camera", test=[1]), first=ProtocolConfig("setup", train=[2]))
    assert split(CLIPS, config).train.tolist() == [1, 3, 5]


def test_an_unknown_protocol_is_refused_with_the_nearest_and_all() -> None:
    config = make_config(xsub=ProtocolConfig("subject", train=[1]), xview=ProtocolConfig("camera", test=[1]))
    with pytest.raises(UserError, match=r"Did you mean 'xview'.*Known: xsub, xview"):
        split(CLIPS, config, "xveiw")


def test_a_part_without_clips_is_refused_with_what_there_is() -> None:
    config = make_config(first=ProtocolConfig("camera", test=[4]))
    with pytest.raises(UserError, match=r"test part of tiny first holds no clip.*'camera' are 1, 2, 3"):
        split(CLIPS, config)
    assert len(divide(CLIPS, config).test) == 0


def test_a_part_that_a_selection_leaves_without_clips_is_refused_with_the_clips_it_keeps() -> None:
    config = make_config(SelectConfig(cameras=[1, 3]), first=ProtocolConfig("camera", test=[2]))
    kept = len(select(CLIPS, config))
    message = rf"among {kept} clips that data\.select keeps of {len(CLIPS)} the values of 'camera' are 1, 3\."
    with pytest.raises(UserError, match=message):
        split(CLIPS, config)


@pytest.mark.parametrize("rule", [ProtocolConfig("camera"), ProtocolConfig("camera", train=[1, 2], test=[2, 3])])
def test_a_protocol_without_or_with_overlapping_lists_is_refused(rule: ProtocolConfig) -> None:
    with pytest.raises(UserError, match="The protocol first of tiny"):
        split(CLIPS, make_config(first=rule))


def test_selection_keeps_setups_and_actions_and_applies_before_the_protocol() -> None:
    config = make_config(SelectConfig(setups=[1], actions=[1, 3]), first=ProtocolConfig("camera", test=[1]))
    assert select(CLIPS, config).tolist() == [0, 2]
    assert split(CLIPS, config).train.tolist() == [2]
    assert split(CLIPS, config).test.tolist() == [0]


@pytest.mark.parametrize("column", ["camera", "subject"])
def test_selection_keeps_cameras_and_subjects(column: str) -> None:
    config = make_config(SelectConfig(**{f"{column}s": [1, 3]}))
    assert select(CLIPS, config).tolist() == np.flatnonzero(np.isin(CLIPS[column], [1, 3])).tolist()
    assert 0 < len(select(CLIPS, config)) < len(CLIPS)


def test_an_empty_selection_keeps_everything() -> None:
    assert select(CLIPS, make_config()).tolist() == list(range(6))


labels = st.lists(st.integers(0, 4), min_size=8, max_size=60)


@given(labels=labels, share=st.floats(0.2, 0.8), seed=st.integers(0, 99))
def test_holding_out_takes_the_share_of_every_class_and_never_its_last_clip(
    labels: list[int], share: float, seed: int
) -> None:
    clips = make_index(label=labels)
    train, held = hold_out(clips, np.arange(len(clips)), share, seed)
    assert sorted([*train, *held]) == list(range(len(clips)))
    for label in set(labels):
        count = labels.count(label)
        wanted = min(int(np.rint(share * count)), count - 1)
        assert (clips["label"][held] == label).sum() == wanted


def test_what_is_held_out_depends_on_the_seed_and_not_on_the_order_of_the_clips() -> None:
    clips = make_index(label=[number % 4 for number in range(200)])
    numbers = np.arange(20, 180)
    train, held = hold_out(clips, numbers, 0.1, seed=3)
    again_train, again_held = hold_out(clips, numbers[::-1], 0.1, seed=3)
    np.testing.assert_array_equal(train, again_train)
    np.testing.assert_array_equal(held, again_held)
    assert set(held) != set(hold_out(clips, numbers, 0.1, seed=4)[1])
    assert held.min() >= 20 and held.max() < 180


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        hold_out(CLIPS, np.arange(6), share, 0)


def test_a_share_that_holds_out_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="none to validate on"):
        hold_out(CLIPS, np.arange(6), 0.1, 0)


@cache
def index_of_names(path: Path) -> np.ndarray:
    numbers = np.array(
        [[int(number) for number in re.findall(r"\d+", name)] for name in path.read_text(encoding="utf-8").split()]
    )
    setup, camera, subject, replication, action = numbers.T
    clips = np.zeros(len(numbers), index_type(20))
    clips["setup"], clips["camera"], clips["subject"] = setup, camera, subject
    clips["replication"], clips["label"] = replication, action - 1
    return clips


@pytest.mark.parametrize(
    ("names", "dataset", "protocol", "train", "test"),
    [
        ("ntu60_available.txt", "ntu60", "xsub", 40_091, 16_487),
        ("ntu60_available.txt", "ntu60", "xview", 37_646, 18_932),
        ("ntu120_available.txt", "ntu120", "xsub", 63_026, 50_919),
        ("ntu120_available.txt", "ntu120", "xset", 54_468, 59_477),
        ("ntu120_available.txt", "ntu60", "xsub", 40_091, 16_487),
        ("ntu120_available.txt", "ntu60", "xview", 37_646, 18_932),
    ],
)
def test_the_protocols_of_ntu_give_the_known_counts(
    real_recordings: Path, names: str, dataset: str, protocol: str, train: int, test: int
) -> None:
    config = data_settings(dataset)
    parts = split(index_of_names(real_recordings / "ntu_names" / names), config, protocol)
    assert (len(parts.train), len(parts.test)) == (train, test)


def test_a_share_of_every_class_keeps_its_labels_always_the_same_one() -> None:
    clips = np.zeros(44, index_type(1))
    clips["label"] = np.repeat([0, 1, 2], [40, 3, 1])
    kept = labelled(clips, np.arange(44), 0.25)
    assert np.bincount(clips["label"][kept]).tolist() == [10, 1, 1]
    assert labelled(clips, np.arange(44), 0.25).tolist() == kept.tolist() == sorted(kept)
    assert labelled(clips, np.arange(44), 1.0).tolist() == list(range(44))


def test_clips_of_an_unknown_subject_are_in_neither_part_unless_a_list_names_them() -> None:
    clips = make_index(subject=[0, 1, 2], label=[0, 0, 0])
    for rule in (ProtocolConfig("subject", train=[1]), ProtocolConfig("subject", test=[2])):
        parts = divide(clips, make_config(first=rule))
        assert (parts.train.tolist(), parts.test.tolist()) == ([1], [2])
    parts = divide(clips, make_config(first=ProtocolConfig("subject", train=[0])))
    assert (parts.train.tolist(), parts.test.tolist()) == ([0], [1, 2])


def named_index(count: int, classes: int = 2) -> np.ndarray:
    clips = np.zeros(count, index_type(8))
    clips["name"], clips["label"] = [f"clip{number}" for number in range(count)], np.arange(count) % classes
    return clips


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_clips_of_which_nothing_is_known_are_divided_by_file_in_each_class(share: float) -> None:
    clips, config = named_index(80), make_config(first=ProtocolConfig("file", test_share=share))
    parts = split(clips, config)
    assert sorted([*parts.train, *parts.test]) == list(range(80))
    assert np.bincount(clips["label"][parts.test]).tolist() == [round(share * 40)] * 2
    again = split(clips, make_config(first=ProtocolConfig("file", test_share=share, seed=1)))
    assert again.test.tolist() != parts.test.tolist()


def test_a_clips_part_by_file_does_not_depend_on_the_order_of_the_clips() -> None:
    clips, config = named_index(40), make_config(first=ProtocolConfig("file"))
    turned = clips[::-1].copy()
    tested = [set(index["name"][split(index, config).test].tolist()) for index in (clips, turned)]
    assert tested[0] == tested[1]
    assert len(tested[0]) == 10


@pytest.mark.parametrize(("count", "train", "test"), [(1, 1, 0), (2, 1, 1), (3, 2, 1)])
def test_by_file_every_class_of_two_clips_or_more_is_in_both_parts(count: int, train: int, test: int) -> None:
    parts = divide(named_index(count, classes=1), make_config(first=ProtocolConfig("file")))
    assert (len(parts.train), len(parts.test)) == (train, test)


@pytest.mark.parametrize(
    "rule",
    [
        ProtocolConfig("file", train=[1]),
        ProtocolConfig("file", test=[1]),
        ProtocolConfig("subject", test=[1], test_share=0.2),
        ProtocolConfig("camera", train=[1], seed=3),
    ],
)
def test_settings_that_would_be_ignored_are_refused(rule: ProtocolConfig) -> None:
    with pytest.raises(UserError, match="The protocol first of tiny divides by"):
        divide(named_index(4), make_config(first=rule))


def test_protocols_that_the_source_lists_are_known_beside_those_of_the_data_set() -> None:
    clips = with_parts(named_index(4), {"xsub": "TE-T", "first": "EEEE"})
    config = make_config(first=ProtocolConfig("file"))
    assert known_protocols(clips, config) == ["first", "xsub"]
    parts = split(clips, config, "xsub")
    assert (parts.train.tolist(), parts.test.tolist()) == ([0, 3], [1])
    assert len(split(clips, config, "first").train) == 2, "the data set's own rule counts"
    with pytest.raises(UserError, match="Did you mean 'xsub'"):
        split(clips, config, "xusb")


@pytest.mark.parametrize("letters", ["TE", "TETEX", "TEX-", ""])
def test_letters_that_are_not_one_a_clip_are_refused(letters: str) -> None:
    with pytest.raises(ValueError, match="xsub"):
        with_parts(named_index(4), {"xsub": letters})


@pytest.mark.parametrize("by_file", [True, False])
def test_a_part_of_a_protocol_without_a_rule_that_names_clips_is_refused_if_it_is_empty(by_file: bool) -> None:
    clips = CLIPS[:1]
    config = make_config(first=ProtocolConfig("file")) if by_file else make_config()
    problem = empty_part(clips, config, "first", Split(np.arange(1), np.arange(0)))
    assert problem.startswith("The test part of tiny first holds no clip of the 1 there are")
    assert ("a class gives one to each part" in problem) == by_file


def test_a_share_of_labels_that_leaves_none_out_is_refused_by_its_name() -> None:
    with pytest.raises(UserError, match=r"label_fraction 0.9 leaves none of 6 labels out"):
        labelled(CLIPS, np.arange(6), 0.9)
