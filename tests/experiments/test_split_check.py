"""What a training does about copies of training clips, clips in no part, and subjects in both parts."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from last.data.store.protocols import labelled, split
from last.data.store.reader import Store, open_store, write_store
from last.experiments.config import resolve
from last.experiments.run import train
from last.experiments.split_check import check_split
from last.runtime.distributed import ALONE
from last.settings.run import RunConfig
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]


@pytest.fixture
def copied(tiny_config: MakeConfig, data_yaml: Path, tmp_path: Path) -> Store:
    """Return a store like the tiny one, in which a test clip and a second training clip are copies of clip00."""
    clips = list(open_store(data_yaml.parent / "data" / "tiny"))
    clips[20] = replace(clips[0], name="clip20", subject=2)
    clips[3] = replace(clips[0], name="clip03")
    return write_store(
        tmp_path / "copied" / "tiny", clips, name="tiny", layout="ntu25", classes=["rise", "fall", "still"]
    )


def warnings_of(caplog: pytest.LogCaptureFixture, config: RunConfig, store: Store, *, is_resumed: bool = False) -> str:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        check_split(config, store, ALONE, is_resumed=is_resumed)
    return caplog.text


def test_a_copy_in_the_test_part_is_refused_by_name_before_anything_is_trained(
    tiny_config: MakeConfig, copied: Store, tmp_path: Path
) -> None:
    config = tiny_config(f"data_root={copied.path.parent}")
    config = replace(config, data_root=str(copied.path.parent))
    with pytest.raises(
        UserError, match=r"1 of 12 test clips is a copy, or nearly one.*clip20 of clip0[03].*data\.copies=warn"
    ):
        train(config)
    assert not list((tmp_path / "runs").glob("run-*"))


def test_a_user_can_go_on_knowingly_and_a_resumed_run_is_only_warned(
    tiny_config: MakeConfig, copied: Store, caplog: pytest.LogCaptureFixture
) -> None:
    assert "clip20 of clip0" in warnings_of(caplog, tiny_config("data.copies=warn"), copied)
    assert not warnings_of(caplog, tiny_config("data.copies=allow"), copied)
    assert "clip20 of clip0" in warnings_of(caplog, tiny_config(), copied, is_resumed=True)


def test_a_copy_among_held_out_clips_is_a_warning(
    tiny_config: MakeConfig, copied: Store, caplog: pytest.LogCaptureFixture
) -> None:
    found = [
        warnings_of(
            caplog,
            tiny_config("validation=split", "validation_fraction=0.3", f"seed={seed}", "data.copies=warn"),
            copied,
        )
        for seed in range(6)
    ]
    assert any("validation clip" in text for text in found)


@pytest.mark.parametrize("dataset", ["ntu60", "ntu120", "nw_ucla", "sbu"])
def test_published_protocols_are_trained_as_they_are(dataset: str) -> None:
    assert resolve(model="nano_e", dataset=dataset).data.copies == "warn"


def test_copies_may_be_allowed_when_a_run_is_resumed(tiny_config: MakeConfig) -> None:
    result = train(tiny_config("epochs=1"))
    assert (
        train(tiny_config("epochs=2", "data.copies=allow"), "auto", explicit_keys=["epochs"]).run.path
        == result.run.path
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 0}, r"All 12 training clips of xsub are of one class (rise), so there is nothing to tell apart"),
        ({}, ""),
    ],
)
def test_training_clips_of_one_class_are_warned_of(
    tiny_config: MakeConfig,
    data_yaml: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, int],
    message: str,
) -> None:
    clips = [
        replace(clip, **changes) if clip.subject == 1 else clip
        for clip in open_store(data_yaml.parent / "data" / "tiny")
    ]
    store = write_store(
        tmp_path / "one" / "tiny", clips, name="tiny", layout="ntu25", classes=["rise", "fall", "still"]
    )
    text = warnings_of(caplog, tiny_config(), store)
    assert message in text if message else "of one class" not in text


def test_test_clips_of_classes_that_are_not_trained_are_warned_of(
    tiny_config: MakeConfig, data_yaml: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classes = ["rise", "fall", "still"]
    clips = [clip for clip in open_store(data_yaml.parent / "data" / "tiny") if clip.subject == 2 or clip.label != 1]
    store = write_store(tmp_path / "some" / "tiny", clips, name="tiny", layout="ntu25", classes=classes)
    text = warnings_of(caplog, tiny_config(), store)
    assert "(fall); the accuracy of 4 test clips of it says nothing" in text
    assert not warnings_of(caplog, tiny_config(), open_store(data_yaml.parent / "data" / "tiny"))


def with_zeros(store: Path, target: Path, zeros: Iterable[int]) -> Store:
    """Write a store in which some clips have zeros for all joints, as a faulty program would."""
    clips = list(open_store(store))
    for number in zeros:
        clips[number] = replace(clips[number], joints=np.zeros_like(clips[number].joints))
    return write_store(target / "tiny", clips, name="tiny", layout="ntu25", classes=["rise", "fall", "still"])


@pytest.mark.parametrize("copies", ["refuse", "allow"])
def test_a_training_of_nothing_but_zeros_is_refused_before_it_begins(
    tiny_config: MakeConfig, data_yaml: Path, tmp_path: Path, copies: str
) -> None:
    store = with_zeros(data_yaml.parent / "data" / "tiny", tmp_path / "zeros", range(12))
    config = replace(tiny_config(f"data.copies={copies}", "epochs=1"), data_root=str(store.path.parent))
    with pytest.raises(UserError, match=r"12 of 12 training clips \(100\.0%\).*such as zeros: clip00, .*inspect"):
        train(config)
    assert not list((tmp_path / "runs").glob("run-*"))


def test_some_clips_of_zeros_are_a_warning_with_their_share(
    tiny_config: MakeConfig, data_yaml: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny = data_yaml.parent / "data" / "tiny"
    text = warnings_of(caplog, tiny_config(), with_zeros(tiny, tmp_path / "some", range(9, 14)))
    assert "3 of 12 training clips (25.0%) have all joints at one point" in text
    assert "2 of 12 test clips (16.7%) have all joints at one point" in text
    every = with_zeros(tiny, tmp_path / "every", range(12))
    assert "12 of 12 training clips (100.0%)" in warnings_of(caplog, tiny_config(), every, is_resumed=True)
    assert "one point" not in warnings_of(caplog, tiny_config(), open_store(tiny))


def test_only_clips_that_the_training_uses_count_and_held_out_ones_are_looked_at(
    tiny_config: MakeConfig, data_yaml: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny = data_yaml.parent / "data" / "tiny"
    clips = open_store(tiny).clips
    few = tiny_config("label_fraction=0.5")
    known = labelled(clips, split(clips, few.data).train, 0.5).tolist()
    text = warnings_of(caplog, few, with_zeros(tiny, tmp_path / "labelled", known), is_resumed=True)
    assert f"{len(known)} of {len(known)} training clips (100.0%)" in text
    validated = tiny_config("validation=split", "validation_fraction=0.25")
    every = with_zeros(tiny, tmp_path / "every", range(len(clips)))
    assert "validation clips (100.0%) have all joints" in warnings_of(caplog, validated, every, is_resumed=True)


def test_clips_that_are_not_centred_are_a_warning_with_the_joint(
    tiny_config: MakeConfig, data_yaml: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = list(open_store(data_yaml.parent / "data" / "tiny"))
    clips[2] = replace(clips[2], joints=clips[2].joints + 1)
    classes = ["rise", "fall", "still"]
    store = write_store(tmp_path / "moved" / "tiny", clips, name="tiny", layout="ntu25", classes=classes)
    text = warnings_of(caplog, tiny_config(), store)
    assert (
        "1 of 12 training clips (8.3%) do not begin with spine_middle of the first body at the origin: clip02." in text
    )


@pytest.mark.parametrize("stills", [range(24), range(9, 14), range(1), range(0)])
def test_clips_of_one_frame_are_a_warning_with_their_share_unless_they_are_few(
    tiny_config: MakeConfig, data_yaml: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, stills: range
) -> None:
    clips = list(open_store(data_yaml.parent / "data" / "tiny"))
    for number in stills:
        one = clips[number]
        clips[number] = replace(one, joints=one.joints[:, :1], frame_mask=one.frame_mask[:, :1])
    classes = ["rise", "fall", "still"]
    store = write_store(tmp_path / "stills" / "tiny", clips, name="tiny", layout="ntu25", classes=classes)
    text = warnings_of(caplog, tiny_config("data.copies=allow"), store)
    for part, of_part in (("training", range(12)), ("test", range(12, 24))):
        number = len(set(stills) & set(of_part))
        told = f"{number} of 12 {part} clips ({number / 12:.1%}) have one frame, and so no movement"
        assert (told in text) == (number > 1)
    assert len(stills) > 1 or "one frame" not in text
