"""Every layout that ships: the official order of its joints, and a model that learns from it."""

import numpy as np
import pytest
import torch

import last
from last.data.loading.loader import ClipDataset, build_loader
from last.data.loading.pipeline import InputPipeline
from last.data.loading.samplers import TrainSampler
from last.data.store.clip import Clip
from last.data.store.reader import write_store
from last.settings.data import AugmentConfig, DataConfig, HardwareConfig, NormalizeConfig, SamplingConfig
from last.skeleton import Layout, list_layouts, load_layout

FRAMES = 16


@pytest.fixture(params=list_layouts())
def layout(request: pytest.FixtureRequest) -> Layout:
    return load_layout(request.param)


def recording(layout: Layout, number: int) -> Clip:
    """Return random joints of two bodies, the second absent in the first frame."""
    random = np.random.default_rng(number)
    joints = random.normal(size=(2, 20, layout.num_joints, layout.coordinates)).astype(np.float32)
    valid = np.ones((2, 20), dtype=bool)
    valid[1, 0] = False
    joints[~valid] = 0.0
    return Clip(f"clip{number}", joints, valid, label=number % 2)


@pytest.mark.parametrize(
    ("name", "joints"),
    [
        ("coco17", "0 nose, 1 left_eye, 6 right_shoulder, 9 left_wrist, 12 right_hip, 16 right_ankle"),
        ("openpose18", "0 nose, 1 neck, 2 right_shoulder, 7 left_wrist, 8 right_hip, 13 left_ankle, 17 left_ear"),
        ("mediapipe33", "0 nose, 7 left_ear, 10 right_mouth, 12 right_shoulder, 19 left_index, 22 right_thumb"),
        ("mediapipe33", "23 left_hip, 26 right_knee, 27 left_ankle, 30 right_heel, 31 left_foot_index"),
        ("hand21", "0 wrist, 1 thumb_cmc, 4 thumb_tip, 5 index_mcp, 12 middle_tip, 15 ring_dip, 20 pinky_tip"),
        ("body25", "0 nose, 1 neck, 4 right_wrist, 7 left_wrist, 8 pelvis, 9 right_hip, 14 left_ankle, 18 left_ear"),
        ("body25", "19 left_big_toe, 20 left_small_toe, 21 left_heel, 22 right_big_toe, 24 right_heel"),
        ("halpe26", "0 nose, 5 left_shoulder, 10 right_wrist, 16 right_ankle, 17 head, 18 neck, 19 pelvis"),
        ("halpe26", "20 left_big_toe, 21 right_big_toe, 22 left_small_toe, 24 left_heel, 25 right_heel"),
        ("h36m17", "0 pelvis, 1 right_hip, 3 right_ankle, 6 left_ankle, 7 spine, 8 neck, 9 nose, 10 head"),
        ("h36m17", "11 left_shoulder, 13 left_wrist, 14 right_shoulder, 16 right_wrist"),
        ("kinect_azure32", "0 pelvis, 3 neck, 4 left_clavicle, 9 left_hand_tip, 10 left_thumb, 17 right_thumb"),
        ("kinect_azure32", "18 left_hip, 25 right_foot, 26 head, 27 nose, 28 left_eye, 29 left_ear, 31 right_ear"),
        ("zed18", "0 nose, 1 neck, 2 right_shoulder, 7 left_wrist, 13 left_ankle, 14 right_eye, 17 left_ear"),
        (
            "zed34",
            "0 pelvis, 3 neck, 5 left_shoulder, 17 right_thumb, 26 head, 31 right_ear, 32 left_heel, 33 right_heel",
        ),
        ("zed38", "0 pelvis, 3 spine_3, 4 neck, 5 nose, 9 right_ear, 10 left_clavicle, 17 right_wrist, 23 right_ankle"),
        ("zed38", "24 left_big_toe, 28 left_heel, 30 left_thumb, 32 left_index, 34 left_hand_tip, 37 right_pinky"),
        ("smpl24", "0 pelvis, 1 left_hip, 3 spine_1, 9 spine_3, 10 left_foot, 12 neck, 13 left_clavicle, 15 head"),
        ("smpl24", "16 left_shoulder, 19 right_elbow, 21 right_wrist, 23 right_hand"),
        ("tao34", "0 pelvis, 3 torso, 6 neck, 8 right_ankle, 9 left_big_toe, 14 right_heel, 15 nose, 19 right_ear"),
        ("tao34", "21 right_shoulder, 24 left_wrist, 26 left_pinky_knuckle, 29 right_middle_tip, 33 right_thumb_tip"),
        ("ap10k17", "0 left_eye, 2 nose, 3 neck, 4 tail_root, 7 left_front_paw, 10 right_front_paw, 16 right_back_paw"),
    ],
)
def test_joints_stand_in_the_order_of_the_format(name: str, joints: str) -> None:
    for number, joint in (each.split() for each in joints.split(", ")):
        assert load_layout(name).joints[int(number)] == joint


