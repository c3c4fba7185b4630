"""Choosing a device: an unsuitable one is refused before anything is built."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from last.evaluation.evaluate import evaluate
from last.evaluation.request import EvalRequest, Further
from last.experiments import run as experiment
from last.runtime import precision as module
from last.runtime.precision import Precision, bf16_is_slow, choose_device, precision_of_a_run
from last.training.trainer import Trainer
from last.utils.errors import UserError


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that simulates one GPU of a compute capability, with torch built for some architectures."""

    def pretend(capability: tuple[int, int], built_for: list[str]) -> None:
        facts = {
            "is_available": True,
            "device_count": 1,
            "get_device_capability": capability,
            "get_device_name": "Tesla P100-PCIE-16GB",
            "get_arch_list": built_for,
            "set_device": None,
        }
        for name, fact in facts.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, fact=fact: fact)

    return pretend


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_gpu_that_is_too_old_for_torch_is_refused_with_what_to_do(gpu: Callable[..., None], name: str) -> None:
    gpu((6, 0), ["sm_75", "sm_80", "sm_90a", "sm_120", "compute_120"])
    with pytest.raises(UserError) as error:
        choose_device(name)
    for words in ("Tesla P100-PCIE-16GB (compute capability 6.0)", "needs 7.5 or higher", "T4", "--device cpu"):
        assert words in str(error.value)


@pytest.mark.parametrize("capability", [(7, 5), (9, 0), (13, 0)])
def test_any_other_gpu_is_taken(gpu: Callable[..., None], capability: tuple[int, int]) -> None:
    gpu(capability, ["sm_75", "sm_90", "compute_90"])
    assert choose_device("auto") == torch.device("cuda", 0)


def test_a_gpu_is_not_queried_where_the_cpu_computes(gpu: Callable[..., None]) -> None:
    gpu((6, 0), ["sm_75"])
    assert choose_device("cpu") == torch.device("cpu")


CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def test_bf16_is_refused_on_a_gpu_without_it_and_fp16_is_named(gpu: Callable[..., None]) -> None:
    gpu((7, 5), ["sm_75"])
    with pytest.raises(UserError) as error:
        Precision(True, "bf16", CUDA)
    for words in ("hardware.amp_dtype=bf16", "(compute capability 7.5)", "--set hardware.amp_dtype=fp16", "--amp"):
        assert words in str(error.value)


