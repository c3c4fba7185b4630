"""Several processes train like one: the same weights and decisions, one log, one set of files."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import conftest
import distributed_probe
import pytest
import torch
from filelock import FileLock
from patience import PATIENCE_S
from shard_reference import ShardReference

from last.data.store.reader import write_store
from last.experiments import run as experiment
from last.experiments.config import resolve
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.runtime.distributed import World
from last.settings.run import RunConfig
from last.utils.config import to_yaml
from last.utils.errors import ReportedElsewhere, TimeIsOver, TimeIsOverElsewhere, UserError
from last.utils.locks import LOCK_FILE

PROBE = Path(distributed_probe.__file__)
REPOSITORY = Path(__file__).parents[2]
EXACT = {"rtol": 1e-6, "atol": 1e-8}  # the guard counts clips in float32, whose rounding is the largest there is
CONFIGS = {
    # 13 clips in batches of 8 and 5.
    "uneven": ["repeats_per_epoch=1", "epochs=3"],
    # 26 clips in batches of 8, 8, 8 and 2, so that with four processes two have none; updates after 16 and 10 clips.
    "scarce": ["repeats_per_epoch=2", "epochs=3", "gradient_accumulation_steps=2"],
    # 3 clips to test on.
    "few": ["repeats_per_epoch=1", "epochs=1", "data.split=few"],
    "long": ["repeats_per_epoch=1", "epochs=500"],
}
PROCESSES = ["two", pytest.param("four", marks=pytest.mark.long)]
Results = list[dict[str, Any]]  # by rank, what it has of each task


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all test processes share, with a store and configurations in it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "distributed"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            _prepare(folder)
    return folder


def _prepare(folder: Path) -> None:
    subjects = [1] * 13 + [2] * 10 + [3] * 3
    clips = [replace(clip, subject=who) for clip, who in zip(conftest.moving_clips(26), subjects, strict=True)]
    write_store(folder / "data" / "tiny", clips, name="tiny", layout="ntu25", classes=conftest.CLASSES)
    protocols = "{xsub: {by: subject, train: [1]}, few: {by: subject, train: [1, 2]}}"
    data = f"data: {{name: tiny, classes: {conftest.CLASSES}, split: xsub, protocols: {protocols}}}"
    (folder / "tiny.yaml").write_text(data)
    for name, values in CONFIGS.items():
        settings = ["batch_size=8", "learning_rate=0.1", "model.dropout=0", "model.block_dropout=0", *values]
        flags = {"data_root": str(folder / "data"), "device": "cpu"}
        config = resolve(
            model="nano_e", dataset=str(folder / "tiny.yaml"), environment="local",
            overrides=[*conftest.TINY, *settings], flags=flags,
        )  # fmt: skip
        (folder / f"{name}.yaml").write_text(to_yaml(config))


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder in the first test process; the others wait for it."""
    with FileLock(f"{folder}.lock"):
        if not (folder / "made").exists():
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return folder


def free_port() -> int:
    """Return a port that is free, of those that a system does not hand out itself in the meantime."""
    for port in random.Random(os.getpid() + time.time_ns()).sample(range(20_000, 30_000), 100):
        with socket.socket() as asked, suppress(OSError):
            asked.bind(("127.0.0.1", port))
            return port
    pytest.fail("none of a hundred ports is free")


