"""Recordings of one layout prepared as clips of another, and recordings with more bodies than a clip may have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.data import open_store
from last.skeleton import load_layout

DATA = """
data:
  name: mine
  layout: ntu25
  source_layout: kinect_azure32
  format: folder
  classes: [b, a]
  split: own
  protocols: {own: {test: [3]}}
"""
OWN = "joints: [chin, hand, foot]\nroot: chin\ncenter: chin\nbones: [[2, 1], [3, 1]]\n"
TRAIN = ["--model", "nano_e", "--epochs", 1, "--batch_size", 4, "--set", "input_frames=8", "model.channels=[8,8,8]"]


def recordings(folder: Path, joints: int, bodies: int = 1) -> None:
    for number, name in enumerate("ab"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for subject in (1, 2, 3):
            points = np.random.default_rng(10 * number + subject).normal(size=(bodies, 12, joints, 3))
            np.save(folder / name / f"take_P{subject}.npy", points)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with recordings of an Azure Kinect, and a data YAML that maps them to Kinect v2."""
    recordings(tmp_path / "raw", 32)
    (tmp_path / "mine.yaml").write_text(DATA)
    return tmp_path


def prepare(cli: Callable[..., Any], folder: Path, *options: object) -> Any:
    return cli(
        "preprocess", "--dataset", folder / "mine.yaml", "--raw", folder / "raw", "--out", folder / "data" / "mine",
        *options,
    )  # fmt: skip


def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "data" / "mine" / "report.json").read_text())
    return content


def test_recordings_of_another_layout_become_clips_of_the_layout(cli: Callable[..., Any], folder: Path) -> None:
    prepared = prepare(cli, folder)
    assert prepared.code == 0, prepared.err
    assert "kinect_azure32 to ntu25" in prepared.out and "nothing is mapped" not in prepared.err
    store = open_store(folder / "data" / "mine")
    raw = np.load(folder / "raw" / "a" / "take_P1.npy")[0]
    azure, ntu = load_layout("kinect_azure32").joints.index, load_layout("ntu25").joints.index
    (clip,) = (clip for clip in store if clip.name == "a/take_P1")
    middle = (raw[:, azure("spine_navel")] + raw[:, azure("spine_chest")]) / 2
    expected = raw[:, azure("left_elbow")] - middle[0]
    np.testing.assert_allclose(clip.joints[0, :, ntu("left_elbow")], expected, atol=1e-5)
    assert (clip.joints[0, 0, ntu("spine_middle")] == 0).all()
    assert (store.layout, store.source["joint_map"]["source"]["name"]) == ("ntu25", "kinect_azure32")


def test_a_model_of_one_layout_is_trained_further_on_recordings_of_another(
    cli: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    recordings(tmp_path / "kinect", 25)
    (tmp_path / "first.yaml").write_text(
        DATA.replace("name: mine", "name: first").replace("  source_layout: kinect_azure32\n", "")
    )
    out = tmp_path / "data" / "first"
    prepared = cli("preprocess", "--dataset", tmp_path / "first.yaml", "--raw", tmp_path / "kinect", "--out", out)
    assert prepared.code == prepare(cli, folder).code == 0
    places = ["--data_root", folder / "data", "--output_root", folder / "runs"]
    assert cli("train", "--dataset", tmp_path / "first.yaml", *places, *TRAIN).code == 0
    (run,) = (folder / "runs").glob("run-*")
    checkpoint = run / "checkpoints" / "last.pth"
    further = cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN, "--init_from", checkpoint)
    assert further.code == 0, further.err


def test_a_changed_map_is_prepared_again(
    cli: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # the parts are read and the store is not written
        patch.setattr("last.data.preparation.preprocess._write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert prepare(cli, folder).code == 130
    (folder / "mine.yaml").write_text(f"{DATA}  layout_map: {{spine_middle: pelvis}}\n")
    assert prepare(cli, folder).code == 0
    raw, clip = np.load(folder / "raw" / "a" / "take_P1.npy")[0], open_store(folder / "data" / "mine")[0]
    np.testing.assert_allclose(clip.joints[0, :, 1], raw[:, 0] - raw[0, 0], atol=1e-5)
    (folder / "mine.yaml").write_text(DATA)
    assert "made from other recordings or with other rules" in prepare(cli, folder).err
    assert prepare(cli, folder, "--overwrite").code == 0


def test_a_layout_of_ones_own_is_mapped_wherever_the_command_is_typed(
    cli: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings(folder / "raw", 3)
    (folder / "mine3.yaml").write_text(OWN)
    (folder / "two.yaml").write_text("joints: [head, rest]\nroot: head\ncenter: head\nbones: [[rest, head]]\n")
    text = DATA.replace("layout: ntu25", "layout: two.yaml").replace("kinect_azure32", "mine3.yaml")
    (folder / "mine.yaml").write_text(f"{text}  layout_map: {{head: chin, rest: [hand, foot]}}\n")
    monkeypatch.chdir("/")
    prepared = prepare(cli, folder)
    assert prepared.code == 0, prepared.err
    (folder / "mine3.yaml").unlink()
    assert open_store(folder / "data" / "mine").source["joint_map"]["source"]["joints"] == ["chin", "hand", "foot"]
    places = ["--data_root", folder / "data", "--output_root", folder / "runs"]
    (folder / "mine3.yaml").write_text(OWN)
    assert cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN).code == 0


def test_all_mistakes_of_a_map_are_reported_before_anything_is_read(cli: Callable[..., Any], folder: Path) -> None:
    (folder / "mine.yaml").write_text(
        f"{DATA}  layout_map: {{spine_middel: neck, head: [nosse], spine_middle: null}}\n"
    )
    refused = prepare(cli, folder)
    assert refused.code == 2
    for mistake in (
        "data.layout_map of mine: kinect_azure32 cannot be mapped to ntu25",
        "'spine_middel' is no joint of ntu25. Did you mean 'spine_middle'?",
        "'head': 'nosse' is no joint of kinect_azure32. Did you mean 'nose'?",
        "spine_middle, the joint on which clips of ntu25 are centred, is missing",
    ):
        assert mistake in refused.err
    assert not (folder / "data").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("source_layout: kinect_azure32", "source_layout: kinect_azure23"), "Did you mean 'kinect_azure32'?"),
        (("source_layout: kinect_azure32", "source_layout: absent.yaml"), "data.source_layout: Cannot read"),
        (("source_layout: kinect_azure32", "layout_map: {neck: head}"), "no effect without data.source_layout"),
        (("source_layout: kinect_azure32", "source_layout: coco17_2d"), "coco17_2d has 2 coordinates and ntu25 3"),
        (("source_layout: kinect_azure32", "source_layout: hand21"), "spine_middle, the joint on which clips of ntu25"),
    ],
)
def test_a_source_that_cannot_be_mapped_is_refused(
    cli: Callable[..., Any], folder: Path, change: tuple[str, str], message: str
) -> None:
    (folder / "mine.yaml").write_text(DATA.replace(*change))
    refused = prepare(cli, folder)
    assert refused.code == 2 and message in refused.err
    assert not (folder / "data").exists()


