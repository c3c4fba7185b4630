"""The learning rate, epoch by epoch."""

import pytest
import torch

from last.settings.run import RunConfig
from last.training.schedule import build_schedule, scaled, warn_of_too_few_clips


def rates(**changes: float) -> list[float]:
    config = RunConfig(**changes)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    schedule = build_schedule(optimizer, config.optimization)
    found = []
    for _ in range(config.epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_default_schedule_has_the_values_of_the_owners_document() -> None:
    found = rates()
    assert found[0] == pytest.approx(0.001)
    assert found[9] == pytest.approx(0.0091)
    assert found[10] == pytest.approx(0.01)
    assert found[69] == pytest.approx(1.68e-5, abs=1e-7)


@pytest.mark.parametrize("epochs", [1, 2, 6, 7, 8, 13, 14, 69, 70, 71])
def test_every_length_rises_to_the_peak_and_then_only_falls(epochs: int) -> None:
    found = rates(epochs=epochs)
    peak = found.index(max(found))
    assert peak == min(10, epochs // 7)
    assert found[peak] == pytest.approx(0.01)
    assert found[:peak] == sorted(found[:peak])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    assert min(found) > 0


def test_warmup_can_be_switched_off() -> None:
    assert rates(warmup_epochs=0)[0] == pytest.approx(0.01)


def test_saved_schedule_resumes_with_the_same_rates() -> None:
    config = RunConfig(epochs=20)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    schedule = build_schedule(optimizer, config.optimization)
    for _ in range(8):
        optimizer.step()
        schedule.step()
    saved = optimizer.state_dict(), schedule.state_dict()

    other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    resumed = build_schedule(other, config.optimization)
    other.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    for _ in range(12):
        assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
        for each, scheduler in ((optimizer, schedule), (other, resumed)):
            each.step()
            scheduler.step()


def test_a_learning_rate_for_other_batches_is_scaled_to_those_of_the_run() -> None:
    settings = RunConfig(batch_size=32, gradient_accumulation_steps=4, reference_batch_size=64).optimization
    assert scaled(0.01, settings) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("changes", "clips", "warns"),
    [
        ({"batch_size": 1024, "reference_batch_size": 16}, 227, True),
        ({"batch_size": 128, "gradient_accumulation_steps": 2, "reference_batch_size": 16}, 255, True),
        ({"batch_size": 128, "gradient_accumulation_steps": 2, "reference_batch_size": 16}, 256, False),
        ({"batch_size": 1024}, 227, False),
    ],
)
def test_rates_for_more_clips_than_an_epoch_has_are_warned_of(
    changes: dict[str, int], clips: int, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_too_few_clips(RunConfig(**changes).optimization, clips)  # type: ignore[arg-type]
    assert [f"but an epoch has {clips}, and no update has more" in each for each in caplog.messages] == [True] * warns
