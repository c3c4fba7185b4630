"""Recorded steps compute the same as steps launched kernel by kernel."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from last.experiments.run import train
from last.runs.logbook import read_rows
from last.runtime import cuda_graphs
from last.runtime.cuda_graphs import GraphedForward, recorded_steps, records_steps, warn_of_unused_switches
from last.settings.run import RunConfig

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
CUDA = torch.device("cuda")


def rows_of(config: RunConfig) -> list[dict[str, Any]]:
    """Return a run's logbook rows, without times."""
    run = train(config).run
    rows = read_rows(Path(run.path) / "metrics.jsonl")
    timed = {"seconds", "clips_per_second", "data_wait_share", "memory_mib"}
    return [{key: value for key, value in row.items() if key not in timed and value == value} for row in rows]


def test_steps_are_recorded_on_a_gpu_alone(tiny_config: Callable[..., RunConfig], monkeypatch: Any) -> None:
    def records(*changes: str, device: torch.device = CUDA, processes: int = 1) -> bool:
        config = tiny_config(*changes)
        return records_steps(config.model, config.hardware, device, processes, compiled=config.compile)

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert records()
    assert not records(device=torch.device("cpu"))
    assert not records(processes=2)
    assert not records("hardware.cuda_graphs=false")
    assert not records("compile=true")
    assert not records("hardware.whole_step_graph=true")  # then whole steps are


def test_a_run_without_a_gpu_warns_of_switches_that_are_meant_for_one(
    tiny_config: Callable[..., RunConfig], caplog: pytest.LogCaptureFixture
) -> None:
    train(tiny_config("epochs=1", "hardware.trial_kernels=[gates]", "hardware.masked_padding=true"))
    (message,) = (record.getMessage() for record in caplog.records if "meant for a GPU" in record.getMessage())
    assert message.endswith("has the device cpu: hardware.trial_kernels, hardware.masked_padding.")
    warn_of_unused_switches(tiny_config("hardware.cuda_graphs=true").hardware, CUDA)
    warn_of_unused_switches(tiny_config().hardware, torch.device("cpu"))
    assert sum("meant for a GPU" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.gpu
@on_gpu
@pytest.mark.parametrize("precision", [[], ["amp=true"], ["amp=true", "hardware.amp_dtype=bf16"]])
def test_recorded_steps_give_the_same_run(tiny_config: Callable[..., RunConfig], precision: list[str]) -> None:
    same = ("device=cuda", "model.block_dropout=0.1", "model.dropout=0.3", *precision)
    recorded, sent = (rows_of(tiny_config(*same, f"hardware.cuda_graphs={each}")) for each in ("true", "false"))
    assert recorded == sent


class Model(torch.nn.Module):
    """Count how often it is run as it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    def forward(self, *_: Any, **__: Any) -> Tensor:
        self.runs += 1
        return torch.ones(1)


class Counting(Model):
    """The same with a running statistic."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counted", torch.zeros(1))


STREAMS = {"joint": torch.ones(1)}
MASK, SLOTS = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, dtype=torch.int64)


class Generator:
    """Stand-in for CUDA's random generator, which a recording leaves unusable if it fails."""

    def __init__(self) -> None:
        self.usable, self.number, self.numbers_set = True, 7, 0

    def clone_state(self) -> int:
        return self.number

    def get_state(self) -> int:
        return self.number

    def set_state(self, number: int) -> None:
        assert self.usable, "Cannot call CUDAGeneratorImpl::set_state during CUDA graph capture"
        self.number, self.numbers_set = number, self.numbers_set + 1

    def graphsafe_set_state(self, copy: int) -> None:
        self.number, self.usable = copy, True


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Generator:
    """Let a CPU pass for a GPU whose recordings do nothing; return its generator."""
    found = Generator()
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", lambda *_, **__: None)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 0))
    monkeypatch.setattr(torch.cuda, "default_generators", (found,))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    return found


