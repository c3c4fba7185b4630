"""Runs in read-only folders are read there and continued in the output folder."""

import errno
import json
import logging
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import deny_listing
from test_resume import assert_same, stop_at

from last.experiments import run as experiment
from last.experiments.config import resolve
from last.runs import folder as run_folder
from last.runs import resume
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.settings.run import RunConfig
from last.utils.config import to_yaml
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def attached(tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Return a run that was stopped within its second epoch and is now in an input folder."""
    with monkeypatch.context() as patch:
        stop_at(patch, looks=6)
        result = experiment.train(tiny_config("epochs=3"))
    assert result.stopped is not None
    place = tmp_path / "input" / "datasets" / "owner" / "session-1" / result.run.path.name
    place.parent.mkdir(parents=True)
    shutil.move(result.run.path, place)
    return RunFolder(place)


def elsewhere(config: RunConfig, tmp_path: Path) -> RunConfig:
    return replace(config, output_root=str(tmp_path / "working"), input_roots=[str(tmp_path / "input")])


@pytest.mark.parametrize("by_path", [False, True])
def test_a_run_in_an_input_folder_continues_in_the_output_folder_as_if_nothing_had_happened(
    tiny_config: MakeConfig, tmp_path: Path, attached: RunFolder, by_path: bool
) -> None:
    before = contents(tmp_path / "input")
    config = elsewhere(tiny_config("epochs=3"), tmp_path)
    resumed = experiment.train(config, resume=str(attached.path) if by_path else "auto").run
    assert resumed.path.parent == tmp_path / "working"
    assert contents(tmp_path / "input") == before
    assert_same(experiment.train(tiny_config("epochs=3")).run, resumed)
    assert json.loads(resumed.origin.read_text())["run"] == str(attached.path)
    assert json.loads(resumed.summary.read_text())["continued_from"] == str(attached.path)


def test_the_copy_is_what_the_next_automatic_resume_takes(
    tiny_config: MakeConfig, tmp_path: Path, attached: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = elsewhere(tiny_config("epochs=3"), tmp_path)
    with monkeypatch.context() as patch:
        stop_at(patch, looks=2)
        stopped = experiment.train(config, resume="auto")
    assert stopped.stopped is not None
    ended = experiment.train(config, resume="auto")
    assert ended.run.path == stopped.run.path
    assert [path.name for path in (tmp_path / "working").iterdir()] == [ended.run.path.name]


def test_a_finished_run_in_an_input_folder_is_left_there(tiny_config: MakeConfig, tmp_path: Path) -> None:
    run = experiment.train(tiny_config("epochs=1")).run
    (tmp_path / "input").mkdir()
    shutil.move(run.path, tmp_path / "input" / run.path.name)
    result = experiment.train(elsewhere(tiny_config("epochs=1"), tmp_path), resume="auto")
    assert result.run.path.parent == tmp_path / "input"
    assert not (tmp_path / "working").exists()


def test_a_run_that_can_be_written_continues_in_its_place_unless_another_is_requested(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    run = experiment.train(tiny_config("epochs=1")).run
    config = replace(tiny_config("epochs=2"), output_root=str(tmp_path / "other"))
    in_place = experiment.train(config, resume=str(run.path), explicit_keys=["epochs"]).run
    assert in_place.path == run.path
    config = replace(config, epochs=3)
    moved = experiment.train(config, resume=str(run.path), explicit_keys=["epochs", "output_root"]).run
    assert moved.path.parent == tmp_path / "other"
    assert (read_checkpoint(run.last).epoch, read_checkpoint(moved.last).epoch) == (1, 2)


def test_a_copy_that_fails_leaves_nothing_and_names_the_option(
    tiny_config: MakeConfig, tmp_path: Path, attached: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_folder.shutil, "copyfile", full)
    with pytest.raises(UserError, match=r"the disk is full.*--output_root"):
        experiment.train(elsewhere(tiny_config("epochs=3"), tmp_path), resume="auto")
    assert list((tmp_path / "working").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="it needs a file that opens and cannot be read")
@pytest.mark.parametrize("place", ["metrics.jsonl", "checkpoints/best_model.pth"])
def test_of_a_run_that_cannot_be_copied_the_file_that_cannot_be_read_is_named(
    tiny_config: MakeConfig, tmp_path: Path, attached: RunFolder, place: str
) -> None:
    bad = attached.path / place
    bad.unlink()
    bad.symlink_to("/proc/self/mem")
    with pytest.raises(UserError, match=f"^Cannot read {bad} for copying: Input/output error") as caught:
        experiment.train(elsewhere(tiny_config("epochs=3"), tmp_path), resume="auto")
    assert "--output_root" not in str(caught.value)
    assert list((tmp_path / "working").iterdir()) == []


def test_checkpoints_that_cannot_be_seen_are_no_reason_to_start_over_in_a_copy(
    tiny_config: MakeConfig, tmp_path: Path, attached: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    deny_listing(attached.checkpoints, monkeypatch)
    with pytest.raises(UserError, match=f"^Cannot read {attached.checkpoints} for copying: permission was denied"):
        experiment.train(elsewhere(tiny_config("epochs=3"), tmp_path), resume=str(attached.path))
    assert list((tmp_path / "working").iterdir()) == []


def test_who_may_not_copy_a_run_that_is_trained_is_not_sent_to_another_folder(
    tmp_path: Path, attached: RunFolder
) -> None:
    with ExitStack() as locks, attached.locked(), pytest.raises(UserError, match="copy it when that") as caught:
        resume._copied(attached, tmp_path / "working", locks)  # its training began after the data were read
    assert "--output_root" not in str(caught.value)


def test_an_earlier_checkpoint_of_an_attached_run_sets_the_rest_aside_in_the_copy(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    run = experiment.train(tiny_config("epochs=3", "checkpoint.keep=9")).run
    (tmp_path / "input").mkdir()
    attached = RunFolder(Path(shutil.move(run.path, tmp_path / "input" / run.path.name)))
    config = elsewhere(tiny_config("epochs=3", "checkpoint.keep=9"), tmp_path)
    before = contents(attached.path)
    copy = experiment.train(config, resume=str(attached.of_epoch(0))).run
    assert contents(attached.path) == before
    assert read_checkpoint(RunFolder(copy.path / "superseded").last).epoch == 2
    assert read_checkpoint(copy.last).epoch == 2


def test_where_automatic_resume_finds_nothing_it_says_where_it_looked(
    tiny_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        experiment.train(elsewhere(tiny_config("epochs=1"), tmp_path), resume="auto")
    assert f"There is no run to resume of nano_e on tiny xsub with seed 0 in {tmp_path / 'working'} or below" in (
        caplog.text
    )


@pytest.mark.parametrize(("saved", "on_kaggle"), [("kaggle", False), ("local", True)])
def test_a_configuration_of_another_machine_leaves_its_folders_and_hardware_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: str, on_kaggle: bool
) -> None:
    monkeypatch.setenv("LAST_KAGGLE", str(tmp_path / "kaggle"))
    if on_kaggle:
        (tmp_path / "kaggle").mkdir()
    written = resolve(model="nano_e", dataset="synthetic", environment=saved, overrides=["hardware.amp_dtype=fp16"])
    (tmp_path / "config.yaml").write_text(to_yaml(written))
    now = resolve(recipe=str(tmp_path / "config.yaml"))
    usual = resolve(model="nano_e", dataset="synthetic")
    assert now.environment == usual.environment != saved
    assert (now.data_root, now.output_root, now.input_roots) == (
        usual.data_root, usual.output_root, usual.input_roots
    )  # fmt: skip
    assert now.hardware == replace(usual.hardware, amp_dtype="fp16")


def test_a_configuration_of_this_machine_keeps_its_folders(tmp_path: Path) -> None:
    written = resolve(model="nano_e", dataset="synthetic", environment="lambda", flags={"data_root": "somewhere"})
    (tmp_path / "config.yaml").write_text(to_yaml(written))
    assert resolve(recipe=str(tmp_path / "config.yaml")) == written
    assert resolve(recipe=str(tmp_path / "config.yaml"), environment="local").data_root == "./data"


def test_a_run_without_a_whole_checkpoint_starts_over_and_says_so(
    tiny_config: MakeConfig, tmp_path: Path, attached: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    for path in attached.all_checkpoints():
        path.unlink()
    before = contents(tmp_path / "input")
    result = experiment.train(elsewhere(tiny_config("epochs=1"), tmp_path), resume=str(attached.path))
    assert "has no readable checkpoint: training starts from the beginning" in caplog.text
    assert result.run.path.parent == tmp_path / "working"
    assert contents(tmp_path / "input") == before
