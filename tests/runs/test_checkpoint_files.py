"""What a process that is killed while it writes checkpoints leaves behind, the next one puts right."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import tiny_run

from last.experiments.run import train
from last.runs.checkpoint import Checkpoint, read_checkpoint
from last.runs.checkpoint_files import CheckpointFiles
from last.runs.folder import RunFolder
from last.settings.run import RunConfig
from last.utils.files import read_json

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


def contents(run: RunFolder) -> dict[str, object]:
    """Return the names of a run's files, how far its checkpoints are, and its results."""
    names = sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file())
    summary = read_json(run.summary)
    states = {path.name: read_checkpoint(path).progress for path in run.all_checkpoints()}
    return {"names": names, "states": states, "results": [summary["best_top1"], summary["final_top1"]]}


def kill_after(monkeypatch: pytest.MonkeyPatch, changes: int) -> None:
    """Let the process end after so many files took their place or were removed."""
    left = iter(range(changes - 1, -1, -1))

    def counted(change: Callable[..., object]) -> Callable[..., object]:
        def act(path: Path, *arguments: object, **options: object) -> object:
            result = change(path, *arguments, **options)
            counts = arguments or not path.name.endswith(".tmp")  # the removal of what is half-written ends nothing
            if counts and next(left, -1) == 0:
                raise Killed
            return result

        return act

    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))


def test_a_run_killed_between_any_two_files_ends_with_all_of_them(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("epochs=2", "checkpoint.keep=1", "checkpoint.every_minutes=1e-9", "batch_size=12")
    whole = contents(train(tiny_run(data_yaml, tmp_path / "whole", *settings)).run)
    for changes in range(1, 100):
        config = tiny_run(data_yaml, tmp_path / str(changes), *settings)
        killed = False
        with monkeypatch.context() as patched:
            kill_after(patched, changes)
            try:
                train(config)
            except Killed:
                killed = True
        assert contents(train(config, "auto").run) == whole, changes
        if not killed:
            return
    raise AssertionError("the run made more changes than were tried")