@pytest.mark.parametrize(
    "error",
    [
        "CUDA error: operation not permitted when stream is capturing",
        "CUDA out of memory. Tried to allocate 2 GiB",
    ],
)
def test_passes_that_cannot_be_recorded_are_reported_once_and_run_without_graphs(
    monkeypatch: pytest.MonkeyPatch, generator: Generator, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    tried = []

    def fail(passes: torch.nn.Module, *_: Any, **__: Any) -> None:
        tried.append(passes)
        next(passes.buffers()).add_(1)  # as recording updates running statistics
        generator.number, generator.usable = 8, False
        try:
            raise RuntimeError(f"{error}.\nSearch for it.")
        except RuntimeError:
            raise RuntimeError("operation failed due to a previous error during capture")  # noqa: B904 - as torch does

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fail)
    model = Counting()
    forward = GraphedForward(model)
    for _ in range(3):
        assert torch.equal(forward(STREAMS, MASK, SLOTS), torch.ones(1))
    forward(STREAMS, MASK, SLOTS, padded=True)  # another shape is not tried any more
    assert len(tried) == 1 and model.runs == 4 and not forward.graphs
    assert (generator.number, generator.usable) == (7, True)
    assert model.counted == 0
    assert [record.getMessage() for record in caplog.records] == [cuda_graphs._FAILED % error]


def test_passes_that_were_recorded_run_without_graphs_after_a_recording_that_failed(
    monkeypatch: pytest.MonkeyPatch, generator: Generator
) -> None:
    model = Counting()
    forward = GraphedForward(model)
    forward(STREAMS, MASK, SLOTS)
    assert len(forward.graphs) == 1
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", mock.Mock(side_effect=RuntimeError("no")))
    for more in ({"padded": True}, {}):
        forward(STREAMS, MASK, SLOTS, **more)
    assert not forward.graphs and model.runs == 3


def test_a_recording_leaves_the_random_numbers_as_they_were(generator: Generator) -> None:
    GraphedForward(Counting())(STREAMS, MASK, SLOTS)
    assert (generator.number, generator.numbers_set) == (7, 1)


@pytest.mark.usefixtures("generator")
def test_the_mask_of_missing_joints_is_an_input_of_a_recorded_step() -> None:
    class Masked(Counting):
        """Return the mask that it is given."""

        def forward(self, *_: Any, joint_mask: Tensor | None = None) -> Tensor:
            return torch.zeros(1) if joint_mask is None else joint_mask

    forward, joint_mask = GraphedForward(Masked()), torch.ones(1, 1, 4, 3, dtype=torch.bool)
    assert torch.equal(forward(STREAMS, MASK, SLOTS), torch.zeros(1))
    assert torch.equal(forward(STREAMS, MASK, SLOTS, joint_mask=joint_mask), joint_mask)
    assert len(forward.graphs) == 2


@pytest.mark.usefixtures("generator")
def test_masked_padding_is_a_recording_of_its_own() -> None:
    class Padded(Counting):
        """Return whether padding is masked."""

        def forward(self, *_: Any, padded: bool = False) -> Tensor:
            return torch.full((1,), float(padded))

    forward = GraphedForward(Padded())
    assert [float(forward(STREAMS, MASK, SLOTS, **more)) for more in ({}, {"padded": True}, {})] == [0.0, 1.0, 0.0]
    assert len(forward.graphs) == 2


def test_evaluation_and_details_are_never_recorded() -> None:
    model = Model().eval()
    forward = GraphedForward(model)
    forward(STREAMS, MASK, SLOTS)
    model.train()
    forward(STREAMS, MASK, SLOTS, return_details=True)
    forward(STREAMS, MASK, None)
    with torch.no_grad():
        forward(STREAMS, MASK, SLOTS)
    assert model.runs == 4


def test_a_model_is_as_before_when_its_steps_were_recorded() -> None:
    model = Model()
    with pytest.raises(KeyboardInterrupt), recorded_steps(model):
        assert isinstance(model.forward, GraphedForward)
        raise KeyboardInterrupt
    assert "forward" not in vars(model)
    model(STREAMS)
    assert model.runs == 1
