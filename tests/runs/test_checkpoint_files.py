"""The next process repairs what a process that is killed while it writes checkpoints leaves behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import tiny_run

from last.experiments.run import train
from last.runs import checkpoint_files
from last.runs.checkpoint import Checkpoint, read_checkpoint
from last.runs.checkpoint_files import CheckpointFiles
from last.runs.folder import RunFolder
from last.settings.run import RunConfig
from last.utils.errors import UserError
from last.utils.files import read_json

MakeConfig = Callable[..., RunConfig]


class Killed(BaseException):
    """The simulated end of the process."""


def kill_before_the_last_file(monkeypatch: pytest.MonkeyPatch, config: RunConfig) -> RunFolder:
    """Train until the last epoch, the best one, has written `best_model.pth` and not yet `last.pth`."""
    original = CheckpointFiles.end_epoch

    def end_epoch(files: CheckpointFiles, checkpoint: Checkpoint, better: bool) -> None:
        if checkpoint.epoch < config.epochs - 1:
            return original(files, checkpoint, better)
        assert files._try_to_save(files.run.best, checkpoint)
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
    """End the process after a number of files were renamed into place or removed."""
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


@pytest.mark.long
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


@pytest.mark.parametrize("every_minutes", ["0", "1e-9"])
@pytest.mark.parametrize("full", [{0}, {1}, {0, 1}, {0, 1, 2}])
def test_the_best_state_is_written_when_there_is_room_though_no_later_one_is_better(
    data_yaml: Path,
    train_once: Callable[..., RunFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    full: set[int],
    every_minutes: str,
) -> None:
    settings = ("epochs=4", "learning_rate=1e-9", "warmup_epochs=0", f"checkpoint.every_minutes={every_minutes}")
    whole = train_once(*settings)
    assert read_checkpoint(whole.best).epoch < 3
    save, end_epoch, place = checkpoint_files.save_checkpoint, CheckpointFiles.end_epoch, {"epoch": -1}

    def save_or_fail(path: Path, checkpoint: Checkpoint) -> None:
        if place["epoch"] in full:
            raise UserError(f"Cannot write {path}: the disk is full.")
        save(path, checkpoint)

    def end(files: CheckpointFiles, checkpoint: Checkpoint, better: bool) -> None:
        place["epoch"] = checkpoint.epoch  # it is full from the end of this epoch to the end of the next one
        end_epoch(files, checkpoint, better)

    monkeypatch.setattr(checkpoint_files, "save_checkpoint", save_or_fail)
    monkeypatch.setattr(CheckpointFiles, "end_epoch", end)
    run = train(tiny_run(data_yaml, tmp_path / "full", *settings)).run
    assert contents(run) == contents(whole)
    best, expected = read_checkpoint(run.best), read_checkpoint(whole.best)
    assert all(torch.equal(each, expected.model[name]) for name, each in best.model.items())


def test_a_run_whose_best_state_cannot_be_written_ends_with_an_error(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = checkpoint_files.save_checkpoint

    def save_or_fail(path: Path, checkpoint: Checkpoint) -> None:
        if path.name == "best_model.pth":
            raise UserError(f"Cannot write {path}: the disk is full.")
        save(path, checkpoint)

    monkeypatch.setattr(checkpoint_files, "save_checkpoint", save_or_fail)
    with pytest.raises(UserError, match=r"best_model\.pth: the disk is full"):
        train(tiny_config("epochs=2"))
    (run,) = map(RunFolder, Path(tiny_config().output_root).iterdir())
    assert read_checkpoint(run.last).epoch == 1
    assert not run.finished
