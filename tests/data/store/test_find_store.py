"""Finding the store of a data set below the data root."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from last.data.store.clip import Clip
from last.data.store.find_store import find_store, find_stores
from last.data.store.reader import write_store
from last.settings.data import DataConfig, data_settings
from last.utils.errors import UserError


def prepared(folder: Path, config: DataConfig) -> Path:
    """Write a store of one clip for a data set and return its folder."""
    joints = np.zeros((1, 2, 25, 3), np.float32)
    clip = Clip("one", joints, np.ones((1, 2), np.bool_), 0, subject=1, camera=1, setup=1)
    write_store(folder, [clip], name=config.name, layout=config.layout, classes=config.classes)
    return folder


@pytest.mark.parametrize("place", ["synthetic", "mounted-input/synthetic"])
def test_a_store_is_found_in_its_place_and_one_folder_deeper(tmp_path: Path, place: str) -> None:
    folder = prepared(tmp_path / place, data_settings("synthetic"))
    assert find_store(data_settings("synthetic"), tmp_path).path == folder


def test_ntu60_is_drawn_from_a_store_of_ntu120(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "ntu120", data_settings("ntu120"))
    assert find_store(data_settings("ntu60"), tmp_path).path == folder


def test_the_store_of_its_own_comes_before_the_larger_one(tmp_path: Path) -> None:
    prepared(tmp_path / "ntu120", data_settings("ntu120"))
    folder = prepared(tmp_path / "ntu60", data_settings("ntu60"))
    assert find_store(data_settings("ntu60"), tmp_path).path == folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "other"}, "data set is 'other', expected is 'synthetic'"),
        ({"classes": ["a", "b"]}, r"classes are \['a', 'b'\]"),
    ],
)
def test_a_store_of_something_else_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    prepared(tmp_path / "synthetic", replace(data_settings("synthetic"), **change))
    with pytest.raises(UserError, match=message):
        find_store(data_settings("synthetic"), tmp_path)


def test_a_larger_store_with_other_classes_is_refused(tmp_path: Path) -> None:
    prepared(tmp_path / "ntu120", replace(data_settings("ntu120"), classes=data_settings("ntu120").classes[::-1]))
    with pytest.raises(UserError, match="ntu120 does not fit the configuration"):
        find_store(data_settings("ntu60"), tmp_path)


def test_where_there_is_none_places_way_out_and_synthetic_set_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        find_store(data_settings("ntu60"), tmp_path)
    for words in (str(tmp_path / "ntu60"), str(tmp_path / "ntu120"), "rose1.ntu.edu.sg", "python -m last demo"):
        assert words in str(refused.value)


def test_a_data_set_without_a_source_gets_the_command_that_prepares_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"python -m last preprocess --dataset YAML --raw DIR"):
        find_store(DataConfig(name="mine"), tmp_path)


@pytest.mark.parametrize(
    "place", ["my-mount", "datasets/owner/slug", "datasets/owner/slug/ntu60", "notebooks/owner/slug/data/renamed"]
)
def test_a_store_in_an_input_folder_is_found_by_its_name_and_not_its_folders(tmp_path: Path, place: str) -> None:
    folder = prepared(tmp_path / "input" / place, data_settings("ntu60"))
    prepared(tmp_path / "input" / "another", data_settings("synthetic"))
    assert find_store(data_settings("ntu60"), tmp_path / "data", input_roots=[tmp_path / "input"]).path == folder


def test_the_data_root_may_be_the_store_itself(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "anything", data_settings("ntu60"))
    assert find_store(data_settings("ntu60"), folder).path == folder
    with pytest.raises(UserError, match="data set is 'ntu60', expected is 'synthetic'"):
        find_store(data_settings("synthetic"), folder)


def test_of_several_stores_the_nearest_is_taken_and_the_others_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    far = prepared(tmp_path / "a" / "b" / "c", data_settings("ntu60"))
    near = prepared(tmp_path / "z" / "d", data_settings("ntu60"))
    assert find_store(data_settings("ntu60"), tmp_path).path == near
    assert f"{near} is used" in caplog.text
    assert str(far) in caplog.text


def damaged(folder: Path, config: DataConfig) -> Path:
    """Write a store whose arrays are gone and return its folder."""
    (prepared(folder, config) / "joints.npy").unlink()
    return folder


def foreign(folder: Path) -> Path:
    """Write a file of another program that is called as a store's header is, and return its folder."""
    folder.mkdir(parents=True)
    (folder / "store.json").write_text('{"products": []}')
    return folder


def test_what_cannot_be_opened_is_not_listed_as_prepared(tmp_path: Path) -> None:
    troubled = [damaged(tmp_path / "a", data_settings("synthetic")), foreign(tmp_path / "b")]
    with pytest.raises(UserError) as refused:
        find_store(data_settings("ntu60"), tmp_path)
    assert "Found there" not in str(refused.value)
    assert f"Unreadable, as `python -m last doctor` explains: {troubled[0]}, {troubled[1]}." in str(refused.value)


def test_a_folder_that_is_no_whole_store_is_found_with_its_problem(tmp_path: Path) -> None:
    damaged(tmp_path / "a", data_settings("synthetic"))
    foreign(tmp_path / "b")
    prepared(tmp_path / "c", data_settings("ntu60"))
    found = {each.name: (each.clips, each.problem) for each in find_stores([tmp_path])}
    assert found["ntu60"] == (1, "")
    assert "joints.npy is missing" in found["synthetic"][1]
    assert "b/store.json is not of a store of LAST" in found["b"][1]


def test_a_store_that_can_be_opened_comes_before_a_nearer_one_that_cannot(tmp_path: Path) -> None:
    damaged(tmp_path / "near", data_settings("ntu60"))
    folder = prepared(tmp_path / "far" / "away", data_settings("ntu60"))
    assert find_store(data_settings("ntu60"), tmp_path).path == folder


def test_a_damaged_store_of_the_wanted_name_is_reported_as_damaged(tmp_path: Path) -> None:
    damaged(tmp_path / "anything", data_settings("ntu60"))
    with pytest.raises(UserError, match=r"joints\.npy is missing"):
        find_store(data_settings("ntu60"), tmp_path)


def test_a_file_in_the_place_of_the_data_root_is_reported_as_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file is a file\. --data_root names a folder"):
        find_store(data_settings("ntu60"), tmp_path / "file")


def test_what_else_is_prepared_is_reported(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "synthetic", data_settings("synthetic"))
    with pytest.raises(UserError, match=f"Found there: synthetic in {folder}"):
        find_store(data_settings("ntu60"), tmp_path)
