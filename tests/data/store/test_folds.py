"""Folds, and divisions that keep the clips of one recording together."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from last.data.store.fold_choice import fold_protocols
from last.data.store.format import index_type
from last.data.store.protocols import divide, hold_out, labelled, split
from last.data.store.recordings import RECORDING
from last.data.store.suitability import split_warnings, suitability
from last.settings.data import DataConfig, ProtocolConfig, SelectConfig
from last.settings.splits import ALL, FoldChoice
from last.utils.errors import UserError


def index_of(recordings: list[int] | None = None, **columns: list[int]) -> np.ndarray:
    """Return an index with these columns; with `recordings`, as of a source whose recordings are longer than a clip."""
    length = len(recordings or next(iter(columns.values())))
    kind = index_type(8).descr + ([(RECORDING, "<i8")] if recordings else [])
    clips = np.zeros(length, np.dtype(kind))
    clips["name"] = [f"clip{number:03}" for number in range(length)]
    for name, values in columns.items():
        clips[name] = values
    if recordings:
        clips[RECORDING] = recordings
    return clips


def config_of(rule: ProtocolConfig, **select: list[int]) -> DataConfig:
    return DataConfig(name="tiny", split="own", protocols={"own": rule}, select=SelectConfig(**select))


def folds_of(clips: np.ndarray, by: str, folds: int) -> list[list[int]]:
    """Return the tested clips of each fold."""
    configs = fold_protocols(DataConfig(name="tiny"), clips, FoldChoice(by, folds))
    return [split(clips, config).test.tolist() for config in configs]


@pytest.mark.parametrize("by", ["subject", "camera", "setup", "replication"])
def test_each_value_of_a_property_is_tested_in_one_fold_and_trains_in_the_others(by: str) -> None:
    values = np.random.default_rng(0).integers(1, 8, 100)
    clips = index_of(**{by: values.tolist(), "label": (np.arange(100) % 3).tolist()})
    tested = folds_of(clips, by, 3)
    assert sorted(itertools.chain(*tested)) == list(range(100))
    of_fold = [set(values[part]) for part in tested]
    assert sum(map(len, of_fold)) == len(set.union(*of_fold)) == 7
    assert all(len(part) > 20 for part in tested), "folds have about equally many clips"


def test_leaving_one_out_tests_the_values_in_their_order() -> None:
    clips = index_of(subject=[9, 2, 2, 40, 9, 9])
    assert folds_of(clips, "subject", ALL) == [[1, 2], [0, 4, 5], [3]]


def test_no_fold_is_empty_also_if_each_subject_has_its_own_class() -> None:
    clips = index_of(subject=[1, 2, 3, 4, 4], label=[0, 1, 2, 3, 3])
    assert folds_of(clips, "subject", ALL) == [[0], [1], [2], [3, 4]]


def test_clips_of_an_unknown_value_are_in_no_part_and_are_counted() -> None:
    clips = index_of(subject=[0, 1, 2, 0, 3, 3])
    config = fold_protocols(DataConfig(name="tiny"), clips, FoldChoice("subject", 3))[1]
    parts = split(clips, config)
    assert sorted([*parts.train, *parts.test]) == [1, 2, 4, 5]
    (warning,) = split_warnings(clips, config, config.split, parts)
    assert warning == "2 of 6 clips of subject_fold2of3 have no known subject and are in neither part."


@given(labels=st.lists(st.integers(0, 3), min_size=10, max_size=60), folds=st.integers(2, 6), seed=st.integers(0, 9))
def test_folds_by_file_have_equally_many_clips_of_every_class(labels: list[int], folds: int, seed: int) -> None:
    clips = index_of(label=labels)
    rules = [ProtocolConfig(by="file", folds=folds, fold=fold + 1, seed=seed) for fold in range(folds)]
    tested = [divide(clips, config_of(rule)).test for rule in rules]
    assert sorted(np.concatenate(tested)) == list(range(len(labels)))
    for label in set(labels):
        counts = [(clips["label"][part] == label).sum() for part in tested]
        assert max(counts) - min(counts) <= 1


def test_another_seed_divides_otherwise_and_the_order_of_the_clips_does_not_matter() -> None:
    clips = index_of(label=[number % 2 for number in range(40)])

    def tested(index: np.ndarray, seed: int) -> set[str]:
        parts = divide(index, config_of(ProtocolConfig(by="file", folds=4, fold=1, seed=seed)))
        return set(index["name"][parts.test].tolist())

    first, again, other = tested(clips, 0), tested(clips[::-1], 0), tested(clips, 1)
    assert first == again != other


@pytest.mark.parametrize(
    "rule",
    [
        ProtocolConfig(by="file", test_share=0.3),
        ProtocolConfig(by="recording", test_share=0.3),
        ProtocolConfig(by="file", folds=3, fold=1),
        ProtocolConfig(by="recording", folds=3, fold=2),
    ],
)
def test_clips_of_one_recording_are_in_one_part_of_every_random_split(rule: ProtocolConfig) -> None:
    recordings = [number // 5 for number in range(60)]
    clips = index_of(recordings, label=[number % 3 for number in range(60)])
    parts = split(clips, config_of(rule))
    trained, tested = ({recordings[clip] for clip in part} for part in (parts.train, parts.test))
    assert not trained & tested and len(trained | tested) == 12
    assert 0.15 <= len(parts.test) / 60 <= 0.45
    train, held_out = hold_out(clips, parts.train, 0.2, seed=1)
    kept, held = ({recordings[clip] for clip in part} for part in (train, held_out))
    assert held and kept | held == trained and not kept & held


def test_a_recording_with_the_last_clips_of_a_class_trains() -> None:
    recordings = [0, 0, 1, 1, 2, 2, 3, 3]
    clips = index_of(recordings, label=[0, 1, 0, 1, 0, 1, 0, 2])
    for seed in range(8):
        parts = split(clips, config_of(ProtocolConfig(by="recording", test_share=0.75, seed=seed)))
        assert 7 in parts.train and len(parts.test) == 4


def test_labels_are_left_out_clip_by_clip_also_of_recordings() -> None:
    clips = index_of([0] * 10, label=[0] * 10)
    assert len(labelled(clips, np.arange(10), 0.5)) == 5


def test_one_recording_cannot_be_held_out_from_itself() -> None:
    with pytest.raises(UserError, match=r"of one recording.*validation: test"):
        hold_out(index_of([3] * 6, label=[0, 1] * 3), np.arange(6), 0.3, 0)


def test_a_split_by_a_property_that_divides_a_recording_is_refused_and_names_the_clips() -> None:
    clips = index_of([0, 0, 1, 1], subject=[1, 2, 1, 1])
    config = config_of(ProtocolConfig("subject", train=[1]))
    with pytest.raises(UserError, match="divides 1 recording: clip000 trains, and clip001 of the same recording tests"):
        split(clips, config)
    assert "divides 1 recording" in suitability(clips, config)[0].problem


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        (
            FoldChoice("subject", 5),
            r"tiny has 3 known subjects \(1, 2, 3\). Choose 2 to 3",
        ),
        (FoldChoice("camera", ALL), r"tiny has 0 known cameras. Divide .* --split_by file"),
        (FoldChoice("file", 7), "tiny has 6 clips. Choose 2 to 6"),
        (FoldChoice("subject", 3, fold=4), "--fold 4 should be 1 to 3"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(choice: FoldChoice, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        fold_protocols(DataConfig(name="tiny"), index_of(subject=[1, 2, 3, 1, 2, 3]), choice)


@pytest.mark.parametrize("by", ["file", "recording"])
def test_too_many_folds_of_long_recordings_are_refused_with_the_number_of_recordings(by: str) -> None:
    clips = index_of([0, 0, 0, 1, 1, 1, 1])
    problem = r"tiny has 2 recordings \(the clips of one recording stay together\). Choose 2 folds"
    with pytest.raises(UserError, match=problem):
        fold_protocols(DataConfig(name="tiny"), clips, FoldChoice(by, 5))


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (ProtocolConfig("subject", folds=1, fold=1), "folds: 1 and fold: 1. It needs two folds"),
        (ProtocolConfig("subject", folds=3, fold=4), "folds: 3 and fold: 4"),
        (ProtocolConfig("subject", fold=1), "folds: 0 and fold: 1"),
        (ProtocolConfig("subject", folds=3, fold=1, test=[1]), "not train, test or test_share"),
        (ProtocolConfig("recording", train=[1]), "divides by recording: it takes test_share and seed"),
        (ProtocolConfig("subject", train=[1], parts="TE"), "belong to `by: list`"),
        (ProtocolConfig("list", parts="TE", seed=1), "is a list of clips"),
    ],
)
def test_keys_of_a_protocol_that_do_not_belong_together_are_refused(rule: ProtocolConfig, problem: str) -> None:
    with pytest.raises(UserError, match=re.escape(problem)):
        divide(index_of(subject=[1, 2]), config_of(rule))


def test_only_selected_clips_are_divided_into_folds() -> None:
    clips = index_of(label=[0, 1, 2, 0, 1, 2, 0, 1, 2], setup=[1, 1, 1, 2, 2, 2, 3, 3, 3])
    tested = [
        divide(clips, config_of(ProtocolConfig(by="file", folds=3, fold=fold), actions=[1])).test.tolist()
        for fold in (1, 2, 3)
    ]
    assert sorted(tested) == [[0], [3], [6]]


def test_subjects_in_both_parts_of_a_random_split_are_counted() -> None:
    clips = index_of(subject=[1, 1, 1, 1, 2, 2, 2, 2], label=[0] * 8)
    config = config_of(ProtocolConfig(by="file", test_share=0.5))
    assert "2 of 2 subjects of own are in both parts" in split_warnings(clips, config, "own", split(clips, config))[0]
    clips = index_of(subject=[1, 1], camera=[2, 3])
    config = config_of(ProtocolConfig("camera", test=[3]))
    assert not split_warnings(clips, config, "own", split(clips, config))
