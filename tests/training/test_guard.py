"""What non-finite numbers may and may not touch."""

import pytest
import torch
from torch import nn

from last.training.guard import NanGuard, reset_running_statistics
from last.utils.errors import TrainingDiverged


def model() -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    net(torch.randn(8, 3) + 5)
    return net


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("stream", ["joint", "velocity", "bone"])
def test_one_bad_value_in_any_stream_refuses_the_batch(bad: float, stream: str) -> None:
    guard = NanGuard(model(), 20)
    streams = {name: torch.zeros(2, 3, 4, 5, 1) for name in ("joint", "velocity", "bone")}
    assert guard.accepts_input(streams)
    streams[stream][1, 2, 3, 4, 0] = bad
    assert not guard.accepts_input(streams)
    assert (guard.skipped_inputs, guard.skipped_losses) == (1, 0)


def test_bad_loss_resets_normalisation_statistics_to_neutral() -> None:
    net = model()
    guard = NanGuard(net, 20)
    assert guard.accepts_loss(torch.tensor(1.0))
    assert net[1].running_mean.abs().max() > 0
    assert not guard.accepts_loss(torch.tensor(float("nan")))
    assert not net[1].running_mean.any()
    assert torch.equal(net[1].running_var, torch.ones(3))
    assert guard.skipped_losses == 1


def test_reset_leaves_weights_alone() -> None:
    net = model()
    before = [each.clone() for each in net.parameters()]
    reset_running_statistics(net)
    assert all(torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))


def test_too_many_bad_batches_in_a_row_end_the_training() -> None:
    guard = NanGuard(model(), 3)
    bad, good = torch.tensor(float("inf")), torch.tensor(0.0)
    for loss in (bad, bad, good, bad, bad):
        guard.accepts_loss(loss)
    with pytest.raises(TrainingDiverged, match="3 batches in a row"):
        guard.accepts_loss(bad)


def test_too_many_bad_steps_in_a_row_end_the_training_though_their_losses_are_finite() -> None:
    guard = NanGuard(model(), 3)
    bad, good = torch.tensor(float("nan")), torch.tensor(1.0)
    for norm in (bad, bad, good, bad, bad):
        guard.accepts_loss(good)
        guard.accepts_gradient(norm)
    assert guard.skipped_gradients == guard.skipped == 4
    guard.accepts_loss(good)
    with pytest.raises(TrainingDiverged, match="3 steps in a row"):
        guard.accepts_gradient(bad)
