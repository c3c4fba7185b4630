"""`split` shows and writes splits, and `train` trains with them, as a user runs both."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from last.data.preparation.ignore_list import named_recordings, read_ignore_list
from last.data.store.format import StoreMetadata, pack
from last.data.store.reader import open_store, write_store
from last.data.store.writer import StoreWriter
from last.skeleton import load_layout
from last.utils.names import file_name

Command = Callable[..., Any]


@pytest.fixture
def on_tiny(cli: Command, data_yaml: Path) -> Command:
    """Return a function that runs a command on the tiny data set."""
    return lambda command, *options: cli(
        command, "--dataset", data_yaml, "--data_root", data_yaml.parent / "data", *options
    )


@pytest.fixture
def train(on_tiny: Command, tmp_path: Path) -> Command:
    """Return a function that trains on the tiny data set for one epoch."""
    tiny = ["input_frames=8", "model.channels=[8,8]", "model.blocks=[1,1]", "model.attention=[false,true]"]
    shared = ["--model", "nano_e", "--epochs", 1, "--output_root", tmp_path / "runs", "--device", "cpu", "--set", *tiny]
    return lambda *options: on_tiny("train", *options, *shared, "tensorboard=false")


def test_every_protocol_is_shown_with_its_parts(on_tiny: Command) -> None:
    result = on_tiny("split")
    assert result.code == 0
    assert "xsub" in result.out and "subject 1" in result.out
    assert result.out.count("\n") == 4


def test_folds_are_written_and_each_file_is_read_again(on_tiny: Command, tmp_path: Path) -> None:
    result = on_tiny("split", "--split_by", "subject", "--folds", "all", "--out", tmp_path / "splits")
    assert result.code == 0
    files = sorted(path.name for path in (tmp_path / "splits").iterdir())
    assert files == ["subject_fold1of2.txt", "subject_fold2of2.txt"]
    shown = on_tiny("split", "--split", tmp_path / "splits" / files[0])
    assert shown.code == 0 and "subject_fold1of2" in shown.out


def test_a_split_that_cannot_be_trained_and_shared_subjects_are_remarked(cli: Command, data_yaml: Path) -> None:
    own = data_yaml.with_name("own.yaml")
    protocols = "{none: {by: camera, test: [3]}, random: {by: file}}"
    own.write_text(data_yaml.read_text().replace("{xsub: {by: subject, train: [1]}}", protocols))
    result = cli("split", "--dataset", own, "--data_root", data_yaml.parent / "data")
    assert "Training will refuse it" in result.out
    assert "2 of 2 subjects of random are in both parts" in result.out


def test_a_split_file_trains_is_evaluated_and_is_not_needed_again(train: Command, cli: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("train:\n" + "".join(f"clip{n:02}\n" for n in range(18)) + "test:\nclip20\nclip21\nclip23\n")
    result = train("--split", file)
    assert result.code == 0 and "on tiny mine: 18 clips per epoch, 3 to test on" in result.err
    run = next((tmp_path / "runs").glob("run-*"))
    other = tmp_path / "other.txt"
    other.write_text("train:\nclip00\ntest:\nclip20\nclip21\n")
    evaluated = cli("evaluate", "--checkpoint", run, "--split", other)
    assert evaluated.code == 0 and "tiny other, test part" in evaluated.out
    assert (run / "evaluation" / "last-other-test").is_dir()
    file.unlink()
    assert "tiny mine, test part" in cli("evaluate", "--checkpoint", run).out


def test_folds_are_trained_and_shown_with_their_mean(train: Command) -> None:
    result = train("--split_by", "subject", "--folds", 2)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == "nano_e on tiny"
    assert [line.split("  ")[0] for line in lines[1:6]] == [
        "fold",
        "subject_fold1of2",
        "subject_fold2of2",
        "mean",
        "all test clips",
    ]
    assert "The results of all folds are in" in result.out


def test_one_fold_is_a_run_of_its_own(train: Command, tmp_path: Path) -> None:
    result = train("--split_by", "file", "--folds", 4, "--fold", 3)
    assert result.code == 0 and "nano_e on tiny file_fold3of4" in result.out
    assert len(list((tmp_path / "runs").iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--folds", "5"], "--folds also needs --split_by: subject, camera"),
        (["--fold", "5"], "--fold also needs --split_by"),
        (["--split_by", "subject"], "--split_by subject also needs --folds: a number, such as 5, or all"),
        (["--split_by", "file", "--folds", "2", "--split", "xsub"], "are two splits. Give one of them"),
        (["--split_by", "file", "--folds", "1"], "'1' should be 2 to 1000, or all"),
        (["--split_by", "file", "--folds", "many"], "'many' should be 2 to 1000, or all"),
        (["--split_by", "subject", "--folds", "5"], "tiny has 2 known subjects (1, 2). Choose 2 folds"),
        (["--split_by", "file", "--folds", "5", "--fold", "6"], "--fold 6 should be 1 to 5"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(train: Command, options: list[str], problem: str) -> None:
    result = train(*options)
    assert result.code == 2 and problem in result.err


@pytest.mark.parametrize("name", ["../evil", "{outside}/evil", "a/b:c"])
def test_the_name_of_a_split_leads_out_of_no_folder(cli: Command, data_yaml: Path, tmp_path: Path, name: str) -> None:
    name = name.format(outside=tmp_path)
    clips = list(open_store(data_yaml.parent / "data" / "tiny"))
    clips[20] = replace(clips[0], name="clip20", subject=2)
    write_store(tmp_path / "data" / "tiny", clips, name="tiny", layout="ntu25", classes=["rise", "fall", "still"])
    own = tmp_path / "data" / "tiny.yaml"
    own.write_text(data_yaml.read_text().replace("xsub", json.dumps(name)))
    result = cli("split", "--dataset", own, "--data_root", own.parent, "--out", tmp_path / "splits")
    assert result.code == 0, result.err
    named = file_name(name)
    assert {path.name for path in (tmp_path / "splits").iterdir()} == {f"{named}.txt", f"{named}_copies.txt"}
    assert {path.name for path in tmp_path.iterdir()} == {"data", "splits"}
    assert f"--split {tmp_path / 'splits' / named}.txt" in result.out


@pytest.mark.parametrize("command", ["split", "train", "preprocess"])
def test_protocols_that_would_give_one_file_are_refused_when_they_are_read(
    cli: Command, data_yaml: Path, tmp_path: Path, command: str
) -> None:
    own = data_yaml.with_name("own.yaml")
    protocols = "{a/b: {by: subject, train: [1]}, a_b: {by: subject, train: [2]}}"
    own.write_text(data_yaml.read_text().replace("{xsub: {by: subject, train: [1]}}", protocols).replace("xsub", "a_b"))
    options = {"split": (), "train": ("--model", "nano_e"), "preprocess": ("--raw", tmp_path)}[command]
    result = cli(command, "--dataset", own, "--data_root", tmp_path / "no data are needed to know", *options)
    message = "data.protocols: the names a/b and a_b would give one file, a_b. Rename one of the two."
    assert result.code == 2 and f"own.yaml: {message}" in result.err


def test_splits_of_a_store_that_would_give_one_file_are_refused_before_any_is_written(
    cli: Command, data_yaml: Path, tmp_path: Path
) -> None:
    clips = list(open_store(data_yaml.parent / "data" / "tiny"))
    letters = "".join("T" if number % 2 else "E" for number in range(len(clips)))
    source = StoreMetadata(
        "tiny", load_layout("ntu25"), ["rise", "fall", "still"], {}, {"a/b": letters, "a_b": letters[::-1]}
    )
    with StoreWriter(tmp_path / "tiny", source) as writer:
        writer.append(pack(clips, source.layout))
    result = cli("split", "--dataset", data_yaml, "--data_root", tmp_path, "--out", tmp_path / "splits")
    assert result.code == 2 and "--out: the names a/b and a_b would give one file" in result.err
    assert not (tmp_path / "splits").exists()
    assert cli("split", "--dataset", data_yaml, "--data_root", tmp_path).code == 0


def test_no_list_of_copies_replaces_a_file_of_someone_else(cli: Command, data_yaml: Path, tmp_path: Path) -> None:
    clips = list(open_store(data_yaml.parent / "data" / "tiny"))
    clips[20] = replace(clips[0], name="clip20", subject=2)
    write_store(tmp_path / "tiny", clips, name="tiny", layout="ntu25", classes=["rise", "fall", "still"])
    command = ("split", "--dataset", data_yaml, "--data_root", tmp_path, "--out", tmp_path / "splits")
    assert cli(*command).code == cli(*command).code == 0
    (tmp_path / "splits" / "xsub_copies.txt").write_text("mine\n")
    result = cli(*command)
    assert result.code == 2 and "xsub_copies.txt is there already and has other content" in result.err
    assert (tmp_path / "splits" / "xsub_copies.txt").read_text() == "mine\n"


def test_copies_are_listed_so_that_they_can_be_left_out(cli: Command, data_yaml: Path, tmp_path: Path) -> None:
    clips = list(open_store(data_yaml.parent / "data" / "tiny"))
    clips[20] = replace(clips[0], name="clip20", subject=2)
    write_store(tmp_path / "tiny", clips, name="tiny", layout="ntu25", classes=["rise", "fall", "still"])
    shown = cli("split", "--dataset", data_yaml, "--data_root", tmp_path, "--out", tmp_path / "splits")
    assert "xsub: 1 of 12 test clips is a copy, or nearly one, of a training clip: clip20 of clip00." in shown.out
    assert "Training will refuse it." in shown.out
    lines = read_ignore_list(tmp_path / "splits" / "xsub_copies.txt")
    assert named_recordings(lines, [clip.name for clip in clips]) == ({"clip20"}, 1)
