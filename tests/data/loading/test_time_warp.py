"""The speed of a clip varies, within the part of it that is read."""

import pytest
import torch

from last.data.loading import counter_rng
from last.data.loading.sampling import evaluation_positions, training_positions
from last.data.loading.time_warp import warped
from last.settings.data import AugmentConfig, SamplingConfig
from last.utils.config import Layer, merge
from last.utils.errors import UserError

KEYS = counter_rng.clip_keys(0, 0, torch.arange(500))
STEPS = torch.linspace(0.0, 1.0, 17)[None]


def test_ends_stay_and_time_never_goes_back() -> None:
    found = warped(STEPS, 0.9, KEYS)
    torch.testing.assert_close(found[:, [0, -1]], torch.tensor([[0.0, 1.0]]).expand(500, 2))
    assert (found.diff(dim=1) > 0).all()


def test_each_quarter_has_one_speed_within_the_bounds() -> None:
    speeds = warped(STEPS, 0.5, KEYS).diff(dim=1).view(500, 4, 4)
    torch.testing.assert_close(speeds, speeds[:, :, :1].expand_as(speeds), atol=1e-6, rtol=0)
    ratios = speeds[:, :, 0].amax(dim=1) / speeds[:, :, 0].amin(dim=1)
    assert float(ratios.min()) > 1 and 2.5 < float(ratios.max()) <= 3.001  # (1 + 0.5) / (1 - 0.5)
    torch.testing.assert_close(warped(STEPS, 0.0, KEYS), STEPS.expand(500, -1), atol=1e-6, rtol=0)


def test_a_clip_is_warped_by_its_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter_rng, "uniform", lambda *_: torch.tensor([[0.0, 0.5, 0.5, 1.0]]))
    found = warped(torch.tensor([[0.0, 0.125, 0.25, 0.5, 0.75, 1.0]]), 0.5, torch.zeros(1))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0625, 0.125, 0.375, 0.625, 1.0]]))


@pytest.mark.parametrize("method", ["crop", "uniform"])
def test_positions_stay_in_the_clip_and_depend_on_the_clip_alone(method: str) -> None:
    frames, config = 1 + torch.arange(500) % 90, SamplingConfig(method=method)
    found = training_positions(frames, 16, config, KEYS, 0.7)
    assert (found >= 0).all() and (found <= frames[:, None] - 1 + 1e-4).all()
    assert (found.diff(dim=1) >= 0).all()
    assert torch.equal(found[7:9], training_positions(frames[7:9], 16, config, KEYS[7:9], 0.7))
    plain = training_positions(frames, 16, config, KEYS)
    assert not torch.equal(found, plain)
    if method == "crop":
        torch.testing.assert_close(found[:, [0, -1]], plain[:, [0, -1]])
    assert torch.equal(evaluation_positions(frames, 16, config, KEYS), evaluation_positions(frames, 16, config, KEYS))


@pytest.mark.parametrize("value", [-0.1, 0.95, "nan"])
def test_an_impossible_strength_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="time_warp"):
        merge(AugmentConfig(), [Layer("test", {"time_warp": value})])
