"""The six channels of a wide stream, against loops over frames and joints."""

import pytest
import torch
from torch import Tensor

from last.data.loading.streams import derive_streams
from last.models.multi_body import STREAMS
from last.models.stream_masks import stream_masks
from last.models.wide_streams import WideStreams, direction, two_later
from last.skeleton import Layout, load_layout

EXACT = {"rtol": 0.0, "atol": 1e-12}
LAYOUTS = [load_layout("ntu25"), load_layout("kinect20"), load_layout("coco17_2d")]
each_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=str)


def some_joints(layout: Layout, bodies: int = 4, frames: int = 7, share: float = 0.25) -> tuple[Tensor, Tensor]:
    """Return joints (B, C, T, V), zero where they are missing, and which were measured (B, T, V).

    The centre joint is at the origin in the first frame, as preparation puts it.
    """
    torch.manual_seed(0)
    joints = torch.randn(bodies, layout.coordinates, frames, layout.num_joints, dtype=torch.float64)
    joints -= joints[:, :, :1, layout.center, None]
    measured = torch.rand(bodies, frames, layout.num_joints) >= share
    return torch.where(measured[:, None], joints, 0.0), measured


def streams_of(joints: Tensor, measured: Tensor, layout: Layout) -> dict[str, Tensor]:
    """Return the plain streams (B, C, T, V) as the loader derives them."""
    derived = derive_streams(joints[..., None], measured[:, None], layout)
    return {name: each[..., 0] for name, each in derived.items()}


def wide(joints: Tensor, measured: Tensor, layout: Layout) -> dict[str, Tensor]:
    return WideStreams(layout)(streams_of(joints, measured, layout), {})[0]


def in_loops(joints: Tensor, measured: Tensor, layout: Layout) -> dict[str, Tensor]:
    """Return the added channels of each stream (B, C, T, V), number by number."""
    found = {name: torch.zeros_like(joints) for name in STREAMS}
    bodies, _, frames, count = joints.shape
    for body in range(bodies):
        for frame in range(frames):
            for joint in range(count):
                if not measured[body, frame, joint]:
                    continue
                here = joints[body, :, frame, joint]
                found["joint"][body, :, frame, joint] = here - joints[body, :, frame, layout.center]
                if frame + 2 < frames and measured[body, frame + 2, joint]:
                    found["velocity"][body, :, frame, joint] = joints[body, :, frame + 2, joint] - here
                parent = layout.parents[joint]
                if parent != joint and measured[body, frame, parent]:
                    bone = here - joints[body, :, frame, parent]
                    found["bone"][body, :, frame, joint] = bone / (bone.square().sum() + 1e-6).sqrt()
    return found


@each_layout
@pytest.mark.parametrize("share", [0.0, 0.25, 0.7])
def test_the_added_channels_are_those_of_the_loops(layout: Layout, share: float) -> None:
    joints, measured = some_joints(layout, share=share)
    plain, expected = streams_of(joints, measured, layout), in_loops(joints, measured, layout)
    found = wide(joints, measured, layout)
    for name in STREAMS:
        own, added = found[name].chunk(2, dim=1)
        assert torch.equal(own, plain[name])
        torch.testing.assert_close(added, expected[name], msg=lambda text, name=name: f"{name}: {text}", **EXACT)


@each_layout
def test_every_channel_of_a_missing_joint_is_zero(layout: Layout) -> None:
    joints, measured = some_joints(layout)
    for each in wide(joints, measured, layout).values():
        assert not each.masked_select(~measured[:, None]).any()