@pytest.mark.parametrize("name", ["coco17", "openpose18", "body25", "halpe26", "h36m17", "ap10k17", "tao34"])
def test_a_layout_in_the_picture_differs_in_its_coordinates_alone(name: str) -> None:
    space, picture = load_layout(name), load_layout(f"{name}_2d")
    assert (space.coordinates, picture.coordinates) == (3, 2)
    assert (space.joints, space.bones, space.mirror) == (picture.joints, picture.bones, picture.mirror)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("coco17", "left_ankle left_knee left_hip left_shoulder nose"),
        ("openpose18", "right_ankle right_knee right_hip right_shoulder neck"),
        ("mediapipe33", "left_foot_index left_ankle left_knee left_hip left_shoulder nose"),
        ("mediapipe33", "right_ear right_eye_outer right_eye right_eye_inner nose"),
        ("hand21", "ring_tip ring_dip ring_pip ring_mcp wrist"),
        ("body25", "left_small_toe left_big_toe left_ankle left_knee left_hip pelvis neck"),
        ("halpe26", "right_heel right_ankle right_knee right_hip pelvis neck"),
        ("h36m17", "right_wrist right_elbow right_shoulder neck spine pelvis"),
        (
            "kinect_azure32",
            "left_hand_tip left_hand left_wrist left_elbow left_shoulder left_clavicle spine_chest spine_navel pelvis",
        ),
        ("zed34", "right_ear right_eye nose head neck spine_chest spine_navel pelvis"),
        ("zed38", "right_pinky right_wrist right_elbow right_shoulder right_clavicle spine_3 spine_2 spine_1 pelvis"),
        ("smpl24", "left_hand left_wrist left_elbow left_shoulder left_clavicle spine_3 spine_2 spine_1 pelvis"),
        ("tao34", "left_thumb_tip left_wrist left_elbow left_shoulder neck torso pelvis"),
        ("ap10k17", "left_back_paw left_knee left_hip tail_root neck"),
    ],
)
def test_limbs_lead_to_the_root(name: str, path: str) -> None:
    layout = load_layout(name)
    joint, *above = path.split()
    for parent in above:
        joint = layout.joints[layout.parents[layout.joints.index(joint)]]
        assert joint == parent
    assert layout.joints.index(joint) == layout.root


def test_a_model_of_any_layout_classifies_its_streams(layout: Layout) -> None:
    model = last.create_model("nano_e", num_classes=5, layout=layout.name).eval()
    shape = (2, layout.coordinates, FRAMES, layout.num_joints, 1)
    logits = model({name: torch.randn(shape) for name in ("joint", "velocity", "bone")})
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


def test_a_model_of_any_layout_learns_from_a_store_through_every_augmentation(layout: Layout, tmp_path) -> None:
    clips = [recording(layout, number) for number in range(4)]
    store = write_store(tmp_path, clips, name="own", layout=layout.name, classes=["a", "b"])
    augmentation = AugmentConfig(scale=0.2, shear=0.1, jitter_metres=0.01, mirror_probability=0.5)
    normalization = NormalizeConfig(face_camera=True, scale="unit")
    pipeline = InputPipeline(DataConfig(name="own", layout=layout.name, augment=augmentation, normalize=normalization))
    sampled = ClipDataset(store, FRAMES, SamplingConfig(), training=True)
    (batch,) = build_loader(sampled, TrainSampler(np.arange(4), 4, seed=0), HardwareConfig())

    model = last.create_model("nano_e", num_classes=2, layout=layout.name)
    logits = model(pipeline(batch, training=True), batch.bodies, batch.body_slots)
    torch.nn.functional.cross_entropy(logits, batch.labels).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)
    assert model.fusion.stem.weight.grad.abs().sum() > 0
