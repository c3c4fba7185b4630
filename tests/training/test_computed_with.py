"""What a run is computed with is kept with its state, and a resumed run tells what has changed."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from last.experiments.run import train
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.settings.run import RunConfig
from last.training import computed_with as module
from last.training.computed_with import change, computed_with

NOW = {
    "torch": "2.13.0",
    "device": "cpu",
    "precision": "float32",
    "CPU threads": "1",
    "CPU instructions": "AVX2",
    "CPU kernels": "torch's",
}


def test_the_note_names_torch_the_device_and_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = str(torch.get_num_threads())
    for kernels, name in ((None, "torch's"), (object(), "numba's")):
        monkeypatch.setattr(module, "fast_kernels", lambda found=kernels: found)
        expected = {"torch": torch.__version__, "device": "cpu", "precision": "float32"}
        expected |= {"CPU threads": threads, "CPU instructions": torch.backends.cpu.get_cpu_capability()}
        expected |= {"CPU kernels": name}
        assert computed_with(torch.device("cpu"), "float32") == expected
    assert "CPU kernels" not in computed_with(torch.device("cpu"), "bfloat16")


@pytest.mark.parametrize(("works", "kernels"), [(True, "Triton's"), (False, "torch's")])
def test_a_gpu_and_its_kernels_are_named(monkeypatch: pytest.MonkeyPatch, works: bool, kernels: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Tesla T4")
    monkeypatch.setattr(module, "has_kernels", lambda _device: works)
    found = computed_with(torch.device("cuda", 0), "float32")
    assert (found["device"], found["GPU kernels"]) == ("Tesla T4", kernels)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (NOW, ""),
        ({}, ""),  # a checkpoint of an older version
        ({**NOW, "CPU threads": "4"}, "CPU threads 1 instead of 4"),
        ({**NOW, "precision": "bfloat16"}, "precision float32 instead of bfloat16"),
        ({"device": "cpu", "CPU threads": "1"}, "precision float32 instead of bfloat16"),  # an older note, with --amp
        ({**NOW, "CPU instructions": "AVX512"}, "CPU instructions AVX2 instead of AVX512"),
        ({**NOW, "torch": "2.12.1"}, "torch 2.13.0 instead of 2.12.1"),
        ({"torch": "2.12.1", "device": "Tesla T4"}, "torch 2.13.0 instead of 2.12.1, device cpu instead of Tesla T4"),
        ({**NOW, "CPU kernels": "numba's"}, "CPU kernels torch's instead of numba's"),
    ],
)
def test_what_has_changed_is_told(before: dict[str, str], expected: str) -> None:
    found = change(before, NOW)
    assert expected in found and bool(expected) == bool(found)
    assert ("install the extra `fast`" in found) == ("numba" in expected)


def test_a_run_that_is_resumed_with_another_torch_says_so_once(
    tiny_config: Callable[..., RunConfig], caplog: pytest.LogCaptureFixture
) -> None:
    run = train(tiny_config("epochs=1")).run
    for path in Path(run.checkpoints).glob("*.pth"):
        checkpoint = read_checkpoint(path)
        assert checkpoint.computed_with["torch"] == torch.__version__
        save_checkpoint(path, replace(checkpoint, computed_with={**checkpoint.computed_with, "torch": "2.11.0"}))
    with caplog.at_level(logging.WARNING):
        train(tiny_config("epochs=2"), str(run.path), explicit_keys=["epochs"])
    (message,) = (record.getMessage() for record in caplog.records if "This run resumes with" in record.getMessage())
    assert f"torch {torch.__version__} instead of 2.11.0" in message


def test_a_run_that_is_resumed_with_the_same_is_quiet(
    tiny_config: Callable[..., RunConfig], caplog: pytest.LogCaptureFixture
) -> None:
    run = train(tiny_config("epochs=1")).run
    train(tiny_config("epochs=2"), str(run.path), explicit_keys=["epochs"])
    assert not any("This run resumes with" in record.getMessage() for record in caplog.records)
