"""Where an environment keeps its files, and the bounded search below its folders."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from last.utils import root_folders as module
from last.utils.errors import UserError
from last.utils.root_folders import data_roots, folders_below, root_folders, writable


def marked(*folders: Path) -> list[Path]:
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "mark").write_text("")
    return list(folders)


def test_a_named_folder_wins_over_the_environments(tmp_path: Path) -> None:
    assert root_folders("local").data_root == Path("data")
    assert root_folders("local", data_root=str(tmp_path)).data_root == tmp_path
    assert root_folders("local", output_root=str(tmp_path)).output_root == tmp_path


def test_on_kaggle_everything_is_written_into_the_working_folder_and_both_folders_are_searched() -> None:
    found = root_folders("kaggle")
    assert found.data_root.is_relative_to("/kaggle/working")
    assert found.output_root == Path("/kaggle/working")
    assert found.input_roots == (Path("/kaggle/working"), Path("/kaggle/input"))


def test_a_stand_in_for_kaggle_is_recognised_and_holds_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAST_KAGGLE", str(tmp_path))
    found = root_folders()
    assert (found.environment, found.output_root) == ("kaggle", tmp_path / "working")
    assert found.input_roots == (tmp_path / "working", tmp_path / "input")


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(UserError, match="Did you mean 'kaggle'"):
        root_folders("kagle")


def test_the_search_finds_what_is_six_levels_deep_and_nothing_below(tmp_path: Path) -> None:
    near, far, *_ = marked(tmp_path / "a", tmp_path / "1/2/3/4/5/6", tmp_path / "b/2/3/4/5/6/7")
    assert list(folders_below([tmp_path], "mark")) == [near, far]


def test_the_search_does_not_look_into_what_it_found_nor_into_hidden_folders(tmp_path: Path) -> None:
    found, *_ = marked(tmp_path / "a", tmp_path / "a" / "inside", tmp_path / ".hidden" / "b")
    assert list(folders_below([tmp_path, tmp_path / "nowhere"], "mark")) == [found]


def test_a_root_may_be_what_is_looked_for_and_is_named_once(tmp_path: Path) -> None:
    (root,) = marked(tmp_path / "store")
    assert list(folders_below([root, tmp_path], "mark")) == [root]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (found,) = marked(tmp_path / "b")
    (tmp_path / "a").symlink_to(tmp_path, target_is_directory=True)
    assert list(folders_below([tmp_path], "mark")) == [found]


def test_a_search_in_too_many_folders_ends_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MOST_FOLDERS", 3)
    for number in range(9):
        (tmp_path / str(number)).mkdir()
    marked(tmp_path / "8" / "found")
    with caplog.at_level(logging.WARNING):
        assert list(folders_below([tmp_path], "mark")) == []
    assert f"Below {tmp_path} only 3 folders are searched" in caplog.text


def test_nothing_is_written_into_an_input_unless_it_is_an_output_too(tmp_path: Path) -> None:
    inside, outside = tmp_path / "input" / "run", tmp_path / "working" / "run"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
    roots = [tmp_path / "input", tmp_path / "working"]
    assert not writable(inside, tmp_path / "working", roots)
    assert writable(outside, tmp_path / "working", roots)


def test_a_read_only_folder_is_not_written_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    assert not writable(tmp_path / "not" / "there", tmp_path / "runs", [])


def test_a_folder_that_may_not_be_looked_into_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = marked(tmp_path / "b")
    (tmp_path / "a").mkdir()
    look = Path.is_file

    def refusing(path: Path) -> bool:
        if path.parent == tmp_path / "a":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(Path, "is_file", refusing)
    assert list(folders_below([tmp_path], "mark")) == [found]


def test_a_folder_of_many_folders_hides_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MOST_SUBFOLDERS", 5)
    monkeypatch.setattr(module, "_MOST_FOLDERS", 20)
    for number in range(30):
        (tmp_path / "a" / "pictures" / str(number)).mkdir(parents=True)
    (found,) = marked(tmp_path / "z" / "y" / "x" / "run")
    assert list(folders_below([tmp_path], "mark")) == [found]
    assert f"Below {tmp_path / 'a' / 'pictures'} only 5 folders are searched" in caplog.text
    assert "--data_root" in caplog.text


def test_a_named_data_root_is_searched_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAST_KAGGLE", str(tmp_path))
    here = root_folders("kaggle")
    inputs = [str(root) for root in here.input_roots]
    assert data_roots("kaggle", str(here.data_root), inputs) == [here.data_root, *here.input_roots]
    assert data_roots("kaggle", str(tmp_path / "mine"), inputs) == [tmp_path / "mine"]


def test_an_environment_without_a_folder_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = module.named_layer("environment", "local", "environment")
    monkeypatch.setattr(module, "named_layer", lambda *_: replace(layer, values={**layer.values, "output_root": ""}))
    with pytest.raises(UserError, match=r"local\.yaml has no output_root"):
        root_folders("local")
