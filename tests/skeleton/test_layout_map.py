"""Joints of one layout become those of another: by equal names, by the program's maps, and by maps of one's own."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from last.skeleton import Layout, build_layout_map, load_layout
from last.skeleton.layout_map import shipped_map
from last.utils.config import config_folder
from last.utils.errors import UserError

AZURE, NTU, COCO, OPENPOSE = map(load_layout, ("kinect_azure32", "ntu25", "coco17", "openpose18"))
SHIPPED = sorted(path.stem for path in (config_folder() / "layout_map").glob("*.yaml"))


def numbered(layout: Layout) -> np.ndarray:
    """Return joints (1, 1, V, C) of which each coordinate is the joint's number."""
    return np.repeat(np.arange(layout.num_joints, dtype=float)[:, None], layout.coordinates, axis=1)[None, None]


def joint(layout: Layout, name: str) -> int:
    return layout.joints.index(name)


def test_joints_of_equal_names_are_copied_to_the_bit_in_the_order_of_the_target() -> None:
    random = np.random.default_rng(0).normal(size=(2, 5, 32, 3))
    mapped = build_layout_map(AZURE, NTU)(random)
    assert mapped.shape == (2, 5, 25, 3)
    for name in ("neck", "left_hand_tip", "right_ankle"):
        assert (mapped[:, :, joint(NTU, name)] == random[:, :, joint(AZURE, name)]).all()


def test_a_joint_with_several_origins_is_their_mean() -> None:
    (mapped,) = build_layout_map(AZURE, NTU, {"spine_middle": ["pelvis", "neck", "head"]})(numbered(AZURE))[0]
    assert mapped[joint(NTU, "spine_middle")] == pytest.approx((0 + 3 + 26) / 3)


def test_the_mean_is_taken_of_what_is_measured() -> None:
    joints = numbered(COCO)
    joints[..., joint(COCO, "left_shoulder"), 0] = np.nan
    (mapped,) = build_layout_map(COCO, OPENPOSE)(joints)[0]
    assert (mapped[joint(OPENPOSE, "neck")] == joint(COCO, "right_shoulder")).all()
    joints[..., joint(COCO, "right_shoulder"), :] = np.nan
    (mapped,) = build_layout_map(COCO, OPENPOSE)(joints)[0]
    assert np.isnan(mapped[joint(OPENPOSE, "neck")]).all()
    assert np.isfinite(mapped[joint(OPENPOSE, "nose")]).all()


def test_a_joint_is_as_certain_as_the_least_certain_of_its_measured_origins() -> None:
    confidence = np.ones((1, 1, 17))
    confidence[..., joint(COCO, "left_shoulder")], confidence[..., joint(COCO, "nose")] = 0.25, 0.5
    (certain,) = build_layout_map(COCO, OPENPOSE, {"left_ear": None}).confidence(confidence)[0]
    assert certain[joint(OPENPOSE, "neck")] == 0.25 and certain[joint(OPENPOSE, "nose")] == 0.5
    assert np.isnan(certain).nonzero()[0].tolist() == [joint(OPENPOSE, "left_ear")]
    confidence[..., joint(COCO, "left_shoulder")] = np.nan
    assert build_layout_map(COCO, OPENPOSE).confidence(confidence)[0, 0, joint(OPENPOSE, "neck")] == 1


def test_what_nothing_is_mapped_to_is_missing_and_named() -> None:
    mapping = build_layout_map(AZURE, NTU, {"left_thumb": None, "head": []})
    assert mapping.missing == ("head", "left_thumb")
    assert np.isnan(mapping(numbered(AZURE))[0, 0]).all(axis=-1).nonzero()[0].tolist() == [3, 22]


def test_a_map_of_ones_own_goes_before_the_programs_and_that_before_equal_names() -> None:
    assert "head" in AZURE.joints and shipped_map("kinect_azure32", "ntu25")["head"] == ["left_ear", "right_ear"]
    (shipped,) = build_layout_map(AZURE, NTU)(numbered(AZURE))[0]
    (own,) = build_layout_map(AZURE, NTU, {"head": "nose"})(numbered(AZURE))[0]
    assert shipped[joint(NTU, "head"), 0] == (29 + 31) / 2
    assert own[joint(NTU, "head"), 0] == 27


