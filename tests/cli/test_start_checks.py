"""What `start` refuses before anything long begins."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.cli.start_checks import choice_of, refuse_undivided, refuse_untrainable
from last.data.store.clip import Clip
from last.data.store.reader import Store, write_store
from last.settings.data import DataConfig
from last.settings.splits import FoldChoice
from last.utils.errors import UserError

Command = Callable[..., Any]


def write_recordings(folder: Path, marks: tuple[str, ...] = ("P001", "P002")) -> Path:
    for label in ("wave", "clap"):
        (folder / label).mkdir(parents=True)
        for number, mark in enumerate(marks):
            np.save(folder / label / f"take{number}_{mark}.npy", np.random.default_rng(0).normal(size=(9, 17, 3)))
    return folder


def store_of(folder: Path, subjects: tuple[int, ...], classes: tuple[str, ...] = ("wave", "clap")) -> Store:
    clips = [
        Clip(
            f"{label}_{number}",
            np.random.default_rng(number).normal(size=(1, 9, 17, 3)).astype(np.float32),
            np.ones((1, 9), np.bool_),
            label,
            subject=subject,
        )
        for label in range(len(classes))
        for number, subject in enumerate(subjects)
    ]
    return write_store(folder / "set", clips, name="set", layout="coco17", classes=list(classes))


@pytest.mark.parametrize("split_by", ["camera", "setup", "replication"])
def test_what_no_name_tells_is_refused_before_the_preparation_with_the_option_that_was_typed(
    split_by: str, cli: Command, tmp_path: Path
) -> None:
    raw, out = write_recordings(tmp_path / "gestures"), tmp_path / "out"
    refused = cli("start", raw, "--layout", "coco17", "--split_by", split_by, "--out", out)
    assert refused.code == 2 and f"--split_by {split_by}: the names of the recordings in {raw} tell" in refused.err
    assert f"0 known {split_by}s" in refused.err and "--folds" not in refused.err
    assert "prepare the recordings" not in refused.out


def test_a_table_without_the_column_is_refused_too(tmp_path: Path) -> None:
    table = tmp_path / "poses.csv"
    names = ",".join(f"x{joint},y{joint}" for joint in range(17))
    rows = [f"{clip},{clip % 2},P{clip}," + ",".join(["0.5"] * 34) for clip in range(4)]
    table.write_text("\n".join([f"clip,label,subject,{names}", *rows]))
    config = DataConfig(name="poses", format="table", layout="coco17_2d")
    refuse_undivided(Namespace(split_by="subject", intervals=None), config, table)
    with pytest.raises(UserError, match=r"--split_by camera: the columns of .*poses.csv tell 0 known"):
        refuse_undivided(Namespace(split_by="camera", intervals=None), config, table)


@pytest.mark.parametrize(
    ("split_by", "intervals"), [("subject", None), ("file", None), ("recording", None), (None, None), ("camera", "a")]
)
def test_what_names_tell_or_cannot_tell_is_not_refused(
    split_by: str | None, intervals: str | None, tmp_path: Path
) -> None:
    config = DataConfig(name="gestures", format="folder", layout="coco17")
    refuse_undivided(Namespace(split_by=split_by, intervals=intervals), config, write_recordings(tmp_path / "raw"))


def test_recordings_that_cannot_be_listed_are_left_to_the_preparation(tmp_path: Path) -> None:
    refuse_undivided(Namespace(split_by="camera", intervals=None), DataConfig(format="folder"), tmp_path / "gone")


@pytest.mark.parametrize(("subjects", "folds"), [((1, 2), 2), ((1, 2, 3), 3), ((1, 2, 3, 4, 5, 6), 4)])
def test_a_quarter_of_the_subjects_is_tested_or_one_of_few(
    subjects: tuple[int, ...], folds: int, tmp_path: Path
) -> None:
    store = store_of(tmp_path, subjects)
    assert choice_of("subject", store, DataConfig(name="set")) == FoldChoice("subject", folds, 1)
    assert choice_of(None, store, DataConfig(name="set")) is None


def test_one_subject_of_a_prepared_set_is_refused_with_the_option_that_was_typed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--split_by subject: set has 1 known subject; at least two") as refused:
        choice_of("subject", store_of(tmp_path, (1, 1, 1)), DataConfig(name="set"))
    assert "--folds" not in str(refused.value)


@pytest.mark.parametrize(("subjects", "classes"), [((1, 2, 3, 4), ("wave",)), ((1,), ("wave", "clap"))])
def test_one_class_or_few_clips_cannot_be_trained(
    subjects: tuple[int, ...], classes: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="at least two classes are needed"):
        refuse_untrainable(store_of(tmp_path, subjects, classes), "set")


@pytest.mark.parametrize(
    "option", [("--format", "folder"), ("--layout", "coco17"), ("--raw", "raw"), ("--intervals", "a.csv"),
               ("--source_fps", "30")]
)  # fmt: skip
def test_options_of_recordings_are_refused_for_a_prepared_data_set(
    option: tuple[str, str], cli: Command, tmp_path: Path
) -> None:
    store = store_of(tmp_path, (1, 2))
    refused = cli("start", store.path, *option, "--out", tmp_path / "out")
    assert refused.code == 2
    assert f"set is a prepared data set, which is used as it is: leave out {option[0]}." in refused.err


@pytest.mark.parametrize("option", [("--format", "folder"), ("--layout", "coco17")])
def test_format_and_layout_are_refused_for_described_recordings(
    option: tuple[str, str], cli: Command, tmp_path: Path
) -> None:
    refused = cli("start", "ntu60", "--raw", tmp_path, *option, "--out", tmp_path / "out")
    assert refused.code == 2
    assert f"ntu60 describes its recordings, with their format and layout: leave out {option[0]}." in refused.err
