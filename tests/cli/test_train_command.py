"""The command `train`: what it says beside what the run itself logs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from last.training import session
from last.training.run_folder import RunFolder
from last.training.stop import Stop


@pytest.mark.parametrize(("reason", "code"), [(Stop.TIME, 0), (Stop.INTERRUPT, 130), (Stop.TERMINATE, 143)])
def test_a_stopped_training_says_how_to_go_on(
    cli: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: Stop, code: int
) -> None:
    stopped = session.Result(RunFolder(tmp_path), {}, reason)
    monkeypatch.setattr(session, "train", lambda *_, **__: stopped)
    result = cli("train", "--model", "nano_e", "--dataset", "synthetic")
    assert result.code == code
    assert result.out == f"To go on: python -m last train --resume {tmp_path}\n"


def test_without_options_all_that_is_missing_is_one_message(cli: Callable) -> None:
    result = cli("train")
    assert result.code == 2
    assert result.err.startswith("error: Say with --model and --dataset what to train")
    assert len(result.err.splitlines()) == 1