@pytest.mark.parametrize("pair", SHIPPED)
def test_the_programs_maps_have_no_mistakes_and_mirror_what_they_map(pair: str) -> None:
    source, target = map(load_layout, pair.split("-"))
    mapping = build_layout_map(source, target)
    random = np.random.default_rng(1).normal(size=(1, 3, source.num_joints, source.coordinates))
    mirrored = mapping(random[:, :, list(source.mirrored)])
    np.testing.assert_allclose(mirrored, mapping(random)[:, :, list(target.mirrored)])
    # Equal names need no line.
    assert [name for name, origin in shipped_map(source.name, target.name).items() if origin in (name, [name])] == []


@pytest.mark.parametrize(
    ("pair", "missing"),
    [
        ("kinect_azure32-ntu25", ""),
        ("zed34-ntu25", ""),
        ("zed38-ntu25", ""),
        ("tao34-ntu25", ""),
        ("mediapipe33-ntu25", "left_hand_tip right_hand_tip"),
        ("smpl24-ntu25", "left_hand_tip left_thumb right_hand_tip right_thumb"),
        (
            "h36m17-ntu25",
            "left_hand right_hand left_foot right_foot left_hand_tip left_thumb right_hand_tip right_thumb",
        ),
        ("coco17-openpose18", ""),
        ("coco17_2d-openpose18_2d", ""),
        ("halpe26-coco17", ""),
        ("body25-openpose18", ""),
        ("openpose18-coco17", ""),
    ],
)
def test_common_pairs_are_mapped_without_a_word(pair: str, missing: str) -> None:
    source, target = map(load_layout, pair.split("-"))
    assert build_layout_map(source, target).missing == tuple(missing.split())


def test_space_becomes_a_picture_without_z_and_with_y_down() -> None:
    joints = np.zeros((1, 1, 17, 3))
    joints[...] = (1.0, 2.0, 3.0)
    mapped = build_layout_map(COCO, load_layout("coco17_2d"))(joints)
    assert mapped.shape == (1, 1, 17, 2)
    assert (mapped == (1.0, -2.0)).all()


def test_a_picture_is_not_mapped_into_space() -> None:
    with pytest.raises(UserError, match="coco17_2d has 2 coordinates and coco17 3: nothing tells the third one"):
        build_layout_map(load_layout("coco17_2d"), COCO)


def test_all_mistakes_of_a_map_are_reported_at_once_by_name_and_with_the_nearest() -> None:
    named = {"spine_midle": "spine_navel", "head": ["left_earr", "nose"], "neck": "nek", "spine_middle": None}
    with pytest.raises(UserError) as refused:
        build_layout_map(AZURE, NTU, named, "mine.yaml: data.layout_map")
    message = str(refused.value)
    assert message.startswith("mine.yaml: data.layout_map: kinect_azure32 cannot be mapped to ntu25:")
    for mistake in (
        "'spine_midle' is no joint of ntu25. Did you mean 'spine_middle'?",
        "'head': 'left_earr' is no joint of kinect_azure32. Did you mean 'left_ear'?",
        "'neck': 'nek' is no joint of kinect_azure32. Did you mean 'neck'?",
        "spine_middle, the joint on which clips of ntu25 are centred, is missing",
    ):
        assert mistake in message


@pytest.mark.parametrize("change", ["center", "root", "joints", "name"])
def test_the_facts_of_a_map_change_with_its_source(change: str) -> None:
    changes: dict[str, Callable[[], Layout]] = {
        "center": lambda: replace(AZURE, center=1),
        "root": lambda: replace(AZURE, root=1),
        "joints": lambda: replace(AZURE, joints=(*AZURE.joints[:-1], "other")),
        "name": lambda: replace(AZURE, name="other"),
    }
    named = {name: origin for name, origin in shipped_map("kinect_azure32", "ntu25").items() if name != "head"}
    facts = build_layout_map(AZURE, NTU, {**named, "head": "head"}).facts()
    assert json.loads(json.dumps(facts)) == facts
    assert build_layout_map(changes[change](), NTU, {**named, "head": "head"}).facts() != facts