def test_a_training_in_bf16_is_refused_before_anything_is_built(
    gpu: Callable[..., None], tiny_config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu((7, 5), ["sm_75"])
    config = replace(tiny_config("amp=true", "hardware.amp_dtype=bf16"), device="cuda")
    monkeypatch.setattr(experiment, "joined", None)
    with pytest.raises(UserError, match="has no bf16"):
        experiment.train(config)


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
@pytest.mark.parametrize("choose", [Precision, precision_of_a_run])
def test_bf16_is_taken_where_a_gpu_has_it(
    gpu: Callable[..., None], capability: tuple[int, int], choose: Callable[..., Precision]
) -> None:
    gpu(capability, ["sm_80"])
    assert str(choose(True, "bf16", CUDA)) == "bfloat16"


@pytest.mark.parametrize(("dtype", "enabled"), [("bf16", False), ("fp16", True), ("auto", True)])
def test_a_gpu_without_bf16_takes_all_else_and_auto_never_means_it(
    gpu: Callable[..., None], dtype: str, enabled: bool
) -> None:
    gpu((7, 5), ["sm_75"])
    assert str(Precision(enabled, dtype, CUDA)) == ("float16" if enabled else "float32")


def test_a_model_trained_in_bf16_is_tested_in_float32_where_there_is_none(
    gpu: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    gpu((7, 5), ["sm_75"])
    assert str(precision_of_a_run(True, "bf16", CUDA)) == "float32"
    assert "computes in float32 here" in caplog.text


def scaled(precision: Precision, gradient: float, *, counts: bool) -> tuple[float, int]:
    """Pass a scaler one gradient; return its scale and its number of good updates since that changed."""
    parameter = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    precision.scaler.scale(parameter * gradient).backward()
    precision.scaler.unscale_(optimizer)
    precision.update_scale(torch.tensor(counts))
    state = precision.scaler.state_dict()
    return state["scale"], state["_growth_tracker"]


def test_the_scale_stays_where_every_batch_of_an_update_was_refused() -> None:
    precision = Precision(False, "auto", torch.device("cpu"))
    precision.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    assert scaled(precision, 1.0, counts=True) == (8.0, 1)
    assert scaled(precision, 0.0, counts=False) == (8.0, 1)
    assert scaled(precision, 1.0, counts=True) == (16.0, 0)
    assert scaled(precision, float("inf"), counts=True) == (8.0, 0)


def test_torch_without_code_for_the_gpu_is_no_defect(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(experiment, "train", fail)
    result = cli("train", "--model", "nano_e", "--dataset", "synthetic")
    assert result.code == 2
    assert result.err.startswith("error: The installed torch has no code for this GPU")
    assert "defect" not in result.err


def test_mixed_precision_in_fp16_is_bf16_on_the_cpu(caplog: pytest.LogCaptureFixture) -> None:
    assert str(Precision(True, "fp16", torch.device("cpu"))) == "bfloat16"
    assert "fp16 is not for the CPU" in caplog.text


@pytest.fixture
def slow_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a CPU that is slow at bf16."""
    monkeypatch.setattr(module, "bf16_is_slow", lambda device: device == CPU)


@pytest.mark.usefixtures("slow_bf16")
@pytest.mark.parametrize("dtype", ["auto", "fp16"])
def test_training_in_mixed_precision_is_in_float32_on_a_cpu_where_bf16_is_slow(
    caplog: pytest.LogCaptureFixture, dtype: str
) -> None:
    precision = Precision(True, dtype, CPU)
    assert str(precision) == "float32"
    assert not precision.scaler.is_enabled()
    (message,) = caplog.messages
    assert "float32 is used" in message and "--set hardware.amp_dtype=bf16" in message


@pytest.mark.usefixtures("slow_bf16")
def test_slow_bf16_is_taken_for_training_where_it_is_named(caplog: pytest.LogCaptureFixture) -> None:
    assert str(Precision(True, "bf16", CPU)) == "bfloat16"
    assert not caplog.messages


@pytest.mark.usefixtures("slow_bf16")
@pytest.mark.parametrize("dtype", ["auto", "fp16", "bf16"])
def test_a_model_of_mixed_precision_is_tested_in_float32_where_bf16_is_slow(
    caplog: pytest.LogCaptureFixture, dtype: str
) -> None:
    assert str(precision_of_a_run(True, dtype, CPU)) == "float32"
    assert caplog.messages == [
        "The model was trained in mixed precision, which is slow on this CPU: it computes in float32."
    ]


@pytest.mark.usefixtures("slow_bf16")
def test_an_evaluation_in_several_conditions_says_once_that_it_computes_in_float32(
    tiny_config: Callable[..., Any], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    run = experiment.train(tiny_config("epochs=1", "amp=true")).run
    caplog.clear()
    evaluate(EvalRequest(run.last, statistics="measured", further=Further(robustness=True)), tmp_path)
    assert caplog.text.count("it computes in float32") == 1


@pytest.mark.parametrize("slow", [True, False])
def test_mixed_precision_is_advice_against_full_memory_where_it_saves_some(
    tiny_config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(module, "bf16_is_slow", lambda _: slow)
    monkeypatch.setattr(Trainer, "fit", fail)
    with pytest.raises(UserError, match=r"Try --batch_size 2 ") as found:
        experiment.train(tiny_config("batch_size=4"))
    assert ("or --amp" in str(found.value)) is not slow


@pytest.mark.parametrize("supported", [True, False])
def test_bf16_is_slow_where_no_library_of_the_cpu_computes_it(monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported, raising=False)
    assert bf16_is_slow(CPU) is not supported
    assert not bf16_is_slow(CUDA)


def test_more_processes_than_gpus_are_refused(gpu: Callable[..., None]) -> None:
    gpu((8, 0), ["sm_80"])
    with pytest.raises(UserError, match="This machine has 1 GPU, too few for 2 processes"):
        choose_device("cuda", 1)