def test_recordings_without_the_source_layout_are_damaged_and_the_error_names_it(
    cli: Callable[..., Any], folder: Path
) -> None:
    recordings(folder / "raw", 25)
    refused = prepare(cli, folder)
    assert refused.code == 2 and "kinect_azure32 has 32 joints of 3 coordinates" in refused.err


def test_bodies_beyond_the_limit_are_counted_and_named(cli: Callable[..., Any], folder: Path) -> None:
    recordings(folder / "raw", 32, bodies=4)
    one = np.load(folder / "raw" / "a" / "take_P1.npy")
    one[2:] = 0
    np.save(folder / "raw" / "a" / "take_P1.npy", one)
    prepared = prepare(cli, folder)
    assert prepared.code == 0
    message = "5 recordings have more bodies than data.bodies. The first that are present were kept"
    assert message in " ".join(prepared.err.split())
    assert "a/take_P2 (2 not kept), a/take_P3 (2 not kept), b/take_P1 (2 not kept) and 2 more" in " ".join(
        prepared.err.split()
    )
    assert report(folder)["crowded"] == dict.fromkeys(("a/take_P2", "a/take_P3", *(f"b/take_P{i}" for i in "123")), 2)
    assert "More bodies than data.bodies:" in (folder / "data" / "mine" / "report.txt").read_text()
    assert "with more bodies than kept" in prepare(cli, folder).out, "the report of a store that is there says it again"


def test_recordings_with_as_many_bodies_as_a_clip_may_have_are_not_counted(
    cli: Callable[..., Any], folder: Path
) -> None:
    recordings(folder / "raw", 32, bodies=2)
    prepared = prepare(cli, folder)
    assert prepared.code == 0 and "bodies than" not in prepared.out + prepared.err
    assert report(folder)["crowded"] == {}


def test_joints_that_nothing_is_mapped_to_are_missing_in_the_store_and_named(
    cli: Callable[..., Any], folder: Path
) -> None:
    recordings(folder / "raw", 33)
    (folder / "mine.yaml").write_text(DATA.replace("kinect_azure32", "mediapipe33"))
    prepared = prepare(cli, folder)
    assert prepared.code == 0, prepared.err
    message = (
        "mediapipe33 to ntu25: nothing is mapped to left_hand_tip, right_hand_tip, so they are missing in every clip."
    )
    assert message in " ".join(prepared.err.split())
    assert report(folder)["missing_joints"] == ["left_hand_tip", "right_hand_tip"]
    missing = [load_layout("ntu25").joints.index(f"{side}_hand_tip") for side in ("left", "right")]
    for clip in open_store(folder / "data" / "mine"):
        assert (~clip.joint_mask).any(axis=(0, 1)).nonzero()[0].tolist() == missing
    places = ["--data_root", folder / "data", "--output_root", folder / "runs"]
    assert cli("train", "--dataset", folder / "mine.yaml", *places, *TRAIN).code == 0


def test_joints_that_are_declared_missing_cause_no_warning(cli: Callable[..., Any], folder: Path) -> None:
    (folder / "mine.yaml").write_text(DATA + "  layout_map: {left_thumb: null}")
    prepared = prepare(cli, folder)
    assert prepared.code == 0 and "nothing is mapped" not in prepared.err
    assert report(folder)["missing_joints"] == ["left_thumb"]


def test_a_joint_that_was_not_measured_is_missing_in_what_it_is_mapped_to(
    cli: Callable[..., Any], folder: Path
) -> None:
    path = folder / "raw" / "a" / "take_P1.npy"
    points = np.load(path)
    names = load_layout("kinect_azure32").joints.index
    points[:, 3, names("left_ear")] = np.nan  # the head is the mean of both ears
    points[:, 4, [names("left_ear"), names("right_ear")]] = np.nan
    np.save(path, points)
    assert prepare(cli, folder).code == 0
    (clip,) = (clip for clip in open_store(folder / "data" / "mine") if clip.name == "a/take_P1")
    assert np.argwhere(~clip.joint_mask[0]).tolist() == [[4, load_layout("ntu25").joints.index("head")]]