@each_layout
def test_the_joints_that_were_measured_are_inferred_from_the_streams(layout: Layout) -> None:
    joints, measured = some_joints(layout)
    measured[:, 0, layout.center] = True  # at the origin, and so without a position of its own
    joints[:, :, 1, layout.center], measured[:, 1, layout.center] = 0.0, True  # it stays there
    found = WideStreams(layout).measured(*streams_of(joints, measured, layout).values())
    lone = measured & ~found
    assert not (found & ~measured).any()
    neighbours = [joint for joint in range(layout.num_joints) if layout.center in (joint, layout.parents[joint])]
    neighbours = sorted({*neighbours, layout.parents[layout.center]} - {layout.center})
    for body, frame, joint in lone.nonzero().tolist():
        assert (joint, frame in (0, 1)) == (layout.center, True)
        assert not measured[body, frame, neighbours].any()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips_have_no_velocity_over_two_frames_where_there_are_none(frames: int) -> None:
    layout = LAYOUTS[0]
    joints, measured = some_joints(layout, frames=frames, share=0.0)
    found = wide(joints, measured, layout)["velocity"][:, 3:]
    assert found.shape == joints.shape
    assert found[:, :, : frames - 2].any() == (frames == 3)
    assert not found[:, :, max(0, frames - 2) :].any()


def test_a_body_that_leaves_has_zeros_in_all_channels_from_then_on() -> None:
    layout = LAYOUTS[0]
    joints, measured = some_joints(layout, share=0.0)
    measured[:, 4:] = False
    found = wide(torch.where(measured[:, None], joints, 0.0), measured, layout)
    assert not any(each[:, :, 4:].any() for each in found.values())
    assert not found["velocity"][:, 3:, 2:].any() and found["velocity"][:, 3:, :2].all()


def test_without_its_centre_joint_a_body_keeps_its_positions() -> None:
    layout = LAYOUTS[0]
    joints, measured = some_joints(layout, share=0.0)
    measured[:, 3, layout.center] = False
    joints = torch.where(measured[:, None], joints, 0.0)
    own, relative = wide(joints, measured, layout)["joint"].chunk(2, dim=1)
    assert torch.equal(relative[:, :, 3], own[:, :, 3])
    assert not torch.equal(relative[:, :, 4], own[:, :, 4])


def test_an_absent_body_of_any_values_does_not_change_another_one() -> None:
    layout = LAYOUTS[0]
    joints, measured = some_joints(layout, bodies=2)
    streams = streams_of(joints, measured, layout)
    before = WideStreams(layout)(streams, {})[0]
    for each in streams.values():
        each[1] = torch.nan
    after = WideStreams(layout)(streams, {})[0]
    assert all(torch.equal(after[name][0], before[name][0]) for name in STREAMS)


def test_statistics_are_taken_where_all_channels_of_a_stream_were_measured() -> None:
    layout = LAYOUTS[0]
    joints, measured = some_joints(layout)
    masks = stream_masks(measured, torch.tensor(layout.parents), STREAMS)
    kept = {name: each.clone() for name, each in masks.items()}
    found = WideStreams(layout)(streams_of(joints, measured, layout), masks)[1]
    assert torch.equal(found["joint"], kept["joint"]) and torch.equal(found["bone"], kept["bone"])
    expected = measured.clone()
    for frame in range(measured.shape[1]):  # frames beyond the last one count as measured, as in `stream_masks`
        for later in range(frame + 1, min(frame + 3, measured.shape[1])):
            expected[:, frame] &= measured[:, later]
    assert torch.equal(found["velocity"], expected)
    assert all(torch.equal(masks[name], kept[name]) for name in STREAMS)


def test_a_direction_has_the_length_one_and_falls_to_zero_with_the_bone() -> None:
    bones = torch.tensor([[0.3, 0.0, 0.4], [0.0, -1e-9, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    found = direction(bones)
    torch.testing.assert_close(found[0], torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64), rtol=0, atol=1e-5)
    assert found[1:].abs().max() < 1e-5


def test_two_frames_later_is_the_same_along_either_axis() -> None:
    x = torch.randn(2, 3, 5, 4)
    assert torch.equal(two_later(x.transpose(2, 3), 3).transpose(2, 3), two_later(x))
    assert torch.equal(two_later(x)[:, :, :3], x[:, :, 2:]) and not two_later(x)[:, :, 3:].any()
