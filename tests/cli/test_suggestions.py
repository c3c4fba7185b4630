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
        ("--zzzzzz", "1", ""),
    ],
)
def test_an_option_of_a_training_may_be_a_key_of_the_configuration(flag: str, value: str, meant: str) -> None:
    assert suggestion(flag, value, TRAIN) == meant


def test_a_command_without_a_model_has_the_keys_of_data_alone() -> None:
    assert suggestion("--source_fps", "30", PREPROCESS) == "--set data.source_fps=30"
    assert suggestion("--momentum", "0.9", PREPROCESS) == ""
