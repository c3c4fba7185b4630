"""The fault campaign recognises equal runs, and names the differences of others."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import faults
import faults_files
import faults_numbers
import faults_runs
import pytest
import torch

from last.cli import main
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.runs.folder import RunFolder
from last.utils.errors import UserError

linux = pytest.mark.skipif(sys.platform != "linux", reason="the campaign sends signals and reads /proc")
SHORT = faults_runs.Setup("short", "nano_e", ("ema.decay=0.5",), epochs=1, batch_size=12)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faults_runs.prepare_data(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="session")
def checkpoint(data: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the last checkpoint of a run."""
    return trained(data, tmp_path_factory.mktemp("runs")).last.read_bytes()


def trained(data: Path, root: Path) -> RunFolder:
    assert main(faults_runs.arguments(SHORT, data, root)) == 0
    return faults_runs.finished_run(root)


# That killed runs end equal is also shown without processes: tests/runs/test_checkpoint_files.py, test_resume.py.
@pytest.mark.slow
@linux
def test_killed_runs_end_equal_to_undisturbed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(faults, "KILLED", (faults_runs.ACCUMULATING,))
    report = tmp_path / "faults.json"
    assert faults.main(["--parts", "kills", "--kills", "2", "--seed", "4", "--jobs", "1", "--json", str(report)]) == 0
    result = json.loads(report.read_text())
    total = result["kills"]["table"][-1]
    assert total["kills"] >= 2
    assert total["equal"] == total["runs"] == len(result["kills"]["cases"])
    assert "Kills" in capsys.readouterr().out


@linux
def test_a_part_that_fails_is_reported_and_the_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise UserError("last.pth is damaged")

    monkeypatch.setattr(faults, "fill_disks", refuse)
    monkeypatch.setattr(faults, "inject_everywhere", lambda *_: [])
    report = tmp_path / "faults.json"
    assert faults.main(["--parts", "disk,numbers", "--json", str(report)]) == 1
    result = json.loads(report.read_text())
    assert result["disk"] == {"error": "last.pth is damaged"}
    assert result["numbers"] == []


@linux
def test_a_training_that_does_not_end_is_killed_even_if_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[faults_runs.Process] = []

    class Watched(faults_runs.Process):
        def wait(self, timeout_s: float = 120.0) -> int:
            started.append(self)
            os.kill(self.popen.pid, signal.SIGSTOP)
            return super().wait(timeout_s)

    monkeypatch.setattr(faults_runs, "Process", Watched)
    monkeypatch.setattr(faults_runs, "command", lambda *_: ["sleep", "60"])
    with pytest.raises(subprocess.TimeoutExpired):
        faults_runs.train_to_the_end(SHORT, tmp_path, tmp_path / "runs", timeout_s=0.1)
    assert started[0].popen.poll() == -signal.SIGKILL


@linux
def test_a_campaign_that_ignores_signals_starts_trainings_that_do_not() -> None:
    numbers = [int(number) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)]
    campaign = (
        "import faults, signal, subprocess, sys\n"
        f"for number in {numbers}: signal.signal(number, signal.SIG_IGN)\n"
        "faults.restore_signals()\n"
        f"for number in {numbers}:\n"
        "    training = [sys.executable, '-c', f'import os, signal; os.kill(os.getpid(), {number}); signal.pause()']\n"
        "    print(subprocess.run(training, stderr=subprocess.DEVNULL, timeout=20).returncode)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(faults.__file__).parent)}
    ended = subprocess.run(
        [sys.executable, "-c", campaign], env=environment, capture_output=True, text=True, check=True
    )
    assert [int(line) for line in ended.stdout.split()] == [-number for number in numbers]


@pytest.mark.long
def test_two_runs_alike_have_no_differences_and_one_changed_weight_is_named(tmp_path: Path, data: Path) -> None:
    first, second = trained(data, tmp_path / "first"), trained(data, tmp_path / "second")
    assert faults_runs.differences(first, second) == []
    checkpoint = read_checkpoint(second.last)
    name = next(iter(checkpoint.model))
    with torch.no_grad():
        flat = checkpoint.model[name].reshape(-1)
        flat[0] = torch.nextafter(flat[0], torch.tensor(9.0))
    save_checkpoint(second.last, checkpoint)
    assert faults_runs.differences(first, second) == [f"last.pth: model.{name}"]
    second.best.unlink()
    assert "checkpoints" in faults_runs.differences(first, second)


@pytest.mark.parametrize("damage", [faults_files.truncate, faults_files.empty, faults_files.zero, faults_files.flip])
def test_each_damage_makes_a_checkpoint_unreadable(damage, tmp_path: Path, checkpoint: bytes) -> None:
    path = tmp_path / "last.pth"
    path.write_bytes(checkpoint)
    read_checkpoint(path)
    path.write_bytes(damage(checkpoint, random.Random(0)))
    with pytest.raises(UserError):
        read_checkpoint(path)


@pytest.mark.parametrize("cause", ["losses", "gradients"])
def test_a_layer_that_is_bad_in_some_steps_or_in_all_is_seen_to_be_as_promised(tmp_path: Path, cause: str) -> None:
    some = faults_numbers._bad_layer(tmp_path / "some", cause, "reset", seed=0)
    assert (some.problems, some.injected > 0) == ([], True)
    every = faults_numbers._only_bad_layer(tmp_path / "every", cause)
    assert (every.problems, every.injected) == ([], 20)


def test_bad_clips_are_seen_to_leave_nothing_behind(tmp_path: Path) -> None:
    result = faults_numbers._bad_clips(tmp_path, "nano_e", float("nan"))
    assert result.problems == []
    assert result.counted["inputs"] == result.injected > 0


def test_an_unknown_part_and_a_folder_in_use_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        faults.main(["--parts", "floods"])
    assert stop.value.code == 2
    assert "there is no part 'floods'" in capsys.readouterr().err
    if sys.platform == "linux":
        assert faults.main(["--out", str(tmp_path)]) == 2
        assert "it exists already" in capsys.readouterr().err
