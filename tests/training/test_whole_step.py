"""Whole steps compute what ordinary steps compute; where they cannot be recorded, training goes on."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_no_host_round_trips import NoReading, trainer_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from last.data.loading.loader import Batch
from last.experiments.run import train
from last.runs.logbook import read_rows
from last.settings.run import RunConfig
from last.training import whole_step
from last.training.optim import rates_as_tensors
from last.training.trainer import Trainer
from last.training.whole_step import WholeStep
from last.utils.errors import UserError

Config = Callable[..., RunConfig]
TIMED = {"seconds", "clips_per_second", "data_wait_share", "memory_mib"}
SWITCH = "hardware.whole_step_graph"
# A batch of each of these shapes, a short one at the end of an epoch, dropout, averaged weights, a rising rate.
RICH = (
    *("batch_size=5", "epochs=3", "warmup_epochs=1", "learning_rate=0.05", "ema.decay=0.9"),
    *("model.dropout=0.3", "model.block_dropout=0.1", "grad_clip=0.5"),
)


def trained(config: RunConfig) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a run's logbook without times, and its last checkpoint."""
    run = train(config).run
    rows = read_rows(Path(run.path) / "metrics.jsonl")
    untimed = [{key: value for key, value in row.items() if key not in TIMED and value == value} for row in rows]
    return untimed, torch.load(run.last, weights_only=True)


def assert_same(found: Any, expected: Any) -> None:
    """Compare what checkpoints hold, to the bit."""
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize("recovery", ["reset", "restore"])
def test_a_run_of_whole_steps_is_the_same_run(tiny_config: Config, recovery: str) -> None:
    how = (*RICH, f"nan_guard.bn_recovery={recovery}")
    rows, checkpoint = trained(tiny_config(*how))
    whole_rows, whole_checkpoint = trained(tiny_config(*how, f"{SWITCH}=true"))
    assert whole_rows == rows and len(rows) == 3
    for part in ("model", "optimizer", "scheduler", "ema", "guard", "window"):
        assert_same(whole_checkpoint[part], checkpoint[part])


def test_an_average_of_the_last_epochs_counts_epochs_and_not_whole_steps(tiny_config: Config) -> None:
    how = (*RICH, "ema.decay=0", "ema.last_epochs=2", "data.augment.anneal=0.5")
    checkpoints = [trained(tiny_config(*how, f"{SWITCH}={switch}"))[1] for switch in ("false", "true")]
    for part in ("model", "ema", "ema_steps"):
        assert_same(checkpoints[1][part], checkpoints[0][part])


def test_a_recording_is_of_one_strength_of_augmentation(tiny_config: Config) -> None:
    batch = next(iter(trainer_of(tiny_config()).data.loader))
    same, weaker = replace(batch, labels=batch.labels + 1), replace(batch, strength=0.5)
    assert whole_step._shapes(same) == whole_step._shapes(batch) != whole_step._shapes(weaker)


@contextmanager
def spoilt(trainer: Trainer, at: int) -> Iterator[None]:
    """Make the streams of one batch of an epoch infinite, in whole and in ordinary steps."""
    prepared, count = trainer.data.pipeline.prepared, iter(range(1000))

    def spoiling(batch: Batch, training: bool) -> Batch:
        found = prepared(batch, training)
        if training and next(count) == at:
            return found.with_streams({name: each * torch.inf for name, each in found.streams.items()})
        return found

    trainer.data.pipeline.prepared = spoiling  # type: ignore[method-assign]
    yield


@pytest.mark.parametrize("scaled", [False, True])
def test_the_guard_rejects_a_batch_of_a_whole_step_as_of_an_ordinary_one(tiny_config: Config, scaled: bool) -> None:
    states = []
    for switch in ("false", "true"):
        trainer = trainer_of(tiny_config(*RICH, f"{SWITCH}={switch}"))
        if scaled:
            trainer.state.precision.scaler = torch.amp.GradScaler("cpu", enabled=True)
            trainer.state.accumulation.sums = True
        with spoilt(trainer, 1):
            trainer._train_epoch()
        assert trainer.state.guard.skips.inputs == 1
        state = trainer.state.save(within=True)
        state["within"] = {key: state["within"][key] for key in ("clips", "meter", "skips")}
        states.append({key: value for key, value in state.items() if key != "metrics"})
    assert_same(*states)


