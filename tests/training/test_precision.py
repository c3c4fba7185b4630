"""Choosing a device: what cannot compute is refused before anything is built."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from last.training import session
from last.training.precision import choose_device
from last.utils.errors import UserError


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that lets torch see one GPU of a compute capability, and be built for some."""

    def pretend(capability: tuple[int, int], built_for: list[str]) -> None:
        answers = {
            "is_available": True,
            "device_count": 1,
            "get_device_capability": capability,
            "get_device_name": "Tesla P100-PCIE-16GB",
            "get_arch_list": built_for,
            "set_device": None,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)

    return pretend


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_gpu_that_is_too_old_for_torch_is_refused_with_what_to_do(gpu: Callable[..., None], name: str) -> None:
    gpu((6, 0), ["sm_75", "sm_80", "sm_90a", "sm_120", "compute_120"])
    with pytest.raises(UserError) as told:
        choose_device(name)
    for words in ("Tesla P100-PCIE-16GB (compute capability 6.0)", "needs 7.5 or higher", "T4", "--device cpu"):
        assert words in str(told.value)


@pytest.mark.parametrize("capability", [(7, 5), (9, 0), (13, 0)])
def test_any_other_gpu_is_taken(gpu: Callable[..., None], capability: tuple[int, int]) -> None:
    gpu(capability, ["sm_75", "sm_90", "compute_90"])
    assert choose_device("auto") == torch.device("cuda", 0)


def test_a_gpu_is_not_asked_where_the_cpu_computes(gpu: Callable[..., None]) -> None:
    gpu((6, 0), ["sm_75"])
    assert choose_device("cpu") == torch.device("cpu")


def test_torch_without_code_for_the_gpu_is_no_defect(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(session, "train", fail)
    result = cli("train", "--model", "nano_e", "--dataset", "synthetic")
    assert result.code == 2
    assert result.err.startswith("error: The installed torch has no code for this GPU")
    assert "defect" not in result.err
