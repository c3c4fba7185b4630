"""The loss of every step of a tiny run of each model family, as it was recorded: no change may move it unnoticed.

Where a change moves it on purpose: `LAST_RECORD_GOLDEN=1 pytest tests/training/test_golden_losses.py` writes the file
anew, and the commit says why.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from last.training import session
from last.training.config import RunConfig, resolve
from last.training.task import Classification, Outcome

FILE = Path(__file__).with_name("golden_losses.json")
SMALL = ["input_frames=16", "tensorboard=false", "batch_size=5", "epochs=3", "learning_rate=0.05"]
SIZES = {
    "last_e": ("base_e", ["model.channels=[8,12,16]", "model.blocks=[1,1,1]"]),
    "last_v2": ("small", ["model.channels=[8,8,16]", "model.blocks=[1,1,1]", "model.heads=4"]),
}


def losses(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    forward = Classification.forward

    def forward_and_record(task: nn.Module, *arguments: object) -> Outcome:
        outcome = forward(task, *arguments)  # type: ignore[arg-type]
        found.append(outcome.loss.item())
        return outcome

    monkeypatch.setattr(Classification, "forward", forward_and_record)
    session.train(config)
    return found


@pytest.mark.parametrize("family", SIZES)
def test_every_step_has_the_loss_that_was_recorded(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    name, sizes = SIZES[family]
    roots = {"data_root": str(data_yaml.parent / "data"), "output_root": str(tmp_path), "device": "cpu"}
    config = resolve(model=name, dataset=str(data_yaml), environment="local", overrides=[*SMALL, *sizes], flags=roots)
    found = losses(config, monkeypatch)
    golden = json.loads(FILE.read_text()) if FILE.exists() else {}
    if os.environ.get("LAST_RECORD_GOLDEN"):
        FILE.write_text(json.dumps({**golden, family: found}, indent=2) + "\n")
        pytest.skip("recorded anew")
    assert len(found) == 9
    assert found == pytest.approx(golden[family], rel=1e-4)  # processors round differently


def test_changed_learning_rate_moves_the_losses(
    tiny_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        usual = losses(tiny_config("epochs=2"), patch)
    assert losses(tiny_config("epochs=2", "learning_rate=0.0101"), monkeypatch) != pytest.approx(usual, rel=1e-4)
