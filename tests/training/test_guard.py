"""What non-finite numbers may and may not touch, decided on the device and counted on the host."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from last.runtime.distributed import ALONE
from last.settings.run import NanGuardConfig
from last.training.guard import BatchId, NanGuard, Requests, counts_by_cause
from last.utils.errors import TrainingDiverged

NAN = float("nan")
NOTE = BatchId(torch.arange(2), torch.arange(2))
CPU = torch.device("cpu")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.norm(torch.randn(8, 3) + 5)

    @property
    def statistics(self) -> list[Tensor]:
        return [each.clone() for each in (self.norm.running_mean, self.norm.running_var, self.norm.num_batches_tracked)]


BODIES = torch.ones(2, 1, dtype=torch.bool)


def guard_of(net: Net, max_consecutive: int = 20, bn_recovery: str = "reset") -> NanGuard:
    return NanGuard(net, NanGuardConfig(max_consecutive, bn_recovery), CPU, ALONE)


def streams(bad: float = 0.0, stream: str = "joint") -> dict[str, Tensor]:
    found = {name: torch.ones(2, 3, 4, 5, 1) for name in ("joint", "velocity", "bone")}
    found[stream][1, 2, 3, 4, 0] = bad
    return found


def step(guard: NanGuard, net: Net, *, bad: float = 0.0, loss: float = 1.0, norm: float = 1.0, scaled=False) -> bool:
    """Do what a training step does with the guard; return whether the optimizer may step."""
    seen = guard.sanitize_inputs(streams(bad), BODIES)
    assert all(each.isfinite().all() for each in seen.values())
    net.norm(torch.randn(8, 3) * loss)
    good = guard.check_loss(torch.tensor(loss), 1.0, Requests())
    guard.restore_batchnorm()
    made = guard.check_gradient(torch.tensor(norm), good * 2, scaled)
    guard.note(NOTE)
    guard.read()
    return bool(made)


def test_a_batch_without_any_body_is_refused_and_one_with_a_single_body_is_not() -> None:
    guard = guard_of(Net())
    for bodies, trains in ((torch.zeros_like(BODIES), False), (torch.eye(*BODIES.shape).bool(), True)):
        guard.sanitize_inputs(streams(), bodies)
        assert bool(guard.check_loss(torch.tensor(1.0), 1.0, Requests())) is trains


@pytest.mark.parametrize("bad", [NAN, float("inf"), float("-inf")])
@pytest.mark.parametrize("stream", ["joint", "velocity", "bone"])
def test_one_bad_value_in_any_stream_refuses_the_batch(bad: float, stream: str) -> None:
    guard = guard_of(Net())
    guard.sanitize_inputs(streams(), BODIES)
    assert bool(guard.check_loss(torch.tensor(1.0), 1.0, Requests()))
    guard.sanitize_inputs(streams(bad, stream), BODIES)
    assert not bool(guard.check_loss(torch.tensor(1.0), 1.0, Requests()))


@pytest.mark.parametrize("bn_recovery", ["reset", "restore"])
def test_bad_input_leaves_the_statistics_as_they_were(bn_recovery: str) -> None:
    net = Net()
    before = net.statistics
    assert not step(guard_of(net, bn_recovery=bn_recovery), net, bad=NAN)
    assert all(map(torch.equal, net.statistics, before))


def test_good_batch_moves_the_statistics_as_it_would_without_a_guard() -> None:
    guarded, free = Net(), Net()
    guarded.load_state_dict(free.state_dict())
    torch.manual_seed(1)
    assert step(guard_of(guarded), guarded)
    torch.manual_seed(1)
    free.norm(torch.randn(8, 3))
    assert all(map(torch.equal, guarded.statistics, free.statistics))


def test_bad_loss_resets_the_statistics_to_mean_zero_and_variance_one() -> None:
    net = Net()
    assert not step(guard_of(net), net, loss=NAN)
    mean, variance, _ = net.statistics
    assert not mean.any()
    assert torch.equal(variance, torch.ones(3))


def test_bad_loss_restores_the_statistics_if_configured() -> None:
    net = Net()
    before = net.statistics
    assert not step(guard_of(net, bn_recovery="restore"), net, loss=NAN)
    assert all(map(torch.equal, net.statistics, before))


def test_values_too_large_for_the_statistics_do_not_stay_in_them() -> None:
    net = Net()
    guard = guard_of(net, bn_recovery="restore")
    before = net.statistics
    guard.sanitize_inputs(streams(), BODIES)
    net.norm(torch.full((8, 3), 1e25) * torch.randn(8, 3))
    assert not bool(guard.check_loss(torch.tensor(1.0), 1.0, Requests()))
    guard.restore_batchnorm()
    assert all(map(torch.equal, net.statistics, before))


def test_skips_are_counted_by_cause() -> None:
    net = Net()
    guard = guard_of(net)
    for faults in ({}, {"bad": NAN}, {"loss": NAN}, {"loss": NAN}, {"norm": NAN}, {"norm": NAN, "scaled": True}):
        step(guard, net, **faults)
    counts = counts_by_cause(guard.skips, guard_of(net).skips)
    assert counts == {
        "skipped_batches": 4,
        "skipped_inputs": 1,
        "skipped_losses": 2,
        "skipped_gradients": 1,
        "scaler_overflows": 1,
    }


def test_batch_with_bad_input_and_bad_loss_counts_once() -> None:
    net = Net()
    guard = guard_of(net)
    step(guard, net, bad=NAN, loss=NAN)
    assert (guard.skips.inputs, guard.skips.losses) == (1, 0)


@pytest.mark.parametrize(
    ("fault", "what"),
    [({"bad": NAN}, "batches"), ({"loss": float("inf")}, "batches"), ({"norm": NAN}, "steps")],
)
def test_too_many_skips_in_a_row_end_the_training(fault: dict[str, float], what: str) -> None:
    net = Net()
    guard = guard_of(net, max_consecutive=3)
    for faults in (fault, fault, {}, fault, fault):
        step(guard, net, **faults)
    with pytest.raises(TrainingDiverged, match=f"3 {what} in a row"):
        step(guard, net, **fault)


def test_overflows_end_a_training_only_when_no_scale_is_small_enough() -> None:
    net = Net()
    guard = guard_of(net, max_consecutive=3)
    for _ in range(26):
        step(guard, net, norm=NAN, scaled=True)
    with pytest.raises(TrainingDiverged, match="27 steps in a row were skipped: the gradient overflows"):
        step(guard, net, norm=NAN, scaled=True)


def test_counts_continue_where_another_guard_left_them() -> None:
    net = Net()
    first, second = guard_of(net, max_consecutive=3), guard_of(net, max_consecutive=3)
    for _ in range(2):
        step(first, net, loss=NAN)
    second.load_state(first.state())
    assert second.skips.losses == 2
    with pytest.raises(TrainingDiverged):
        step(second, net, loss=NAN)


def test_requests_come_back_after_the_step_they_were_made_in() -> None:
    net = Net()
    guard = guard_of(net)
    guard.sanitize_inputs(streams(), BODIES)
    guard.check_loss(torch.tensor(1.0), 1.0, Requests(terminated=1, save=1))
    guard.restore_batchnorm()
    guard.check_gradient(torch.tensor(1.0), torch.tensor(2.0), False)
    guard.note(NOTE)
    assert guard.read() == Requests(terminated=1, save=1)
    assert guard.read() == Requests()


@pytest.fixture(autouse=True)
def _no_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize(("bn_recovery", "left"), [("reset", 2), ("restore", 5)])
def test_batches_since_the_statistics_were_neutral_are_counted_from_the_last_reset(bn_recovery: str, left: int) -> None:
    net = Net()
    guard = guard_of(net, bn_recovery=bn_recovery)
    for loss in (1.0, 1.0, 1.0, NAN, 1.0, 1.0):
        step(guard, net, loss=loss)
    step(guard, net, bad=NAN)
    assert guard.batches_since_reset == left


def test_updates_that_were_made_are_counted_and_survive_a_resume() -> None:
    net = Net()
    guard, other = guard_of(net), guard_of(Net())
    for norm in (1.0, NAN, 2.0):
        step(guard, net, norm=norm)
    step(guard, net, bad=NAN)
    assert guard.updates == 2
    other.load_state(guard.state())
    assert other.state() == guard.state()


def test_a_state_from_before_totals_were_counted_stands_for_a_run_under_way() -> None:
    net = Net()
    guard = guard_of(net)
    state = {name: value for name, value in guard.state().items() if name not in ("updates", "batches_since_reset")}
    guard.load_state(state)
    assert guard.updates > 0 and guard.batches_since_reset >= 1000


def test_the_recent_loss_is_the_mean_over_batches_that_were_not_skipped() -> None:
    net = Net()
    guard = guard_of(net)
    assert math.isnan(guard.recent_loss)
    for loss, bad in ((1.0, 0.0), (NAN, 0.0), (9.0, NAN), (2.0, 0.0)):
        step(guard, net, loss=loss, bad=bad)
    assert guard.recent_loss == 1.5


def test_the_recent_loss_forgets_the_first_batches() -> None:
    net = Net()
    guard = guard_of(net)
    for loss in (1000.0, *[1.0] * 32):
        step(guard, net, loss=loss)
    assert guard.recent_loss == 1.0
