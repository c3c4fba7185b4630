"""Runs that stop anywhere and resume exactly."""

import json
import logging
import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_run

from last.experiments import run as experiment
from last.experiments.run import Result
from last.runs.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from last.runs.checkpoint_files import CheckpointFiles
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import RunConfig
from last.training.gradient_accumulation import GradientAccumulator
from last.training.guard import Requests
from last.training.trainer import Trainer
from last.utils.errors import Terminated, TimeIsOver, UserError

MakeConfig = Callable[..., RunConfig]
TIMINGS = {"seconds", "clips_per_second", "data_wait_share", "memory_mib"}
RICH = [
    "epochs=3",
    "gradient_accumulation_steps=2",
    "ema.decay=0.9",
    "batch_size=2",
    "validation=split",
    "validation_fraction=0.3",
]


def state(checkpoint: Checkpoint) -> dict[str, object]:
    """Return all that a run depends on."""
    names = ("model", "optimizer", "scheduler", "scaler", "ema", "ema_steps", "window", "guard", "epoch", "best_acc")
    names += ("statistics", "data")
    return {name: getattr(checkpoint, name) for name in names}


def assert_equal(first: object, second: object, where: str = "") -> None:
    assert type(first) is type(second), where
    if isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_equal(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for number, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(*pair, f"{where}.{number}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    else:
        assert first == second, where


def assert_same(first: RunFolder, second: RunFolder) -> None:
    for name in ("last.pth", "best_model.pth"):
        assert_equal(*(state(read_checkpoint(run.checkpoints / name)) for run in (first, second)), name)
    rows = [
        [
            {key: value for key, value in row.items() if key not in TIMINGS}
            for row in read_rows(run.path / "metrics.jsonl")
        ]
        for run in (first, second)
    ]
    assert_equal(*rows, "metrics")
    summaries = [json.loads(run.summary.read_text()) for run in (first, second)]
    for summary in summaries:
        for key in ("train_seconds", "clips_per_second", "finished", "continued_from"):
            del summary[key]
    assert_equal(*summaries, "summary")


def stop_at(monkeypatch: pytest.MonkeyPatch, looks: int, reason: Stop = Stop.TERMINATE) -> None:
    """Give a reason to stop when it is looked for the `looks`-th time: once a step, once a batch of an evaluation."""
    seen = iter(range(1, 10_000))
    monkeypatch.setattr(StopWatch, "reason", property(lambda _: reason if next(seen) >= looks else None))


@pytest.fixture(scope="session")
def whole(data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return an undisturbed run, which tests do not change."""
    return experiment.train(tiny_run(data_yaml, tmp_path_factory.mktemp("whole"), *RICH)).run


@pytest.mark.parametrize("looks", range(1, 28, 2))
def test_run_stopped_after_any_step_or_in_an_evaluation_ends_like_one_left_alone(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, whole: RunFolder, looks: int
) -> None:
    config = tiny_config(*RICH)
    with monkeypatch.context() as patch:
        stop_at(patch, looks)
        stopped = experiment.train(config)
    assert stopped.stopped is Stop.TERMINATE
    assert stopped.run.partial.exists()
    resumed = experiment.train(config, resume="auto")
    assert resumed.run.path == stopped.run.path
    assert not resumed.run.partial.exists()
    assert_same(whole, resumed.run)


def test_run_stopped_after_every_single_step_ends_like_one_left_alone(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, whole: RunFolder
) -> None:
    config = tiny_config(*RICH)
    for _ in range(100):
        with monkeypatch.context() as patch:
            _stop_in_first_step(patch)
            result = experiment.train(config, resume="auto")
        if result.stopped is None:
            break
    assert_same(whole, result.run)


def _stop_in_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Trainer._collect_requests

    def ask_to_stop(trainer: Trainer, requests: Requests) -> None:
        ask(trainer, requests)
        requests.interrupted = 1

    monkeypatch.setattr(Trainer, "_collect_requests", ask_to_stop)


def test_state_is_saved_within_an_epoch_and_a_kill_loses_no_more_than_what_came_after(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, whole: RunFolder
) -> None:
    config = tiny_config(*RICH, "checkpoint.every_minutes=1e-9")
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        _die_at_save(patch, number=8)
        experiment.train(config)
    (run,) = map(RunFolder, Path(config.output_root).iterdir())
    assert read_checkpoint(run.partial).progress == (1, 6)
    resumed = experiment.train(config, resume="auto")
    assert_equal_but_for_the_config(whole, resumed.run)


def assert_equal_but_for_the_config(first: RunFolder, second: RunFolder) -> None:
    assert_equal(*(state(read_checkpoint(run.last)) for run in (first, second)))


def _die_at_save(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """End a run like a killed process when the state within an epoch has been saved `number` times."""
    save, saved = CheckpointFiles.save_within, iter(range(1, 1000))

    def save_and_die(files: CheckpointFiles, checkpoint: Checkpoint) -> bool:
        done = save(files, checkpoint)
        return done if next(saved) < number else bool(1 / 0)

    monkeypatch.setattr(CheckpointFiles, "save_within", save_and_die)


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize(
    ("number", "reason"), list(zip(SIGNALS, (Stop.INTERRUPT, Stop.TERMINATE, Stop.HANG_UP), strict=True))
)
def test_signal_lets_the_step_end_and_saves(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, number: int, reason: Stop
) -> None:
    _signal_in_a_step(monkeypatch, iter([number]))
    handlers = [signal.getsignal(each) for each in SIGNALS]
    result = experiment.train(tiny_config("epochs=2"))
    assert result.stopped is reason
    assert read_checkpoint(result.run.partial).progress == (0, 4)
    assert [signal.getsignal(each) for each in SIGNALS] == handlers


def test_second_signal_does_not_wait(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    _signal_in_a_step(monkeypatch, iter([signal.SIGTERM, signal.SIGTERM]), at_once=2)
    with pytest.raises(Terminated):
        experiment.train(tiny_config("epochs=2"))


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ([signal.SIGHUP, signal.SIGHUP], Stop.HANG_UP),
        ([signal.SIGTERM, signal.SIGHUP], Stop.TERMINATE),
        ([signal.SIGHUP, signal.SIGTERM], Stop.TERMINATE),
    ],
)
def test_end_of_a_terminal_hurries_nothing(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, numbers: list[signal.Signals], reason: Stop
) -> None:
    _signal_in_a_step(monkeypatch, iter(numbers), at_once=2)
    result = experiment.train(tiny_config("epochs=2"))
    assert result.stopped is reason
    assert result.run.partial.exists()


def test_training_under_nohup_does_not_stop_with_its_terminal(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        _signal_in_a_step(monkeypatch, iter([signal.SIGHUP]))
        assert experiment.train(tiny_config("epochs=1")).stopped is None
    finally:
        signal.signal(signal.SIGHUP, before)


def _signal_in_a_step(monkeypatch: pytest.MonkeyPatch, numbers: Iterator[int], at_once: int = 1) -> None:
    train = Trainer._train_batch

    def train_and_signal(trainer: Trainer, *arguments: object) -> None:
        for number in [number for number, _ in zip(numbers, range(at_once), strict=False)]:
            os.kill(os.getpid(), number)
        train(trainer, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "_train_batch", train_and_signal)


def test_end_of_the_time_saves_and_stops(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    over = iter([False] * 4 + [True] * 100)
    monkeypatch.setattr(StopWatch, "is_over", property(lambda _: next(over)))
    result = experiment.train(tiny_config("epochs=9", "max_hours=1"))
    assert result.stopped is Stop.TIME
    assert result.run.partial.exists()
    assert not result.run.finished


def test_time_that_is_over_before_the_first_step_is_refused_and_changes_nothing(tiny_config: MakeConfig) -> None:
    with pytest.raises(TimeIsOver, match="max_hours 1e-09 passed before the first step"):
        experiment.train(tiny_config("max_hours=1e-9"))
    assert not Path(tiny_config().output_root).exists()


def stopped_run(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> RunFolder:
    with monkeypatch.context() as patch:
        stop_at(patch, looks=12)
        return experiment.train(tiny_config(*RICH, *overrides)).run


def test_gradients_of_another_batch_size_count_as_of_the_present_one(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("batch_size=4", "gradient_accumulation_steps=3")
    with monkeypatch.context() as patch:
        stop_at(patch, looks=2)
        run = experiment.train(tiny_config(*settings)).run
    window = read_checkpoint(run.partial).window
    assert window["clips"] == 8
    seen, load = [], GradientAccumulator.load_state

    def load_and_note(accumulator: GradientAccumulator, *arguments: Any) -> None:
        load(accumulator, *arguments)
        seen.append(accumulator._sum)

    monkeypatch.setattr(GradientAccumulator, "load_state", load_and_note)
    monkeypatch.setattr(Trainer, "fit", lambda *_: Stop.TIME)
    experiment.train(tiny_config(*settings, "batch_size=2"), str(run.path), explicit_keys=["batch_size"])
    torch.testing.assert_close(seen, [window["sum"] * 2])


@pytest.mark.parametrize("validation", ["test", "split"])
def test_a_run_keeps_its_seed_if_the_held_out_clips_follow_from_it(tiny_config: MakeConfig, validation: str) -> None:
    settings = ("epochs=1", f"validation={validation}", "validation_fraction=0.4")
    run = experiment.train(tiny_config(*settings)).run
    longer = tiny_config(*settings, "epochs=2", "seed=7")
    given = {"explicit_keys": ["epochs", "seed"]}
    if validation == "test":
        assert experiment.train(longer, str(run.path), **given).run.finished
        return
    with pytest.raises(UserError, match=r"seed: 0 in the run, 7 now\nThese cannot change within a run"):
        experiment.train(longer, str(run.path), **given)


@pytest.mark.parametrize("damage", ["torn", "empty", "foreign", "flipped"])
def test_automatic_resume_passes_over_a_damaged_checkpoint(
    tiny_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    whole: RunFolder,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = stopped_run(tiny_config, monkeypatch)
    weight = read_checkpoint(run.partial).model["classifier.weight"].numpy().tobytes()
    content = bytearray(run.partial.read_bytes())
    content[content.index(weight)] ^= 1
    torn = {"torn": run.partial.read_bytes()[:5000], "empty": b"", "foreign": b"PK not one", "flipped": bytes(content)}
    run.partial.write_bytes(torn[damage])
    resumed = experiment.train(tiny_config(*RICH), resume="auto")
    assert any("partial.pth" in message and "is skipped" in message for message in caplog.messages)
    assert_same(whole, resumed.run)


def test_run_without_a_whole_checkpoint_begins_again(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, whole: RunFolder
) -> None:
    run = stopped_run(tiny_config, monkeypatch)
    for path in run.all_checkpoints():
        path.write_bytes(b"")
    assert_same(whole, experiment.train(tiny_config(*RICH), resume="auto").run)


def test_full_disk_keeps_the_older_files_and_the_run_going(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, whole: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    _full_disk(monkeypatch, calls=range(2, 4))
    run = experiment.train(tiny_config(*RICH)).run
    assert any("the disk is full" in message and "Training continues" in message for message in caplog.messages)
    assert_same(whole, run)


def test_run_whose_last_state_cannot_be_written_ends_with_an_error(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    _full_disk(monkeypatch, calls=range(3, 1000))
    with pytest.raises(UserError, match=r"last\.pth: the disk is full"):
        experiment.train(tiny_config(*RICH))
    (run,) = map(RunFolder, Path(tiny_config().output_root).iterdir())
    assert not run.finished
    assert read_checkpoint(run.last).epoch == 0


def _full_disk(monkeypatch: pytest.MonkeyPatch, calls: range) -> None:
    from last.runs import checkpoint_files

    save, numbers = checkpoint_files.save_checkpoint, iter(range(1, 1000))

    def save_or_fail(path: Path, checkpoint: Checkpoint) -> None:
        if next(numbers) in calls:
            raise UserError(f"Cannot write {path}: the disk is full.")
        save(path, checkpoint)

    monkeypatch.setattr(checkpoint_files, "save_checkpoint", save_or_fail)


def test_newest_epochs_keep_their_checkpoints(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=5", "checkpoint.keep=2")).run
    assert [path.name for path in run.epochs()] == ["epoch_0003.pth", "epoch_0004.pth"]
    assert read_checkpoint(run.of_epoch(3)).epoch == 3


def test_run_is_resumed_by_its_folder(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, whole: RunFolder
) -> None:
    run = stopped_run(tiny_config, monkeypatch)
    assert_same(whole, experiment.train(tiny_config(*RICH), resume=str(run.path)).run)


def test_harmless_changes_are_applied_and_reported(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = stopped_run(tiny_config, monkeypatch)
    with caplog.at_level(logging.INFO):
        experiment.train(tiny_config(*RICH, "checkpoint.keep=1"), resume="auto")
    assert len(run.epochs()) == 1
    assert "checkpoint.keep is 1 now; it was 0." in caplog.messages


def test_key_that_is_set_on_purpose_may_change(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stopped_run(tiny_config, monkeypatch)
    changed = tiny_config(*RICH, "epochs=4", "learning_rate=0.5")
    with pytest.raises(UserError, match=r"(?s)epochs: 3 in the run, 4 now.*learning_rate: 0\.01 in the run, 0\.5 now"):
        experiment.train(changed, resume=str(run.path))
    result = experiment.train(changed, resume=str(run.path), explicit_keys=["epochs", "learning_rate"])
    rates = [row["learning_rate"] for row in read_rows(result.run.path / "metrics.jsonl")]
    fresh = [row["learning_rate"] for row in read_rows(experiment.train(changed).run.path / "metrics.jsonl")]
    assert rates[0] == 0.01
    assert rates[1:] == fresh[1:]


def test_a_name_in_a_mapping_that_was_empty_may_be_set_on_purpose_and_removed_again(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped_run(tiny_config, monkeypatch)
    key, named, without = "data.class_map", tiny_config(*RICH), tiny_config(*RICH, "epochs=4")
    named.data.class_map["odd"] = "rise"
    with pytest.raises(UserError, match=rf"(?s)configuration:\n  {key}.odd: None in .*--set {key}.odd=rise, or"):
        experiment.train(named, resume=str(run.path))
    experiment.train(named, resume=str(run.path), explicit_keys=[f"{key}.odd"])
    with pytest.raises(UserError, match=rf"(?s)configuration:\n  {key}.odd: 'rise' in the run.*--set {key}={{}}, or"):
        experiment.train(without, resume=str(run.path), explicit_keys=["epochs"])
    experiment.train(without, resume=str(run.path), explicit_keys=["epochs", key])


def test_a_name_may_be_taken_away_on_purpose(tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    key, named, without = "data.columns", tiny_config(*RICH), tiny_config(*RICH)
    named.data.columns, without.data.columns = {"x": "u", "y": "v"}, {"y": "v"}
    with monkeypatch.context() as patch:
        stop_at(patch, looks=12)
        run = experiment.train(named).run
    with pytest.raises(UserError, match=rf"(?s)configuration:\n  {key}.x: 'u' in the run.*--set {key}.x=null, or"):
        experiment.train(without, resume=str(run.path))
    experiment.train(without, resume=str(run.path), explicit_keys=[f"{key}.x"])


@pytest.mark.parametrize(
    ("before", "now", "key"),
    [
        ("data.augment.rotation_degrees=[5, 6, 7]", "data.augment.rotation_degrees=[1.5, 2, 3]", "rotation_degrees"),
        ("init_from=synthetic", "init_from=''", "init_from"),
    ],
)
def test_the_setting_that_a_refusal_proposes_can_be_typed(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, before: str, now: str, key: str
) -> None:
    monkeypatch.setattr(experiment, "load_backbone", lambda *_: None)
    run, changed = stopped_run(tiny_config, monkeypatch, before), tiny_config(*RICH, now)
    with pytest.raises(UserError, match=key) as refused:
        experiment.train(changed, resume=str(run.path))
    proposed = re.findall(r"for example with --set (.*), or start", str(refused.value))
    assert [tiny_config(*RICH, *shlex.split(text)) for text in proposed] == [changed]


def test_another_model_is_refused_even_where_it_is_set_on_purpose(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped_run(tiny_config, monkeypatch)
    other = tiny_config(*RICH, "model.channels=[12,12]")
    with pytest.raises(UserError, match=r"(?s)model\.channels: \[8, 8\] in the run.*leave --resume out"):
        experiment.train(other, resume=str(run.path), explicit_keys=["model.channels"])


def test_row_that_did_not_reach_the_disk_is_written_on_resume(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, whole: RunFolder
) -> None:
    run = stopped_run(tiny_config, monkeypatch)
    for name in ("metrics.jsonl", "metrics.csv"):
        (run.path / name).write_text("")
    result: Result = experiment.train(tiny_config(*RICH), resume="auto")
    assert_same(whole, result.run)


def test_a_run_restarted_from_an_earlier_epoch_is_resumed_and_not_its_former_history(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, other = ["checkpoint.keep=9", "epochs=4"], ["learning_rate=0.5"]
    run = experiment.train(tiny_config(*usual)).run
    changed = tiny_config(*usual, *other)
    with monkeypatch.context() as patch:
        stop_at(patch, looks=2)
        branch = experiment.train(changed, resume=str(run.of_epoch(1)), explicit_keys=["learning_rate"])
    assert branch.stopped is not None
    assert read_checkpoint(run.last).epoch == 1
    assert [path.name for path in run.epochs()] == ["epoch_0000.pth", "epoch_0001.pth"]
    aside = RunFolder(run.path / "superseded")
    assert [read_checkpoint(path).epoch for path in (aside.last, *aside.epochs())] == [3, 2, 3]
    ended = experiment.train(changed, resume=str(run.path))
    assert [row["epoch"] for row in read_rows(ended.run.path / "metrics.jsonl")] == [0, 1, 2, 3]
    assert read_checkpoint(run.best).config.learning_rate == 0.5 or read_checkpoint(run.best).epoch <= 1


def test_a_branch_of_a_run_does_not_know_the_best_epoch_that_came_later(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("checkpoint.keep=9", "epochs=3")
    run = experiment.train(config).run
    start = run.of_epoch(0)
    save_checkpoint(start, replace(read_checkpoint(start), best_acc=99.5))
    shutil.copyfile(run.of_epoch(2), run.best)
    with monkeypatch.context() as patch:
        stop_at(patch, looks=2)
        changed = replace(config, learning_rate=0.5)
        experiment.train(changed, resume=str(start), explicit_keys=["learning_rate"])
    branch = read_checkpoint(run.last)
    assert (branch.epoch, branch.best_epoch) == (0, 0) and branch.best_acc != 99.5


def test_what_lay_beyond_an_earlier_checkpoint_is_a_run_that_can_be_resumed(
    tiny_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny_config("epochs=3", "checkpoint.keep=9")
    run = experiment.train(config).run
    other = experiment.train(
        replace(config, learning_rate=0.5), resume=str(run.of_epoch(0)), explicit_keys=["learning_rate"]
    )
    assert "resumed from epoch_0000.pth, epoch 0. last.pth is 2 epochs further" in caplog.text
    aside = RunFolder(run.path / "superseded")
    assert f"--resume {aside.path}" in caplog.text
    resumed = experiment.train(config, resume=str(aside.path)).run
    assert resumed.path == aside.path
    assert_same(experiment.train(config).run, resumed)
    assert read_checkpoint(other.run.last).config.learning_rate == 0.5


def test_changed_run_that_dies_before_its_first_save_keeps_its_new_configuration(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment.train(tiny_config("epochs=2")).run
    changed = tiny_config("epochs=3", "learning_rate=0.5")
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(Trainer, "_train_epoch", lambda *_: 1 / 0)
        experiment.train(changed, resume=str(run.path), explicit_keys=["epochs", "learning_rate"])
    assert experiment.train(changed, resume=str(run.path)).run.finished


def test_averaging_cannot_begin_within_a_run(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=1")).run
    with pytest.raises(UserError, match=r"(?s)ema\.decay: 0\.0 in the run, 0\.9 now.*cannot change within a run"):
        experiment.train(
            tiny_config("epochs=2", "ema.decay=0.9"), resume=str(run.path), explicit_keys=["ema.decay", "epochs"]
        )


def test_gradients_of_an_unfinished_window_are_saved_without_their_scale() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    window = GradientAccumulator([parameter], sums=True, device=torch.device("cpu"))
    parameter.grad = torch.full((2,), 1024.0)
    window.add(torch.tensor(True), clips=3)
    other = GradientAccumulator([parameter], sums=True, device=torch.device("cpu"))
    other.load_state(window.state(scale=1024.0), scale=2.0)
    assert other.close()[0].tolist() == [2.0, 2.0]
    assert other.clips == 3
