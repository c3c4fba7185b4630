"""The stem in closed form computes what its layers compute, in values, gradients and running statistics."""

import copy

import pytest
import torch
from model_probes import random_streams
from torch import Tensor, nn

import last
from last.models.last_e import StreamFusion
from last.models.stem import can_lift, lift

CLOSE = {"rtol": 1e-9, "atol": 1e-10}


class Layers(nn.Module):
    """Input BatchNorms, projection and BatchNorm of S streams of I coordinates, with weights that are not neutral."""

    def __init__(self, streams: int, coordinates: int = 3, channels: int = 5) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(coordinates) for _ in range(streams))
        self.stem, self.norm = nn.Conv2d(coordinates, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.alpha = nn.Parameter(torch.zeros(streams, channels))
        self.double()
        for name, parameter in self.named_parameters():
            nn.init.normal_(parameter, mean=0.5 * name.startswith("norm"))

    def closed(self, streams: list[Tensor], masks: list[Tensor | None]) -> Tensor:
        assert can_lift([*self.norms], self.stem, self.norm, streams)
        return lift([*self.norms], self.stem, self.norm, streams, masks, self.alpha.softmax(dim=0))

    def plain(self, streams: list[Tensor], masks: list[Tensor | None]) -> Tensor:
        """Apply layer by layer, after Ioffe and Szegedy; the statistics of an input are those where it was measured."""
        normed = []
        for norm, stream, mask in zip(self.norms, streams, masks, strict=True):
            if mask is None or not norm.training:
                normed.append(norm(stream))
                continue
            there = stream.permute(1, 0, 2, 3)[:, mask]  # (I, measured)
            norm(there[None, :, :, None])
            mean, variance = there.mean(dim=1), there.var(dim=1, correction=0)
            scaled = (stream - mean[:, None, None]) / (variance + norm.eps).sqrt()[:, None, None]
            normed.append(scaled * norm.weight[:, None, None] + norm.bias[:, None, None])
        lifted = torch.relu(self.norm(self.stem(torch.cat(normed)))).chunk(len(normed))
        weights = self.alpha.softmax(dim=0)[:, :, None, None]
        return sum(map(torch.mul, weights, lifted)).permute(1, 2, 0, 3)


def some_streams(streams: int, bodies: int, frames: int, coordinates: int) -> list[Tensor]:
    drawn = torch.randn(streams, bodies, coordinates, frames, 7, dtype=torch.float64)
    return [(1 + number) * each + 5 * number for number, each in enumerate(drawn)]


def assert_same(layers: Layers, streams: list[Tensor], masks: list[Tensor | None]) -> None:
    plain = copy.deepcopy(layers)
    found, expected = layers.closed(streams, masks), plain.plain(streams, masks)
    torch.testing.assert_close(found, expected, **CLOSE)
    torch.testing.assert_close(dict(layers.named_buffers()), dict(plain.named_buffers()), **CLOSE)
    weights = torch.randn_like(expected)
    for result in (found, expected):
        (result * weights).sum().backward()
    for (name, one), other in zip(layers.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=lambda text, name=name: f"{name}: {text}", **CLOSE)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("streams", "bodies", "frames", "coordinates"), [(3, 4, 6, 3), (1, 2, 5, 3), (4, 1, 1, 3), (3, 1, 1, 2)]
)
def test_it_is_what_its_layers_compute(
    streams: int, bodies: int, frames: int, coordinates: int, training: bool
) -> None:
    torch.manual_seed(0)
    layers = Layers(streams, coordinates).train(training)
    assert_same(layers, some_streams(streams, bodies, frames, coordinates), [None] * streams)


def test_statistics_of_an_input_are_those_of_its_measured_positions() -> None:
    torch.manual_seed(1)
    streams = some_streams(3, 4, 6, 3)
    masks: list[Tensor | None] = [torch.rand(4, 6, 7) > 0.4, None, torch.rand(4, 6, 7) > 0.1]
    for stream, mask in zip(streams, masks, strict=True):
        if mask is not None:
            stream.mul_(mask[:, None])
    assert_same(Layers(3), streams, masks)


def test_an_input_with_one_measured_position_is_normalised_by_its_running_statistics() -> None:
    torch.manual_seed(2)
    layers = Layers(1)
    mask = torch.zeros(4, 6, 7, dtype=torch.bool)
    mask[0, 0, 0] = True
    streams = [mask[:, None] * each for each in some_streams(1, 4, 6, 3)]
    plain = copy.deepcopy(layers)
    plain.norms.eval()
    torch.testing.assert_close(layers.closed(streams, [mask]), plain.plain(streams, [None]), **CLOSE)
    torch.testing.assert_close(
        [layers.norms[0].running_mean, layers.norms[0].running_var],
        [plain.norms[0].running_mean, plain.norms[0].running_var],
        **CLOSE,
    )


def test_positions_that_do_not_fit_the_cache_are_computed_in_parts() -> None:
    torch.manual_seed(3)
    assert_same(Layers(2, channels=40), some_streams(2, 5, 60, 3), [None, None])


def test_a_value_that_is_not_a_number_reaches_the_features() -> None:
    streams = some_streams(2, 2, 3, 3)
    streams[1][0, 1, 2, 3] = torch.nan
    assert Layers(2).closed(streams, [None, None]).isnan().any()


def test_half_precision_is_close() -> None:
    torch.manual_seed(4)
    layers, streams = Layers(3), some_streams(3, 4, 6, 3)
    expected = layers.closed(streams, [None] * 3)
    narrow = copy.deepcopy(layers).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = narrow.closed([each.float() for each in streams], [None] * 3)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, rtol=0.02, atol=0.02)


def test_hooks_a_gradient_of_the_input_and_mixed_modes_take_the_layers_themselves() -> None:
    layers, streams = Layers(2), some_streams(2, 2, 3, 3)

    def possible() -> bool:
        return can_lift([*layers.norms], layers.stem, layers.norm, streams)

    assert possible()
    handle = layers.stem.register_forward_hook(lambda *_: None)
    assert not possible()
    handle.remove()
    layers.norms[0].eval()
    assert not possible()
    layers.norms[0].train()
    streams[0].requires_grad_()
    assert not possible()


@pytest.mark.parametrize("name", ["nano_e", "small"])
def test_models_use_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    module = "last.models.last_e" if name == "nano_e" else "last.models.last_v2"
    monkeypatch.setattr(f"{module}.lift", lambda *given: seen.append(given) or lift(*given))
    last.create_model(name, num_classes=4)(random_streams())
    assert len(seen) == (1 if name == "nano_e" else 3)


def test_the_fusion_of_streams_is_the_same_with_hooks() -> None:
    torch.manual_seed(5)
    fusion = StreamFusion(3, 6).double()
    watched = copy.deepcopy(fusion)
    watched.stem.register_forward_hook(lambda *_: None)
    streams = dict(zip(fusion.input_norms, some_streams(3, 2, 4, 3), strict=True))
    masks = {"velocity": torch.rand(2, 4, 7) > 0.5}
    streams["velocity"] *= masks["velocity"][:, None]
    torch.testing.assert_close(fusion(streams, masks), watched(streams, masks), **CLOSE)
    torch.testing.assert_close(dict(fusion.named_buffers()), dict(watched.named_buffers()), **CLOSE)
