"""Lists of settings whose order has no meaning."""

from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest

from last.models.registry import family_config, list_families
from last.settings.data import HardwareConfig, ProtocolConfig, SelectConfig
from last.settings.intervals import IntervalsConfig
from last.settings.model import ModelConfig
from last.settings.run import RunConfig
from last.utils.limits import annotations_of, entry_type
from last.utils.unordered import Unordered, is_unordered, put_in_order, with_lists_in_order

# Every list of a configuration is in one of both. In those below each place has a meaning.
UNORDERED = {
    *("model.streams", "data.select.setups", "data.select.actions", "data.select.cameras", "data.select.subjects"),
    *("data.protocols.*.train", "data.protocols.*.test", "data.intervals.tiers", "hardware.trial_kernels"),
}
ORDERED = {
    *("input_roots", "data.classes", "data.source_classes", "data.augment.rotation_degrees"),
    *("distillation.teachers", "distillation.weights", "distillation.fingerprints"),
    *("model.blocks", "model.channels", "model.attention", "model.dilations", "model.temporal", "model.strides"),
    "model.graph_subsets",  # a checkpoint has weights for each of them, in this order
    *(
        f"data.{section}.{key}"
        for section in ("own_layout", "own_source_layout")
        for key in ("joints", "bones", "mirror", "extra_edges", "torso")
    ),
}


def lists_of(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of the lists of a configuration, and their annotations."""
    for key, annotation in annotations_of(section).items():
        base = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
        if is_dataclass(annotation):
            yield from lists_of(annotation, f"{prefix}{key}.")
        elif is_dataclass(entry_type(annotation)):
            yield from lists_of(entry_type(annotation), f"{prefix}{key}.*.")
        elif get_origin(base) is list:
            yield f"{prefix}{key}", annotation


def test_of_every_list_of_a_configuration_it_is_decided_whether_its_order_has_a_meaning() -> None:
    found = dict(lists_of(RunConfig()))
    for family in list_families():
        found |= dict(lists_of(family_config(family), "model."))
    assert {key for key, annotation in found.items() if is_unordered(annotation)} == UNORDERED
    assert found.keys() - UNORDERED <= ORDERED, found.keys() - UNORDERED - ORDERED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ModelConfig(streams=["bone", "joint"]), ModelConfig(streams=["joint", "bone"])),
        (SelectConfig(subjects=[10, 2], cameras=[2, 1]), SelectConfig(subjects=[2, 10], cameras=[1, 2])),
        (ProtocolConfig(train=[3, 1], test=[4, 2]), ProtocolConfig(train=[1, 3], test=[2, 4])),
        (IntervalsConfig(tiers=["b", "a"]), IntervalsConfig(tiers=["a", "b"])),
        (HardwareConfig(trial_kernels=["joints", "filter"]), HardwareConfig(trial_kernels=["filter", "joints"])),
    ],
)
def test_settings_are_equal_whatever_the_order_of_such_a_list(one: Any, other: Any) -> None:
    assert one == other


@dataclass
class Settings:
    words: Annotated[list[Literal["second", "first"]], Unordered()] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    numbers: Annotated[list[int], Unordered()] = field(default_factory=list)

    def __post_init__(self) -> None:
        put_in_order(self)


def test_words_are_in_the_order_of_their_choices_and_numbers_ascend() -> None:
    settings = Settings(["first", "second"], [3, 1], [10, 9])
    assert (settings.words, settings.sizes, settings.numbers) == (["second", "first"], [3, 1], [9, 10])


def test_plain_values_are_put_in_order_and_what_is_wrong_stays() -> None:
    values = {"words": ["other", "first", "second"], "sizes": [3, 1], "numbers": [2, "x", 1], "unknown": [2, 1]}
    assert with_lists_in_order(Settings, values) == {**values, "words": ["second", "first", "other"]}
    assert with_lists_in_order(Settings, {"numbers": None, "words": 3}) == {"numbers": None, "words": 3}
    assert with_lists_in_order(None, [2, 1]) == [2, 1]
