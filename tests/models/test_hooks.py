"""Hooks see every layer of a model, also one that a faster function computes otherwise; the result is the same."""

import copy

import pytest
import torch
from model_probes import opened, random_streams
from torch import nn

import last


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["nano_e", "small"])
def test_every_layer_with_weights_is_seen_and_computes_the_same(name: str, training: bool) -> None:
    torch.manual_seed(0)
    model = opened(last.create_model(name, num_classes=5)).double().train(training)
    for layer in model.modules():
        if isinstance(layer, nn.Dropout | nn.Dropout2d):
            layer.p = 0.0
    watched, seen = copy.deepcopy(model), set[str]()
    for title, layer in watched.named_modules():
        layer.register_forward_hook(lambda *_, title=title: seen.add(title))
    streams = {title: each.double() for title, each in random_streams().items()}
    with torch.no_grad():
        torch.testing.assert_close(watched(streams), model(streams), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(dict(watched.named_buffers()), dict(model.named_buffers()), rtol=1e-8, atol=1e-8)
    weighty = {title for title, layer in watched.named_modules() if dict(layer.named_parameters(recurse=False))}
    assert weighty - seen == set()
