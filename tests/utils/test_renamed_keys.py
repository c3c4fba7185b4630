"""Old names of keys and options: read where LAST wrote them, refused with the present name where a user did."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from last.settings.data import DataConfig
from last.settings.run import RunConfig
from last.utils.config import Layer, file_layer, merge, override_layer
from last.utils.dotted_keys import flatten, set_nested
from last.utils.errors import UserError
from last.utils.renamed_keys import RENAMED_KEYS, RENAMED_OPTIONS, with_present_keys


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        set_nested(tree, key.split("."), value)
    return tree


def test_every_present_name_is_a_key_and_no_old_one_is() -> None:
    keys = set(flatten(asdict(RunConfig())))
    assert keys >= set(RENAMED_KEYS.values())
    assert not keys & RENAMED_KEYS.keys()


def test_a_key_stays_in_its_section() -> None:
    assert all(old.rpartition(".")[0] == new.rpartition(".")[0] for old, new in RENAMED_KEYS.items())


def test_a_saved_configuration_gets_the_present_names_and_is_not_changed_itself() -> None:
    old = nested(dict.fromkeys([*RENAMED_KEYS, "epochs", "hardware.cpu_threads"], 3))
    before = deepcopy(old)
    assert flatten(with_present_keys(old)) == dict.fromkeys(
        [*RENAMED_KEYS.values(), "epochs", "hardware.cpu_threads"], 3
    )
    assert old == before


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
@pytest.mark.parametrize("old_comes_first", [True, False])
def test_of_an_old_key_and_its_present_name_in_one_file_the_present_one_counts(
    old: str, new: str, old_comes_first: bool
) -> None:
    both = {old: 1, new: 2} if old_comes_first else {new: 2, old: 1}
    assert flatten(with_present_keys(nested(both)))[new] == 2


@pytest.mark.parametrize("values", [{}, {"hardware": 3}, {"hardware": None, 1: 2}, {"distillation": ["draws"]}])
def test_a_configuration_that_makes_no_sense_stays_as_it_is(values: dict[Any, Any]) -> None:
    assert with_present_keys(values) == values


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
@pytest.mark.parametrize("source", ["file", "--set"])
def test_an_old_key_of_a_user_is_refused_with_its_file_and_its_present_name(
    old: str, new: str, source: str, tmp_path: Path
) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(str(nested({old: 0.25})))
    layer = file_layer(path) if source == "file" else override_layer([f"{old}=0.25"])
    with pytest.raises(UserError) as error:
        merge(RunConfig(), [layer])
    assert f"  {path if source == 'file' else '--set'}: {old}: was renamed: write {new} (its value is 0.25)." in str(
        error.value
    )


def test_an_old_key_is_known_in_a_file_of_one_section() -> None:
    with pytest.raises(UserError, match="mine: drawn_from: was renamed: write subset_of"):
        merge(DataConfig(), [Layer("mine", {"drawn_from": "ntu120"})])


@pytest.mark.parametrize(
    ("command", "old"),
    [
        ("evaluate", "--raw"),
        ("export", "--raw"),
        ("benchmark data", "--residency"),
        ("benchmark distillation", "--draws"),
    ],
)
def test_an_old_option_is_refused_with_its_present_name(command: str, old: str, cli: Callable[..., Any]) -> None:
    result = cli(*command.split(), *(() if "benchmark" in command else ("--checkpoint", "x.pth")), old)
    assert result.code == 2
    present = RENAMED_OPTIONS[old]
    assert result.err.startswith(f"error: the option {old} was renamed: write {present};")
    assert present in cli(*command.split(), "--help").out


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_an_old_key_given_as_an_option_names_the_present_one(old: str, new: str, cli: Callable[..., Any]) -> None:
    result = cli("train", "--model", "nano_e", "--dataset", "ntu60", f"--{old.rpartition('.')[2]}", 3)
    assert result.code == 2
    assert f"--set {new}=3" in result.err