def together(size: int, *arguments: object) -> "list[subprocess.Popen[str]]":
    """Start Python `size` times as `torchrun` would."""
    common = common_variables(size)
    return [start(arguments, {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(size)]


def common_variables(size: int) -> dict[str, str]:
    return {
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
    }


def start(arguments: Sequence[object], variables: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run_tasks(folder: Path, size: int, tasks: Sequence[Mapping[str, Any]]) -> str:
    """Run tasks in `size` processes together, and return the errors of those that failed."""
    (folder / "tasks.json").write_text(json.dumps(tasks))
    arguments = (PROBE, folder / "tasks.json", folder)
    forks = hasattr(os, "fork")  # one process then imports torch for all
    processes = [start(arguments, common_variables(size))] if forks else together(size, *arguments)
    errors = [process.communicate(timeout=PATIENCE_S)[1] for process in processes]
    failed = [process.returncode != 0 for process in processes]
    return "\n".join(["failed", *errors]) if any(failed) else ""


def do_tasks(folder: Path, size: int, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Run tasks in `size` processes together, of which none fails."""
    assert (errors := run_tasks(folder, size, tasks)) == "", errors


def result_of(folder: Path, rank: int) -> dict[str, Any]:
    result: dict[str, Any] = torch.load(folder / f"rank{rank}" / "results.pt", weights_only=True)
    return result


def results_in(folder: Path, size: int) -> Results:
    return [result_of(folder, rank) for rank in range(size)]


@pytest.fixture(scope="session")
def two(ground: Path) -> Results:
    """Return the task results of two processes."""

    def make(folder: Path) -> None:
        stopped, taken = folder / "rank0" / "time", RunFolder(folder / "taken" / "run-2026-11-23")
        taken.path.mkdir(parents=True)
        shutil.copy(ground / "few.yaml", taken.config)
        tasks: list[dict[str, Any]] = [
            {"name": "uneven"},
            {"name": "scarce"},
            {"name": "bad clip", "config": "scarce", "fault": "bad clip"},
            {"name": "signal", "config": "scarce", "fault": "signal"},
            {"name": "time", "config": "scarce", "fault": "time"},
            {"name": "resumed", "config": "scarce", "resume": str(stopped)},
            {"name": "refused", "config": "uneven", "command": ["--batch_size", "7"]},
            {
                "name": "taken",
                "config": "few",
                "command": ["--output_root", str(taken.path.parent), "--resume", str(taken.path)],
            },
            {"name": "spoken", "config": "few", "command": []},
            {
                "name": "distilled",
                "config": "uneven",
                "teachers": [str(folder / "rank0" / "uneven" / "run-*" / "checkpoints" / "last.pth")],
                "command": ["--method", "features", "--cached", "2"],
            },
        ]
        with taken.locked():
            do_tasks(folder, 2, [_with_config(ground, task) for task in tasks])

    return results_in(once(ground / "two", make), 2)


@pytest.fixture(scope="session")
def four(ground: Path, two: Results) -> Results:
    """Return the task results of four processes."""

    def make(folder: Path) -> None:
        tasks: list[dict[str, Any]] = [
            {"name": "uneven"},
            {"name": "scarce"},
            {"name": "few"},
            {"name": "bad clip", "config": "scarce", "fault": "bad clip"},
            {"name": "resumed", "config": "scarce", "resume": str(_copied(two[0]["signal"]["run"], folder))},
        ]
        do_tasks(folder, 4, [_with_config(ground, task) for task in tasks])

    return results_in(once(ground / "four", make), 4)


def _with_config(ground: Path, task: Mapping[str, Any]) -> dict[str, Any]:
    return {**task, "config": str(ground / f"{task.get('config', task['name'])}.yaml")}


def _copied(run: str, folder: Path) -> Path:
    """Copy a run and return the folder that then holds it alone."""
    return Path(shutil.copytree(run, folder / "copied" / Path(run).name)).parent


def config_of(ground: Path, name: str) -> RunConfig:
    return resolve(recipe=str(ground / f"{name}.yaml"))


def rows(run: str) -> list[dict[str, Any]]:
    return [dict(row) for row in read_rows(Path(run) / "metrics.jsonl")]


def assert_equal_to_rounding(state: Mapping[str, torch.Tensor], reference: Mapping[str, torch.Tensor]) -> None:
    """Compare weights and running statistics; how many batches were counted differs where shards are counted."""
    assert state.keys() == reference.keys()
    for name in state:
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(state[name], reference[name], msg=lambda text, name=name: name + text, **EXACT)


def assert_all_ranks_hold_the_same(results: Results, task: str) -> None:
    first = results[0][task]
    for other in results[1:]:
        assert first["model"].keys() == other[task]["model"].keys()
        assert all(torch.equal(each, other[task]["model"][name]) for name, each in first["model"].items())
        assert all(map(torch.equal, first["momenta"], other[task]["momenta"]))
        assert first["skips"] == other[task]["skips"]


@pytest.mark.parametrize("task", ["uneven", "scarce"])
@pytest.mark.parametrize("processes", PROCESSES)
def test_processes_train_what_one_does_that_normalises_their_shards(
    ground: Path, processes: str, task: str, request: pytest.FixtureRequest
) -> None:
    results: Results = request.getfixturevalue(processes)
    reference = ShardReference(config_of(ground, task), lambda _batch: len(results))
    figures = reference.fit()
    assert_equal_to_rounding(results[0][task]["model"], reference.model.state_dict())
    assert_all_ranks_hold_the_same(results, task)
    for row, expected in zip(rows(results[0][task]["run"]), figures, strict=True):
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_statistics_really_depend_on_the_shards(ground: Path, two: Results) -> None:
    reference = ShardReference(config_of(ground, "uneven"), lambda _batch: 1)
    reference.fit()
    with pytest.raises(AssertionError, match="not close"):
        assert_equal_to_rounding(two[0]["uneven"]["model"], reference.model.state_dict())


@pytest.mark.long
def test_a_process_without_clips_to_test_on_takes_part(ground: Path, four: Results) -> None:
    reference = ShardReference(config_of(ground, "few"), lambda _batch: 4)
    (expected,) = reference.fit()
    (row,) = rows(four[0]["few"]["run"])
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("processes", PROCESSES)
def test_all_processes_skip_a_batch_that_is_bad_in_one(processes: str, request: pytest.FixtureRequest) -> None:
    results: Results = request.getfixturevalue(processes)
    # Two draws an epoch, of three epochs; both may fall into the same batch.
    skips = results[0]["bad clip"]["skips"]
    assert 3 <= skips["inputs"] <= 6
    assert skips["losses"] == skips["gradients"] == skips["overflows"] == 0
    assert all(torch.isfinite(each).all() for each in results[0]["bad clip"]["model"].values())
    assert_all_ranks_hold_the_same(results, "bad clip")


@pytest.mark.parametrize(("task", "reason"), [("signal", "TERMINATE"), ("time", "TIME")])
def test_all_processes_stop_with_the_one_that_has_to(two: Results, task: str, reason: str) -> None:
    assert [each[task]["stopped"] for each in two] == [reason, reason]
    assert_all_ranks_hold_the_same(two, task)
    run = RunFolder(Path(two[0][task]["run"]))
    if task == "signal":  # the other one was resumed
        assert read_checkpoint(run.partial).progress == (1, 24)
        assert not run.finished


def test_a_run_that_stopped_ends_as_if_it_had_not(two: Results) -> None:
    whole, resumed = two[0]["scarce"], two[0]["resumed"]
    assert resumed["run"] == two[0]["time"]["run"]
    assert all(torch.equal(each, resumed["model"][name]) for name, each in whole["model"].items())
    assert all(map(torch.equal, whole["momenta"], resumed["momenta"]))
    figures = [name for name in rows(whole["run"])[0] if name.startswith(("train_", "test_", "skipped", "grad"))]
    for row, expected in zip(rows(resumed["run"]), rows(whole["run"]), strict=True):
        # The processes' sums are put together once more often, which the last digit may show.
        assert {name: row[name] for name in figures} == pytest.approx({name: expected[name] for name in figures}, 1e-12)


@pytest.mark.parametrize("processes", [1, pytest.param(4, marks=pytest.mark.long)])
def test_a_run_resumes_with_another_number_of_processes(
    ground: Path, tmp_path: Path, two: Results, processes: int, request: pytest.FixtureRequest
) -> None:
    if processes == 1:
        config = config_of(ground, "scarce")
        with distributed_probe.float64():
            (copied,) = _copied(two[0]["signal"]["run"], tmp_path).iterdir()
            run = experiment.train(config, resume=str(copied)).run
        state = read_checkpoint(run.last).model
    else:
        four: Results = request.getfixturevalue("four")
        assert_all_ranks_hold_the_same(four, "resumed")
        state = four[0]["resumed"]["model"]
    before = distributed_probe.BATCHES_BEFORE_STOP
    reference = ShardReference(config_of(ground, "scarce"), lambda batch: 2 if batch < before else processes)
    reference.fit()
    assert_equal_to_rounding(state, reference.model.state_dict())


@pytest.mark.parametrize(("error", "elsewhere"), [(UserError, ReportedElsewhere), (TimeIsOver, TimeIsOverElsewhere)])
def test_what_the_first_process_refuses_all_refuse_for_the_same_reason(
    error: type[UserError], elsewhere: type[UserError], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    def exchange(world: World, content: bytes, outcome: int) -> tuple[int, bytes]:
        if world.is_first:
            sent.append((outcome, content))
        return sent[-1]

    def refuse() -> bytes:
        raise error("no disk is left")

    monkeypatch.setattr(World, "_broadcast", exchange)
    for rank, expected in enumerate([error, elsewhere]):
        with pytest.raises(UserError, match="no disk is left") as refused:
            World(rank, 2).broadcast(refuse)
        assert type(refused.value) is expected


def test_a_batch_that_cannot_be_shared_is_refused_once(two: Results) -> None:
    first, second = (each["refused"] for each in two)
    assert (first["code"], second["code"]) == (2, 2)
    assert first["spoken"].startswith("error: batch_size 7 cannot be divided among 2 processes.")
    assert first["spoken"].count("\n") == 1
    assert second["spoken"] == ""


@pytest.mark.parametrize("processes", PROCESSES)
def test_processes_of_one_run_hold_one_lock_between_them(processes: str, request: pytest.FixtureRequest) -> None:
    results: Results = request.getfixturevalue(processes)
    for each in results:
        assert "is being trained by another process" in each["uneven"]["refusal"]


def test_a_run_that_is_being_trained_is_refused_by_all_processes_and_reported_once(ground: Path, two: Results) -> None:
    first, second = (each["taken"] for each in two)
    assert (first["code"], second["code"]) == (2, 2)
    taken = RunFolder(ground / "two" / "taken" / "run-2026-11-23")
    assert first["spoken"].startswith(f"error: The run {taken.path} is being trained by another process: resume it")
    assert first["spoken"].count("\n") == 1
    assert second["spoken"] == ""
    assert sorted(path.name for path in taken.path.iterdir()) == [LOCK_FILE, "config.yaml"]


def test_processes_distil_together_from_one_cache(ground: Path, two: Results) -> None:
    assert [result["distilled"]["code"] for result in two] == [0, 0], two[0]["distilled"]["spoken"]
    folders = [ground / "two" / f"rank{rank}" / "distilled" for rank in range(2)]
    assert [len(list(folder.glob("teacher_outputs/*/outputs.json"))) for folder in folders] == [1, 0]
    (run,) = folders[0].glob("run-*")
    assert [row["skipped_batches"] for row in rows(str(run))] == [0, 0, 0]
    assert read_checkpoint(run / "checkpoints" / "last.pth").task.keys() == {"adapters.0.weight", "adapters.0.bias"}


def test_only_the_first_process_talks(two: Results) -> None:
    first, second = (each["spoken"] for each in two)
    assert (first["code"], second["code"]) == (0, 0)
    assert "2 processes" in first["spoken"]
    assert "The run is in" in first["spoken"]
    assert second["spoken"] == ""


@pytest.mark.parametrize("processes", PROCESSES)
def test_only_the_first_process_writes_files(ground: Path, processes: str, request: pytest.FixtureRequest) -> None:
    results: Results = request.getfixturevalue(processes)
    for rank in range(1, len(results)):
        left = [path.name for path in (ground / processes / f"rank{rank}").rglob("*") if path.is_file()]
        spoken = ["distilled.txt", "refused.txt", "spoken.txt", "taken.txt"] if processes == "two" else []
        assert sorted(left) == sorted(["results.pt", *spoken])


def _until(there: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not there():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.mark.long
def test_a_process_reports_clearly_that_another_one_has_ended(ground: Path, tmp_path: Path) -> None:
    task = {"name": "long", "command": ["--quiet"], "fault": "death", "joins": True}
    assert run_tasks(tmp_path, 2, [_with_config(ground, task)]) != ""  # of the process that is killed
    assert not (tmp_path / "rank1" / "results.pt").exists()
    survivor = result_of(tmp_path, 0)["long"]
    assert survivor["code"] == 4, survivor["spoken"]
    assert survivor["spoken"].startswith("error: Another process of this training has ended")
    assert "--resume" in survivor["spoken"]
    assert survivor["spoken"].count("\n") == 1


def torchrun(ground: Path, output_root: Path, *arguments: str, launcher: Sequence[str] = ()) -> "subprocess.Popen[str]":
    """Start `train` with two processes as documented."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *launcher]
    train = [REPOSITORY / "scripts" / "train.py", "--config", ground / "long.yaml", "--output_root", output_root]
    return subprocess.Popen(
        [sys.executable, *start, *map(str, train), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_torchrun_starts_again_what_was_killed(ground: Path, tmp_path: Path) -> None:
    launched = torchrun(ground, tmp_path, "--resume", "auto", "--epochs", "40", launcher=["--max_restarts", "1"])
    _until(lambda: any(tmp_path.glob("run-*/checkpoints/last.pth")), "the first epoch")
    os.kill(_children(launched.pid)[1], signal.SIGKILL)
    out, errors = launched.communicate(timeout=PATIENCE_S)
    assert launched.returncode == 0, errors
    assert "Resuming" in errors
    assert "The run is in" in out
    (run,) = tmp_path.glob("run-*")
    assert [row["epoch"] for row in rows(str(run))] == list(range(40))


@pytest.mark.slow
def test_a_second_torchrun_leaves_the_run_of_the_first_alone(ground: Path, tmp_path: Path) -> None:
    first = torchrun(ground, tmp_path)
    try:
        _until(lambda: any(tmp_path.glob("run-*/checkpoints/last.pth")), "the first epoch")
        second = torchrun(ground, tmp_path, "--resume", "auto")
        out, errors = second.communicate(timeout=PATIENCE_S)
        assert out == ""
        assert errors.count("error: ") == errors.count("is being trained by another process") == 1, errors
        assert second.returncode == 1, errors  # whatever its processes end with
        assert "exitcode  : 2 " in errors
        assert "exitcode  : 1 " not in errors
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=PATIENCE_S)
    finally:
        first.kill()
    (run,) = tmp_path.glob("run-*")
    assert RunFolder(run).partial.exists()


@pytest.mark.slow
def test_torchrun_trains_several_seeds(ground: Path, tmp_path: Path) -> None:
    launched = torchrun(ground, tmp_path, "--seeds", "0,1", "--epochs", "1")
    out, errors = launched.communicate(timeout=PATIENCE_S)
    assert launched.returncode == 0, errors
    assert "The figures of all seeds are in" in out
    assert len(list(tmp_path.glob("run-*/summary.json"))) == 2


def _children(parent: int) -> list[int]:
    """Return the processes that a process has started, the oldest first."""
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(word) for word in text.split()]
