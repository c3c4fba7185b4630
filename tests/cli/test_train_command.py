"""The command `train`: what it says beside what the run itself logs."""

from collections.abc import Callable

import pytest

from last.training import session


def test_a_stopped_training_says_how_to_go_on(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "train", stop)
    result = cli("train", "--model", "nano_e", "--dataset", "synthetic")
    assert result.code == 130
    assert "the same command with --resume auto" in result.err
    assert len(result.err.splitlines()) == 1


def test_without_options_all_that_is_missing_is_one_message(cli: Callable) -> None:
    result = cli("train")
    assert result.code == 2
    assert result.err.startswith("error: Say with --model and --dataset what to train")
    assert len(result.err.splitlines()) == 1