def test_padded_whole_steps_train_as_batches_without_padding(tiny_config: Config) -> None:
    how = ("batch_size=48", "repeats_per_epoch=4", "model.dropout=0", "model.block_dropout=0")
    losses = []
    for switch in ("false", "true"):
        trainer = trainer_of(tiny_config(*how, f"{SWITCH}={switch}"))
        slots = [each.body_slots for each in trainer.data.loader]
        trainer._train_epoch()
        losses.append(trainer.state.epoch.metrics.read(trainer.world).loss)
    assert len(slots[0]) % 3 == 0
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_a_whole_step_reads_nothing_on_the_host(tiny_config: Config) -> None:
    trainer = trainer_of(tiny_config(*RICH, f"{SWITCH}=true"))
    trainer.task.train()
    assert trainer.whole_step is not None
    batch = next(iter(trainer.data.loader))
    with NoReading():
        trainer.whole_step._compute(batch)


class Given(TorchDispatchMode):
    """Note the memory that a computation reads or writes and has not made itself."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[torch.UntypedStorage] = []  # kept, so that no address is used twice
        self.given: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        made = {each.data_ptr() for each in self.made}
        if function.overloadpacket.__name__ != "lift_fresh":
            inputs = (each for each in tree_leaves((arguments, options)) if isinstance(each, torch.Tensor))
            self.given |= {each.untyped_storage().data_ptr() for each in inputs} - made
        result = function(*arguments, **(options or {}))
        outputs = [each.untyped_storage() for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
        self.made += [each for each in outputs if each.data_ptr() not in self.given]
        return result


@pytest.mark.parametrize("scaled", [False, True])
def test_a_step_reads_and_changes_the_same_memory_as_the_step_before(tiny_config: Config, scaled: bool) -> None:
    trainer = trainer_of(tiny_config(*RICH, f"{SWITCH}=true"))
    if scaled:
        trainer.state.precision.scaler = torch.amp.GradScaler("cpu", enabled=True)
        trainer.state.accumulation.sums = True
    trainer.task.train()
    whole = trainer.whole_step
    assert whole is not None
    batch = next(iter(trainer.data.loader))
    found = []
    for _ in range(4):
        whole._send_numbers()
        with Given() as given:
            whole._compute(batch)
        found.append(given)
    assert found[2].given == found[3].given  # a recorded step would miss what is somewhere else


def test_requests_reach_the_host_once(tiny_config: Config) -> None:
    trainer = trainer_of(tiny_config("batch_size=4", f"{SWITCH}=true"))
    trainer.task.train()
    batch, *_ = trainer.data.loader
    whole = trainer.whole_step
    assert whole is not None
    found = []
    for save in (0, 1, 0):
        trainer.step.requests.save = save
        whole(batch, trainer_note(batch), trainer.state.epoch.metrics)
        found.append(trainer.state.guard.read().save)
    assert found == [0, 1, 0]


def trainer_note(batch: Batch) -> Any:
    return whole_step.BatchId(batch.indices, batch.rng_keys)


@pytest.mark.parametrize("setting", ["gradient_accumulation_steps=2", "compile=true"])
def test_what_cannot_be_recorded_is_refused(tiny_config: Config, setting: str) -> None:
    with pytest.raises(UserError, match=r"hardware.whole_step_graph cannot be used with .*Leave one of them out"):
        whole_step.refuse_contradictions(tiny_config(setting, f"{SWITCH}=true"), 1)


def test_several_processes_are_refused(tiny_config: Config) -> None:
    with pytest.raises(UserError, match="2 processes"):
        whole_step.refuse_contradictions(tiny_config(), 2)


def test_an_optimizer_that_is_not_fused_is_refused(tiny_config: Config) -> None:
    trainer = trainer_of(tiny_config())
    trainer.state.optimizer = torch.optim.SGD(trainer.task.parameters(), lr=0.1)
    with pytest.raises(UserError, match="fused optimizers, and SGD is not one"):
        WholeStep(trainer.step, trainer.data.pipeline, 4)


def test_rates_are_numbers_again_after_a_step() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    with pytest.raises(KeyboardInterrupt), rates_as_tensors(optimizer, [torch.tensor(0.5)]):
        assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)
        raise KeyboardInterrupt
    assert optimizer.param_groups[0]["lr"] == 0.1


class FakeGraphs:
    """Stand-in for CUDA's graphs: a recording calls the step on copies of everything, a replay calls it for real."""

    def __init__(self, whole: WholeStep, monkeypatch: pytest.MonkeyPatch, fails: str = "") -> None:
        self.whole, self.fails = whole, fails
        self.recorded = self.replayed = 0
        whole.records = True
        monkeypatch.setattr(whole, "_compute_beside", whole._compute)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 0))
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "default_generators", (self,))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: FakeGraph(self))
        monkeypatch.setattr(torch.cuda, "graph", self.recording)
        self.restored = False

    def clone_state(self) -> str:
        return "before"

    def get_state(self) -> str:
        return "numbers"

    def set_state(self, state: str) -> None:
        assert state == "numbers"

    def graphsafe_set_state(self, state: str) -> None:
        assert state == "before"
        self.restored = True

    @contextmanager
    def recording(self, *_: Any, **__: Any) -> Iterator[None]:
        """Undo on the "device" what the block does, as a recording does nothing there."""
        self.recorded += 1
        state = self.whole.state
        tensors = [*state.task.state_dict().values(), *(v["momentum_buffer"] for v in state.optimizer.state.values())]
        tensors += [] if state.average is None else list(state.average._average.values())
        before = [each.clone() for each in tensors]
        random = torch.get_rng_state()
        yield
        torch.set_rng_state(random)
        with torch.no_grad():
            for each, value in zip(tensors, before, strict=True):
                each.copy_(value)
        if self.fails:
            state.optimizer.found_inf = torch.zeros(())  # as a step that was left in its middle
            raise RuntimeError(self.fails)


