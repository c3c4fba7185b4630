"""The plain models that speed is measured against compute what the fused ones do."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import last
from last.models import plain
from last.models.multi_body import STREAMS

TINY = {
    "nano_e": {"channels": [8, 12, 16], "blocks": [2, 1, 2], "attention": [True, False, True]},
    "small": {"channels": [8, 12, 16], "blocks": [2, 1, 2], "heads": 4},
}
EXACT = {"rtol": 0.0, "atol": 1e-9}

pytestmark = pytest.mark.parametrize("name", TINY)


def random_streams(clips: int = 3, bodies: int = 1) -> dict[str, Tensor]:
    return {name: torch.randn(clips, 3, 12, 25, bodies, dtype=torch.float64, requires_grad=True) for name in STREAMS}


def tiny_model(name: str) -> nn.Module:
    """Build a small model without dropout, in which no weight is as a new model has it, gates and norms included.

    The changes are small: linear attention must stay clear of the guards that keep its divisions finite.
    """
    model = last.create_model(name, num_classes=5, dropout=0.0, block_dropout=0.0, **TINY[name]).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        model.train()(random_streams())
    return model


def linear_gradient(model: nn.Module) -> Tensor:
    """Return the gradient of the classifier's weight, with the heads of the streams side by side."""
    return torch.cat([layer.weight.grad for layer in model.modules() if isinstance(layer, nn.Linear)], dim=1)


def test_plain_model_gives_the_same_logits_in_evaluation(name: str) -> None:
    model = tiny_model(name).eval()
    streams, valid = random_streams(bodies=2), torch.tensor([[True, True], [True, False], [False, True]])
    torch.testing.assert_close(plain.from_fused(model)(streams, valid), model(streams, valid), **EXACT)


def test_plain_model_reads_the_same_streams(name: str) -> None:
    torch.manual_seed(0)
    model = last.create_model(name, num_classes=5, **TINY[name], streams=["joint", "bone"]).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    streams, valid = random_streams(), torch.ones(3, 1, dtype=torch.bool)
    torch.testing.assert_close(plain.from_fused(model.eval())(streams, valid), model(streams, valid), **EXACT)


def test_plain_model_gives_the_same_logits_and_gradients_in_training(name: str) -> None:
    model = tiny_model(name)
    reference = plain.from_fused(model)
    found = []
    for each in (model, reference):
        torch.manual_seed(0)
        streams = random_streams()
        logits = each(streams, torch.ones(3, 1, dtype=torch.bool))
        functional.cross_entropy(logits, torch.arange(3)).backward()
        found.append([logits, linear_gradient(each), *(streams[stream].grad for stream in STREAMS)])
    for ours, theirs in zip(*found, strict=True):
        assert ours.abs().max() > 1e-6
        torch.testing.assert_close(theirs, ours, **EXACT)


def test_plain_model_keeps_the_same_statistics(name: str) -> None:
    model = tiny_model(name)
    reference = plain.from_fused(model)
    streams, valid = random_streams(), torch.ones(3, 1, dtype=torch.bool)
    with torch.no_grad():
        before = reference.eval()(streams, valid)
        model(streams, valid), reference.train()(streams, valid)
        after = reference.eval()(streams, valid)
        torch.testing.assert_close(after, model.eval()(streams, valid), **EXACT)
    assert not torch.allclose(before, after)


def test_plain_model_has_weights_of_its_own(name: str) -> None:
    model = tiny_model(name)
    reference = plain.from_fused(model)
    assert sum(each.numel() for each in reference.parameters()) == sum(each.numel() for each in model.parameters())
    assert not {each.data_ptr() for each in reference.parameters()} & {each.data_ptr() for each in model.parameters()}
