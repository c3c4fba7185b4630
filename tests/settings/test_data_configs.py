"""The data sets' own YAML files: they load, and their classes, protocols and layouts fit together."""

import pytest

from last.data.preparation.formats import list_formats
from last.settings.data import DataConfig, data_settings
from last.skeleton import list_layouts
from last.utils.config import Layer, merge
from last.utils.errors import UserError

SBU_FOLDS = {
    "fold1": "s01s02 s03s04 s05s02 s06s04",
    "fold2": "s02s03 s02s07 s03s05 s05s03",
    "fold3": "s01s03 s01s07 s07s01 s07s03",
    "fold4": "s02s01 s02s06 s03s02 s03s06",
    "fold5": "s04s02 s04s03 s04s06 s06s02 s06s03",
}


@pytest.mark.parametrize("name", ["ntu60", "ntu120", "nw_ucla", "sbu"])
def test_a_data_set_loads_under_its_own_name_and_refers_to_what_exists(name: str) -> None:
    config = data_settings(name)
    assert config.name == name
    assert config.layout in list_layouts()
    assert config.format in list_formats()
    assert config.split in config.protocols
    assert f"{{program}} preprocess --dataset {name} --raw DIR" in config.how_to_get
    lines = [line for line in config.how_to_get.splitlines() if "{program}" in line]
    assert all(line.startswith("  {program} ") and line.count("{program}") == 1 for line in lines)


@pytest.mark.parametrize(("name", "count"), [("ntu60", 60), ("ntu120", 120), ("nw_ucla", 10), ("sbu", 8)])
def test_a_data_set_names_each_of_its_classes_once(name: str, count: int) -> None:
    classes = data_settings(name).classes
    assert len(classes) == len(set(classes)) == count
    assert all(isinstance(each, str) and each.strip() == each and each for each in classes)


def test_ntu60_is_the_first_half_of_ntu120() -> None:
    ntu60, ntu120 = data_settings("ntu60"), data_settings("ntu120")
    assert ntu60.classes == ntu120.classes[:60]
    assert ntu60.subset_of == "ntu120"
    assert ntu60.select.setups == list(range(1, 18))
    assert ntu60.select.actions == list(range(1, 61))


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (1, "drink water"),
        (10, "clapping"),
        (20, "put on a hat/cap"),
        (30, "type on a keyboard"),
        (40, "cross hands in front"),
        (43, "falling down"),
        (50, "punch/slap"),
        (60, "walking apart"),
        (61, "put on headphone"),
        (71, "make OK sign"),
        (80, "squat down"),
        (90, "take object out of bag"),
        (100, "butt kicks"),
        (106, "hit with object"),
        (112, "high-five"),
        (120, "rock-paper-scissors"),
    ],
)
def test_the_classes_of_ntu120_stand_in_the_official_order(action: int, name: str) -> None:
    assert data_settings("ntu120").classes[action - 1] == name


def test_the_training_subjects_of_ntu_are_the_published_ones() -> None:
    first = data_settings("ntu60").protocols["xsub"].train
    both = data_settings("ntu120").protocols["xsub"].train
    assert len(first) == 20 and len(both) == 53
    assert both[:20] == first


def test_the_folds_of_sbu_test_every_pair_once() -> None:
    protocols = data_settings("sbu").protocols
    for name, pairs in SBU_FOLDS.items():
        assert protocols[name].test == [int(pair[1:3]) * 100 + int(pair[4:6]) for pair in pairs.split()]
    assert len({pair for fold in protocols.values() for pair in fold.test}) == 21


def test_the_validation_protocols_of_nw_ucla_never_look_at_its_test_view() -> None:
    protocols = data_settings("nw_ucla").protocols
    assert protocols["xview"].test == [3]
    for name in ("view1to2", "view2to1"):
        assert 3 not in [*protocols[name].train, *protocols[name].test]


def test_class_names_that_read_alike_are_the_same_name() -> None:
    one, two = "\u00e9tude", "e\u0301tude"  # the accent in its letter, and after it
    assert one != two
    assert DataConfig(classes=[one]).classes == DataConfig(classes=[two]).classes == [one]


@pytest.mark.parametrize("key", ["fps", "source_fps"])
def test_a_frame_rate_is_zero_or_one_that_a_recording_may_have(key: str) -> None:
    for rate in (0, 0.5, 29.97, 1000):
        assert getattr(merge(DataConfig(), [Layer("a.yaml", {key: rate})]), key) == rate
    for rate, wanted in (
        (0.001, "0, or at least 0.5"),
        (1e-300, "0, or at least 0.5"),
        (-1, "at least 0"),
        (1001, "at most 1000"),
    ):
        with pytest.raises(UserError, match=f"{key}.*{wanted}"):
            merge(DataConfig(), [Layer("a.yaml", {key: rate})])


def test_of_a_mapping_with_one_value_of_a_wrong_type_only_its_entry_is_shown() -> None:
    mapping = {"head": "nose", "neck": 5, "hip": ["left_hip", "right_hip"], "hand": {"left": 1}, "foot": None}
    with pytest.raises(UserError) as caught:
        merge(DataConfig(), [Layer("a.yaml", {"layout_map": mapping, "columns": {"x": "u", "y": 5}})])
    assert str(caught.value).splitlines()[1:] == [
        "  a.yaml: layout_map.neck: 5 should be text or nothing or a list, each element text.",
        "  a.yaml: layout_map.hand: {'left': 1} should be text or nothing or a list, each element text.",
        "  a.yaml: columns.y: 5 should be text.",
    ]
