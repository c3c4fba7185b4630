"""The likely meaning of an unknown option."""

import pytest

from last.cli.suggestions import suggestion

TRAIN = ["--model", "--dataset", "--set", "--epochs", "--batch_size", "--amp", "--output_root"]
PREPROCESS = ["--dataset", "--raw", "--out", "--workers", "--set"]


@pytest.mark.parametrize(
    ("flag", "value", "meant"),
    [
        ("--epoch", "3", "--epochs"),
        ("--work_dir", "runs", "--output_root"),
        ("--lr", "0.1", "--set learning_rate=0.1"),
        ("--momentum", "", "--set momentum=VALUE"),
        ("--drop_joints", "0.2", "--set data.augment.drop_joints=0.2"),
        ("--out", "x", "--output_root"),
        ("--output", "x", "--output_root"),
        ("--batch", "8", "--batch_size"),
        ("--drop_joint", "0.2", "--set data.augment.drop_joints=0.2"),
        ("--data.augment.drop_joint", "0.2", "--set data.augment.drop_joints=0.2"),
        ("--cut", "windows", "--set data.intervals.cut=windows"),
        ("--cat", "x", ""),
        ("--data.intervals.cat", "x", ""),
        ("--zzzzzz", "1", ""),
    ],
)
def test_an_option_of_a_training_may_be_a_key_of_the_configuration(flag: str, value: str, meant: str) -> None:
    assert suggestion(flag, value, TRAIN) == meant


def test_a_plain_option_comes_before_a_key_that_is_not_more_similar() -> None:
    assert suggestion("--momentums", "1", [*TRAIN, "--momentumi"]) == "--set momentum=1"
    assert suggestion("--momentums", "1", [*TRAIN, "--momentumes"]) == "--momentumes"
    assert suggestion("--input_frame", "1", [*TRAIN, "--init_from"]) == "--set input_frames=1"


def test_a_folder_is_written_to_by_the_option_that_the_command_has() -> None:
    for name in ("--output", "--output_dir", "--save_dir", "--output_root"):
        assert suggestion(name, "x", PREPROCESS) == "--out"


def test_a_command_that_only_finds_runs_does_not_offer_their_folder_for_its_output() -> None:
    assert suggestion("--out", "model.onnx", ["--checkpoint", "--output_root"]) == ""


def test_the_beginning_of_several_options_is_none_of_them() -> None:
    assert suggestion("--split", "x", ["--split_by", "--split_seed"]) == "--split_by"
    assert suggestion("--no", "x", ["--no_early_stop", "--no_augmentation"]) == ""


def test_a_command_without_a_model_has_the_keys_of_data_alone() -> None:
    assert suggestion("--source_fps", "30", PREPROCESS) == "--set data.source_fps=30"
    assert suggestion("--momentum", "0.9", PREPROCESS) == ""
