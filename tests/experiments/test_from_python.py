"""Training from Python."""

from pathlib import Path

import pytest
from conftest import TINY

import last
from last.utils.errors import UserError

SETTINGS = dict(each.split("=") for each in TINY)


def settings() -> dict[str, object]:
    import yaml

    return {key: yaml.safe_load(value) for key, value in SETTINGS.items()} | {"hardware.num_workers": 0}


def test_a_model_is_trained_loaded_and_resumed(data_yaml: Path, tmp_path: Path) -> None:
    places = {"data_root": data_yaml.parent / "data", "output_root": tmp_path}
    run = last.train("nano_e", data_yaml, epochs=2, seed=3, settings=settings(), **places)
    assert run.path.parent == tmp_path and run.checkpoint.exists() and run.best_checkpoint.exists()
    assert run.summary["seed"] == 3 and 0 <= run.summary["final_top1"] <= 100
    assert run.load().facts.classes == ("rise", "fall", "still")
    again = last.train(config=run.path / "config.yaml", resume=run.path)
    assert again.path == run.path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": 2}, "Did you mean 'epochs'?"),
        ({"epochs": "two"}, "should be a whole number"),
        ({"epochs": 2, "settings": {"epochs": 3}}, "epochs: given as an argument and in `settings`"),
    ],
)
def test_a_wrong_key_or_value_is_refused(data_yaml: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as refused:
        last.train("nano_e", data_yaml, **given)
    assert message in str(refused.value)
