"""Models by name: our seven, one in the same folder, and a user's own YAML by its path."""

import shutil
from pathlib import Path

import pytest

from last.models.registry import list_models
from last.utils import config, model_files
from last.utils.config import MODEL_FILES, config_folder
from last.utils.errors import UserError
from last.utils.model_files import model_layer

TINY = """
model:
  family: last_e
  channels: [8, 8, 8]
  blocks: [1, 1, 1]
  attention: [false, false, false]
"""


@pytest.fixture
def beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the models' files, a copy to which others can be added."""
    shutil.copytree(config_folder() / "model", tmp_path / "model")
    for module in (config, model_files):
        monkeypatch.setattr(module, "config_folder", lambda: tmp_path)
    return tmp_path / "model"


def test_the_seven_model_names_lead_to_their_files() -> None:
    assert MODEL_FILES == {
        "nano_e": "last_e_nano",
        "small_e": "last_e_small",
        "base_e": "last_e_base",
        "large_e": "last_e_large",
        "small": "last_small",
        "base": "last_base",
        "large": "last_large",
    }


@pytest.mark.parametrize("name", ["nano_e", "small_e", "base_e", "large_e"])
def test_a_model_name_opens_its_file(name: str) -> None:
    assert model_layer(name).origin == f"configs/model/{MODEL_FILES[name]}.yaml"


def test_an_unknown_model_is_refused_with_the_nearest_and_all_names() -> None:
    with pytest.raises(UserError, match=r"no model 'nano'. Did you mean 'nano_e'\? Known: nano_e, small_e"):
        model_layer("nano")


def test_the_error_for_an_unknown_model_mentions_that_a_file_may_be_named() -> None:
    with pytest.raises(UserError, match=r"Known: .*large\. A model of your own is a YAML file: give its path"):
        model_layer("tiny_e")


@pytest.mark.parametrize(("stem", "name"), [("last_e_tiny", "tiny_e"), ("last_huge", "huge")])
def test_a_file_beside_ours_is_a_model_by_its_name(beside_ours: Path, stem: str, name: str) -> None:
    (beside_ours / f"{stem}.yaml").write_text(TINY)
    (beside_ours / "notes.yaml").write_text("{}")
    assert list_models() == [*MODEL_FILES, name]
    assert model_layer(name).values["model"]["name"] == name


def test_a_model_of_ones_own_is_called_as_it_says_or_as_its_file_is(tmp_path: Path) -> None:
    (tmp_path / "no.yaml").write_text(TINY)
    layer = model_layer(str(tmp_path / "no.yaml"))
    assert layer.values["model"]["name"] == layer.texts["model"]["name"] == "no"
    (tmp_path / "no.yaml").write_text(TINY + "  name: 010\n")
    assert model_layer(str(tmp_path / "no.yaml")).values["model"]["name"] == "010"


def test_one_of_our_files_may_be_named_by_its_path() -> None:
    path = config_folder() / "model" / "last_e_nano.yaml"
    assert model_layer(str(path)).values["model"]["name"] == "nano_e"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TINY + "  name: nano_e\n", "model.name: there is a model nano_e already. Give yours another name"),
        (TINY + "  name: a/b\n", "model.name: 'a/b' should be letters, digits"),
        (TINY.replace("  family: last_e\n", ""), "model.family is missing: set it to last_e"),
        ("channels: [8]\n", "should have a section `model:`"),
        ("model: [8]\n", "should have a section `model:`"),
    ],
)
def test_a_file_that_is_no_model_of_its_own_is_refused_by_its_path(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tiny_e.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        model_layer(str(tmp_path / "tiny_e.yaml"))
    assert "tiny_e.yaml" in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot read the configuration .*absent\.yaml"):
        model_layer(str(tmp_path / "absent.yaml"))
