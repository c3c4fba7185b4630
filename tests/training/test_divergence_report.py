"""The report of a diverged run names the layer with the first non-finite output, whichever function computes it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from last.experiments.run import train
from last.runs.folder import RunFolder
from last.settings.run import RunConfig
from last.training import classification
from last.utils.errors import TrainingDiverged

LAYERS = {
    "a BatchNorm of the input": "fusion.input_norms.velocity",
    "a BatchNorm": "fusion.norm",
    "the BatchNorm of a residual": "blocks.1.residual.1",
    "a projection": "blocks.0.spatial.project",
    "a filter over frames": "blocks.0.temporal.depthwise.1",
    "the classifier": "classifier",
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_the_first_layer_with_a_bad_output_is_named(
    tiny_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    build = classification.build_model

    def spoiled(*given: object) -> nn.Module:
        model = build(*given)  # type: ignore[arg-type]
        nn.init.constant_(next(model.get_submodule(layer).parameters()), float("nan"))
        return model

    monkeypatch.setattr(classification, "build_model", spoiled)
    config = tiny_config("epochs=1", "nan_guard.max_consecutive=1", "model.channels=[8,16]")
    with pytest.raises(TrainingDiverged):
        train(config)
    (run,) = map(RunFolder, Path(config.output_root).iterdir())
    named = json.loads(run.divergence.read_text())["activations"]["not_finite"]
    assert (named[0], named[-1]) == (layer, "classifier")
