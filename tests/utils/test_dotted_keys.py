"""Nested settings by dotted keys."""

from dataclasses import asdict

from last.settings.data import ProtocolConfig
from last.settings.run import RunConfig
from last.utils.dotted_keys import flatten, key_of, mappings_of_names


def test_an_empty_mapping_is_a_value() -> None:
    assert flatten({"model": {"added_streams": {"partner": {}}, "name": "n"}}) == {
        "model.added_streams.partner": {},
        "model.name": "n",
    }
    assert flatten({"metrics": {}}) == {"metrics": {}}


def test_a_mapping_may_stay_whole() -> None:
    values = {"data": {"augment": {"added": {"noise": {"metres": 1.0}}, "scale": 0.1}}}
    assert flatten(values, whole=["data.augment.added"]) == {
        "data.augment.added": {"noise": {"metres": 1.0}},
        "data.augment.scale": 0.1,
    }


def test_mappings_of_any_names_are_found_and_sections_are_not() -> None:
    config = RunConfig()
    config.data.protocols["xsub"] = ProtocolConfig()
    found = mappings_of_names(config)
    assert {"model.added_streams", "data.augment.added", "metrics", "distillation.alpha_of"} <= set(found)
    assert "optimizer_settings" not in found, "whose keys have defaults"
    assert "data.protocols" not in found, "whose entries have keys with defaults"
    assert all(isinstance(flatten(asdict(config), whole=found)[key], dict) for key in found)


def test_the_key_of_a_setting_is_what_is_before_its_first_equals_sign() -> None:
    assert key_of(" data.columns = {x: a=b}") == "data.columns"
    assert key_of("epochs") == "epochs"
