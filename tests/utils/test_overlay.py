"""How a layer of settings changes those below it: names are taken away, and mappings emptied."""

from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from config_schema import written

from last.settings.data import ProtocolConfig
from last.settings.run import RunConfig
from last.utils.config import Layer, file_layer, merge, override_layer, section_layer
from last.utils.errors import UserError
from last.utils.limits import annotations_of, entry_type
from last.utils.overlay import mappings_within, overlaid


@dataclass
class Inner:
    share: float = 0.5
    names: dict[str, str] = field(default_factory=lambda: {"a": "of the code"})


@dataclass
class Settings:
    plain: dict[str, Any] = field(default_factory=dict)
    mapped: dict[str, str | None] = field(default_factory=dict)
    added: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: dict[str, Inner] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)


def merged(*assignments: str, below: str = "", folder: Path) -> Settings:
    return merge(Settings(), [file_layer(written(folder, below)), override_layer(assignments)])


def mappings(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key of each mapping of a configuration, and the type of its values."""
    for key, annotation in annotations_of(section).items():
        if is_dataclass(annotation):
            yield from mappings(annotation, f"{prefix}{key}.")
        elif entry_type(annotation) is not None:
            yield f"{prefix}{key}", entry_type(annotation)


def example(entry: Any) -> str:
    """Return a value of a type, as text."""
    if is_dataclass(entry) or get_origin(entry) is dict:
        return "{train: [1]}" if entry is ProtocolConfig else "{}"
    return "0.5" if float in get_args(entry) else "joint"


@pytest.mark.parametrize(("key", "entry"), [*mappings(RunConfig())])
def test_every_mapping_of_a_configuration_can_be_emptied_and_refilled(key: str, entry: Any) -> None:
    def found(*changes: str) -> Any:
        below = override_layer([f"{key}.one={value}", f"{key}.two={value}"])
        config: Any = merge(RunConfig(), [below, override_layer(changes)])
        for name in key.split("."):
            config = getattr(config, name)
        return config

    value = example(entry)
    both = found()
    assert list(both) == ["one", "two"]
    assert found(f"{key}={{}}") == {}
    assert found(f"{key}={{}}", f"{key}.two={value}") == {"two": both["two"]}
    without = found(f"{key}.one=null")
    if entry is Any or type(None) in get_args(entry):
        assert without == {"one": None, "two": both["two"]}, "null is one of the values"
    else:
        assert without == {"two": both["two"]}
        assert found(f"{key}.three=null") == both, "what is not there can be taken away too"


def test_null_takes_a_name_away_in_files_and_on_the_command_line(tmp_path: Path) -> None:
    below = "{added: {hide: {share: 2}, turn: {}}, entries: {x: {share: 0.1}}}"
    found = merged("added.hide=null", "entries.x=~", below=below, folder=tmp_path)
    assert (found.added, found.entries) == ({"turn": {}}, {})
    above = file_layer(written(tmp_path, "added:\n  hide: null\n", "above.yaml"))
    assert merge(Settings(), [Layer("below", {"added": {"hide": {}}}), above]).added == {}
    assert merge(Settings(), [Layer("values", {"added": {"hide": None}})]).added == {}


def test_a_name_whose_lines_are_all_commented_out_is_there(tmp_path: Path) -> None:
    path = written(tmp_path, "added:\n  hide:\n    # share: 0.3\n")
    assert merge(Settings(), [file_layer(path)]).added == {"hide": {}}


def test_a_mapping_whose_names_are_all_commented_out_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "added:\n  # hide: {}\nmapped:\n")
    below = Layer("values", {"added": {"hide": {}}, "mapped": {"sit": "walk"}})
    found = merge(Settings(), [below, file_layer(path)])
    assert (found.added, found.mapped) == ({"hide": {}}, {"sit": "walk"})


def test_a_mapping_that_is_typed_without_a_value_is_refused(tmp_path: Path) -> None:
    below = "added: {hide: {}}"
    with pytest.raises(UserError, match=r"--set: added: should be a mapping of names to sections"):
        merged("added=", below=below, folder=tmp_path)
    assert merged("inner=", below=below, folder=tmp_path).inner == Inner(), "a section has no names"


def test_null_stays_where_it_is_a_value(tmp_path: Path) -> None:
    found = merged("mapped.wave=null", "plain.limit=null", below="mapped: {sit: walk}", folder=tmp_path)
    assert (found.mapped, found.plain) == ({"sit": "walk", "wave": None}, {"limit": None})


def test_an_empty_mapping_replaces_and_an_empty_section_changes_nothing(tmp_path: Path) -> None:
    below = "{mapped: {a: b}, added: {hide: {share: 2}}, inner: {share: 0.1}, entries: {x: {share: 0.1}}}"
    found = merged("mapped={}", "added.hide={}", "inner={}", "entries.x={}", below=below, folder=tmp_path)
    assert (found.mapped, found.added) == ({}, {"hide": {}})
    assert (found.inner.share, found.entries["x"].share) == (0.1, 0.1)


def test_names_of_the_code_are_merged_emptied_and_taken_away_too(tmp_path: Path) -> None:
    assert merged("inner.names.b=c", folder=tmp_path).inner.names == {"a": "of the code", "b": "c"}
    assert merged("inner.names.b=c", "inner.names.a=null", folder=tmp_path).inner.names == {"b": "c"}
    assert merged("inner.names={}", folder=tmp_path).inner.names == {}
    assert merged("entries.x.share=0.2", folder=tmp_path).entries["x"].names == {"a": "of the code"}


def test_an_assignment_fills_what_an_earlier_one_emptied(tmp_path: Path) -> None:
    below = "added: {hide: {share: 2, size: 1}, turn: {}}"
    for settings in (("added={}", "added.hide.share=3"), ("added={}", "added={hide: {share: 3}}")):
        assert merged(*settings, below=below, folder=tmp_path).added == {"hide": {"share": 3}}
    for emptied in ("added.hide=null", "added.hide={}"):
        found = merged(emptied, "added.hide.share=3", below=below, folder=tmp_path).added
        assert found == {"hide": {"share": 3}, "turn": {}}
    assert merged("added.hide.share=3", "added={}", below=below, folder=tmp_path).added == {}


def test_a_section_of_a_layer_keeps_what_was_emptied() -> None:
    layer = section_layer(override_layer(["data.class_map={}", "data.class_map.a=b"]), "data")
    assert layer.emptied == [["class_map"]]


def test_assignments_of_parts_of_a_section_are_merged(tmp_path: Path) -> None:
    found = merged("inner.share=0.2", "inner={names: {b: c}}", folder=tmp_path).inner
    assert (found.share, found.names) == (0.2, {"a": "of the code", "b": "c"})


def test_the_mappings_within_a_section_are_found_at_any_depth() -> None:
    values = {"added": {"hide": {}}, "inner": {"share": 0.2, "names": {}}, "unknown": {"names": {}}}
    assert mappings_within(Settings, values) == [["added"], ["inner", "names"]]


def test_neither_of_two_layers_is_changed() -> None:
    below, above = {"added": {"hide": {"share": 2}}}, {"added": {"hide": {"size": 1}, "turn": None}}
    assert overlaid(Settings, below, above) == {"added": {"hide": {"share": 2, "size": 1}}}
    assert below == {"added": {"hide": {"share": 2}}}
    assert above == {"added": {"hide": {"size": 1}, "turn": None}}
