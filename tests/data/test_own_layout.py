"""A joint layout in a user's own file, named by its path relative to the data YAML."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from last.data import open_store
from last.runs.checkpoint import read_checkpoint
from last.settings.data import DataConfig, data_settings
from last.utils.config import data_layer, merge, section_layer
from last.utils.errors import UserError

LAYOUT = """
joints: [nose, left_hand, right_hand, hip]
root: 1
center: 4
bones: [[2, 1], [3, 1], [4, 1]]
mirror: [[2, 3]]
"""
DATA = """
data:
  name: mine
  layout: my4.yaml
  format: folder
  classes: [b, a]
  split: own
  protocols: {own: {test: [3]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with recordings of four joints, their layout and their data YAML."""
    for number, name in enumerate("ab"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        for subject in (1, 2, 3):
            joints = np.random.default_rng(10 * number + subject).normal(size=(12, 4, 3))
            np.save(tmp_path / "raw" / name / f"take_P{subject}.npy", joints)
    (tmp_path / "my4.yaml").write_text(LAYOUT)
    (tmp_path / "mine.yaml").write_text(DATA)
    return tmp_path


def load(folder: Path) -> DataConfig:
    return data_settings(str(folder / "mine.yaml"))


def prepare(cli: Callable, folder: Path, *options: object) -> object:
    return cli(
        "preprocess", "--dataset", folder / "mine.yaml", "--raw", folder / "raw", "--out", folder / "data" / "mine",
        *options,
    )  # fmt: skip


TRAIN = ["--model", "nano_e", "--epochs", 1, "--batch_size", 4, "--set", "input_frames=8", "model.channels=[8,8,8]"]


def test_it_is_found_beside_the_data_yaml_wherever_the_command_is_typed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    skeleton = load(folder).skeleton
    assert (skeleton.name, skeleton.joints[skeleton.center]) == ("my4", "hip")


def test_store_run_and_checkpoint_do_not_need_the_file_again(cli: Callable, folder: Path) -> None:
    assert prepare(cli, folder).code == 0
    places = ["--data_root", folder / "data", "--output_root", folder / "runs"]
    assert cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN).code == 0
    (folder / "my4.yaml").unlink()
    (folder / "mine.yaml").unlink()
    (run,) = (folder / "runs").glob("run-*")
    assert open_store(folder / "data" / "mine").skeleton.joints == ("nose", "left_hand", "right_hand", "hip")
    assert read_checkpoint(run / "checkpoints" / "last.pth").config.data.skeleton.joints[3] == "hip"
    assert cli("evaluate", "--checkpoint", run / "checkpoints" / "last.pth").code == 0
    assert cli("train", "--resume", run, "--epochs", 2, "--set", "epochs=2").code == 0
    assert cli("train", "--config", run / "config.yaml").code == 0


def test_a_changed_layout_is_not_taken_for_the_one_of_the_same_name(cli: Callable, folder: Path) -> None:
    assert prepare(cli, folder).code == 0
    hips = open_store(folder / "data" / "mine")[0].joints[0, 0, 3]
    (folder / "my4.yaml").write_text(LAYOUT.replace("center: 4", "center: 1"))
    places = ["--data_root", folder / "data", "--output_root", folder / "runs"]
    refused = cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN)
    assert refused.code == 2
    assert "its layout is my4 (4 joints of 3 coordinates, root nose, centred on hip)" in refused.err
    assert "expected is my4 (4 joints of 3 coordinates, root nose, centred on nose)" in refused.err
    assert "made from other recordings or with other rules" in prepare(cli, folder).err
    assert prepare(cli, folder, "--overwrite").code == 0
    clip = open_store(folder / "data" / "mine")[0]
    assert np.abs(hips).max() == np.abs(clip.joints[0, 0, 0]).max() == 0
    assert np.abs(clip.joints[0, 0, 3]).max() > 0


def test_its_extra_edges_come_with_the_store_and_may_be_added_later(cli: Callable, folder: Path) -> None:
    assert prepare(cli, folder).code == 0
    places = ["--data_root", folder / "data", "--output_root", folder / "runs"]
    assert cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN).code == 0
    (folder / "my4.yaml").write_text(f"{LAYOUT}extra_edges: [[2, 3]]\n")
    resumed = cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN, "--resume", "auto")
    assert resumed.code == 0, resumed.err
    assert prepare(cli, folder, "--overwrite").code == 0
    assert open_store(folder / "data" / "mine").skeleton.extra_edges == ((1, 2),)


def test_parts_that_were_read_with_another_centre_are_read_again(
    cli: Callable, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("last.data.preparation.preprocess._write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert prepare(cli, folder).code == 130
    (folder / "my4.yaml").write_text(LAYOUT.replace("center: 4", "center: 1"))
    assert prepare(cli, folder).code == 0
    assert np.abs(open_store(folder / "data" / "mine")[0].joints[0, 0, 0]).max() == 0


def test_a_run_is_not_resumed_with_another_layout(cli: Callable, folder: Path) -> None:
    assert prepare(cli, folder).code == 0
    places = ["--data_root", folder / "data", "--output_root", folder / "runs"]
    assert cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN).code == 0
    (folder / "my4.yaml").write_text(LAYOUT.replace("center: 4", "center: 1"))
    shutil.rmtree(folder / "data")
    assert prepare(cli, folder).code == 0
    result = cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN, "--resume", "auto", "--epochs", 2)
    assert result.code == 2
    assert "data.own_layout.center: 4 in the run, 1 now" in result.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("layout: absent.yaml", "Cannot read the configuration {folder}/absent.yaml"),
        ("layout: my5", "There is no layout 'my5'.*such as layout: my_layout.yaml"),
        ("layout: ntu26", "Did you mean 'ntu25'"),
    ],
)
def test_a_layout_that_is_not_there_is_refused_with_where_it_was_looked_for(
    folder: Path, line: str, message: str
) -> None:
    (folder / "mine.yaml").write_text(DATA.replace("layout: my4.yaml", line))
    with pytest.raises(UserError, match=message.format(folder=folder)):
        _ = load(folder).skeleton


def test_mistakes_in_it_name_the_data_set_and_the_joints(cli: Callable, folder: Path) -> None:
    (folder / "my4.yaml").write_text(LAYOUT.replace("center: 4\n", "").replace("[4, 1]", "[4, 9]"))
    result = prepare(cli, folder)
    assert result.code == 2
    assert "center is missing" in result.err and "[4, 9]: there is no joint 9, only 1 to 4" in result.err
    assert not (folder / "data").exists()


def test_another_layout_chosen_by_name_replaces_it(folder: Path) -> None:
    layers = [section_layer(data_layer(str(folder / "mine.yaml")), "data")]
    config = merge(DataConfig(), layers)
    config.layout = "kinect20"
    assert config.skeleton.num_joints == 20


@pytest.mark.parametrize("text", ["like: coco17", "like: coco17_2d", "like: coco17\ncoordinates: 2\ncenter: 2"])
def test_it_may_be_like_one_of_the_programs_layouts(folder: Path, text: str) -> None:
    (folder / "my4.yaml").write_text(text)
    skeleton = load(folder).skeleton
    assert (skeleton.name, skeleton.num_joints, skeleton.root) == ("my4", 17, 0)
    assert skeleton.coordinates == (3 if text == "like: coco17" else 2)
    assert skeleton.center == (1 if "center" in text else 0)


def test_one_that_is_like_none_is_refused_with_the_nearest(folder: Path) -> None:
    (folder / "my4.yaml").write_text("like: coco71")
    with pytest.raises(UserError, match=r"mine.yaml: data.layout: .*my4.yaml: like: .*Did you mean 'coco17'"):
        load(folder)


def test_it_may_be_like_another_file_beside_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "base.yaml").write_text("like: coco17")
    (folder / "my4.yaml").write_text("like: base.yaml\ncenter: left_hip")
    monkeypatch.chdir("/")
    assert load(folder).skeleton.center == 11


def test_files_that_are_like_one_another_are_refused(folder: Path) -> None:
    (folder / "base.yaml").write_text("like: my4.yaml")
    (folder / "my4.yaml").write_text("like: base.yaml")
    with pytest.raises(UserError, match=r"base.yaml: like: my4.yaml leads back .* One of them has to be complete"):
        load(folder)


def test_every_mistake_of_it_names_its_own_file_in_every_command(cli: Callable, folder: Path) -> None:
    (folder / "my4.yaml").write_text(LAYOUT.replace("center: 4\n", "").replace("[4, 1]", "[hips, nose]"))
    for result in (prepare(cli, folder), cli("train", "--dataset", folder / "mine.yaml", *TRAIN)):
        assert result.code == 2
        assert f"{folder / 'my4.yaml'}: the layout my4 cannot be used" in result.err
        assert "center is missing" in result.err
        assert "there is no joint 'hips'. Did you mean 'hip'?" in result.err
    (folder / "my4.yaml").write_text(LAYOUT.replace("bones:", "bnes:"))
    assert f"{folder / 'my4.yaml'}: bnes: unknown key" in prepare(cli, folder).err


def test_names_in_place_of_numbers_do_not_make_another_layout(cli: Callable, folder: Path) -> None:
    assert prepare(cli, folder).code == 0
    places = ["--data_root", folder / "data", "--output_root", folder / "runs"]
    assert cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN).code == 0
    named = LAYOUT.replace("root: 1", "root: nose").replace("[4, 1]", "[hip, nose]").replace("center: 4", "center: hip")
    (folder / "my4.yaml").write_text(named)
    resumed = cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN, "--resume", "auto")
    assert resumed.code == 0, resumed.err
    assert "already prepared" in prepare(cli, folder).out


def test_a_checkpoint_keeps_its_own_layout_when_the_program_later_has_one_of_that_name(
    cli: Callable, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepare(cli, folder).code == 0
    places = ["--data_root", folder / "data", "--output_root", folder / "runs"]
    assert cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN).code == 0
    (run,) = (folder / "runs").glob("run-*")
    monkeypatch.setattr("last.skeleton.layout.list_layouts", lambda: ["my4", "ntu25"])
    assert read_checkpoint(run / "checkpoints" / "last.pth").config.data.skeleton.joints[3] == "hip"


def test_one_with_the_name_of_the_programs_own_is_refused_when_it_is_prepared(cli: Callable, folder: Path) -> None:
    (folder / "ntu25.yml").write_text(LAYOUT)
    (folder / "mine.yaml").write_text(DATA.replace("my4.yaml", "ntu25.yml"))
    result = prepare(cli, folder)
    assert result.code == 2 and "there is a built-in layout ntu25. Give your file another name" in result.err
    assert not (folder / "data").exists()
