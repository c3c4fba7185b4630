"""The checkpoints that come with the program."""

import pytest

from last.runs.checkpoint import read_checkpoint
from last.runs.shipped_weights import is_shipped, list_pretrained, pretrained_file


@pytest.mark.parametrize("name", list_pretrained())
def test_they_are_small_and_hold_no_state_of_training_and_no_folder_of_the_machine(name: str) -> None:
    path = pretrained_file(name)
    assert is_shipped(path) and path.stat().st_size < 500_000
    checkpoint = read_checkpoint(path)
    assert not (checkpoint.optimizer or checkpoint.ema or checkpoint.window)
    assert checkpoint.config.data_root == "./data" and checkpoint.config.data.name == "synthetic"


def test_there_are_weights_to_begin_with() -> None:
    assert list_pretrained() == ["synthetic"]
