"""Probabilities of a part of the data, averaged over test draws."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from last.data.loading.loader import Batch
from last.data.loading.pipeline import InputPipeline
from last.data.loading.run_data import TestPart, part_for_testing
from last.data.store.find_store import find_store
from last.evaluation.scoring import has_no_score, score_batches
from last.settings.run import RunConfig

CPU = torch.device("cpu")


class Heights(nn.Module):
    """Return the heights of the first body's head in the first three frames as scores."""

    def forward(self, streams: Mapping[str, Tensor], valid: Tensor, rows: Tensor) -> Tensor:
        return streams["joint"][:, 1, :3, 3, 0]


def scored(config: RunConfig) -> list[tuple[Batch, Tensor]]:
    store = find_store(config.data, Path(config.data_root))
    part = part_for_testing(config, store, torch.arange(12).numpy())
    return list(score_batches(Heights(), part, InputPipeline(config.data), CPU))


def test_probabilities_are_the_mean_over_the_test_draws(tiny_config: Callable[..., RunConfig]) -> None:
    config = tiny_config("data.sampling.method=uniform", "data.sampling.test_draws=3")
    store = find_store(config.data, Path(config.data_root))
    part = part_for_testing(config, store, torch.arange(12).numpy())
    assert len(part.loaders) == 3
    singles = [next(iter(loader)).joints[:, 1, :3, 3, 0].softmax(dim=1) for loader in part.loaders]
    assert not torch.equal(singles[0], singles[1])
    ((batch, scores),) = scored(config)
    torch.testing.assert_close(scores, torch.stack(singles).mean(dim=0))
    assert batch.indices.tolist() == list(range(12))


def test_crops_have_one_test_draw(tiny_config: Callable[..., RunConfig]) -> None:
    config = tiny_config("data.sampling.test_draws=3")
    store = find_store(config.data, Path(config.data_root))
    assert len(part_for_testing(config, store, torch.arange(12).numpy()).loaders) == 1


def test_probabilities_of_every_clip_sum_to_one(tiny_config: Callable[..., RunConfig]) -> None:
    ((_, scores),) = scored(tiny_config())
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(12))


def fault_of(batch: Batch, fault: str) -> Batch:
    """Return the batch with a clip 2 that no model can score."""
    joints, valid = batch.joints.clone(), batch.frame_mask.clone()
    if fault == "nan":
        joints[2, 0, 0, 0, 0] = float("nan")
    else:
        valid[2] = False
    return replace(batch, joints=joints, frame_mask=valid)


@pytest.mark.parametrize("fault", ["nan", "no body"])
def test_a_clip_that_no_model_can_score_has_no_score_and_changes_no_other(
    tiny_config: Callable[..., RunConfig], fault: str
) -> None:
    config = tiny_config()
    store = find_store(config.data, Path(config.data_root))
    part = part_for_testing(config, store, torch.arange(5, 12).numpy())
    (batch,) = part.loaders[0]
    tested = TestPart([[fault_of(batch, fault), batch]], num_clips=14)
    (_, faulty), (_, sound) = score_batches(Heights(), tested, InputPipeline(config.data), CPU)
    assert has_no_score(faulty).tolist() == [clip == 2 for clip in range(7)]
    others = [clip for clip in range(7) if clip != 2]
    assert torch.equal(faulty[others], sound[others])
