"""What is a change since the start of a run of a series."""

from dataclasses import asdict

from last.experiments.series import changed_values
from last.settings.run import RunConfig


def test_a_name_that_only_one_of_both_has_is_a_change() -> None:
    before, now = RunConfig(), RunConfig()
    now.model.added_streams["partner"] = {}
    assert changed_values(asdict(before), now, ()) == {"model.added_streams": ({}, {"partner": {}})}
    assert changed_values(asdict(now), before, ("model",)) == {}


def test_a_setting_that_a_plug_in_did_not_have_yet_is_no_change_but_another_value_is() -> None:
    before, now = RunConfig(), RunConfig()
    before.data.augment.added["noise"], now.data.augment.added["noise"] = {"metres": 1.0}, {"metres": 1.0, "share": 0.5}
    before.optimizer_settings, now.optimizer_settings = {"momentum": 0.9}, {"momentum": 0.9, "nesterov": False}
    assert changed_values(asdict(before), now, ()) == {}
    now.data.augment.added["noise"]["metres"] = 2.0
    now.optimizer_settings["momentum"] = 0.8
    assert set(changed_values(asdict(before), now, ())) == {"data.augment.added", "optimizer_settings.momentum"}
