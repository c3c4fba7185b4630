"""Padding bodies leave no trace: losses, statistics and gradients are those of the batch without them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_runs import LAST_V2
from model_probes import opened, random_streams
from torch import Tensor, nn

from last.data.loading.bucketing import of_few_shapes
from last.data.loading.loader import Batch
from last.data.loading.run_data import training_data
from last.data.store.find_store import find_store
from last.models.batch_norm import normalise_counted, normalise_rows
from last.models.multi_body import padded
from last.models.padding import CountedPositions, counted_bodies, counting
from last.models.registry import build_model, create_model
from last.settings.run import RunConfig
from last.skeleton import load_layout

CLOSE = {"rtol": 1e-7, "atol": 1e-8}
MASK = torch.tensor([[True, False], [True, True], [True, False]])
SLOTS = torch.tensor([0, 2, 3, 4])  # the bodies that are there


def small_v2(recompute: bool = False) -> nn.Module:
    two = {"channels": [8, 12], "blocks": [1, 1], "temporal": ["convolution", "attention"], "recompute": recompute}
    return build_model(replace(LAST_V2, **two), 4, load_layout("ntu25"))


def one_step(model: nn.Module, slots: Tensor, joint_mask: Tensor | None, **options: Any) -> list[Tensor]:
    """Return logits, gradients and buffers of a training pass in float64, from the same weights each time."""
    torch.manual_seed(0)
    streams = {name: each.double() for name, each in random_streams(clips=3).items()}
    if joint_mask is not None:
        there = joint_mask.permute(0, 2, 3, 1)[:, None]
        streams = {name: torch.where(there, each, 0.0) for name, each in streams.items()}
        options["joint_mask"] = joint_mask
    state = {name: value.clone() for name, value in model.state_dict().items()}
    logits = model.train()(streams, MASK, slots, **options)
    gradients = torch.autograd.grad(logits.sin().sum(), list(model.parameters()))
    found = [logits.detach(), *gradients, *(each.clone() for each in model.buffers())]
    model.load_state_dict(state)
    return found


MODELS: dict[str, Callable[[], nn.Module]] = {
    "nano_e": partial(create_model, "nano_e", num_classes=4),
    "LAST-v2": small_v2,
    "LAST-v2, recomputed": partial(small_v2, recompute=True),
}


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_padded_batch_trains_as_the_batch_without_padding(name: str, missing: bool) -> None:
    torch.manual_seed(1)
    model = opened(MODELS[name]()).double()
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    joint_mask = torch.rand(3, 2, 8, 25) > 0.3 if missing else None
    expected = one_step(model, SLOTS, joint_mask)
    slots = padded(SLOTS, MASK.numel(), 7)
    assert len(slots) == 7
    torch.testing.assert_close(one_step(model, slots, joint_mask, padded=True), expected, **CLOSE)
    repeated = one_step(model, slots, joint_mask)
    assert not torch.allclose(repeated[0], expected[0], rtol=1e-4)  # so it is the mask that makes them equal


def test_evaluation_takes_no_notice_of_the_mask() -> None:
    model = opened(create_model("nano_e", num_classes=4)).eval()
    streams, slots = random_streams(clips=3), padded(SLOTS, MASK.numel(), 7)
    with torch.no_grad():
        assert torch.equal(model(streams, MASK, slots, padded=True), model(streams, MASK, slots))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("inner", [1, 3])
def test_gradients_are_those_of_the_formula_in_the_positions_that_do_not_count_too(relu: bool, inner: int) -> None:
    bodies = torch.tensor([True, True, False, True])
    norm = nn.BatchNorm2d(2).double().train()
    rows = torch.randn(2, 24, dtype=torch.float64, requires_grad=True)
    counted = CountedPositions(bodies, inner, 24)
    assert counted.mask().tolist() == [bool(bodies[(p // inner) % 4]) for p in range(24)]
    assert int(counted.number) == 18 == int(counted.mask().sum())
    assert torch.autograd.gradcheck(lambda x: normalise_counted(norm, x, relu, counted), (rows,))
    alone = normalise_rows(norm, rows[:, counted.mask()], relu)
    torch.testing.assert_close(normalise_counted(norm, rows, relu, counted)[:, counted.mask()], alone)


def test_what_does_not_count_may_be_nan() -> None:
    norm, rows = nn.BatchNorm2d(2).train(), torch.randn(2, 8)
    rows[:, 6:] = torch.nan
    counted = CountedPositions(torch.tensor([True, True, True, False]), 2, 8)
    assert normalise_counted(norm, rows, False, counted)[:, :6].isfinite().all()
    assert norm.running_var is not None and norm.running_var.isfinite().all()


def test_bodies_count_again_after_the_block() -> None:
    with pytest.raises(KeyboardInterrupt), counting(torch.ones(3, dtype=torch.bool)):
        assert counted_bodies() is not None
        raise KeyboardInterrupt
    assert counted_bodies() is None


def test_batches_say_that_their_padding_is_masked(tiny_config: Callable[..., RunConfig]) -> None:
    config = tiny_config()
    (batch, *_) = training_data(config, find_store(config.data, Path(config.data_root))).loader

    def first(**options: bool) -> Batch:
        return next(iter(of_few_shapes([batch], 512, compiled=False, **options)))

    assert not first(masked=True).padded
    found = first(recorded=True, masked=True)
    assert found.padded and found.masks == {"padded": True} and len(found.body_slots) % 8 == 0
    assert found.to(torch.device("cpu")).padded
    assert not first(recorded=True).padded
