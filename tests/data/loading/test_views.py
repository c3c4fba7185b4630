"""Views of tested clips: turned and mirrored, in the clip and in the pipeline."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from last.data.loading.loader import ClipDataset
from last.data.loading.pipeline import InputPipeline
from last.data.loading.samplers import BatchIndices
from last.data.loading.sampling import evaluation_positions
from last.data.loading.views import PLAIN, View, turned
from last.data.store.find_store import find_store
from last.settings.data import NormalizeConfig, SamplingConfig
from last.settings.run import RunConfig
from last.skeleton import load_layout

NTU, FLAT = load_layout("ntu25"), load_layout("coco17_2d")


def test_a_turn_by_90_degrees_moves_what_points_to_the_camera_to_the_side() -> None:
    joints = torch.zeros(1, 3, 1, 25, 1)
    joints[0, :, 0, 0, 0] = torch.tensor([0.0, 2.0, 1.0])
    x, y, z = turned(joints, torch.tensor([90.0]), NTU)[0, :, 0, 0, 0].tolist()
    assert (abs(x), y, z) == (pytest.approx(1.0), 2.0, pytest.approx(0.0, abs=1e-6))


def test_mirroring_twice_changes_nothing_and_exchanges_the_masks_of_left_and_right() -> None:
    joints, mask = torch.randn(2, 3, 4, 25, 1), torch.ones(2, 1, 4, 25, dtype=torch.bool)
    left, right = NTU.mirror[0]
    mask[..., left] = False
    once, once_mask = View(mirror=True)(joints, mask, NTU)
    assert once_mask is not None and not once_mask[..., right].any() and once_mask[..., left].all()
    twice, _ = View(mirror=True)(once, once_mask, NTU)
    assert torch.equal(twice, joints)


def test_clips_of_two_coordinates_are_not_turned() -> None:
    with pytest.raises(ValueError, match="two coordinates"):
        View(turn=15.0)(torch.zeros(1, 2, 1, 17, 1), None, FLAT)


def test_a_view_follows_facing_the_camera_which_would_undo_it(tiny_config: Callable[..., RunConfig]) -> None:
    config = tiny_config()
    store = find_store(config.data, Path(config.data_root))
    numbers = torch.arange(4)
    batch = ClipDataset(store, 8, config.data.sampling, training=False)[BatchIndices(numbers, numbers)]
    data = replace(config.data, normalize=NormalizeConfig(face_camera=True))
    plain, seen = (InputPipeline(data, view=view)(batch, training=False)["joint"] for view in (PLAIN, View(30.0)))
    torch.testing.assert_close(seen, turned(plain, torch.full((4,), 30.0), data.skeleton))


@pytest.mark.parametrize(("draws", "starts"), [(1, [2.5]), (2, [2.5, 12.5]), (4, [2.5, 0.0, 12.5, 25.0])])
def test_crops_are_the_plain_one_and_shorter_ones_from_the_beginning_to_the_end(
    draws: int, starts: list[float]
) -> None:
    length, number = torch.tensor([101]), torch.tensor([0])
    parts = [evaluation_positions(length, 5, SamplingConfig(), number, draw, draws)[0] for draw in range(draws)]
    assert [part[0].item() for part in parts] == pytest.approx(starts)
    assert [(part[-1] - part[0]).item() for part in parts] == pytest.approx([95.0, *[75.0] * (draws - 1)])
