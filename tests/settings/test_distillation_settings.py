"""Which settings of distillation have an effect, as warnings of runs and refusals of sweeps tell it."""

from dataclasses import fields
from typing import Any

import pytest

from last.settings.distillation import DistillationConfig

TAUGHT: dict[str, Any] = {"teachers": ["a.pth"]}
ALWAYS = {"teachers", "peers", "fingerprints"}
OF_PEERS = {"alpha", "alpha_of", "alpha_other", "alpha_end", "tau", "tau_end", "label_smoothing"}
OF_TEACHERS = OF_PEERS | {
    *("weights", "method", "method_settings", "tau_of_smoothed", "unlabelled", "unseen_only"),
    *("fixed_augmentations", "cached"),
}


@pytest.mark.parametrize(
    ("settings", "effective"),
    [
        ({}, set()),
        ({"peers": 2}, OF_PEERS),
        ({"peers": 2, "alpha": 0.5}, OF_PEERS - {"alpha_of", "alpha_other"}),
        (TAUGHT, OF_TEACHERS),
        ({**TAUGHT, "method": "dkd"}, OF_TEACHERS | {"dkd_target", "dkd_others"}),
        ({**TAUGHT, "method": "features"}, OF_TEACHERS | {"feature_weight"}),
        ({**TAUGHT, "method": "attention"}, OF_TEACHERS | {"feature_weight"}),
        ({**TAUGHT, "method": "a_module"}, OF_TEACHERS),
        ({**TAUGHT, "alpha": 0.5}, OF_TEACHERS - {"alpha_of", "alpha_other"}),
        ({**TAUGHT, "fixed_augmentations": 1, "cached": True}, OF_TEACHERS | {"cache"}),
    ],
)
def test_every_key_has_an_effect_or_none(settings: dict[str, Any], effective: set[str]) -> None:
    config = DistillationConfig(**settings)
    assert {each.name for each in fields(config) if config.has_effect(each.name)} == ALWAYS | effective


@pytest.mark.parametrize(
    ("settings", "unused", "circumstances"),
    [
        ({"tau": 2.0, "alpha_of": {"mine": 0.5}}, ["tau"], "without teachers"),
        ({"method": "dkd", "cache": "here"}, ["method", "cache"], "without teachers"),
        ({"peers": 2, "tau": 2.0, "tau_of_smoothed": 1.0}, ["tau_of_smoothed"], "with peers"),
        ({**TAUGHT, "dkd_others": 2.0, "cache": "here"}, ["dkd_others", "cache"], "method kl and no cached outputs"),
        ({**TAUGHT, "alpha": 0.5, "alpha_other": 0.2}, ["alpha_other"], "with the method kl and alpha 0.5"),
        ({**TAUGHT, "tau": 2.0}, [], "method kl"),
    ],
)
def test_what_is_set_in_vain_is_told_with_the_reason(
    settings: dict[str, Any], unused: list[str], circumstances: str
) -> None:
    config = DistillationConfig(**settings)
    assert config.unused == [f"distillation.{name}" for name in unused]
    assert circumstances in config.circumstances
