"""What all model families share in their settings: the streams, and a model's title in tables."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import last
from last.models.last_e import LastEConfig
from last.models.last_v2 import LastV2Config
from last.models.registry import family_config, list_families
from last.settings.model import SWITCHES_OFF, model_title, switches_of


@pytest.mark.parametrize("family", [LastEConfig, LastV2Config])
def test_streams_are_the_same_in_any_order(family: type[Any]) -> None:
    assert family(streams=["bone", "joint"]).streams == ["joint", "bone"]
    assert family(streams=["bone", "joint"]) == family(streams=["joint", "bone"])
    assert family(streams=["speed", "joint"]).streams == ["joint", "speed"]
    assert family(streams=["bone", "bone"]).streams == ["bone", "bone"], "which is refused later, with its reason"


@pytest.mark.parametrize(
    ("section", "title"),
    [
        ({"name": "nano_e"}, "nano_e"),
        ({"name": "nano_e", "streams": ["bone", "joint", "velocity"], "added_streams": {}}, "nano_e"),
        ({"name": "nano_e", "streams": ["bone", "joint"]}, "nano_e of joint and bone"),
        ({"name": "nano_e", "added_streams": {"acceleration": {}}}, "nano_e, acceleration"),
        ({"name": "base_e", "graph_subsets": ["mirror", "ends"]}, "base_e, graph_subsets mirror and ends"),
        ({"name": "base_e", "joint_embedding": True, "stream_channels": "wide"},
         "base_e, joint_embedding, stream_channels wide"),
        ({"name": 3, "streams": "bone", "added_streams": 4}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_the_title_tells_what_is_not_usual(section: dict[str, Any], title: str) -> None:
    assert model_title(section) == title


def test_the_title_knows_the_switches_of_every_family() -> None:
    for name in list_families():
        config = family_config(name)
        off = {each.name: getattr(config, each.name) for each in fields(config) if each.name in switches_of(config)}
        assert off == {key: SWITCHES_OFF[key] for key in off}
        assert model_title(vars(config)) == ""


def test_what_a_user_reads_names_a_model_by_its_title() -> None:
    by_name = re.compile(r"""(model\.name|\[['"]model['"]\])\} (on|of) """)
    files = Path(last.__file__).parent.rglob("*.py")
    found = {file.name: line for file in files for line in file.read_text("utf-8").splitlines() if by_name.search(line)}
    # The facts of an evaluation and of a page have the title as `model`.
    assert set(found) <= {"evaluate_output.py", "page.py"}, found
