"""The fast path's losses are the plain path's: to the last digits in float64, to rounding in float32."""

import pytest
import torch

from last.benchmarks.losses import compare_losses, difference
from last.benchmarks.steps import benchmark_config
from last.settings.run import RunConfig
from last.utils.progress import SILENT

STEPS = 6
TINY = {
    "nano_e": ["model.channels=[8,12,16]", "model.blocks=[1,1,1]", "model.attention=[true,false,true]"],
    "small": ["model.channels=[8,12,16]", "model.blocks=[1,1,1]", "model.heads=4"],
}


def tiny_config(model: str) -> RunConfig:
    overrides = [*TINY[model], "model.dropout=0", "model.block_dropout=0", "hardware.amp_dtype=bf16"]
    return benchmark_config(model, "", overrides, batch_size=4, input_frames=8)


@pytest.mark.parametrize("model", TINY)
def test_losses_of_the_fast_path_are_those_of_the_plain_path(model: str) -> None:
    losses = compare_losses(tiny_config(model), STEPS, torch.device("cpu"), SILENT)
    assert len(losses["plain, float64"]) == STEPS
    assert abs(losses["plain, float64"][0] - losses["plain, float64"][-1]) > 1e-3
    assert difference(losses["ours, float64"], losses["plain, float64"]) < 1e-9
    assert difference(losses["ours, float32"], losses["plain, float32"]) < 1e-4
    assert difference(losses["ours, bfloat16"], losses["plain, float32"]) < 0.05


def test_a_difference_is_relative_and_the_largest() -> None:
    assert difference([1.0, 3.0], [1.0, 2.0]) == 0.5