class FakeGraph:
    """Stand-in for one graph."""

    def __init__(self, graphs: FakeGraphs) -> None:
        self.graphs = graphs

    def replay(self) -> None:
        """Compute the recorded step on its own batch, and write its own decisions."""
        self.graphs.replayed += 1
        whole = self.graphs.whole
        (recording,) = (each for each in whole._recordings.values() if each.graph is self)
        recording.decisions.copy_(whole._compute(recording.batch))


def learned(tiny_config: Config, monkeypatch: pytest.MonkeyPatch | None, fails: str = "") -> tuple[Any, Any]:
    """Train two epochs, with stand-ins for graphs if there is something to patch; return the state, and them."""
    trainer = trainer_of(tiny_config(*RICH, f"{SWITCH}={'false' if monkeypatch is None else 'true'}"))
    graphs = None
    if monkeypatch is not None:
        assert trainer.whole_step is not None
        graphs = FakeGraphs(trainer.whole_step, monkeypatch, fails)
    for _ in range(3):
        trainer._train_epoch()
        trainer.state.progress.epoch += 1
        trainer.state.schedule.step()
        trainer.state.begin_epoch()
    state = trainer.state.save()
    return {key: state[key] for key in ("model", "optimizer", "ema", "ema_steps", "guard", "window")}, graphs


def test_a_recording_that_fails_is_reported_once_and_training_goes_on(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(whole_step, "_STEPS_BEFORE", 0)
    expected, _ = learned(tiny_config, None)
    with caplog.at_level(logging.WARNING):
        found, graphs = learned(tiny_config, monkeypatch, "CUDA out of memory. Tried to allocate 2 GiB.\nMore.")
    assert_same(found, expected)
    assert graphs.recorded == 1 and graphs.replayed == 0 and graphs.restored
    messages = [record.getMessage() for record in caplog.records if "whole_step_graph" in record.getMessage()]
    assert messages == [whole_step._FAILED % "CUDA out of memory. Tried to allocate 2 GiB"]


def test_steps_are_recorded_anew_when_augmentation_becomes_weaker(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_step, "_STEPS_BEFORE", 0)
    monkeypatch.setattr(whole_step, "_MOST_GRAPHS", 1)
    trainer = trainer_of(tiny_config(*RICH, f"{SWITCH}=true"))
    assert trainer.whole_step is not None
    batch = next(iter(trainer.data.loader))
    trainer.whole_step._compute(batch)  # the optimizer has momenta then
    graphs = FakeGraphs(trainer.whole_step, monkeypatch)
    for strength in (1.0, 1.0, 0.5, 0.5, 0.0):
        trainer.whole_step._made(replace(batch, strength=strength))
    assert (graphs.recorded, graphs.replayed) == (3, 5)


def test_steps_are_recorded_after_the_first_of_a_shape_and_then_replayed(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_step, "_STEPS_BEFORE", 1)
    expected, _ = learned(tiny_config, None)
    found, graphs = learned(tiny_config, monkeypatch)
    seen = graphs.whole._seen
    assert graphs.recorded == len(graphs.whole._recordings) == sum(count > 1 for count in seen.values()) > 0
    assert graphs.replayed >= graphs.recorded
    assert_same(found, expected)
