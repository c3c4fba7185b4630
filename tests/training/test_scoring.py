"""Probabilities of a part of the data, averaged over test draws."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from last.data.loader import Batch
from last.data.locate import find_store
from last.data.pipeline import InputPipeline
from last.training.config import RunConfig
from last.training.data import part_for_testing
from last.training.scoring import score_batches

CPU = torch.device("cpu")


class Heights(nn.Module):
    """Answer with the heights of the first body's head in the first three frames."""

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
    assert batch.numbers.tolist() == list(range(12))


def test_crops_have_one_test_draw(tiny_config: Callable[..., RunConfig]) -> None:
    config = tiny_config("data.sampling.test_draws=3")
    store = find_store(config.data, Path(config.data_root))
    assert len(part_for_testing(config, store, torch.arange(12).numpy()).loaders) == 1


def test_probabilities_of_every_clip_sum_to_one(tiny_config: Callable[..., RunConfig]) -> None:
    ((_, scores),) = scored(tiny_config())
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(12))
