"""What a process that is killed while it writes checkpoints leaves behind, the next one puts right."""

from collections.abc import Callable
from pathlib import Path

import pytest

from last.training.checkpoint import Checkpoint, read_checkpoint
from last.training.checkpoint_files import CheckpointFiles
from last.training.config import RunConfig
from last.training.run_folder import RunFolder
from last.training.session import train

MakeConfig = Callable[..., RunConfig]


class Killed(BaseException):
    """Stand for the end of the process."""


def kill_before_the_last_file(monkeypatch: pytest.MonkeyPatch, config: RunConfig) -> RunFolder:
    """Train until the last epoch, the best one, has written `best_model.pth` and not yet `last.pth`."""
    original = CheckpointFiles.end_epoch

    def end_epoch(files: CheckpointFiles, checkpoint: Checkpoint, better: bool) -> None:
        if checkpoint.epoch < config.epochs - 1:
            return original(files, checkpoint, better)
        assert files._try(files.run.best, checkpoint)
        (files.run.checkpoints / ".last.pth.1.tmp").write_bytes(b"half")
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(CheckpointFiles, "end_epoch", end_epoch)
        train(config)
    (path,) = Path(config.output_root).glob("run-*")
    return RunFolder(path)


def test_a_run_killed_between_its_best_and_its_last_file_ends_with_both(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("epochs=2", "checkpoint.every_minutes=1e-9")
    run = kill_before_the_last_file(monkeypatch, config)
    assert read_checkpoint(run.last).epoch == 0
    train(config, "auto")
    assert read_checkpoint(run.last).epoch == 1


def test_nothing_half_written_or_outrun_stays_in_a_finished_run(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("epochs=2", "checkpoint.every_minutes=1e-9")
    run = kill_before_the_last_file(monkeypatch, config)
    assert run.partial.exists()
    train(config, "auto")
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["best_model.pth", "last.pth"]
